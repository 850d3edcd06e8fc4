from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glitbuild.errors import ConfigError
from glitbuild.stages.publish.page.card import _level, crop, data_url, fit, thumbnail
from tests.factories import jpeg


def size(data: bytes) -> tuple[int, int]:
    return Image.open(BytesIO(data)).size


def flat(width: int, height: int, **options: object) -> bytes:
    """A JPEG whose left half is red and whose right half is blue."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    content = BytesIO()
    image.save(content, "JPEG", **options)
    return content.getvalue()


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(1000, 500, (100, 50)), (500, 1000, (50, 100)), (80, 60, (80, 60)), (4000, 8, (100, 1))],
)
def test_a_thumbnail_keeps_its_proportions_and_is_never_enlarged(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    assert size(thumbnail(flat(width, height), 100)) == expected


def test_a_thumbnail_is_not_turned_as_boxes_are_not() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    data = thumbnail(flat(400, 200, exif=exif), 100)
    assert size(data) == (100, 50)
    assert not Image.open(BytesIO(data)).getexif()


def test_a_crop_is_what_the_box_touches() -> None:
    assert size(crop(flat(100, 60), (10.5, 0, 40.5, 60), 320)) == (31, 60)
    right = np.asarray(Image.open(BytesIO(crop(flat(100, 60), (60, 5, 90, 50), 20))))
    assert right.shape == (20, 13, 3)
    red, _, blue = right.reshape(-1, 3).mean(axis=0)
    assert blue > 200 > 100 > red


@given(st.lists(st.integers(1, 9999), min_size=1), st.integers(0, 60_000))
def test_the_level_is_the_highest_at_which_all_fit(sizes: list[int], room: int) -> None:
    level = _level(sizes, room)
    assert sum(min(size, level) for size in sizes) <= room
    if level < max(sizes):
        assert sum(min(size, level + 1) for size in sizes) > room


def test_large_pictures_are_shrunk_until_all_fit_and_small_ones_are_left_alone() -> None:
    small, noise = flat(64, 48), [jpeg(300, 200, seed=seed) for seed in range(3)]
    room = 60_000
    assert sum(len(data_url(each)) for each in noise) > room
    fitting, shrunk = fit([small, *noise], room)
    assert shrunk == 3
    assert fitting[0] == small
    assert room / 2 < sum(len(data_url(each)) for each in fitting) <= room
    assert all(32 < size(each)[0] < 300 for each in fitting[1:])
    assert fit([small, *noise], 10**6) == ([small, *noise], 0)


@pytest.mark.parametrize("room", [0, 1000])
def test_where_nothing_can_fit_the_way_out_is_named(room: int) -> None:
    with pytest.raises(ConfigError, match="--samples"):
        fit([jpeg(100, 80)], room)
