import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glitbuild.flism.regions import area
from glitbuild.images.stored import store_image, upright_size
from glitbuild.records import Given, Rejected, SkipReason
from glitbuild.stages.ingest.given_boxes import NORMALIZED, XYWH, XYXY, RowBoxes, place, read_boxes

sides = st.integers(8, 3000)
coordinates = st.floats(-5000, 5000).map(lambda x: round(x, 2))


@st.composite
def corners(draw: st.DrawFn) -> list[float]:
    x1, x2 = sorted((draw(coordinates), draw(coordinates)))
    y1, y2 = sorted((draw(coordinates), draw(coordinates)))
    return [x1, y1, max(x2, 2.0), max(y2, 2.0)]


texts = st.text("abc é", max_size=5).map(str.strip)
marked = st.lists(st.tuples(corners(), texts, texts), max_size=5)


@given(marked)
def test_all_ways_to_write_boxes_are_read_alike(boxes: list[tuple[list[float], str, str]]) -> None:
    expected = RowBoxes(tuple(Given(tuple(box), label, text) for box, label, text in boxes))  # type: ignore[arg-type]
    objects = [{"bbox": box, "category": label, "phrase": text} for box, label, text in boxes]
    of_lists = {
        "bbox": [box for box, *_ in boxes],
        "category": [label for _, label, _ in boxes],
        "text": [text for *_, text in boxes],
    }
    also = [{"box": box, "label": label, "sentence": text, "more": [1]} for box, label, text in boxes]
    for value in (objects, of_lists, also, tuple(objects)):
        assert read_boxes(value, "c", XYXY) == expected
        assert read_boxes(json.dumps(value), "c", XYXY) == expected
    bare = read_boxes([box for box, *_ in boxes], "c", XYXY)
    assert [each.box for each in bare.boxes] == [each.box for each in expected.boxes]


@given(corners())
def test_width_and_height_are_the_way_to_the_other_corner(box: list[float]) -> None:
    x1, y1, x2, y2 = box
    (found,) = read_boxes([[x1, y1, x2 - x1, y2 - y1]], "c", XYWH).boxes
    assert found.box == pytest.approx(box)


@given(st.lists(corners(), max_size=5), sides, sides, st.floats(0.1, 1))
def test_boxes_are_scaled_and_clipped_with_the_picture(
    boxes: list[list[float]], width: int, height: int, scale: float
) -> None:
    stored = (max(1, round(width * scale)), max(1, round(height * scale)))
    found = place(read_boxes(boxes, "c", XYXY), (width, height), stored)
    placed = iter(found)
    for x1, y1, x2, y2 in boxes:
        factors = stored[0] / width, stored[1] / height
        left, right = (min(max(x * factors[0], 0), stored[0]) for x in (x1, x2))
        top, bottom = (min(max(y * factors[1], 0), stored[1]) for y in (y1, y2))
        if right - left > 0.02 and bottom - top > 0.02:
            assert next(placed).box == pytest.approx((left, top, right, bottom), abs=0.011)
        elif right - left < 1e-3 or bottom - top < 1e-3:
            continue
        else:  # what rounding makes of a hundredth of a pixel is left open
            break
    for each in found:
        assert area(each.box) > 0
        assert 0 <= each.box[0] < each.box[2] <= stored[0]
        assert 0 <= each.box[1] < each.box[3] <= stored[1]


@given(st.lists(corners(), max_size=3), sides, sides)
def test_shares_of_the_sides_are_the_same_boxes(boxes: list[list[float]], width: int, height: int) -> None:
    inside = [box for box in boxes if max(abs(x) for x in box) <= min(width, height)]
    shares = [[x1 / width, y1 / height, x2 / width, y2 / height] for x1, y1, x2, y2 in inside]
    stored = (max(1, width // 2), max(1, height // 2))
    pixels = place(read_boxes(inside, "c", XYXY), (width, height), stored)
    normal = place(read_boxes(shares, "c", NORMALIZED), (width, height), stored)
    for one, two in zip(pixels, normal, strict=False):
        assert one.box == pytest.approx(two.box, abs=0.011)


@pytest.mark.parametrize("value", [None, "", " ", "null", "NaN", float("nan"), [], "[]", {"bbox": [], "label": []}])
def test_nothing_is_no_boxes(value: object) -> None:
    assert read_boxes(value, "c", XYXY) == RowBoxes()


@pytest.mark.parametrize("value", [[1, 2, 3, 4], {"bbox": [1, 2, 3, 4]}, "[1, 2, 3, 4]"])
def test_a_single_box_needs_no_list(value: object) -> None:
    assert read_boxes(value, "c", XYXY).boxes == (Given((1.0, 2.0, 3.0, 4.0)),)


def test_numbers_of_classes_become_their_names() -> None:
    value = {"bbox": [[1, 2, 3, 4]] * 4, "category": [1, 7, None, "cat"]}
    labels = [each.label for each in read_boxes(value, "c", XYXY, ["dog", "ball"]).boxes]
    assert labels == ["ball", "7", "", "cat"]


@pytest.mark.parametrize(
    ("value", "form", "says"),
    [
        (5, XYXY, "int"),
        ("[1, 2", XYXY, "JSON"),
        ("A dog.", XYXY, "JSON"),
        ([[1, 2, 3]], XYXY, "four numbers"),
        ([[1, 2, 3, "4"]], XYXY, "four numbers"),
        ([[1, 2, 3, True]], XYXY, "four numbers"),
        ("[[1, 2, 3, NaN]]", XYXY, "four numbers"),
        ([[1, 2, 3, 10**400]], XYXY, "four numbers"),
        ([None], XYXY, "four numbers"),
        ([{"label": "dog"}], XYXY, "four numbers"),
        ({"label": ["dog"]}, XYXY, "bbox"),
        ({"bbox": [[1, 2, 3, 4]], "label": []}, XYXY, "0 entries"),
        ({"bbox": [[1, 2, 3, 4]], "label": "dog"}, XYXY, "str"),
        ([{"box": [1, 2, 3, 4], "label": ["dog"]}], XYXY, "list"),
        ([[300, 10, 50, 40]], XYXY, XYWH),
        ([[300, 10, -50, 40]], XYWH, XYXY),
        ([[0.1, 0.2, 0.5, 0.5]], XYXY, "normalized"),
        ([[0.1, 0.2, 0.5, 0.5]], XYWH, "normalized"),
        ([[0, 0, 1, 1]], XYXY, "normalized"),
        ([[10, 20, 300, 400]], NORMALIZED, XYXY),
    ],
)
def test_what_is_malformed_or_of_another_format_is_named(value: Any, form: str, says: str) -> None:
    with pytest.raises(Rejected, match='"objects"') as error:
        read_boxes(value, "objects", form)
    assert says in error.value.detail
    assert error.value.reason == SkipReason.ROW_UNREADABLE


def test_padding_is_left_out() -> None:
    assert place(read_boxes([[0, 0, 0, 0], [5, 5, 5, 9]], "c", XYXY), (20, 20), (20, 20)) == ()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_upright_size_is_that_of_the_picture_as_it_is_stored(form: str, orientation: int) -> None:
    content, exif = BytesIO(), Image.Exif()
    exif[274] = orientation
    Image.new("RGB", (40, 24)).save(content, form, exif=exif)
    info = store_image(content.getvalue(), 10**6)[1]
    assert upright_size(content.getvalue()) == (info.width, info.height)
    smaller = store_image(content.getvalue(), 10**6, 20)[1]
    assert (smaller.width > smaller.height) == (info.width > info.height)
