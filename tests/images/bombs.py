"""Small files that cost a careless reader much memory or time; run as a program, it stores each of them.

Usage: ``python -m tests.images.bombs [NAME ...]``. It prints one line of JSON per file: its name, ``stored``
or the reason, the seconds, and the process's peak memory so far in megabytes.
"""

import io
import json
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from glitbuild.images.stored import open_rgb, store_image
from glitbuild.records import Rejected

from .exif_bytes import exif_segment, segment, with_segments
from .png_bytes import chunk

LIMIT = 100_000_000
UNDEFINED = 7


def directory(tags: int, size: int, order: str = "<") -> bytes:
    """TIFF data whose many tags point at one region of ``size`` bytes that ends the data."""
    start = 8 + 2 + 12 * tags + 4
    entries = b"".join(
        struct.pack(f"{order}HHLL", (0x8000 + n) % 0x10000, UNDEFINED, size, start) for n in range(tags)
    )
    head = b"II*\0" + struct.pack("<L", 8) + struct.pack("<H", tags)
    return head + entries + b"\0\0\0\0" + b"\0" * size


def picture(tags: dict[int, tuple[int, int, int]], tail: bytes = b"", following: int = 0) -> bytes:
    """A TIFF with these tags beside those of a grey picture of 64 x 64: type, count, value or offset."""
    usual = {
        256: (4, 1, 64),
        257: (4, 1, 64),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 8),
        277: (3, 1, 1),
        278: (4, 1, 64),
        279: (4, 1, 4096),
    } | tags
    start = 8 + 4096
    entries = b"".join(struct.pack("<HHLL", tag, *rest) for tag, rest in sorted(usual.items()))
    head = b"II*\0" + struct.pack("<L", start) + b"\x80" * 4096
    return head + struct.pack("<H", len(usual)) + entries + struct.pack("<L", following) + tail


def crowded_tiff() -> bytes:
    size = 8_000_000
    tags = {0x8000 + number: (UNDEFINED, size, 8) for number in range(5000)}
    return picture(tags, b"\0" * size)


def chained_tiff() -> bytes:
    """A hundred thousand pages of one tag each."""
    start, count = len(picture({})), 100_000
    places = [*(start + 18 * number for number in range(1, count)), 0]
    pages = [struct.pack("<HHHLLL", 1, 254, 4, 1, 0, following) for following in places]
    return picture({}, b"".join(pages), start)


def looped_tiff() -> bytes:
    """Directories that lead to themselves: the next page, EXIF, GPS, and pages within a page."""
    return picture({0x8769: (4, 1, 8 + 4096), 0x8825: (4, 1, 8 + 4096), 330: (4, 1, 8 + 4096)}, b"", 8 + 4096)


def many_strips() -> bytes:
    count = 1_000_000
    offsets = struct.pack("<L", 8) * count
    end = len(picture({}))
    return picture({273: (4, count, end), 278: (4, 1, 1), 279: (4, count, end)}, offsets)


def deflated_tiff(width: int, height: int, rows: int) -> bytes:
    packed = zlib.compress(b"\0" * min(width * height, 20_000_000), 1)
    end = len(picture({}))
    more = {256: (4, 1, width), 257: (4, 1, height), 259: (3, 1, 8), 273: (4, 1, end), 278: (4, 1, rows)}
    return picture(more | {279: (4, 1, len(packed))}, packed)


def jpeg(size: tuple[int, int] = (64, 64), **options: object) -> bytes:
    return encoded(Image.new("RGB", size, (90, 120, 60)), "JPEG", **options)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, format, **options)
    return content.getvalue()


