"""Local files: atomic writes, files that desktops leave behind, and files that can't be weights."""

from pathlib import Path

STRAY_NAMES = frozenset(
    [
        *(".ds_store", ".localized", "__macosx", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("@eadir", "lost+found", ".directory", ".ipynb_checkpoints", ".git", ".gitattributes", ".gitignore"),
    ]
)
"""Lower-case names of files and folders that desktops, notebooks and git leave behind."""


def is_stray(path: str) -> bool:
    """Return whether a desktop, a notebook or git left a file, or the folder that it is in, behind.

    macOS writes ``._a.jpg`` next to ``a.jpg`` on file systems without resource forks.
    """
    return any(part.startswith("._") or part.lower() in STRAY_NAMES for part in path.split("/"))


def write_whole(path: Path, data: bytes | str) -> None:
    """Write a file atomically: under a temporary name next to it, which is then renamed; text is UTF-8."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(data.encode() if isinstance(data, str) else data)
    partial.replace(path)


START = 1024
"""Number of leading bytes that identify a file's type."""

LFS = b"version https://git-lfs.github.com/spec/"


def not_weights(path: Path) -> tuple[str, str] | None:
    """Return why a file can't be a model's weights, and what to do about it; None if it may be.

    Args:
        path: file with any name.
    """
    with path.open("rb") as file:
        start = file.read(START)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start:
        return "the file is empty (0 bytes)", "download it again"
    if start.startswith(LFS):
        return "a Git LFS pointer, not weights", "run `git lfs pull` in the cloned repository, or download the file"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page, not weights", "download the file itself; on the Hub its URL has /resolve/, not /blob/"
    if text.startswith((b"{", b"[")):
        return "a JSON file, not weights", "give the file with the weights"
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd")):
        return "a compressed archive, not weights", "unpack it"
    return None
