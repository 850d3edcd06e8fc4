"""mAP@10 over the union of global and local pairs, as GOAL reports it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import EvaluationError
from glitbuild.stages.evaluate.retrieval import BLOCK_CELLS, blocks, check_embeddings

DEPTH = 10


def average_precision(
    queries: NDArray[Any],
    query_image: NDArray[np.int64],
    gallery: NDArray[Any],
    gallery_image: NDArray[np.int64],
    depth: int = DEPTH,
    block_cells: int = BLOCK_CELLS,
) -> NDArray[np.float64]:
    """Return each query's AP@10; their mean is mAP@10.

    GOAL (arXiv 2503.17782) puts global and local pairs together: one gallery of all images and the crops of
    their regions, asked with all captions and sentences, and the other way round. Relevant to a query is
    everything of its own image: to a caption or a sentence, its image and that image's own regions. (GOAL's
    public code looks regions up by a name that never matches, so that only the own partner is relevant; its
    text is followed here.)

    AP@10 = (sum over ranks i <= 10 with a relevant item of the share of relevant items among the first i) /
    min(10, R), where R is how many relevant items the gallery has: a list that begins with all of them has AP
    1. Of equally similar items, the one with the lower number comes first.

    Args:
        queries: Q x D, L2-normalised.
        query_image: Q, the number of each query's image; the gallery has something of every one.
        gallery: G x D, same as above.
        gallery_image: G, same as above.
        depth: length of the lists.
        block_cells: cosines a block.

    Raises:
        EvaluationError: embeddings are missing, not finite or not normalised, or the gallery lacks an image.
    """
    check_embeddings("query embeddings", queries)
    check_embeddings("gallery embeddings", gallery)
    of_image = np.bincount(gallery_image, minlength=int(query_image.max()) + 1)
    possible = np.minimum(of_image[query_image], depth)
    if not possible.all():
        raise EvaluationError("the gallery", "it has nothing of a query's image", "put the image into it")
    found = np.empty(len(queries))
    for start, cosines in blocks(queries, gallery, block_cells):
        stop = start + len(cosines)
        relevant = gallery_image[first_items(cosines, depth)] == query_image[start:stop, None]
        precision = relevant.cumsum(axis=1) / np.arange(1, relevant.shape[1] + 1)
        found[start:stop] = (precision * relevant).sum(axis=1) / possible[start:stop]
    return found


def first_items(cosines: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Return the items of the highest cosines of each row, in order, the lower number first among equals.

    Args:
        cosines: B x G; overwritten.
        depth: how many items; all of them where the gallery has fewer.
    """
    rows = np.arange(len(cosines))
    items = np.empty((len(cosines), min(depth, cosines.shape[1])), dtype=np.int64)
    for place in range(items.shape[1]):
        # Ten passes are faster than sorting, and unlike a partition, argmax says which of equal ones it takes.
        items[:, place] = cosines.argmax(axis=1)
        cosines[rows, items[:, place]] = -np.inf
    return items
