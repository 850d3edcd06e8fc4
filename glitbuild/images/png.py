"""A PNG without the chunks that say nothing of its pixels.

Pillow takes a PNG for damaged where a text or a profile is large, or the checksum of a comment wrong, though every
pixel is there. So it is given the chunks that make up the picture, and what else is needed is read here.
"""

import binascii
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glitbuild.records import Rejected, SkipReason

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngImageFile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURE = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"})
"""Chunks by which pixels and frames are decoded; a wrong checksum in one of them means a damaged picture."""

TRUECOLOUR = 2

MAX_CHUNKS = 500_000
"""Empty ones take twelve bytes each, and a microsecond."""
MAX_TEXT = 1 << 20
"""Bytes of a text that is looked at for an orientation."""
MAX_PROFILE = 4 << 20
"""Bytes of a colour profile; a larger one is dropped."""


@dataclass(slots=True)
class Metadata:
    """What a PNG says beside its pixels, empty where it doesn't."""

    exif: bytes = b""
    xmp: bytes = b""
    profile: bytes = b""


def open_png(data: bytes) -> "PngImageFile":
    """Open a PNG, however large its metadata are; those of use are in ``info`` under Pillow's names.

    Raises:
        Rejected: its transparent colour can't be told from others in eight bits.
        ValueError: a checksum is wrong, which Pillow doesn't see in pixels.
    """
    from io import BytesIO

    from PIL.PngImagePlugin import PngImageFile

    picture, metadata = _split(data)
    image = PngImageFile(BytesIO(picture))
    _scale_transparent_colour(image, *data[24:26])
    for key, value in (("exif", metadata.exif), ("xmp", metadata.xmp), ("icc_profile", metadata.profile)):
        if value:
            image.info[key] = value
    return image


def _scale_transparent_colour(image: "PngImageFile", bits: int, colour_type: int) -> None:
    """Give the transparent colour the range of the pixels: Pillow widens or narrows these, and it not."""
    colour = image.info.get("transparency")
    if isinstance(colour, int) and bits in (2, 4):
        image.info["transparency"] = colour * 255 // ((1 << bits) - 1)
    if colour is not None and colour_type == TRUECOLOUR and bits == 16:
        raise Rejected(SkipReason.IMAGE_MODE, "one of its 16-bit colours stands for transparency")


def _split(data: bytes) -> tuple[bytes, Metadata]:
    """Return the chunks of the picture as a PNG, and what the others say.

    A chunk that is cut off, or that can't be one, is kept with all that follows: what is wrong is Pillow's to say.
    """
    metadata = Metadata()
    kept = [data[:8]]
    position = 8
    for _ in range(MAX_CHUNKS):
        if len(data) - position < 12:
            break
        length, kind = struct.unpack_from(">L4s", data, position)
        end = position + 12 + length
        if end > len(data) or not kind.isalpha():
            break
        is_picture = kind in PICTURE or not kind[0] & 0x20
        checksum = int.from_bytes(data[end - 4 : end], "big")
        is_sound = (
            not (is_picture or kind in READERS)
            or binascii.crc32(memoryview(data)[position + 4 : end - 4]) == checksum
        )
        if is_picture and not is_sound:
            raise ValueError(f"wrong checksum of its {kind.decode()}")
        if is_picture:
            kept.append(data[position:end])
        elif is_sound and kind in READERS:  # one with a wrong checksum is passed over, as the specification advises
            READERS[kind](data[position + 8 : end - 4], metadata)
        position = end
        if kind == b"IEND":
            return b"".join(kept), metadata
    else:
        raise ValueError(f"a PNG of more than {MAX_CHUNKS:,} chunks")
    return b"".join([*kept, data[position:]]), metadata


def _read_exif(content: bytes, metadata: Metadata) -> None:
    metadata.exif = content


def _read_profile(content: bytes, metadata: Metadata) -> None:
    _, _, packed = content.partition(b"\0")
    metadata.profile = _unpack(packed[1:], MAX_PROFILE)


def _read_text(content: bytes, metadata: Metadata) -> None:
    keyword, _, text = content.partition(b"\0")
    _take(keyword, text, metadata)


def _read_packed_text(content: bytes, metadata: Metadata) -> None:
    keyword, _, packed = content.partition(b"\0")
    if keyword in (OLD_EXIF, XMP):
        _take(keyword, _unpack(packed[1:], MAX_TEXT), metadata)


def _read_international_text(content: bytes, metadata: Metadata) -> None:
    keyword, _, rest = content.partition(b"\0")
    if keyword == XMP and rest.count(b"\0", 2) >= 2:
        _, _, text = rest[2:].split(b"\0", 2)
        _take(keyword, _unpack(text, MAX_TEXT) if rest[0] else text, metadata)


OLD_EXIF, XMP = b"Raw profile type exif", b"XML:com.adobe.xmp"
READERS = {
    b"eXIf": _read_exif,
    b"iCCP": _read_profile,
    b"tEXt": _read_text,
    b"zTXt": _read_packed_text,
    b"iTXt": _read_international_text,
}


def _take(keyword: bytes, text: bytes, metadata: Metadata) -> None:
    if keyword == XMP:
        metadata.xmp = text
    elif keyword == OLD_EXIF and not metadata.exif:
        # ImageMagick's form: a name and a length on lines of their own, then hexadecimal digits.
        digits = b"".join(text.split(b"\n")[3:])
        try:
            metadata.exif = binascii.unhexlify(b"".join(digits.split()))
        except binascii.Error:
            metadata.exif = b""


def _unpack(packed: bytes, limit: int) -> bytes:
    """Return inflated data; nothing where they are damaged or longer than the limit."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, limit)
    except zlib.error:
        return b""
    return b"" if unpacker.unconsumed_tail else content
