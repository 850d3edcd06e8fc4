"""Pictures small enough for a page, as JPEGs."""

import math
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from glitbuild.errors import ConfigError
from glitbuild.flism.boxes import pixels
from glitbuild.images.stored import open_rgb
from glitbuild.records import Box

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY = 80
LEAST_BYTES = 1500
"""Below this a JPEG is little more than its tables."""


def thumbnail(jpeg: bytes, side: int) -> bytes:
    """Return a picture, as stored, so that neither edge is longer than ``side`` pixels; never enlarged.

    Raises:
        OSError: the JPEG is damaged.
    """
    return _encoded(open_rgb(jpeg, 2 * side), side)


def crop(jpeg: bytes, box: Box, side: int) -> bytes:
    """Return a region of a picture likewise: the pixels that the box touches."""
    image = open_rgb(jpeg)
    return _encoded(image.crop(pixels(box, *image.size)), side)


def fit(pictures: Sequence[bytes], room: int) -> tuple[list[bytes], int]:
    """Shrink the largest pictures until all of them together fit as data URLs.

    Args:
        pictures: JPEGs.
        room: bytes that all data URLs may take.

    Returns:
        The pictures, and how many of them were shrunk.

    Raises:
        ConfigError: there is no room for that many.
    """
    most = _level([len(picture) for picture in pictures], room * 3 // 4 - 24 * len(pictures))
    if most < LEAST_BYTES and max(map(len, pictures), default=0) > most:
        fix = "give fewer --samples"
        raise ConfigError(f"{len(pictures):,} samples", "more than fit on a page, however small", fix)
    fitting = [picture if len(picture) <= most else _shrunk(picture, most) for picture in pictures]
    return fitting, sum(len(picture) > most for picture in pictures)


def data_url(jpeg: bytes) -> str:
    """Return a JPEG as a URL that holds it."""
    return "data:image/jpeg;base64," + b64encode(jpeg).decode()


def _level(sizes: Sequence[int], room: int) -> int:
    """Return the size to which all larger ones must be cut so that the sum fits; the largest if it does already."""
    for index, size in enumerate(ordered := sorted(sizes)):
        share = room // (len(ordered) - index)
        if size > share:
            return max(share, 0)
        room -= size
    return max(sizes, default=0)


def _shrunk(jpeg: bytes, most: int) -> bytes:
    image = open_rgb(jpeg)
    while len(jpeg) > most:
        jpeg = _encoded(image, max(1, int(max(image.size) * min(0.95, math.sqrt(most / len(jpeg))))))
    return jpeg


def _encoded(image: "Image", side: int) -> bytes:
    image.thumbnail((side, side))
    content = BytesIO()
    image.save(content, "JPEG", quality=QUALITY, optimize=True)
    return content.getvalue()
