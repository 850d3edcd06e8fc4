"""From a box of the picture to the patches that the image tower sees of it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

DECIMALS = 6
"""Places are rounded to a millionth of a patch, so that a box that ends at a patch's edge touches no more."""


def to_input(boxes: "Tensor", windows: "Tensor", size: int) -> "Tensor":
    """Return boxes in the coordinates of the input.

    FAST-GOAL (arXiv 2605.26615): the resize of the shorter side and the centre crop,
    x' = x s - (W s - S) / 2 with s = S / min(W, H), clamped to [0, S]. Written with the window that they
    leave of the picture, it also holds for models that squash it, and for the whole pixels that resizing
    rounds to.

    Args:
        boxes: B x 4, xyxy in pixels of the picture.
        windows: B x 4, the part of the picture that becomes the input, likewise.
        size: edge S of the input.

    Returns:
        B x 4, xyxy in pixels of the input, float64; without area where the window doesn't hold the box.
    """
    boxes, windows = boxes.double(), windows.double()
    corner = windows[:, [0, 1, 0, 1]]
    extent = (windows[:, 2:] - windows[:, :2]).repeat(1, 2)
    return ((boxes - corner) / extent * size).clamp(0, size)


def patch_mask(boxes: "Tensor", size: int, patch_size: int) -> "Tensor":
    """Return which patches boxes touch: floor(x1/p), floor(y1/p), ceil(x2/p), ceil(y2/p), half-open.

    Args:
        boxes: B x 4, xyxy in pixels of the input.
        size: edge of the input.
        patch_size: edge p of a patch; what is left over at the right and at the bottom belongs to no patch.

    Returns:
        B x N, bool, N patches row by row; none where a box has no area.
    """
    import torch

    places = boxes.double().div(patch_size).mul(10**DECIMALS).round().div(10**DECIMALS)
    grid = torch.arange(size // patch_size, device=boxes.device)
    first, last = places[:, :2].floor()[..., None], places[:, 2:].ceil()[..., None]
    inside = (grid >= first) & (grid < last)
    filled = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return (inside[:, 1, :, None] & inside[:, 0, None, :]).flatten(1) & filled[:, None]
