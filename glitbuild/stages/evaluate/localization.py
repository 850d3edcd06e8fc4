"""Localization: whether the patches closest to a sentence by cosine lie in its place in the image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.patches import Grid
from glitbuild.records import Box
from glitbuild.retrieval import Ranks, hit_probability

KS = (5, 10, 15)


def patch_centres(window: Box, grid: Grid) -> NDArray[np.float64]:
    """Return the positions of the patch centres in the image.

    Args:
        window: part of the image that the input shows, xyxy in pixels of the image.
        grid: patches of the input.

    Returns:
        N x 2, x and y in pixels of the image, patches row by row.
    """
    shares = (np.arange(grid.side) + 0.5) * grid.share
    x = window[0] + shares * (window[2] - window[0])
    y = window[1] + shares * (window[3] - window[1])
    return np.stack([np.tile(x, len(y)), np.repeat(y, len(x))], axis=1)


def patches_in_boxes(centres: NDArray[np.float64], boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """Return which centres lie in at least one of the boxes, excluding right and lower edges.

    Args:
        centres: N x 2, as returned by ``patch_centres``.
        boxes: xyxy in pixels of the image.

    Returns:
        N.
    """
    edges = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    low, high = edges[:, None, :2], edges[:, None, 2:]
    inside: NDArray[np.bool_] = np.any(((centres >= low) & (centres < high)).all(axis=2), axis=0)
    return inside


def locate(
    patches: NDArray[Any], sentences: NDArray[Any], inside: NDArray[np.bool_], ks: Sequence[int] = KS
) -> NDArray[np.bool_]:
    """Return whether one of the k patches closest to a sentence is in the sentence's place.

    FAST-GOAL (arXiv 2605.26615) counts a hit if one of the top 5, 10 or 15 patch centres lies in the sentence's
    box. Ties go to the patch with the lowest number, counted row by row from the upper left.

    Args:
        patches: N x D, projected patches of an image, L2-normalised.
        sentences: M x D, L2-normalised.
        inside: M x N, whether a patch's centre lies in the sentence's boxes.
        ks: numbers of patches to look at.

    Returns:
        M x len(ks); no hit for a sentence whose place contains no patch centre of the input.
    """
    order = np.argsort(-(sentences @ patches.T), axis=1, kind="stable")
    first = np.take_along_axis(inside, order, axis=1)
    return np.stack([first[:, :k].any(axis=1) for k in ks], axis=1)


def chance(inside: NDArray[np.bool_], ks: Sequence[int] = KS) -> NDArray[np.float64]:
    """Return the probability of a hit if patches are ranked at random: the baseline for the metrics.

    Args:
        inside: M x N, as for ``locate``.
        ks: numbers of patches to look at.

    Returns:
        M x len(ks).
    """
    right = inside.sum(axis=1)
    ranks = Ranks(np.zeros_like(right), right, inside.shape[1] - right)
    return np.stack([hit_probability(ranks, k) * (right > 0) for k in ks], axis=1)
