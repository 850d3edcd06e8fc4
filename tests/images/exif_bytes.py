"""EXIF data and JPEG segments written out byte by byte, apart from the code under test."""

import struct


def tiff(
    orientation: int | None, order: str = ">", kind: int = 3, times: int = 1, thumbnail: int | None = None
) -> bytes:
    """EXIF data without the six bytes before them: a maker, and the orientation ``times`` times."""
    entries = [struct.pack(f"{order}HHL4s", 0x010F, 2, 4, b"Cam\0")]
    if orientation is not None:
        value = struct.pack(f"{order}{'H2x' if kind == 3 else 'L'}", orientation)
        entries += [struct.pack(f"{order}HHL4s", 0x0112, kind, 1, value)] * times
    second = b""
    following = 0
    if thumbnail is not None:
        following = 8 + 2 + 12 * len(entries) + 4
        value = struct.pack(f"{order}H2x", thumbnail)
        second = struct.pack(f"{order}HHHL4sL", 1, 0x0112, 3, 1, value, 0)
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HL", 42, 8)
    return (
        head
        + struct.pack(f"{order}H", len(entries))
        + b"".join(entries)
        + struct.pack(f"{order}L", following)
        + second
    )


def segment(content: bytes, marker: int = 0xE1) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def exif_segment(orientation: int | None, **options: object) -> bytes:
    return segment(b"Exif\0\0" + tiff(orientation, **options))  # type: ignore[arg-type]


def xmp_segment(orientation: int, form: str = 'tiff:Orientation="{}"') -> bytes:
    packet = f"<x:xmpmeta><rdf:Description {form.format(orientation)}/></x:xmpmeta>"
    return segment(b"http://ns.adobe.com/xap/1.0/\0" + packet.encode())


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with segments right after its first marker, where cameras put them."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]
