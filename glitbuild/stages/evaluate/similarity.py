"""Cosines of many queries with a whole gallery, a block of queries at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import EvaluationError

BLOCK_CELLS = 2**23
"""Cosines of a block, unless a single query has more: 64 MiB in float64."""

NORM_TOLERANCE = 1e-3


def check_embeddings(what: str, embeddings: NDArray[Any]) -> None:
    """See that embeddings can be compared by their dot products.

    Args:
        what: they are of, for the error: ``image embeddings``.
        embeddings: N x D.

    Raises:
        EvaluationError: there are none, or some aren't finite or not of norm 1.
    """
    if not len(embeddings):
        raise EvaluationError(what, "there are none", "evaluate a dataset that has samples")
    norms = np.linalg.norm(embeddings, axis=1)
    if not np.isfinite(norms).all():
        count = int((~np.isfinite(norms)).sum())
        why = f"{count:,} of {len(norms):,} hold a NaN or an infinity"
        raise EvaluationError(what, why, "look at the model's weights: its training may have diverged")
    if (np.abs(norms - 1) > NORM_TOLERANCE).any():
        raise EvaluationError(what, "not of norm 1", "normalise them")


def blocks(
    queries: NDArray[Any], gallery: NDArray[Any], block_cells: int = BLOCK_CELLS
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the cosines of consecutive queries with the whole gallery, never those of all queries.

    They are computed in float64 and rounded to float32: a matrix product in float32 gives equal vectors cosines
    that differ in the last bit, depending on their place in the matrix, and ties would be decided by that.

    Args:
        queries: Q x D, L2-normalised.
        gallery: G x D, likewise.
        block_cells: at most so many cosines a block, unless a single query has more.

    Yields:
        The number of the block's first query, and B x G cosines, which the caller may overwrite.
    """
    size = max(1, block_cells // len(gallery))
    columns = gallery.astype(np.float64).T
    for start in range(0, len(queries), size):
        yield start, (queries[start : start + size].astype(np.float64) @ columns).astype(np.float32)
