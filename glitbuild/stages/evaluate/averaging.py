"""The baseline for long captions: the mean of their sentences' embeddings."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def average_sentences(sentences: NDArray[Any], caption_of: NDArray[np.int64], captions: int) -> NDArray[np.float32]:
    """Return for each caption the L2-normalised mean of its sentences' embeddings.

    FAST-GOAL's baseline (arXiv 2605.26615) for a model that reads 77 tokens: each sentence fits, the caption
    doesn't.

    Args:
        sentences: S x D, L2-normalised.
        caption_of: S, the number of the caption that each sentence is of; every caption has at least one.
        captions: how many there are.

    Returns:
        M x D.
    """
    sums = np.zeros((captions, sentences.shape[1]))
    np.add.at(sums, caption_of, sentences)
    means: NDArray[np.float32] = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    return means
