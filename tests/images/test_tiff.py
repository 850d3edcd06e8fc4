"""TIFFs of all depths and byte orders, written out apart from Pillow: the right pixels, or ``image_mode``."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glitbuild.images.stored import open_rgb, store_image
from glitbuild.records import Rejected, SkipReason

from .tiff_bytes import packed, write

SIZE = (40, 24)
BLOCKS = np.random.default_rng(1).random((3, 5, 4))
RIGHT, MODE = "the right pixels", "image_mode"


def blocks(channels: int) -> NDArray[np.float64]:
    """A picture from 0 to 1 whose pixels are the same over each block of a JPEG."""
    return BLOCKS[..., :channels].repeat(8, 0).repeat(8, 1)


def outcome(data: bytes, expected: NDArray[Any], tolerance: int = 3) -> str:
    """Store a TIFF; ``expected`` are its colours from 0 to 255, in the middle of each block compared."""
    try:
        stored, info = store_image(data, 1_000_000)
    except Rejected as rejected:
        assert rejected.reason == SkipReason.IMAGE_MODE, rejected
        return MODE
    assert (info.width, info.height) == SIZE
    found = np.asarray(open_rgb(stored)).astype(int)[4::8, 4::8]
    difference = int(np.abs(found - np.broadcast_to(expected[4::8, 4::8], found.shape)).max())
    return RIGHT if difference <= tolerance else f"wrong by {difference}"


@pytest.mark.parametrize("sample_format", [1, 2, 4])
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32])
def test_grey(bits: int, sample_format: int) -> None:
    """Every way to write it: which end is white, byte order, compression, order of bits, planes."""
    ways = itertools.product((0, 1), "<>", (0, 1), (1, 2), (1, 2), (False, True))
    for photometric, order, deflate, fill_order, planes, big in ways:
        values = np.round(blocks(1)[..., 0] * (2**bits - 1)).astype(np.int64)
        grey = values >> bits - 8 if bits > 8 else np.round(values / (2**bits - 1) * 255)
        expected = (255 - grey if photometric == 0 else grey)[..., None]
        more = {
            tag: (3, [value])
            for tag, value in ((266, fill_order), (284, planes), (339, sample_format))
            if value > 1
        }
        data = write([packed(values, bits, order)], SIZE, [bits], photometric, order, bool(deflate), more, big)
        found = outcome(data, expected)
        usual = bits in (1, 2, 4, 8, 16) and sample_format == fill_order == 1 and not big
        assert found in ([RIGHT] if usual else [RIGHT, MODE] if sample_format == 1 else [MODE]), (
            *(photometric, order, deflate, fill_order, planes, big, found),
        )


def test_grey_of_twelve_bits() -> None:
    values = np.round(blocks(1)[..., 0] * 4095).astype(np.int64)
    assert outcome(write([packed(values, 12)], SIZE, [12], 1), (values >> 4)[..., None]) == RIGHT


@pytest.mark.parametrize("order", ["<", ">"])
def test_white_is_zero_in_sixteen_bits(order: str) -> None:
    """Pillow itself reads a negative."""
    values = np.full((24, 40), 0x2000)
    data = write([packed(values, 16, order)], SIZE, [16], 0, order)
    assert outcome(data, np.full((24, 40, 1), 255 - 0x20), 1) == RIGHT


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize(
    "kind", ["RGB", "RGBX", "RGBa", "RGBA", "RGB of 4", "CMYK", "LX", "La", "LA", "inverted LA"]
)
def test_colours_and_alpha(kind: str, bits: int) -> None:
    channels = {"RGB": 3, "LX": 2, "La": 2, "LA": 2, "inverted LA": 2}.get(kind, 4)
    photometric = 2 if kind.startswith("RGB") else {"CMYK": 5, "inverted LA": 0}.get(kind, 1)
    extra = {"X": 0, "a": 1, "A": 2}.get(kind[-1])
    share = blocks(channels).copy()
    if kind.endswith("a"):
        share[..., :-1] *= share[..., -1:]
    values = np.round(share * (2**bits - 1)).astype(np.int64)
    share = values / (2**bits - 1)
    colour, alpha = share[..., :-1], share[..., -1:]
    white = 1 - alpha
    expected = 255 * {
        "RGB": share,
        "RGBX": colour,
        "LX": colour,
        "RGBa": colour + white,
        "La": colour + white,
        "inverted LA": (1 - colour) * alpha + white,
        "CMYK": (1 - colour) * white,
    }.get(kind, colour * alpha + white)
    for order, deflate, fill_order, planes in itertools.product("<>", (0, 1), (1, 2), (1, 2)):
        more: dict[int, tuple[int, list[int]]] = {
            tag: (3, [value]) for tag, value in ((266, fill_order), (284, planes)) if value > 1
        }
        if extra is not None:
            more[338] = (3, [extra])
        layers = [values] if planes == 1 else [values[..., number] for number in range(channels)]
        strips = [packed(layer, bits, order) for layer in layers]
        data = write(strips, SIZE, [bits] * channels, photometric, order, bool(deflate), more)
        found = outcome(data, expected, 6)
        usual = fill_order == planes == 1 and (bits == 8 or (bits == 16 and channels > 2)) and kind != "inverted LA"
        assert found in ([RIGHT] if usual else [RIGHT, MODE]), (order, deflate, fill_order, planes, found)


@pytest.mark.parametrize("scale", [257, 1], ids=["16 bits", "8 bits"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes(bits: int, scale: int) -> None:
    """Their colours have 16 bits; some programs write them with 8."""
    randomness = np.random.default_rng(2)
    palette = randomness.integers(1, 256, (3, 2**bits))
    values = randomness.integers(0, 2**bits, (3, 5)).repeat(8, 0).repeat(8, 1)
    for order, deflate, planes in itertools.product("<>", (0, 1), (1, 2)):
        more = {320: (3, (palette * scale).ravel().tolist()), 284: (3, [planes])}
        data = write([packed(values, bits, order)], SIZE, [bits], 3, order, bool(deflate), more)
        assert outcome(data, palette[:, values].transpose(1, 2, 0), 6) == RIGHT, (order, deflate, planes)


@pytest.mark.parametrize("photometric", [0, 1])
def test_a_palette_beside_grey_says_nothing(photometric: int) -> None:
    values = np.round(blocks(1)[..., 0] * 255).astype(np.int64)
    expected = (255 - values if photometric == 0 else values)[..., None]
    data = write([packed(values, 8)], SIZE, [8], photometric, more={320: (3, list(range(768)))})
    assert outcome(data, expected) == RIGHT


@pytest.mark.parametrize(("subsampling", "expected"), [([1, 1], RIGHT), ([2, 2], MODE), (None, MODE)])
def test_ycbcr_without_compression(subsampling: list[int] | None, expected: str) -> None:
    """Without the tag, colours are subsampled, as the standard says."""
    values = np.round(blocks(3) * 120 + 60).astype(np.int64)
    y, cb, cr = (values[..., channel] - (128 if channel else 0) for channel in range(3))
    colours = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1).clip(0, 255)
    data = write([packed(values, 8)], SIZE, [8] * 3, 6, more={530: (3, subsampling)} if subsampling else {})
    assert outcome(data, colours, 6) == expected


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_floats(bits: int) -> None:
    values = blocks(1)[..., 0].astype({16: "<f2", 32: "<f4", 64: "<f8"}[bits])
    data = write([values.tobytes()], SIZE, [bits], 1, more={339: (3, [3])})
    assert outcome(data, np.zeros((24, 40, 1))) == MODE


def test_a_tile_far_larger_than_the_picture_is_not_decoded() -> None:
    more = {322: (4, [32_768]), 323: (4, [32_768]), 324: (4, [8]), 325: (4, [100])}
    with pytest.raises(Rejected, match="tiles have 32768 x 32768 pixels") as caught:
        store_image(write([b"\0" * 2000], SIZE, [8], 1, deflate=True, more=more), 1_000_000)
    assert caught.value.reason == SkipReason.IMAGE_TOO_LARGE
