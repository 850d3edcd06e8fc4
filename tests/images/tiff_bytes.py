"""TIFFs written out byte by byte, apart from Pillow and the code under test."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = {1: 1, 3: 2, 4: 4}
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""The bits of each byte the other way round, as ``FillOrder`` 2 has them."""
CODES = {1: "B", 3: "H", 4: "L"}


def packed(samples: NDArray[Any], bits: int, order: str = "<") -> bytes:
    """Rows of samples as a TIFF holds them: most significant bit first, each row from a whole byte on."""
    rows = samples.reshape(samples.shape[0], -1)
    if bits >= 8 and bits % 8 == 0:
        width = bits // 8
        kind = {1: "B", 2: "H", 3: "L", 4: "L", 8: "Q"}[width]
        data = b"".join(
            struct.pack(f"{order}{kind}", int(value) & (1 << bits) - 1)[
                slice(None, 3) if width == 3 else slice(None)
            ]
            for value in rows.flat
        )
    else:
        shifts = np.arange(bits - 1, -1, -1)
        exploded = (rows[:, :, None].astype(np.int64) >> shifts) & 1
        data = np.packbits(exploded.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()
    return data


def write(
    strips: Sequence[bytes],
    size: tuple[int, int],
    bits: Sequence[int],
    photometric: int,
    order: str = "<",
    deflate: bool = False,
    more: dict[int, tuple[int, Sequence[int]]] | None = None,
    big: bool = False,
) -> bytes:
    """A TIFF of one page; ``more`` are other tags: the type, and the values. ``big``: a BigTIFF."""
    head, address, count, wide = (16, "Q", "Q", 8) if big else (8, "L", "H", 4)
    if deflate:
        strips = [zlib.compress(strip) for strip in strips]
    if more and 266 in more and more[266][1] == [2]:
        strips = [strip.translate(REVERSED) for strip in strips]
    body, offsets = b"", []
    for strip in strips:
        offsets.append(head + len(body))
        body += strip + b"\0" * (len(strip) % 2)
    tags: dict[int, tuple[int, Sequence[int]]] = {
        256: (4, [size[0]]),
        257: (4, [size[1]]),
        258: (3, bits),
        259: (3, [8 if deflate else 1]),
        262: (3, [photometric]),
        273: (4, offsets),
        277: (3, [len(bits)]),
        278: (4, [size[1]]),
        279: (4, [len(strip) for strip in strips]),
    } | (more or {})
    entries = b""
    for tag, (kind, values) in sorted(tags.items()):
        content = struct.pack(f"{order}{len(values)}{CODES[kind]}", *values)
        if len(content) > wide:
            position, body = head + len(body), body + content + b"\0" * (len(content) % 2)
            content = struct.pack(order + address, position)
        entries += struct.pack(f"{order}HH{address}", tag, kind, len(values)) + content.ljust(wide, b"\0")
    directory = struct.pack(order + count, len(tags)) + entries + b"\0" * wide
    version = struct.pack(f"{order}HHH", 43, 8, 0) if big else struct.pack(f"{order}H", 42)
    start = (b"II" if order == "<" else b"MM") + version + struct.pack(order + address, head + len(body))
    return start + body + directory