def scans(side: int, count: int) -> bytes:
    """A progressive picture whose last scan comes again and again."""
    whole = jpeg((side, side), progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * count + whole[-2:]


def sequential_scans(side: int, count: int) -> bytes:
    """The same of one that isn't progressive: its grey scan, said to be of three colours."""
    whole = jpeg((side, side), subsampling=0)
    start = whole.rindex(b"\xff\xda")
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0" + b"\0" * (side * side // 64)
    return whole[:start] + scan * count + whole[-2:]


def png(*chunks: bytes, size: tuple[int, int] = (64, 64), bits: int = 8, colour: int = 0) -> bytes:
    header = struct.pack(">LLBBBBB", *size, bits, colour, 0, 0, 0)
    row = b"\0" * (1 + size[0] * bits // 8 * {0: 1, 2: 3, 4: 2, 6: 4}[colour])
    pack = zlib.compressobj(1)
    data = b"".join(pack.compress(row) for _ in range(size[1])) + pack.flush()
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def zeros(size: int) -> bytes:
    return zlib.compress(b"\0" * size)


def webp_header(width: int, height: int) -> bytes:
    body = bytearray(encoded(Image.new("RGB", (16, 16)), "WEBP", exif=b"Exif\0\0" + directory(1, 10)))
    body[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(body)


BOMBS: dict[str, Callable[[], bytes]] = {
    "TIFF whose tags share a region": crowded_tiff,
    "TIFF of many pages": chained_tiff,
    "TIFF whose directories loop": looped_tiff,
    "TIFF with counts beyond the file": lambda: picture({0x8001: (4, 0xFFFFFFFF, 8), 273: (4, 0x7FFFFFFF, 8)}),
    "TIFF of a million strips": many_strips,
    "TIFF with a strip that inflates": lambda: deflated_tiff(60_000, 60_000, 60_000),
    "TIFF with rows beyond its own": lambda: deflated_tiff(64, 64, 0xFFFFFFFF),
    "JPEG whose EXIF tags share a region": lambda: with_segments(
        jpeg(), segment(b"Exif\0\0" + directory(2600, 30_000))
    ),
    "JPEG whose EXIF data fill many segments": lambda: with_segments(
        jpeg(),
        segment(b"Exif\0\0" + directory(5000, 5_000)),
        *[segment(b"Exif\0\0" + b"\0" * 65_000)] * 1500,
    ),
    "JPEG whose EXIF tags share many segments": lambda: with_segments(
        jpeg(),
        segment(b"Exif\0\0" + directory(5000, 30_000_000)[:65_000]),
        *[segment(b"Exif\0\0" + b"\0" * 65_000)] * 500,
    ),
    "JPEG of hundreds of thousands of comments": lambda: with_segments(jpeg(), *[segment(b"", 0xFE)] * 300_000),
    "JPEG of thousands of segments": lambda: with_segments(jpeg(), *[segment(b"a" * 99, 0xEC)] * 20_000),
    "JPEG of thousands of scans": lambda: scans(1000, 5000),
    "large JPEG of hundreds of scans": lambda: scans(3000, 450),
    "JPEG of thousands of scans, not progressive": lambda: sequential_scans(1000, 5000),
    "JPEG as large as can be turned without loss": lambda: with_segments(jpeg((7744, 5152)), exif_segment(6)),
    "JPEG too large to be turned without loss": lambda: with_segments(jpeg((9600, 9600)), exif_segment(6)),
    "progressive JPEG to be turned": lambda: with_segments(
        jpeg((4480, 4480), progressive=True, subsampling=0), exif_segment(7)
    ),
    "PNG with texts that inflate": lambda: png(*[chunk(b"zTXt", b"a\0\0" + zeros(20_000_000))] * 50),
    "PNG with XMP that inflates": lambda: png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros(100_000_000))),
    "PNG with a profile that inflates": lambda: png(chunk(b"iCCP", b"a\0\0" + zeros(100_000_000))),
    "PNG whose EXIF tags share a region": lambda: png(chunk(b"eXIf", directory(60_000, 8_000_000))),
    "PNG of hundreds of thousands of chunks": lambda: png(*[chunk(b"prVt", b"")] * 600_000),
    "WebP larger than it may be": lambda: webp_header(16_000_000, 250),
    "WebP whose EXIF tags share a region": lambda: encoded(
        Image.new("RGB", (64, 64)), "WEBP", exif=directory(60_000, 8_000_000)
    ),
    "AVIF whose EXIF tags share a region": lambda: _avif_with_exif(directory(60_000, 8_000_000)),
}
"""Each is at most some megabytes, most of them kilobytes."""


def _avif_with_exif(exif: bytes) -> bytes:
    """Pillow reads the EXIF data that it is to write, so they are put in place of others of that length."""
    placeholder = b"II*\0\x08\0\0\0\0\0" + b"\0" * (len(exif) - 10)
    plain = encoded(Image.new("RGB", (64, 64)), "AVIF", exif=placeholder)
    assert plain.count(placeholder) == 1
    return plain.replace(placeholder, exif)


def _peak_mb() -> int:
    """Return the most memory that this process has had; what its parent had when it forked is no part of it."""
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20)


def main(names: list[str]) -> None:
    for name in names or BOMBS:
        data = BOMBS[name]()
        began = time.monotonic()
        try:
            stored, _ = store_image(data, LIMIT)
            outcome = "stored"
            open_rgb(stored)
        except Rejected as rejected:
            outcome = str(rejected.reason)
        seconds = time.monotonic() - began
        memory = _peak_mb()
        print(json.dumps({"name": name, "outcome": outcome, "seconds": seconds, "memory": memory}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
