"""Retrieval between images and captions, and mAP@10 over global and local pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import EvaluationError

BLOCK_CELLS = 2**23
"""Number of cosines per block, unless a single query has more: 64 MiB in float64."""

NORM_TOLERANCE = 1e-3


def check_embeddings(what: str, embeddings: NDArray[Any]) -> None:
    """Check that embeddings can be compared by their dot products.

    Args:
        what: name of the embeddings in the error, such as ``image embeddings``.
        embeddings: N x D.

    Raises:
        EvaluationError: there are none, or some are not finite or not of norm 1.
    """
    if not len(embeddings):
        raise EvaluationError(what, "there are none", "evaluate a dataset that has samples")
    norms = np.linalg.norm(embeddings, axis=1)
    if not np.isfinite(norms).all():
        count = int((~np.isfinite(norms)).sum())
        why = f"{count:,} of {len(norms):,} contain a NaN or an infinity"
        raise EvaluationError(what, why, "check the model's weights: its training may have diverged")
    if (np.abs(norms - 1) > NORM_TOLERANCE).any():
        raise EvaluationError(what, "not of norm 1", "normalise them")


def blocks(
    queries: NDArray[Any], gallery: NDArray[Any], block_cells: int = BLOCK_CELLS
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the cosines of consecutive queries with the whole gallery, block by block.

    They are computed in float64 and rounded to float32: a matrix product in float32 may give equal vectors cosines
    that differ in the last bit, depending on their position in the matrix, which would then decide ties.

    Args:
        queries: Q x D, L2-normalised.
        gallery: G x D, L2-normalised.
        block_cells: maximum number of cosines per block, unless a single query has more.

    Yields:
        The number of the block's first query, and B x G cosines, which the caller may overwrite.
    """
    size = max(1, block_cells // len(gallery))
    columns = gallery.astype(np.float64).T
    for start in range(0, len(queries), size):
        yield start, (queries[start : start + size].astype(np.float64) @ columns).astype(np.float32)


def average_sentences(sentences: NDArray[Any], caption_of: NDArray[np.int64], captions: int) -> NDArray[np.float32]:
    """Return the L2-normalised mean of the sentence embeddings of each caption.

    FAST-GOAL's baseline (arXiv 2605.26615) for a model that reads 77 tokens: each sentence fits, but the caption
    doesn't.

    Args:
        sentences: S x D, L2-normalised.
        caption_of: S, number of each sentence's caption; every caption has at least one sentence.
        captions: number of captions.

    Returns:
        M x D.
    """
    sums = np.zeros((captions, sentences.shape[1]))
    np.add.at(sums, caption_of, sentences)
    means: NDArray[np.float32] = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    return means


KS = (1, 5, 10, 15, 25, 50)
"""List sizes of FAST-GOAL's tables (arXiv 2605.26615): 1, 5, 25, 50 for long captions, 1, 5, 10, 15 for COCO."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Results of the queries of one direction.

    Attributes:
        ks: list sizes K.
        by_query: Q x len(ks), probability of a hit among the first K, from 0 to 1.
    """

    ks: tuple[int, ...]
    by_query: NDArray[np.float64]

    def at(self, k: int) -> NDArray[np.float64]:
        """Return the hit of each query among the first ``k``."""
        return self.by_query[:, self.ks.index(k)]

    def recall_at_k(self, k: int) -> float:
        """Return recall@k: the share of queries with a hit among the first ``k``."""
        return float(self.at(k).mean())


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Hits of both directions: captions as queries, and images as queries."""

    text_to_image: Hits
    image_to_text: Hits


@dataclass(frozen=True, slots=True)
class Ranks:
    """Position of each query's best relevant item in the gallery; three integer arrays of length Q.

    Attributes:
        better: number of items more similar to the query than its best relevant item.
        tied_relevant: number of relevant items exactly as similar as that one, itself included.
        tied_others: number of other items exactly as similar.
    """

    better: NDArray[np.int64]
    tied_relevant: NDArray[np.int64]
    tied_others: NDArray[np.int64]


def retrieve(
    images: NDArray[Any],
    captions: NDArray[Any],
    image_of: NDArray[np.int64],
    ks: Sequence[int] = KS,
    block_cells: int = BLOCK_CELLS,
) -> Retrieval:
    """Return the hits of both directions.

    A caption's hit is its image among the first K images; an image's hit is any of its captions among the first
    K captions. See ``hit_probability`` for ties. Only one block of cosines is in memory at a time.

    Args:
        images: N x D, L2-normalised.
        captions: M x D, L2-normalised.
        image_of: M, number of each caption's image; an image may have several captions.
        ks: list sizes K.
        block_cells: maximum number of cosines per block.

    Raises:
        EvaluationError: embeddings are not finite or not normalised, or an image has no caption.
    """
    check_embeddings("image embeddings", images)
    check_embeddings("caption embeddings", captions)
    counts = captions_of_each_image(image_of, len(images), len(captions))
    order = np.argsort(image_of, kind="stable")
    one_each = np.arange(len(captions) + 1)
    of_captions = rank(captions, images, one_each, image_of, block_cells)
    of_images = rank(images, captions, np.concatenate([[0], counts.cumsum()]), order, block_cells)
    return Retrieval(*(_hits(ranks, tuple(ks)) for ranks in (of_captions, of_images)))


def captions_of_each_image(image_of: NDArray[np.int64], images: int, captions: int) -> NDArray[np.int64]:
    """Return the number of captions of each image.

    Raises:
        EvaluationError: an image has no caption, or a caption has no image.
    """
    if len(image_of) != captions or ((image_of < 0) | (image_of >= images)).any():
        what = f"{captions:,} captions of {images:,} images"
        raise EvaluationError(what, "a caption has no image among them", "give each caption its image's number")
    counts = np.bincount(image_of, minlength=images)
    if not counts.all():
        why = (
            f"{int((counts == 0).sum()):,} of {images:,} have no caption; the first one is number {counts.argmin()}"
        )
        raise EvaluationError("images", why, "omit images without a caption")
    return counts


def rank(
    queries: NDArray[Any],
    gallery: NDArray[Any],
    offsets: NDArray[np.int64],
    relevant: NDArray[np.int64],
    block_cells: int = BLOCK_CELLS,
) -> Ranks:
    """Return the position of each query's best relevant item in the gallery.

    Args:
        queries: Q x D, L2-normalised.
        gallery: G x D, L2-normalised.
        offsets: Q + 1, increasing: start of each query's items in ``relevant``; every query has at least one.
        relevant: numbers of items of the gallery.
        block_cells: maximum number of cosines per block.
    """
    found = np.empty((3, len(queries)), dtype=np.int64)
    for start, cosines in blocks(queries, gallery, block_cells):
        stop = start + len(cosines)
        own = offsets[start : stop + 1]
        rows = np.repeat(np.arange(len(cosines)), np.diff(own))
        of_relevant = cosines[rows, relevant[own[0] : own[-1]]]
        best = np.maximum.reduceat(of_relevant, own[:-1] - own[0])
        tied_relevant = np.bincount(rows[of_relevant == best[rows]], minlength=len(cosines))
        tied = (cosines == best[:, None]).sum(axis=1)
        found[:, start:stop] = (cosines > best[:, None]).sum(axis=1), tied_relevant, tied - tied_relevant
    return Ranks(*found)


def hit_probability(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Return the probability of a hit among the first ``k`` for each query, with ties in random order.

    With b items better than the best relevant one, m = k - b places are left for the items tied with it: r
    relevant ones and t others. A random order draws m of them without replacement, so the number of relevant ones
    drawn is hypergeometric; none is drawn with probability C(t, m) / C(t + r, m), the product over j < m of
    (t - j) / (t + r - j). The probability of a hit is the complement: 0 if m <= 0, and 1 if m > t. Less similar
    relevant items don't matter: if no tied relevant item is in the list, the tied others fill it.

    A model that gives every input the same embedding therefore gets K / N, not 1 and not 0.
    """
    r, t = ranks.tied_relevant.astype(np.float64), ranks.tied_others.astype(np.float64)
    places = k - ranks.better
    miss = np.ones(len(r))
    for j in range(min(k, int(t.max(initial=0)) + 1)):
        left = np.maximum(t - j, 0)
        miss = np.where(j < places, miss * left / np.maximum(left + r, 1), miss)
    return 1 - miss


def _hits(ranks: Ranks, ks: tuple[int, ...]) -> Hits:
    return Hits(ks, np.stack([hit_probability(ranks, k) for k in ks], axis=1))


DEPTH = 10


def average_precision(
    queries: NDArray[Any],
    query_image: NDArray[np.int64],
    gallery: NDArray[Any],
    gallery_image: NDArray[np.int64],
    depth: int = DEPTH,
    block_cells: int = BLOCK_CELLS,
) -> NDArray[np.float64]:
    """Return AP@10 of each query; the mean is mAP@10.

    GOAL (arXiv 2503.17782) combines global and local pairs: one gallery of all images and the crops of their
    regions is queried with all captions and sentences, and vice versa. Everything of a query's own image is
    relevant: for a caption or a sentence, its image and that image's regions. (GOAL's public code looks regions up
    by a name that never matches, so that only the query's own partner is relevant; this function follows the
    paper's text.)

    AP@10 = (sum over ranks i <= 10 with a relevant item of the share of relevant items among the first i) /
    min(10, R), where R is the number of relevant items in the gallery: a list that begins with all of them has an
    AP of 1. Among equally similar items, the one with the lower number comes first.

    Args:
        queries: Q x D, L2-normalised.
        query_image: Q, number of each query's image; the gallery has at least one item of each.
        gallery: G x D, L2-normalised.
        gallery_image: G, number of each item's image.
        depth: length of the lists.
        block_cells: maximum number of cosines per block.

    Raises:
        EvaluationError: embeddings are missing, not finite or not normalised, or the gallery lacks an image.
    """
    check_embeddings("query embeddings", queries)
    check_embeddings("gallery embeddings", gallery)
    of_image = np.bincount(gallery_image, minlength=int(query_image.max()) + 1)
    possible = np.minimum(of_image[query_image], depth)
    if not possible.all():
        raise EvaluationError("the gallery", "it has no item of a query's image", "add the image to it")
    found = np.empty(len(queries))
    for start, cosines in blocks(queries, gallery, block_cells):
        stop = start + len(cosines)
        relevant = gallery_image[first_items(cosines, depth)] == query_image[start:stop, None]
        precision = relevant.cumsum(axis=1) / np.arange(1, relevant.shape[1] + 1)
        found[start:stop] = (precision * relevant).sum(axis=1) / possible[start:stop]
    return found


def first_items(cosines: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Return the items with the highest cosines of each row, in order; ties go to the lower number.

    Args:
        cosines: B x G; overwritten.
        depth: number of items; all of them if the gallery has fewer.
    """
    rows = np.arange(len(cosines))
    items = np.empty((len(cosines), min(depth, cosines.shape[1])), dtype=np.int64)
    for place in range(items.shape[1]):
        # Ten passes are faster than sorting, and unlike partition, argmax takes the first of equal items.
        items[:, place] = cosines.argmax(axis=1)
        cosines[rows, items[:, place]] = -np.inf
    return items
