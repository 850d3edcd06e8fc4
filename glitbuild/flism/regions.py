"""Box arithmetic in xyxy pixels of the stored image, and the candidate regions of an image."""

from collections.abc import Sequence

from glitbuild.errors import ConfigError
from glitbuild.flism.detectors.base import Detection
from glitbuild.records import Box, Given, Region

DECIMALS = 2
"""Decimals of stored box coordinates in pixels."""


def clamp(box: Box, width: int, height: int) -> Box:
    """Return the part of a box inside the image, rounded; it may be empty."""
    x1, y1, x2, y2 = box
    left, right = (round(min(max(float(x), 0.0), width), DECIMALS) for x in (x1, x2))
    top, bottom = (round(min(max(float(y), 0.0), height), DECIMALS) for y in (y1, y2))
    return left, top, right, bottom


def area(box: Box) -> float:
    """Return a box's area in square pixels; 0.0 if it is empty."""
    x1, y1, x2, y2 = box
    return max(x2 - x1, 0.0) * max(y2 - y1, 0.0)


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes; 0.0 if both are empty."""
    common = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    union = area(a) + area(b) - common
    return common / union if union > 0 else 0.0


def pixels(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the whole pixels that a box touches, half-open; at least one pixel inside the image."""
    left = min(int(box[0]), width - 1)
    top = min(int(box[1]), height - 1)
    right = min(max(-int(-box[2] // 1), left + 1), width)
    bottom = min(max(-int(-box[3] // 1), top + 1), height)
    return left, top, right, bottom


SCORE_DECIMALS = 5


def default_regions(width: int, height: int, sentence: str | None = None) -> tuple[Region, ...]:
    """Return the four quadrants, row by row, and the center box, in pixels.

    As in FAST-GOAL (arXiv 2605.26615), the corners of the center box are the centres of the quadrants.

    Args:
        width: width of the stored image in pixels.
        height: height of the stored image in pixels.
        sentence: ``""`` in a dataset with boxes, None in any other.
    """
    w, h = float(width), float(height)
    quadrants = [
        (0.0, 0.0, w / 2, h / 2),
        (w / 2, 0.0, w, h / 2),
        (0.0, h / 2, w / 2, h),
        (w / 2, h / 2, w, h),
    ]
    center = (w / 4, h / 4, 3 * w / 4, 3 * h / 4)
    return (
        *(Region(clamp(box, width, height), "quadrant", sentence=sentence) for box in quadrants),
        Region(clamp(center, width, height), "center", sentence=sentence),
    )


def candidate_regions(
    detections: Sequence[Detection],
    width: int,
    height: int,
    min_area: float = 0.01,
    max_area: float = 0.8,
    defaults: bool = True,
    given: Sequence[Given] | None = None,
) -> tuple[Region, ...]:
    """Return an image's candidates: default regions, given regions, then detections by descending score.

    Detected boxes are clamped to the image; those that cover less than ``min_area`` or more than ``max_area`` of it
    are dropped, as in GOAL (arXiv 2503.17782). The whole image is not a candidate, unless it is given: annotated
    regions are used as they are.

    Args:
        detections: detected boxes in pixels of the stored image.
        width: width of the stored image in pixels.
        height: height of the stored image in pixels.
        min_area: smallest share of the image's area, 0 to 1.
        max_area: largest share of the image's area, 0 to 1.
        defaults: whether to include the default regions even if there are given regions or detections.
        given: regions that came with the image; None in a dataset without boxes.
    """
    sentence = None if given is None else ""
    people = [Region(each.box, "given", each.label, 1.0, each.sentence) for each in given or ()]
    objects: list[Region] = []
    for found in detections:
        box = clamp(found.box, width, height)
        if area(box) > 0 and min_area <= area(box) / (width * height) <= max_area:
            objects.append(Region(box, "object", found.label, round(found.score, SCORE_DECIMALS), sentence))
    objects.sort(key=lambda region: (-region.score, region.box, region.label))
    is_needed = defaults or not (people or objects)
    first = default_regions(width, height, sentence) if is_needed else ()
    return (*first, *people, *objects)


def check_area_limits(min_area: float, max_area: float) -> None:
    """Refuse limits that no box can meet.

    Raises:
        ConfigError: the limits violate 0 <= min_area < max_area <= 1.
    """
    if not 0 <= min_area < max_area <= 1:
        raise ConfigError(
            f"--min-area {min_area} --max-area {max_area}",
            "they are shares of the image's area",
            "give 0 <= min-area < max-area <= 1",
        )
