"""Which TIFFs Pillow decodes to the right pixels, and what is to be done with those of 12 and 16 bits.

Pillow reads some combinations of tags as others: signed samples as unsigned, 12 bits as 16 dark ones, planes of 16
bits as of 8. Such a picture is a whole one that can't be stored, and is refused as that.
"""

from io import BytesIO
from typing import TYPE_CHECKING, Any

from glitbuild.ingest.source import Rejected
from glitbuild.records import SkipReason

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import TiffImageFile

COMPRESSION, PHOTOMETRIC, SAMPLES, PLANES, TILE_WIDTH, TILE_LENGTH = 259, 262, 277, 284, 322, 323
BITS, COLOUR_MAP, SAMPLE_FORMAT, SUBSAMPLING = 258, 320, 339, 530
WHITE_IS_ZERO, YCBCR = 0, 6
SEPARATE = 2
RAW = 1
UNSIGNED = 1
FLOAT = 3

MAX_TILE_PIXELS = 4096 * 4096
"""Of a tile that is larger than the picture, since all of it is decoded."""

UNKNOWN = ("unknown pixel mode", "unknown data organization", "Invalid value for samples per pixel")
"""What Pillow says where it knows the tags, but no such picture."""


def open_tiff(data: bytes) -> "TiffImageFile":
    """Open a TIFF whose pixels come out right.

    Raises:
        Rejected: it is a whole TIFF, but no such.
    """
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        image = TiffImageFile(BytesIO(data))
    except SyntaxError as error:
        if str(error) in UNKNOWN:
            raise Rejected(SkipReason.IMAGE_MODE, "no combination of TIFF tags that can be read") from error
        raise
    if problem := _unreadable(image):
        raise Rejected(SkipReason.IMAGE_MODE, problem)
    _widen_palette(image)
    tile = [_first(image, tag, 0) for tag in (TILE_WIDTH, TILE_LENGTH)]
    if tile[0] * tile[1] > max(MAX_TILE_PIXELS, image.width * image.height):
        raise Rejected(SkipReason.IMAGE_TOO_LARGE, f"its tiles have {tile[0]} x {tile[1]} pixels")
    return image


def depth(image: "TiffImageFile") -> int:
    """Return the bits of a sample."""
    return _first(image, BITS, 1)


def is_inverted(image: "TiffImageFile") -> bool:
    """Whether 0 is white in the pixels as Pillow decodes them: it turns up to eight bits around itself."""
    return image.mode.startswith("I") and _first(image, PHOTOMETRIC, WHITE_IS_ZERO) == WHITE_IS_ZERO


def _widen_palette(image: "TiffImageFile") -> None:
    """Take a palette of 16-bit numbers for one of eight bits where none is larger, as libtiff does."""
    from PIL import ImagePalette

    colours = _all(image, COLOUR_MAP, 0)
    if image.mode in ("P", "PA") and 0 < max(colours) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(colours))


def _unreadable(image: "TiffImageFile") -> str:
    """Return why the pixels would come out wrong, or nothing."""
    formats = _all(image, SAMPLE_FORMAT, UNSIGNED)
    if FLOAT in formats:
        return "its pixels are floating-point numbers"
    if any(kind != UNSIGNED for kind in formats):
        return "its pixels are signed numbers"
    bits = _all(image, BITS, 1)
    if max(bits) > 16:
        return "its pixels are integers of more than 16 bits"
    raw = _first(image, COMPRESSION, RAW) == RAW
    several = _first(image, SAMPLES, 1) > 1
    inverted = _first(image, PHOTOMETRIC, WHITE_IS_ZERO) == WHITE_IS_ZERO
    if raw and _first(image, PLANES, 1) == SEPARATE and (max(bits) != 8 or (inverted and not several)):
        return f"its planes are separate, of {max(bits)} bits"
    if raw and _first(image, PHOTOMETRIC, 0) == YCBCR and several:
        if _first(image, PLANES, 1) == SEPARATE or _all(image, SUBSAMPLING, 2) != (1, 1):
            return "its colours are subsampled YCbCr without compression"
    return ""


def _all(image: "TiffImageFile", tag: int, default: int) -> tuple[int, ...]:
    value: Any = image.tag_v2.get(tag, default)
    return tuple(value) if isinstance(value, tuple) else (value,)


def _first(image: "TiffImageFile", tag: int, default: int) -> int:
    return _all(image, tag, default)[0]
