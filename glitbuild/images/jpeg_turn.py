"""Lossless rotation of a JPEG: its DCT coefficients are rearranged, not decoded and encoded again.

A mirrored block has the same coefficients, with those of odd frequency negated; a transposed block has them
transposed. An image can therefore be rotated exactly if its blocks stay whole: a side that is mirrored must be a
multiple of the size that the blocks of all components share (8 pixels, or 16 if the colours are subsampled).

The coefficients are read and written by ``jpegio``, which bundles libjpeg-turbo. On platforms without wheels of it,
nothing is rotated here. It leaks a file descriptor when it can't write an image, so the coefficients are checked
first.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import ImageChops
from PIL.Image import Image

from glitbuild.images.jpeg import EOI, FRAMES, LEAST_SCANS, PROGRESSIVE, SOS, Jpeg, upright

Coefficients = NDArray[np.int16] | NDArray[np.int32]

MAX_COEFFICIENTS = 60_000_000
"""Most coefficients, over all components, of an image that is rotated: 40 megapixels at 4:2:0, 20 at 4:4:4. Each
takes about eight bytes of memory during the rotation."""
TOLERANCE = 8
"""Levels by which a decoded pixel may differ from the original. Decoders round between columns and rows, and when
they interpolate chroma, so that rotated coefficients decode to slightly different pixels: by at most 5 levels in
photographs, noise and saturated colours, at qualities from 10 to 100."""
BAND = 256
"""Number of rows of an image that are compared at a time."""
MAX_AC, MIN_DC, MAX_DC = 1023, -1024, 1023
"""Range of an 8-bit image's coefficients; decoders accept larger ones, but encoders don't write them."""
MAX_BLOCKS = 10
"""Most blocks in a group that is coded together."""

SOF0, SOF1, SOF2, DHT, DQT = 0xC0, 0xC1, 0xC2, 0xC4, 0xDB
SIGNS = np.array([1, -1] * 4, np.int16)

_turning = Lock()
"""Allows only one image at a time, because the coefficients need a lot of memory."""


class Turn(NamedTuple):
    """Steps that make an image upright: mirroring, left to right and top to bottom, then transposition."""

    mirror_x: bool
    mirror_y: bool
    transpose: bool


TURNS = {
    2: Turn(True, False, False),
    3: Turn(True, True, False),
    4: Turn(False, True, False),
    5: Turn(False, False, True),
    6: Turn(False, True, True),
    7: Turn(True, True, True),
    8: Turn(True, False, True),
}


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a frame: its identifier, sampling factors, and the number of its quantization table."""

    id: int
    across: int
    down: int
    table: int


