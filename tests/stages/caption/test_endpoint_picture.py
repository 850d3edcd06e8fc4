import base64
import io

import numpy as np
import pytest
from PIL import Image

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.caption.endpoint import data_url
from tests.stages.ingest.conftest import encode_image, exif, save


def sent(jpeg: bytes, max_side: int = 64) -> bytes:
    head, _, data = data_url(jpeg, max_side).partition(",")
    assert head == "data:image/jpeg;base64"
    return base64.b64decode(data)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("jpeg", [encode_image(size=(64, 48)), encode_image("L", (64, 64))], ids=["RGB", "grey"])
def test_a_small_picture_is_sent_as_it_is_stored(jpeg: bytes) -> None:
    assert sent(jpeg) == jpeg


def test_a_large_one_is_reduced_and_stays_the_same_picture() -> None:
    ramp = np.linspace(0, 255, 400).astype(np.uint8)
    image = Image.fromarray(np.stack([np.tile(ramp, (300, 1))] * 3, -1))
    data = sent(save(image, "JPEG", quality=95))
    small = opened(data)
    assert small.size == (64, 48)
    expected = np.asarray(image.resize((64, 48), Image.Resampling.LANCZOS), dtype=int)
    assert np.abs(np.asarray(small, dtype=int) - expected).max() < 12
    assert sent(save(image, "JPEG", quality=95)) == data


@pytest.mark.parametrize("max_side", [64, 40])
def test_one_that_asks_for_a_turn_is_sent_as_it_is_stored_without_asking(max_side: int) -> None:
    """As the detector and CLIP see it, by servers that follow the orientation and by those that don't."""
    jpeg = encode_image(size=(60, 40), color=(200, 30, 30), exif=exif(6), quality=95)
    data = sent(jpeg, max_side)
    picture = opened(data)
    assert (
        picture.getexif() == {} and picture.size == (max_side, round(max_side / 1.5)) if max_side < 60 else (60, 40)
    )
    left, right = (picture.getpixel((x, 15)) for x in (5, picture.width - 5))
    assert left[0] > 150 and right[0] < 60
    if max_side >= 60:
        assert data == encode_image(size=(60, 40), color=(200, 30, 30), quality=95)


def test_other_colours_become_rgb() -> None:
    assert opened(sent(encode_image("CMYK", (30, 30)))).mode == "RGB"


@pytest.mark.parametrize("jpeg", [b"", b"no jpeg", encode_image(size=(400, 300))[:-600]])
def test_a_damaged_one_is_rejected(jpeg: bytes) -> None:
    with pytest.raises(Rejected) as rejected:
        data_url(jpeg, 64)
    assert rejected.value.reason == SkipReason.IMAGE_CORRUPT
