"""Does a sentence find its place: an image's patches, ranked by cosine with a sentence."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.records import Box
from glitbuild.stages.evaluate.retrieval import Ranks, hit_probability

KS = (5, 10, 15)


def patch_centres(window: Box, size: int, patch_size: int) -> NDArray[np.float64]:
    """Return where the centres of an image's patches lie in the picture.

    Args:
        window: the part of the picture that the input shows, xyxy in the picture's pixels.
        size: edge of the square input in pixels.
        patch_size: edge of a patch; what is left over at the right and at the bottom belongs to no patch.

    Returns:
        N x 2, x and y in the picture's pixels, patches row by row.
    """
    shares = (np.arange(size // patch_size) + 0.5) * patch_size / size
    x = window[0] + shares * (window[2] - window[0])
    y = window[1] + shares * (window[3] - window[1])
    return np.stack([np.tile(x, len(y)), np.repeat(y, len(x))], axis=1)


def patches_in_boxes(centres: NDArray[np.float64], boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """Return which centres lie in at least one of some boxes, the right and lower edges excluded.

    Args:
        centres: N x 2, as ``patch_centres`` gives them.
        boxes: xyxy in the picture's pixels.

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
    """Return whether one of the k patches most like a sentence is in its place.

    FAST-GOAL (arXiv 2605.26615): a hit if one of the top 5, 10 or 15 patch centres lies in the sentence's box. Of
    equally similar patches the one with the lowest number comes first: row by row, from the upper left.

    Args:
        patches: N x D, an image's projected patches, L2-normalised.
        sentences: M x D, same as above.
        inside: M x N, the patches whose centres lie in the sentence's boxes.
        ks: numbers of patches to look at.

    Returns:
        M x len(ks); no hit for a sentence of whose place the input shows no patch's centre.
    """
    order = np.argsort(-(sentences @ patches.T), axis=1, kind="stable")
    first = np.take_along_axis(inside, order, axis=1)
    return np.stack([first[:, :k].any(axis=1) for k in ks], axis=1)


def chance(inside: NDArray[np.bool_], ks: Sequence[int] = KS) -> NDArray[np.float64]:
    """Return how probable a hit is if patches are ranked at random: what a figure must be read against.

    Args:
        inside: M x N, as for ``locate``.
        ks: same as above.

    Returns:
        M x len(ks).
    """
    right = inside.sum(axis=1)
    ranks = Ranks(np.zeros_like(right), right, inside.shape[1] - right)
    return np.stack([hit_probability(ranks, k) * (right > 0) for k in ks], axis=1)