@dataclass(frozen=True, slots=True)
class Frame:
    """Content of a JPEG's frame header."""

    marker: int
    precision: int
    width: int
    height: int
    components: tuple[Component, ...]

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Read a frame header from its marker code and the content of its segment."""
        marker, precision, count = content[0], content[1], content[6]
        parts = (content[7 + 3 * number : 10 + 3 * number] for number in range(count))
        components = tuple(Component(part[0], part[1] >> 4, part[1] & 15, part[2]) for part in parts)
        height, width = int.from_bytes(content[2:4], "big"), int.from_bytes(content[4:6], "big")
        return cls(marker, precision, width, height, components)

    @property
    def unit(self) -> tuple[int, int]:
        """Width and height in pixels of the smallest area that is a whole number of blocks of every component."""
        if len(self.components) == 1:
            return 8, 8
        return 8 * max(one.across for one in self.components), 8 * max(one.down for one in self.components)

    @property
    def blocks_of_unit(self) -> int:
        """Number of blocks of all components in a unit."""
        return 1 if len(self.components) == 1 else sum(one.across * one.down for one in self.components)

    @property
    def units(self) -> int:
        """Number of units that cover the image."""
        across, down = self.unit
        return math.ceil(self.width / across) * math.ceil(self.height / down)

    def can_turn(self, turn: Turn) -> bool:
        """Return whether this kind of image is supported, and its blocks stay whole in a turn."""
        across, down = self.unit
        return (
            self.marker in (SOF0, SOF1, SOF2)
            and self.precision == 8
            and len(self.components) in (1, 3)
            and self.blocks_of_unit <= MAX_BLOCKS
            and self.units * self.blocks_of_unit * 64 <= MAX_COEFFICIENTS
            and not (turn.mirror_x and self.width % across)
            and not (turn.mirror_y and self.height % down)
        )

    def turned(self, turn: Turn) -> "Frame":
        """Return the frame of the rotated image."""
        if not turn.transpose:
            return self
        components = tuple(replace(one, across=one.down, down=one.across) for one in self.components)
        return replace(self, width=self.height, height=self.width, components=components)

    def blank(self, quantization: bytes) -> bytes:
        """Return a sequential JPEG of this frame whose coefficients are all zero.

        Args:
            quantization: segments of the quantization tables.
        """
        sides = self.height.to_bytes(2, "big") + self.width.to_bytes(2, "big")
        frame = bytes([8]) + sides + bytes([len(self.components)])
        scan = bytes([len(self.components)])
        for number, one in enumerate(self.components):
            frame += bytes([one.id, one.across << 4 | one.down, one.table])
            scan += bytes([one.id, 0x11 if number else 0])
        # Four Huffman tables with one symbol, coded as a zero bit: no difference, or no more coefficients.
        tables = b"".join(bytes([table, 1, *[0] * 15, 0]) for table in (0x00, 0x10, 0x01, 0x11))
        data = bytes(math.ceil(self.units * self.blocks_of_unit * 2 / 8))
        head = _segment(SOF1, frame) + _segment(DHT, tables) + _segment(SOS, scan + bytes([0, 63, 0]))
        return b"\xff\xd8" + quantization + head + data + bytes([0xFF, EOI])


def turn_losslessly(jpeg: Jpeg, image: Image, orientation: int) -> bytes | None:
    """Return the JPEG made upright without loss, or None if that is not possible.

    The result has the coefficients of the original, and those of its segments that don't depend on the orientation.
    It is decoded and compared with the original's pixels before it is returned.

    Args:
        jpeg: original JPEG.
        image: pixels of the original, completely decoded.
        orientation: EXIF orientation from 2 to 8.
    """
    turn = TURNS[orientation]
    frames = [segment for segment in jpeg.segments if segment.marker in FRAMES]
    if len(frames) != 1 or jpeg.count_scans(LEAST_SCANS) > LEAST_SCANS:
        return None
    frame = Frame.of(jpeg.data[frames[0].start + 1 : frames[0].start + 2] + jpeg.content(frames[0]))
    if (frame.width, frame.height) != image.size or not frame.can_turn(turn):
        return None
    try:
        with _turning:
            picture = _turn(jpeg, frame, turn)
    except (ImportError, OSError, RuntimeError, ValueError):
        return None
    if picture is None:
        return None
    turned = picture[:2] + jpeg.lasting_segments() + picture[2:]
    return turned if _shows(turned, upright(image, orientation)) else None


def turn_array(array: Coefficients, turn: Turn) -> Coefficients:
    """Rotate the coefficients of a component, which are arranged like the pixels, in adjacent blocks of 8 by 8."""
    height, width = array.shape
    if turn.mirror_x:
        array = (array.reshape(height, width // 8, 8)[:, ::-1] * SIGNS).reshape(height, width)
    if turn.mirror_y:
        array = (array.reshape(height // 8, 8, width)[::-1] * SIGNS[:, None]).reshape(height, width)
    return array.T if turn.transpose else array


def can_be_encoded(array: Coefficients) -> bool:
    """Return whether an encoder can write these coefficients."""
    dc = array[::8, ::8]
    if int(dc.min()) < MIN_DC or int(dc.max()) > MAX_DC:
        return False
    low, high = int(array.min()), int(array.max())
    if low >= -MAX_AC and high <= MAX_AC:
        return True
    ac = array.copy()
    ac[::8, ::8] = 0
    return int(ac.min()) >= -MAX_AC and int(ac.max()) <= MAX_AC


def _turn(jpeg: Jpeg, frame: Frame, turn: Turn) -> bytes | None:
    """Return the rotated image without any other segments, or None if it can't be written."""
    with tempfile.TemporaryDirectory(prefix="glitbuild-") as folder:
        path = Path(folder, "picture.jpg")
        source = _read(path, jpeg.bare())
        arrays: Sequence[Coefficients] = source.coef_arrays
        if not all(can_be_encoded(array) for array in arrays):
            return None
        turned = [turn_array(array.astype(np.int16), turn) for array in arrays]
        tables = [table.T.copy() if turn.transpose else table.copy() for table in source.quant_tables]
        del source, arrays
        quantization = b"".join(jpeg.data[one.start : one.end] for one in jpeg.segments if one.marker == DQT)
        target = _read(path, frame.turned(turn).blank(quantization))
        for place, table in zip(target.quant_tables, tables, strict=True):
            place[:] = table
        for place, coefficients in zip(target.coef_arrays, turned, strict=True):
            place[:] = coefficients
        target.progressive_mode = int(frame.marker in PROGRESSIVE)
        target.optimize_coding = 1
        target.write(str(path))
        return path.read_bytes()


def _read(path: Path, data: bytes) -> Any:
    import jpegio

    path.write_bytes(data)
    return jpegio.read(str(path))


def _shows(data: bytes, expected: Image) -> bool:
    image = Jpeg(data).open()
    image.load()
    if (image.mode, image.size) != (expected.mode, expected.size):
        return False
    for top in range(
        0, image.height, BAND
    ):  # in bands, because an image of all differences would need too much memory
        area = (0, top, image.width, min(top + BAND, image.height))
        if np.max(ImageChops.difference(image.crop(area), expected.crop(area)).getextrema()) > TOLERANCE:
            return False
    return True


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content
