import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.flism.regions import area, clamp, iou, pixels
from glitbuild.records import Box

sides = st.integers(1, 5000)
coordinates = st.floats(-1e4, 1e4, allow_nan=False)
boxes = st.tuples(coordinates, coordinates, coordinates, coordinates)


@given(boxes, sides, sides)
def test_clamped_boxes_lie_in_the_image(box: Box, width: int, height: int) -> None:
    x1, y1, x2, y2 = clamp(box, width, height)
    assert 0 <= x1 <= width and 0 <= x2 <= width
    assert 0 <= y1 <= height and 0 <= y2 <= height
    assert clamp((x1, y1, x2, y2), width, height) == (x1, y1, x2, y2)


@given(boxes, boxes)
def test_iou_is_symmetric_and_between_zero_and_one(a: Box, b: Box) -> None:
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert 0 <= iou(a, b) <= 1 + 1e-9
    assert area(a) == 0 or iou(a, a) == pytest.approx(1)


@given(boxes, sides, sides)
def test_pixels_cover_the_box_and_hold_at_least_one(box: Box, width: int, height: int) -> None:
    box = clamp(box, width, height)
    left, top, right, bottom = pixels(box, width, height)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    if area(box) > 0:
        assert left <= box[0] and top <= box[1] and right >= box[2] and bottom >= box[3]
        assert right - box[2] < 1 and bottom - box[3] < 1


def test_iou_of_two_halves_that_share_a_quarter() -> None:
    assert iou((0, 0, 2, 1), (1, 0, 3, 1)) == pytest.approx(1 / 3)
