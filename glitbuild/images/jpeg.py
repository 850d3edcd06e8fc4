"""The segments of a JPEG: its orientation in EXIF and XMP data, and the same image without metadata."""

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


MAX_SEGMENTS = 4096
"""Before the first scan; each costs a reader memory, and millions of empty ones fit into a small file."""
MAX_SCANS = 500
"""Of a progressive picture: libjpeg-turbo's own advice. Encoders write about ten."""
MAX_SCAN_PIXELS = 4_000_000_000
"""Pixels times scans: a scan of a few bytes costs as much time as one that holds the whole picture."""
LEAST_SCANS = 20
"""That are read of any picture, however large."""

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
    """A marker, and where its segment lies: from its 0xFF to the end of its content."""

    marker: int
    start: int
    end: int


class Jpeg:
    """A JPEG and the segments before its first scan.

    Args:
        data: its bytes; what stands behind its end, as in MPO files, is left alone.

    Raises:
        ValueError: there is no scan, a segment is cut off, or there are too many.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.segments = list(_segments(data))

    def open(self) -> "JpegImageFile":
        """Open it for decoding, without the metadata that could turn it or cost a reader much memory.

        Raises:
            ValueError: it has far more scans than any encoder writes.
            Exception: whatever Pillow raises where its header is damaged.
        """
        from PIL.JpegImagePlugin import JpegImageFile

        drop = [segment for segment in self.segments if not self._is_picture(segment)]
        image = JpegImageFile(BytesIO(self._without(drop)))
        limit = min(MAX_SCANS, max(LEAST_SCANS, MAX_SCAN_PIXELS // max(1, image.width * image.height)))
        if self.count_scans(limit) > limit:
            raise ValueError(f"a JPEG of more than {limit} scans")
        return image

    @property
    def orientation(self) -> int:
        """The EXIF orientation, from 1 to 8, that most readers would follow; without EXIF that of the XMP data.

        1 where there is none or no such one.
        """
        stated = exif_orientation(self._joined_exif).value
        if stated is None and (packets := self._of(XMP)):
            stated = xmp_orientation(self.content(packets[-1]))
        return stated if stated and 1 <= stated <= 8 else 1

    def as_stored(self) -> bytes:
        """Return the same picture data without the EXIF and XMP segments by which a reader may turn it.

        Where no reader would, and so where it's known that all of them see the same, these are its own bytes.
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
        """Return the picture data alone: no metadata, no colour profile."""
        return self._without([one for one in self.segments if one.marker == COM or APP0 <= one.marker <= APP15])

    def lasting_segments(self) -> bytes:
        """Return the metadata that stay true when the picture is turned: colours, comments, captions and credits.

        EXIF and XMP data speak of its sides, have thumbnails and boxes, and the index of an MPO file speaks of what
        stands behind the picture's end.
        """
        kept = [one for one in self.segments if one.marker in LASTING or self._is_profile(one)]
        return b"".join(self.data[segment.start : segment.end] for segment in kept)

    def content(self, segment: Segment) -> bytes:
        """Return what a segment holds, without its marker and length."""
        return self.data[segment.start + 4 : segment.end]

    def count_scans(self, limit: int) -> int:
        """Return how many scans a decoder reads, counting no further than just beyond the limit."""
        frame = next((segment for segment in self.segments if segment.marker in FRAMES), None)
        first = self.segments[-1]
        if frame is None or frame.marker not in PROGRESSIVE:
            components = self.data[frame.start + 9] if frame and frame.end > frame.start + 9 else 0
            if first.end > first.start + 4 and self.data[first.start + 4] >= components:
                return 1  # all in the first; what follows is not looked at
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
        """EXIF data that are longer than a segment, as PIL and others put them together."""
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
        """Return the bytes without these segments, which are in order."""
        parts, position = [], 0
        for segment in segments:
            parts.append(self.data[position : segment.start])
            position = segment.end
        return b"".join([*parts, self.data[position:]])


def _segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments up to and with the first scan's header, as leniently as PIL reads them."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        if data[position : position + 1] != b"\xff":
            raise ValueError("no marker where a JPEG's segment should begin")
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
            raise ValueError("the JPEG is cut off within its first segments")
        yield Segment(marker, position - max(2, length) - 2, position)
        if marker == SOS:
            return
    else:
        raise ValueError(f"more than {MAX_SEGMENTS:,} segments of metadata before the picture")
    raise ValueError("a JPEG without a scan")
