"""JPEG segments: reading the orientation from EXIF and XMP data, and removing metadata."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile
    from PIL.JpegImagePlugin import JpegImageFile


TAG = 0x0112
INTEGERS = {3: "H", 4: "L", 8: "h", 9: "l"}
"""Entry types that readers interpret as a number, with their struct codes."""

BYTE_ORDERS = {b"II": "<", b"MM": ">"}
VERSIONS = (42, 42 << 8)
"""Version of TIFF data; the second value is in the wrong byte order, which PIL accepts too."""
XMP_STRICT = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
XMP_LENIENT = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([0-9]+)")


class Stated(NamedTuple):
    """Orientation in EXIF data: the value, if any, and whether every reader would take it as upright.

    Attributes:
        value: value as written, valid or not; None if there is none, or the data is damaged.
        is_plain: whether the value is 1 in the form that the standard prescribes, or absent from intact data.
    """

    value: int | None
    is_plain: bool


def exif_orientation(exif: bytes) -> Stated:
    """Read the orientation from EXIF data; time and memory don't depend on its other content.

    Args:
        exif: EXIF data, with or without the six bytes that precede it in a JPEG.
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
    # If there are two, PIL uses the last, other readers the first.
    return Stated(found[-1].value, version == 42 and len(found) == 1 and found[0].is_plain)


def xmp_orientation(packet: bytes, strictly: bool = True) -> int | None:
    """Return the orientation in XMP data, if any.

    Args:
        packet: XML of the XMP data.
        strictly: whether to accept only the forms that PIL, one of the few readers that use XMP, accepts.
    """
    found = (XMP_STRICT if strictly else XMP_LENIENT).search(packet)
    return int(found[1][:9]) if found else None


def upright(image: "Image", orientation: int) -> "Image":
    """Rotate and flip an image according to an orientation from 1 to 8; for 1, return the same object."""
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
    """Return the orientation, from 1 to 8, of a loaded image that is neither a JPEG nor a TIFF.

    PIL makes a TIFF upright while loading it.
    """
    exif = image.info.get("exif")
    stated = exif_orientation(exif).value if isinstance(exif, bytes) else None
    if stated is None and (packet := image.info.get("xmp")):
        stated = xmp_orientation(packet if isinstance(packet, bytes) else str(packet).encode())
    return stated if stated and 1 <= stated <= 8 else 1


MAX_SEGMENTS = 4096
"""Most segments before the first scan; each costs a reader memory, and a small file can hold millions of them."""
MAX_SCANS = 500
"""Most scans of a progressive image, as libjpeg-turbo advises; encoders write about ten."""
MAX_SCAN_PIXELS = 4_000_000_000
"""Limit for pixels times scans, because a scan of a few bytes takes as much time as one with the whole image."""
LEAST_SCANS = 20
"""Number of scans that are allowed for any image, however large."""

SOS, EOI, COM = 0xDA, 0xD9, 0xFE
APP0, APP1, APP2, APP13, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF
LASTING = frozenset({APP0, APP13, APP14, COM})
WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})

