"""Which TIFFs Pillow decodes to the right pixels, and what is to be done with those of 12 and 16 bits.

Pillow reads some combinations of tags as others: signed samples as unsigned, 12 bits as 16 dark ones, planes of 16
bits as of 8. Such a picture is a whole one that can't be stored, and is refused as that.
"""

import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any

from glitbuild.records import Rejected, SkipReason

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import TiffImageFile

STRIP_OFFSETS, TILE_OFFSETS = 273, 324
COMPRESSION, PHOTOMETRIC, SAMPLES, PLANES, TILE_WIDTH, TILE_LENGTH = 259, 262, 277, 284, 322, 323
BITS, COLOUR_MAP, SAMPLE_FORMAT, SUBSAMPLING = 258, 320, 339, 530
EXTRA, FILL_ORDER = 338, 266
WHITE_IS_ZERO, BLACK_IS_ZERO, YCBCR = 0, 1, 6
CONTIGUOUS, SEPARATE = 1, 2
SHORT = 3
RAW = 1
UNSIGNED = 1
FLOAT = 3

MAX_STRIPS = 400_000
"""As many as there are tiles of 16 x 16, the smallest that there may be, in a picture of 100 million pixels."""

BIG_BIG_ENDIAN = b"MM\0+"

MAX_TILE_PIXELS = 4096 * 4096
"""Of a tile that is larger than the picture, since all of it is decoded."""

INVERTED = "grey is inverted"
"""In an image's ``info``: 0 is white, and the pixels aren't turned round yet."""

UNKNOWN = (
    "unknown pixel mode",
    "unknown data organization",
    "Invalid value for samples per pixel",
    "string index out of range",
)
"""What Pillow says where it knows the tags, but no such picture."""


def open_tiff(data: bytes) -> "TiffImageFile":
    """Open a TIFF whose pixels come out right.

    Raises:
        Rejected: it is a whole TIFF, but no such.
        ValueError: it has far more strips than there is room for.
    """
    from PIL.TiffImagePlugin import TiffImageFile

    if data.startswith(BIG_BIG_ENDIAN):
        raise Rejected(SkipReason.IMAGE_MODE, "a big-endian BigTIFF, which Pillow doesn't read")
    data, white_is_zero = _as_pillow_reads_it(data)
    try:
        image = TiffImageFile(BytesIO(data))
    except SyntaxError as error:
        if str(error) in UNKNOWN:
            raise Rejected(SkipReason.IMAGE_MODE, "no combination of TIFF tags that can be read") from error
        raise
    if problem := _unreadable(image):
        raise Rejected(SkipReason.IMAGE_MODE, problem)
    image.info[INVERTED] = white_is_zero
    _widen_palette(image)
    tile = [_first(image, tag, 0) for tag in (TILE_WIDTH, TILE_LENGTH)]
    if tile[0] * tile[1] > max(MAX_TILE_PIXELS, image.width * image.height):
        raise Rejected(SkipReason.IMAGE_TOO_LARGE, f"its tiles have {tile[0]} x {tile[1]} pixels")
    return image


def depth(image: "TiffImageFile") -> int:
    """Return the bits of a sample."""
    return _first(image, BITS, 1)


def _as_pillow_reads_it(data: bytes) -> tuple[bytes, bool]:
    """Return the file with other tags where Pillow takes these for others, and whether its grey is to be inverted.

    One sample is in a plane of its own either way, and of 16 bits 0 is black to Pillow, whatever the tag says.
    """
    order = "<" if data.startswith(b"II") else ">"
    try:
        version, start = struct.unpack_from(f"{order}HL", data, 2)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        places = {}
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, size = struct.unpack_from(f"{order}HHL", data, place)
            if tag in (STRIP_OFFSETS, TILE_OFFSETS) and size > MAX_STRIPS:
                raise ValueError(f"a TIFF of {size:,} strips or tiles")
            if kind == SHORT and size == 1:
                places[tag] = place + 8
        values = {tag: struct.unpack_from(f"{order}H", data, place)[0] for tag, place in places.items()}
    except struct.error:  # what is wrong is Pillow's to say
        return data, False
    changed = bytearray()
    if version != 42 or values.get(SAMPLES, 1) != 1:
        return data, False
    if values.get(PLANES) == SEPARATE:
        changed = bytearray(data)
        struct.pack_into(f"{order}H", changed, places[PLANES], CONTIGUOUS)
    inverted = values.get(BITS) == 16 and values.get(PHOTOMETRIC) == WHITE_IS_ZERO
    if inverted:
        changed = changed or bytearray(data)
        struct.pack_into(f"{order}H", changed, places[PHOTOMETRIC], BLACK_IS_ZERO)
    return bytes(changed) or data, inverted


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
    reversed_bits = _first(image, FILL_ORDER, 1) != 1
    if image.mode.startswith("I") and _first(image, PHOTOMETRIC, WHITE_IS_ZERO) == WHITE_IS_ZERO:
        return "its grey is inverted, in a file of the large kind"
    if _first(image, PLANES, CONTIGUOUS) == SEPARATE:
        # Pillow takes planes of raw data by the letters of a mode, and compressed grey with alpha for one plane.
        unnamed_alpha = image.mode == "RGBA" and EXTRA not in image.tag_v2
        wrongly_raw = raw and (max(bits) != 8 or reversed_bits or EXTRA in image.tag_v2)
        if not several or image.mode in ("LA", "La", "PA") or unnamed_alpha or wrongly_raw:
            return f"its planes are separate, {len(bits)} of {max(bits)} bits"
    contiguous = _first(image, PLANES, CONTIGUOUS) == CONTIGUOUS and _all(image, SUBSAMPLING, 2) == (1, 1)
    if raw and several and _first(image, PHOTOMETRIC, 0) == YCBCR and not contiguous:
        return "its colours are subsampled YCbCr without compression"
    return ""


def _all(image: "TiffImageFile", tag: int, default: int) -> tuple[int, ...]:
    value: Any = image.tag_v2.get(tag, default)
    return tuple(value) if isinstance(value, tuple) else (value,)


def _first(image: "TiffImageFile", tag: int, default: int) -> int:
    return _all(image, tag, default)[0]
