import random
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from glitbuild.images import stored as images
from glitbuild.images.stored import open_rgb, store_image
from glitbuild.records import Rejected, SkipReason
from tests.stages.ingest.conftest import encode_image, exif, save

LIMIT = 1_000_000
RED, WHITE = (255, 0, 0), (255, 255, 255)
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"]


def reason(data, max_pixels=LIMIT):
    with pytest.raises(Rejected) as caught:
        store_image(data, max_pixels)
    return caught.value.reason


def png_header(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


class TestRejection:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"", SkipReason.IMAGE_EMPTY),
            (b"a text named .jpg", SkipReason.IMAGE_NOT_AN_IMAGE),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", SkipReason.IMAGE_NOT_AN_IMAGE),
            (b"%PDF-1.7", SkipReason.IMAGE_NOT_AN_IMAGE),
            (b"\0", SkipReason.IMAGE_NOT_AN_IMAGE),
            (b"\x89PNG\r\n\x1a\n", SkipReason.IMAGE_CORRUPT),
            (encode_image(size=(1, 1)), SkipReason.IMAGE_TOO_SMALL),
            (encode_image(size=(7, 500)), SkipReason.IMAGE_TOO_SMALL),
            (encode_image(size=(1, 5000)), SkipReason.IMAGE_TOO_SMALL),
            (encode_image(size=(10, 1001)), SkipReason.IMAGE_TOO_SMALL),
            (encode_image(size=(1001, 1000)), SkipReason.IMAGE_TOO_LARGE),
            (png_header(60000, 60000), SkipReason.IMAGE_TOO_LARGE),
            (encode_image("F", format="TIFF"), SkipReason.IMAGE_MODE),
            (save(Image.fromarray(np.full((16, 24), 70_000, np.int32)), "TIFF"), SkipReason.IMAGE_MODE),
            (save(Image.fromarray(np.full((16, 24), 8, np.int32)), "TIFF"), SkipReason.IMAGE_MODE),
        ],
    )
    def test_reasons(self, data, expected):
        assert reason(data) == expected

    @pytest.mark.parametrize(
        "data", [encode_image(size=(8, 8)), encode_image(size=(10, 1000)), encode_image(size=(1000, 1000))]
    )
    def test_the_limits_themselves_pass(self, data):
        assert store_image(data, LIMIT)[0] == data

    @pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
    def test_several_frames(self, format):
        frames = [Image.new("RGB", (24, 16), color) for color in (RED, WHITE)]
        data = save(frames[0], format, save_all=True, append_images=frames[1:])
        assert reason(data) == SkipReason.IMAGE_ANIMATED

    def test_a_side_that_jpeg_has_no_room_for(self):
        assert reason(encode_image("1", (65_600, 700), "PNG"), 10**9) == SkipReason.IMAGE_TOO_LARGE

    @pytest.mark.parametrize("format", FORMATS)
    @pytest.mark.parametrize("keep", [0.15, 0.5, 0.9])
    def test_truncated(self, format, keep):
        noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
        data = save(noise, format)
        assert reason(data[: int(len(data) * keep)]) == SkipReason.IMAGE_CORRUPT

    def test_a_bomb_is_never_decoded(self, monkeypatch):
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
        tracemalloc.start()
        try:
            assert reason(png_header(60_000, 60_000), 100_000_000) == SkipReason.IMAGE_TOO_LARGE
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_pillows_own_limit_neither_warns_nor_refuses(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for format in ("JPEG", "PNG", "BMP"):
                store_image(encode_image(format=format), LIMIT)
        # WebP's reader asks it itself; to us that is the same reason.
        assert reason(encode_image(format="WEBP")) == SkipReason.IMAGE_TOO_LARGE

    def test_no_memory_address_in_a_reason(self):
        text = images._reason(OSError("cannot identify <_io.BytesIO object at 0x7f12ab>"))
        assert text == "cannot identify <_io.BytesIO>"


def check(data):
    """Either a reason, or a JPEG of the stated size."""
    try:
        stored, info = store_image(data, LIMIT)
    except Rejected as rejected:
        assert rejected.detail
        assert "at 0x" not in rejected.detail
    else:
        assert open_rgb(stored).size == (info.width, info.height)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", *(encode_image(format=name)[:24] for name in FORMATS)]))
def test_any_bytes(data, start):
    check(start + data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", FORMATS)
def test_any_damage(format):
    randomness = random.Random(format)
    options = {"exif": exif(6)} if format in ("PNG", "WEBP", "TIFF", "AVIF") else {}
    whole = encode_image(size=(40, 24), format=format, color=RED, **options)
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(randomness.choice([1, 1, 2, 8])):
            # Most damage to the first bytes, where the headers are
            end = randomness.choice([64, 300, len(data)])
            data[randomness.randrange(min(end, len(data)))] = randomness.randrange(256)
        if randomness.random() < 0.2:
            del data[randomness.randrange(len(data)) :]
        check(bytes(data))
