"""What stands where weights should: a pointer of Git LFS, a web page, nothing."""

from pathlib import Path

START = 1024
"""Bytes that tell what a file is."""

LFS = b"version https://git-lfs.github.com/spec/"


def not_weights(path: Path) -> tuple[str, str] | None:
    """Return why a file can't be a model's weights, and what to do; None where it may be.

    Args:
        path: of a file, under whatever name.
    """
    with path.open("rb") as file:
        start = file.read(START)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start:
        return "the file is empty (0 bytes)", "download it again"
    if start.startswith(LFS):
        return "a Git LFS pointer, not the weights", "run `git lfs pull` where it was cloned, or download the file"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page, not weights", "download the file itself; on the Hub its URL has /resolve/, not /blob/"
    if text.startswith((b"{", b"[")):
        return "a JSON file, not weights", "give the file with the weights"
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd")):
        return "a compressed archive, not weights", "unpack it"
    return None