EXIF, XMP, ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
AFTER_SCAN = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment: its marker, and its position from the 0xFF to the end of its content."""

    marker: int
    start: int
    end: int


class Jpeg:
    """A JPEG and the segments before its first scan.

    Args:
        data: bytes of the file; anything after the end of the image, as in MPO files, is kept unchanged.

    Raises:
        ValueError: there is no scan, a segment is truncated, or there are too many segments.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.segments = list(_segments(data))

    def open(self) -> "JpegImageFile":
        """Open the image for decoding, without metadata that could rotate it or use a lot of memory.

        Raises:
            ValueError: the image has far more scans than any encoder writes.
            Exception: any error of Pillow if the header is damaged.
        """
        from PIL.JpegImagePlugin import JpegImageFile

        drop = [segment for segment in self.segments if not self._is_picture(segment)]
        image = JpegImageFile(BytesIO(self._without(drop)))
        limit = min(MAX_SCANS, max(LEAST_SCANS, MAX_SCAN_PIXELS // max(1, image.width * image.height)))
        if self.count_scans(limit) > limit:
            raise ValueError(f"a JPEG with more than {limit} scans")
        return image

    @property
    def orientation(self) -> int:
        """The orientation, from 1 to 8, that most readers would use: from EXIF data or, without it, from XMP data.

        If there is none, or it is not from 1 to 8, it is 1.
        """
        stated = exif_orientation(self._joined_exif).value
        if stated is None and (packets := self._of(XMP)):
            stated = xmp_orientation(self.content(packets[-1]))
        return stated if stated and 1 <= stated <= 8 else 1

    def as_stored(self) -> bytes:
        """Return the same image data without the EXIF and XMP segments that could make a reader rotate it.

        If no reader would rotate it, so that all of them show the same image, the bytes are unchanged.
        """
        contents = [*(self.content(segment) for segment in self._of(EXIF)), self._joined_exif]
        exif_is_plain = all(exif_orientation(content).is_plain for content in contents)

        def may_turn(segment: Segment) -> bool:
            if segment.marker != APP1:
                return False
            if self._begins(segment, EXIF):
                return not exif_is_plain
            return xmp_orientation(self.content(segment), strictly=False) not in (None, 1)

        drop = [segment for segment in self.segments if may_turn(segment)]
        return self._without(drop) if drop else self.data

    def bare(self) -> bytes:
        """Return only the image data, without metadata and colour profile."""
        return self._without([one for one in self.segments if one.marker == COM or APP0 <= one.marker <= APP15])

    def lasting_segments(self) -> bytes:
        """Return the metadata that stays valid when the image is rotated: colours, comments, captions and credits.

        EXIF and XMP data may contain the image's size, thumbnails and boxes, and the index of an MPO file refers to
        data after the end of the image.
        """
        kept = [one for one in self.segments if one.marker in LASTING or self._is_profile(one)]
        return b"".join(self.data[segment.start : segment.end] for segment in kept)

    def content(self, segment: Segment) -> bytes:
        """Return the content of a segment, without its marker and length."""
        return self.data[segment.start + 4 : segment.end]

    def count_scans(self, limit: int) -> int:
        """Count the scans that a decoder reads, stopping just above the limit."""
        frame = next((segment for segment in self.segments if segment.marker in FRAMES), None)
        first = self.segments[-1]
        if frame is None or frame.marker not in PROGRESSIVE:
            components = self.data[frame.start + 9] if frame and frame.end > frame.start + 9 else 0
            if first.end > first.start + 4 and self.data[first.start + 4] >= components:
                return 1  # all components are in the first scan; decoders ignore the rest
        scans, position = 1, first.end
        while scans <= limit and (found := AFTER_SCAN.search(self.data, position)):
            marker = self.data[found.start() + 1]
            if marker == EOI:
                break
            scans += marker == SOS
            position = found.end()
            if marker not in WITHOUT_LENGTH:
                position += max(2, int.from_bytes(self.data[position : position + 2], "big"))
        return scans

    @cached_property
    def _joined_exif(self) -> bytes:
        """EXIF data that spans several segments, joined as PIL and others do."""
        return b"".join(self.content(segment)[len(EXIF) :] for segment in self._of(EXIF))

    def _of(self, name: bytes) -> list[Segment]:
        return [segment for segment in self.segments if segment.marker == APP1 and self._begins(segment, name)]

    def _begins(self, segment: Segment, name: bytes) -> bool:
        return self.data.startswith(name, segment.start + 4)

    def _is_profile(self, segment: Segment) -> bool:
        return segment.marker == APP2 and self._begins(segment, ICC)

    def _is_picture(self, segment: Segment) -> bool:
        return (
            self._is_profile(segment)
            or segment.marker in (APP0, APP14)
            or (segment.marker != COM and not APP0 <= segment.marker <= APP15)
        )

    def _without(self, segments: list[Segment]) -> bytes:
        """Return the bytes without these segments, which must be in order."""
        parts, position = [], 0
        for segment in segments:
            parts.append(self.data[position : segment.start])
            position = segment.end
        return b"".join([*parts, self.data[position:]])


def _segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments up to and including the first scan's header, as leniently as PIL reads them."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        if data[position : position + 1] != b"\xff":
            raise ValueError("no marker where a JPEG segment should start")
        while data[position : position + 1] == b"\xff":
            position += 1
        if position >= len(data):
            break
        marker = data[position]
        position += 1
        if marker in WITHOUT_LENGTH:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        position += max(2, length)
        if position > len(data):
            raise ValueError("the JPEG is truncated within its first segments")
        yield Segment(marker, position - max(2, length) - 2, position)
        if marker == SOS:
            return
    else:
        raise ValueError(f"more than {MAX_SEGMENTS:,} metadata segments before the image data")
    raise ValueError("a JPEG without a scan")
