"""Which way up a picture is: the orientation in EXIF and XMP data, read without a look at anything else."""

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

TAG = 0x0112
INTEGERS = {3: "H", 4: "L", 8: "h", 9: "l"}
"""The types of an entry that readers take for a number, and their struct codes."""

BYTE_ORDERS = {b"II": "<", b"MM": ">"}
VERSIONS = (42, 42 << 8)
"""The second in the wrong byte order, which PIL reads too."""
XMP_STRICT = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
XMP_LENIENT = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([0-9]+)")


class Stated(NamedTuple):
    """What EXIF data say: a value, if any, and whether every reader would read it as no turn.

    Attributes:
        value: as it is written, sensible or not; None where there is none, or the data are damaged.
        is_plain: it is 1 in the form that the standard prescribes, or absent from sound data.
    """

    value: int | None
    is_plain: bool


def exif_orientation(exif: bytes) -> Stated:
    """Read the orientation from EXIF data; time and memory don't depend on what else is in them.

    Args:
        exif: with or without the six bytes that begin it in a JPEG.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    if not exif:
        return Stated(None, True)
    order = BYTE_ORDERS.get(exif[:2])
    if order is None or len(exif) < 8:
        return Stated(None, False)
    version, offset = struct.unpack(f"{order}HL", exif[2:8])
    if version not in VERSIONS:
        return Stated(None, False)
    found: list[Stated] = []
    (count,) = struct.unpack(f"{order}H", exif[offset : offset + 2]) if offset + 2 <= len(exif) else (0,)
    entries = exif[offset + 2 : offset + 2 + 12 * count]
    for tag, kind, size, content in struct.iter_unpack(f"{order}HHL4s", entries[: len(entries) // 12 * 12]):
        if tag == TAG:
            code = INTEGERS.get(kind) if size == 1 else None
            value = struct.unpack_from(order + code, content)[0] if code else None
            found.append(Stated(value, kind == 3 and value == 1))
    if not found:
        return Stated(None, version == 42)
    # Of two, the last is the one that PIL takes; others take the first.
    return Stated(found[-1].value, version == 42 and len(found) == 1 and found[0].is_plain)


def xmp_orientation(packet: bytes, strictly: bool = True) -> int | None:
    """Return the orientation that XMP data state, if any.

    Args:
        packet: the XML.
        strictly: only as PIL reads it, which is one of the few readers that turn pictures by it.
    """
    found = (XMP_STRICT if strictly else XMP_LENIENT).search(packet)
    return int(found[1][:9]) if found else None


def upright(image: "Image", orientation: int) -> "Image":
    """Turn a picture as an orientation from 1 to 8 asks for; with 1 it is the same object."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def stated_orientation(image: "ImageFile") -> int:
    """Return the orientation, from 1 to 8, of a loaded picture that is neither a JPEG nor a TIFF.

    PIL itself has turned a TIFF when it is loaded.
    """
    exif = image.info.get("exif")
    stated = exif_orientation(exif).value if isinstance(exif, bytes) else None
    if stated is None and (packet := image.info.get("xmp")):
        stated = xmp_orientation(packet if isinstance(packet, bytes) else str(packet).encode())
    return stated if stated and 1 <= stated <= 8 else 1
