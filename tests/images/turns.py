"""A picture as it is seen, as cameras store it that are held in all eight ways, and whether it came out upright."""

import io
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from glitbuild.images.stored import open_rgb

CORNERS = {"red": (200, 40, 40), "green": (40, 180, 40), "blue": (40, 40, 200), "grey": (120, 120, 120)}
SHUFFLE: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    # What a camera has stored, made from what is seen, written out apart from PIL's own turns.
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.swapaxes(0, 1),
    6: lambda seen: seen.swapaxes(0, 1)[::-1],
    7: lambda seen: seen.swapaxes(0, 1)[::-1, ::-1],
    8: lambda seen: seen.swapaxes(0, 1)[:, ::-1],
}


def seen(size: tuple[int, int] = (48, 32)) -> NDArray[np.uint8]:
    """A picture whose four quarters have a colour each, so that every turn and mirroring shows."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(CORNERS.values()):
        y, x = number // 2 * height // 2, number % 2 * width // 2
        pixels[y : y + height // 2, x : x + width // 2] = colour
    return pixels


def camera(orientation: int, mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Image.Image:
    """The picture as a camera stores it that notes this orientation."""
    return Image.fromarray(np.ascontiguousarray(SHUFFLE[orientation](seen(size)))).convert(mode)


def assert_upright(stored: bytes, mode: str = "RGB", size: tuple[int, int] = (48, 32), tolerance: int = 14) -> None:
    """The JPEG shows what was seen to every reader, whether it follows metadata or not."""
    expected = np.asarray(Image.fromarray(seen(size)).convert(mode).convert("RGB")).astype(int)
    with Image.open(io.BytesIO(stored)) as image:
        turned = ImageOps.exif_transpose(image)
        assert image.getexif().get(0x0112, 1) == 1
        readers = [image.convert("RGB"), turned.convert("RGB"), open_rgb(stored)]
    for reader in readers:
        assert reader.size == size
        found = np.asarray(reader).astype(int)
        # Away from the edges of the quarters, where a JPEG's colours run into one another.
        for y in (3, size[1] - 4):
            for x in (3, size[0] - 4):
                assert np.abs(found[y, x] - expected[y, x]).max() <= tolerance, (x, y, found[y, x])
    assert not re.search(rb"tiff:Orientation\W+[2-8]", stored)
