"""Matching of sentences with regions, the core of FLISM."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import GlitbuildError
from glitbuild.records import Pair

DECIMALS = 5
"""Decimals to which similarities are rounded before they are compared, so that rounding noise has no influence."""


def similarities(sentences: NDArray[Any], regions: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine similarity of every sentence with every region.

    Args:
        sentences: M x D, L2-normalised embeddings of the sentences.
        regions: N x D, L2-normalised embeddings of the crops.

    Returns:
        M x N, rounded to five decimals, in [-1, 1].

    Raises:
        GlitbuildError: an embedding is not finite.
    """
    cosines = sentences.astype(np.float64) @ regions.astype(np.float64).T
    if not np.isfinite(cosines).all():
        raise GlitbuildError("CLIP", "an embedding is not finite", "check the model's weights")
    # Adding 0.0 turns -0.0, which JSON writes differently, into 0.0.
    return np.clip(np.round(cosines, DECIMALS), -1.0, 1.0) + 0.0


def best_pairs(cosines: NDArray[np.float64]) -> tuple[tuple[Pair, ...], int]:
    """Assign each sentence its best region, and choose the image's local pair.

    Algorithm: FLISM (FAST-GOAL, arXiv 2605.26615): the row-wise maximum gives a sentence's region; of these M
    pairs, the one with the highest cosine is the image's local pair. Of equals, the first is taken.

    Args:
        cosines: M sentences x N regions, M and N at least 1.

    Returns:
        One pair per sentence, in order, and the index of the best of them.
    """
    chosen = cosines.argmax(axis=1)
    pairs = tuple(Pair(row, int(column), float(cosines[row, column])) for row, column in enumerate(chosen))
    return pairs, int(np.argmax([pair.similarity for pair in pairs]))
