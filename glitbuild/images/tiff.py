"""Opening TIFFs, and refusing those that Pillow would decode to wrong pixels.

Pillow misinterprets some combinations of tags: signed samples as unsigned, 12 bits as 16 dark ones, planes of 16
bits as planes of 8. Such an image is intact but can't be stored, and is refused for that reason.
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
"""Most strips or tiles: an image of 100 million pixels has about as many tiles of the smallest size, 16 x 16."""

BIG_BIG_ENDIAN = b"MM\0+"

MAX_TILE_PIXELS = 4096 * 4096
"""Most pixels of a tile that is larger than the image, because the whole tile is decoded."""

INVERTED = "grey is inverted"
"""Key in an image's ``info``: 0 is white, and the pixels have not been inverted yet."""

UNKNOWN = (
    "unknown pixel mode",
    "unknown data organization",
    "Invalid value for samples per pixel",
    "string index out of range",
)
"""Messages of Pillow about valid tags in a combination that it doesn't support."""


def open_tiff(data: bytes) -> "TiffImageFile":
    """Open a TIFF, if Pillow decodes its pixels correctly.

    Raises:
        Rejected: the TIFF is intact, but Pillow can't decode it correctly.
        ValueError: the TIFF has far more strips or tiles than an image can need.
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
    """Return the number of bits per sample."""
    return _first(image, BITS, 1)


def _as_pillow_reads_it(data: bytes) -> tuple[bytes, bool]:
    """Return the file with tags replaced that Pillow misinterprets, and whether its grey must be inverted.

    A single sample is a plane of its own in either configuration; and for 16 bits, 0 is black to Pillow, whatever
    the tag says.
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
    except struct.error:  # Pillow will report what is wrong
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
    """Interpret a palette of 16-bit numbers as 8-bit if none is larger, as libtiff does."""
    from PIL import ImagePalette

    colours = _all(image, COLOUR_MAP, 0)
    if image.mode in ("P", "PA") and 0 < max(colours) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(colours))


def _unreadable(image: "TiffImageFile") -> str:
    """Return why the pixels would be decoded wrongly, or an empty string."""
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
        # Pillow assigns raw planes to the letters of a mode, and reads compressed grey with alpha as one plane.
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
