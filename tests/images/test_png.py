"""PNGs written out apart from Pillow: whole ones are stored whatever their metadata, others are not."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from glitbuild.images.stored import open_rgb, store_image
from glitbuild.records import Rejected, SkipReason

from .exif_bytes import tiff
from .png_bytes import CHANNELS, chunk, write

LIMIT = 1_000_000
COLOURS = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).repeat(8, 0).repeat(8, 1)
ZEROS = zlib.compress(b"\0" * 3_000_000)
LETTERS = zlib.compress(b"a" * 1_000_000)


def shown(data: bytes) -> np.ndarray:
    """The stored picture in the middle of each of its blocks."""
    return np.asarray(open_rgb(store_image(data, LIMIT)[0])).astype(int)[4::8, 4::8]


def is_whole(data: bytes) -> bool:
    return int(np.abs(shown(data) - COLOURS[4::8, 4::8]).max()) < 6


def reason(data: bytes) -> SkipReason:
    with pytest.raises(Rejected) as caught:
        store_image(data, LIMIT)
    return caught.value.reason


class TestMetadata:
    @pytest.mark.parametrize(
        "chunks",
        [
            [chunk(b"tEXt", b"parameters\0" + b"steps, " * 1_000_000)],
            [chunk(b"zTXt", b"Comment\0\0" + ZEROS)],
            [chunk(b"zTXt", b"Comment\0\0" + LETTERS)] * 80,
            [chunk(b"iTXt", b"workflow\0\1\0\0\0" + ZEROS)],
            [chunk(b"iTXt", b"workflow\0\0\0\0\0" + b"{}" * 2_000_000)],
            [chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + ZEROS)],
            [chunk(b"zTXt", b"Raw profile type exif\0\0" + ZEROS)],
            [chunk(b"zTXt", b"Comment\0\7" + LETTERS)],
            [chunk(b"zTXt", b"Comment\0\0no zlib")],
            [chunk(b"iCCP", b"large\0\0" + ZEROS)],
            [chunk(b"iCCP", b"larger\0\0" + zlib.compress(b"\0" * 30_000_000))],
            [chunk(b"iCCP", b"unknown\0\5" + ZEROS)],
            [chunk(b"tEXt", b"Comment\0wrong", wrong=1)],
            [chunk(b"iCCP", b"wrong\0\0" + LETTERS, wrong=1)],
            [chunk(b"gAMA", b"\0"), chunk(b"pHYs", b""), chunk(b"cHRM", b"short"), chunk(b"sRGB", b"")],
            [chunk(b"prVt", b"private" * 100_000)],
            [chunk(b"tIME", b"short", wrong=9)],
            [chunk(b"eXIf", b"no EXIF data")],
        ],
        ids=range(18),
    )
    @pytest.mark.parametrize("place", ["before", "after"])
    def test_it_does_not_cost_the_picture(self, chunks: list[bytes], place: str) -> None:
        assert is_whole(write(COLOURS, 8, 2, **{place: chunks}))

    def test_a_profile_of_more_than_a_megabyte_is_kept(self) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        profile += np.random.default_rng(0).bytes(1_500_000)
        data = write(COLOURS, 8, 2, [chunk(b"iCCP", b"large\0\0" + zlib.compress(profile))])
        with Image.open(io.BytesIO(store_image(data, LIMIT)[0])) as image:
            assert image.info["icc_profile"] == profile

    def test_an_orientation_behind_the_pixels_counts(self) -> None:
        _, info = store_image(write(COLOURS, 8, 2, after=[chunk(b"eXIf", tiff(6))]), LIMIT)
        assert (info.width, info.height) == (32, 48)

    def test_one_with_a_wrong_checksum_does_not(self) -> None:
        assert is_whole(write(COLOURS, 8, 2, [chunk(b"eXIf", tiff(6), wrong=1)]))

    def test_what_makes_the_picture_must_be_whole(self) -> None:
        assert reason(write(COLOURS, 8, 2, wrong=1)) == SkipReason.IMAGE_CORRUPT
        transparent = chunk(b"tRNS", b"\0\0\0\0\0\0", wrong=1)
        assert reason(write(COLOURS, 8, 2, [transparent])) == SkipReason.IMAGE_CORRUPT
        assert reason(write(COLOURS[..., :1], 8, 3)) == SkipReason.IMAGE_CORRUPT, "no palette"

    @pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
    def test_one_that_is_cut_off_is_damaged(self, share: float) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3))
        data = write(noise, 8, 2, [chunk(b"tEXt", b"Comment\0large" * 1000)] * 9)
        assert reason(data[: int(len(data) * share)]) == SkipReason.IMAGE_CORRUPT

    def test_animations_are_still_known(self) -> None:
        frames = [Image.fromarray(COLOURS.astype(np.uint8)), Image.new("RGB", (48, 32))]
        data = io.BytesIO()
        frames[0].save(data, "PNG", save_all=True, append_images=frames[1:])
        assert reason(data.getvalue()) == SkipReason.IMAGE_ANIMATED


class TestPixels:
    @pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
    def test_grey(self, bits: int) -> None:
        values = np.round(COLOURS[..., :1] / 255 * (2**bits - 1)).astype(np.int64)
        expected = values >> 8 if bits == 16 else values * 255 // (2**bits - 1)
        assert np.abs(shown(write(values, bits, 0)) - expected[4::8, 4::8]).max() <= 2

    @pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
    def test_a_transparent_grey_is_white(self, bits: int) -> None:
        values = np.zeros((32, 48, 1), np.int64)
        values[:, 24:] = clear = 2**bits - 2 if bits > 1 else 1
        expected = np.zeros((4, 6, 3), np.int64)
        expected[:, 3:] = 255
        data = write(values, bits, 0, [chunk(b"tRNS", struct.pack(">H", clear))])
        assert np.abs(shown(data) - expected).max() <= 2

    @pytest.mark.parametrize("bits", [8, 16])
    @pytest.mark.parametrize("colour_type", [2, 4, 6])
    def test_colours_and_alpha(self, bits: int, colour_type: int) -> None:
        channels = CHANNELS[colour_type]
        share = np.random.default_rng(1).random((4, 6, channels)).repeat(8, 0).repeat(8, 1)
        values = np.round(share * (2**bits - 1)).astype(np.int64)
        expected = share if colour_type == 2 else share[..., :-1] * share[..., -1:] + 1 - share[..., -1:]
        found = shown(write(values, bits, colour_type))
        assert np.abs(found - expected[4::8, 4::8] * 255).max() <= 6

    def test_a_transparent_colour(self) -> None:
        colour = COLOURS[0, 0]
        data = write(COLOURS, 8, 2, [chunk(b"tRNS", struct.pack(">3H", *colour))])
        assert shown(data)[0, 0].min() >= 253 and np.abs(shown(data)[0, 1] - COLOURS[0, 8]).max() < 6

    def test_one_of_sixteen_bits_is_refused(self) -> None:
        data = write(COLOURS * 257, 16, 2, [chunk(b"tRNS", struct.pack(">3H", 257, 257, 257))])
        assert reason(data) == SkipReason.IMAGE_MODE

    @pytest.mark.parametrize("bits", [1, 2, 4, 8])
    def test_palettes(self, bits: int) -> None:
        palette = np.random.default_rng(2).integers(0, 256, (2**bits, 3))
        values = np.random.default_rng(3).integers(0, 2**bits, (4, 6)).repeat(8, 0).repeat(8, 1)
        data = write(values[..., None], bits, 3, [chunk(b"PLTE", palette.astype(np.uint8).tobytes())])
        assert np.abs(shown(data) - palette[values][4::8, 4::8]).max() < 6
