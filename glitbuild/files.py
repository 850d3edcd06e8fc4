"""Local files that appear under their name only when they are whole, and files that nobody means."""

from pathlib import Path

STRAY_NAMES = frozenset(
    [
        *(".ds_store", ".localized", "__macosx", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("@eadir", "lost+found", ".directory", ".ipynb_checkpoints", ".git", ".gitattributes", ".gitignore"),
    ]
)
"""Names, in lower case, that desktops, notebooks and git leave in folders."""


def is_stray(path: str) -> bool:
    """Return whether a file is one that a desktop, a notebook or git left there, or is in such a folder.

    ``._a.jpg`` is what macOS writes beside ``a.jpg`` where the file system has no resource forks.
    """
    return any(part.startswith("._") or part.lower() in STRAY_NAMES for part in path.split("/"))


def write_whole(path: Path, data: bytes | str) -> None:
    """Write a file beside its place, then move it there; text is UTF-8."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(data.encode() if isinstance(data, str) else data)
    partial.replace(path)
