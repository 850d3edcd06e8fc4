"""Local files that appear under their name only when they are whole."""

from pathlib import Path


def write_whole(path: Path, data: bytes | str) -> None:
    """Write a file beside its place, then move it there; text is UTF-8."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(data.encode() if isinstance(data, str) else data)
    partial.replace(path)
