"""Regions that people marked: which label fits a box, and which box of an image a sentence refers to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEMPLATE = "a photo of a {}."
"""Text for a label, CLIP's own (Radford et al., arXiv 2103.00020)."""

TOP = 5


def label_hits(boxes: NDArray[Any], labels: NDArray[Any], own: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Return whether the label of a box is the most similar one, and whether it is among the first five.

    FG-CLIP (arXiv 2505.05071) classifies the boxes of COCO and LVIS in this way. A label exactly as similar counts
    as better. With at most five labels there is no acc5.

    Args:
        boxes: H x D, crops of the boxes, L2-normalised.
        labels: L x D, texts of the distinct labels, L2-normalised.
        own: H, index of each box's label.

    Returns:
        H, by ``acc1`` and ``acc5``.
    """
    cosines = (boxes.astype(np.float64) @ labels.astype(np.float64).T).astype(np.float32)
    better = (cosines >= cosines[np.arange(len(own)), own][:, None]).sum(axis=1) - 1
    depths = {"acc1": 1, f"acc{TOP}": TOP}
    return {name: better < depth for name, depth in depths.items() if depth == 1 or len(labels) > depth}


def referring_hits(
    crops: NDArray[Any],
    image_of: NDArray[np.int64],
    boxes: NDArray[np.float64],
    sentences: NDArray[Any],
    rows: Sequence[int],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return whether a sentence is most similar to its own box among the given boxes of its image.

    This is RefCOCO's accuracy with annotated boxes as candidates, as ReCLIP (arXiv 2204.05991) measures CLIP. A box
    exactly as similar counts as better. Sentences of images with a single box are left out.

    Args:
        crops: H x D, crops of the boxes, L2-normalised.
        image_of: H, number of each box's image.
        boxes: H x 4; equal boxes of an image are one candidate.
        sentences: S x D, L2-normalised.
        rows: S, index of each sentence's box.

    Returns:
        Hits, and the probability of a hit by chance, of the sentences that have a choice.
    """
    candidates: dict[int, dict[tuple[float, ...], int]] = {}
    for row, (image, box) in enumerate(zip(image_of.tolist(), boxes.tolist(), strict=True)):
        candidates.setdefault(image, {}).setdefault(tuple(box), row)
    hits, chances = [], []
    for sentence, row in zip(sentences.astype(np.float64), rows, strict=True):
        others = candidates[int(image_of[row])]
        if len(others) < 2:
            continue
        own = others[tuple(boxes[row].tolist())]
        cosines = {other: np.float32(crops[other].astype(np.float64) @ sentence) for other in others.values()}
        hits.append(all(cosines[own] > value for other, value in cosines.items() if other != own))
        chances.append(1 / len(others))
    return np.array(hits, dtype=np.bool_), np.array(chances, dtype=np.float64)
