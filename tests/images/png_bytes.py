"""PNGs written out chunk by chunk, apart from Pillow and the code under test."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from .tiff_bytes import packed

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""


def chunk(kind: bytes, content: bytes, wrong: int = 0) -> bytes:
    """A chunk; ``wrong`` is added to its checksum."""
    checksum = zlib.crc32(kind + content) ^ wrong
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", checksum)


def write(
    samples: NDArray[Any],
    bits: int,
    colour_type: int,
    before: Sequence[bytes] = (),
    after: Sequence[bytes] = (),
    wrong: int = 0,
) -> bytes:
    """A PNG of samples (rows, columns, channels), with other chunks before and after its pixels."""
    height, width = samples.shape[:2]
    rows = packed(samples, bits, ">")
    stride = len(rows) // height
    filtered = b"".join(b"\0" + rows[start : start + stride] for start in range(0, len(rows), stride))
    header = struct.pack(">LLBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(filtered), wrong), *after]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])
