"""Boxes as xyxy: pixels of the stored image, x right, y down; width and height in pixels."""

from glitbuild.records import Box

DECIMALS = 2
"""Boxes are stored to a hundredth of a pixel."""


def clamp(box: Box, width: int, height: int) -> Box:
    """Return the part of a box inside the image, rounded; it may be empty."""
    x1, y1, x2, y2 = box
    left, right = (round(min(max(float(x), 0.0), width), DECIMALS) for x in (x1, x2))
    top, bottom = (round(min(max(float(y), 0.0), height), DECIMALS) for y in (y1, y2))
    return left, top, right, bottom


def area(box: Box) -> float:
    """Return a box's area in square pixels; 0.0 where it is empty."""
    x1, y1, x2, y2 = box
    return max(x2 - x1, 0.0) * max(y2 - y1, 0.0)


def iou(a: Box, b: Box) -> float:
    """Return the intersection of two boxes over their union, 0.0 where both are empty."""
    common = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    union = area(a) + area(b) - common
    return common / union if union > 0 else 0.0


def pixels(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the whole pixels a box touches, half-open; at least one pixel inside the image."""
    left = min(int(box[0]), width - 1)
    top = min(int(box[1]), height - 1)
    right = min(max(-int(-box[2] // 1), left + 1), width)
    bottom = min(max(-int(-box[3] // 1), top + 1), height)
    return left, top, right, bottom
