"""Opening PNGs without the chunks that don't affect their pixels.

Pillow treats a PNG as damaged if a text or profile is large, or the checksum of a comment is wrong, although every
pixel is there. It therefore gets only the chunks that make up the image; other useful metadata is read here.
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
"""Chunks that pixels and frames are decoded from; a wrong checksum in one of them means a damaged image."""

TRUECOLOUR = 2

MAX_CHUNKS = 500_000
"""Most chunks; an empty one takes only twelve bytes, but a microsecond."""
MAX_TEXT = 1 << 20
"""Most bytes of a text that is searched for an orientation."""
MAX_PROFILE = 4 << 20
"""Most bytes of a colour profile; a larger one is dropped."""


@dataclass(slots=True)
class Metadata:
    """Metadata of a PNG; empty if missing."""

    exif: bytes = b""
    xmp: bytes = b""
    profile: bytes = b""


def open_png(data: bytes) -> "PngImageFile":
    """Open a PNG, however large its metadata is; useful metadata is put into ``info`` under Pillow's names.

    Raises:
        Rejected: the transparent colour is indistinguishable from others in eight bits.
        ValueError: a checksum is wrong; Pillow doesn't verify those of pixel data.
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
    """Scale the transparent colour to the range of the pixels, because Pillow only scales the pixels."""
    colour = image.info.get("transparency")
    if isinstance(colour, int) and bits in (2, 4):
        image.info["transparency"] = colour * 255 // ((1 << bits) - 1)
    if colour is not None and colour_type == TRUECOLOUR and bits == 16:
        raise Rejected(SkipReason.IMAGE_MODE, "one of its 16-bit colours stands for transparency")


def _split(data: bytes) -> tuple[bytes, Metadata]:
    """Return the image chunks as a PNG, and the metadata from the other chunks.

    A truncated or invalid chunk is kept with everything that follows, so that Pillow reports what is wrong.
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
            raise ValueError(f"wrong checksum of its {kind.decode()} chunk")
        if is_picture:
            kept.append(data[position:end])
        elif is_sound and kind in READERS:  # the specification advises to ignore one with a wrong checksum
            READERS[kind](data[position + 8 : end - 4], metadata)
        position = end
        if kind == b"IEND":
            return b"".join(kept), metadata
    else:
        raise ValueError(f"a PNG with more than {MAX_CHUNKS:,} chunks")
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
        # ImageMagick's format: a name and a length on separate lines, then hexadecimal digits.
        digits = b"".join(text.split(b"\n")[3:])
        try:
            metadata.exif = binascii.unhexlify(b"".join(digits.split()))
        except binascii.Error:
            metadata.exif = b""


def _unpack(packed: bytes, limit: int) -> bytes:
    """Return decompressed data; nothing if it is damaged or longer than the limit."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, limit)
    except zlib.error:
        return b""
    return b"" if unpacker.unconsumed_tail else content
