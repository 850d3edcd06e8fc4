"""What a file is by its first bytes, where its name says something else."""

import re

from glitbuild.errors import SourceError
from glitbuild.stages.ingest.remote import AnyPath, RemotePath
from glitbuild.weight_files import LFS

HEAD = 1024
"""Bytes that are looked at."""

UNPACK = "unpack it first"

GZIP = b"\x1f\x8b"
UNPACKED = ("jsonl", "csv")
"""Formats whose readers unpack gzip, which they tell by its first bytes."""

MAGIC = (
    (GZIP, "compressed with gzip", f"{UNPACK}, with gunzip or gzip -dc"),
    (b"BZh", "compressed with bzip2", f"{UNPACK}, with bunzip2 or bzip2 -dc"),
    (b"\xfd7zXZ\0", "compressed with xz", f"{UNPACK}, with unxz or xz -dc"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", f"{UNPACK}, with unzstd or zstd -dc"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", f"{UNPACK}, with lz4 -dc"),
    (b"PK\x03\x04", "a ZIP archive", UNPACK),
    (b"PK\x05\x06", "a ZIP archive without files", "give one that has some, unpacked"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"ARROW1\0\0", "an Arrow file", "write it as Parquet, or as a Hugging Face dataset with save_to_disk"),
    (b"%PDF-", "a PDF document", ""),
    (b"\xff\xd8\xff", "a picture", "give the folder that it is in"),
    (b"\x89PNG\r\n", "a picture", "give the folder that it is in"),
    (b"SQLite format 3\0", "an SQLite database", "export it as CSV or Parquet"),
)

HTML = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
XML = re.compile(rb"\s*<\?xml\b", re.IGNORECASE)

NAMES = {"webdataset": "a tar", "parquet": "Parquet", "jsonl": "JSON Lines", "csv": "a table", "list": "a list"}
"""What the file of a format should be."""


def kind_of(path: AnyPath) -> str | None:
    """Return the format of a file that its first bytes tell: ``webdataset`` or ``parquet``; None for any other."""
    head = _head(path)
    if head[257:262] == b"ustar":
        return "webdataset"
    return "parquet" if head.startswith(b"PAR1") else None


def check_content(path: AnyPath, format: str) -> None:
    """Refuse a file whose first bytes say that it is something else than its name or the command line says.

    Args:
        path: the file; one that is no regular file is not looked into.
        format: what it should be: a key of ``NAMES``, or ``""`` where nothing tells.

    Raises:
        SourceError: says what it is.
    """
    head = _head(path)
    should_be = f", not {NAMES[format]}" if format else ""
    if head.startswith(LFS):
        raise SourceError(path.name, "a Git LFS pointer, not the file itself", "fetch the file with git lfs pull")
    text = head.removeprefix(b"\xef\xbb\xbf")
    for pattern, what in ((HTML, "an HTML page"), (XML, "an XML document")):
        if pattern.match(text):
            fix = "look into it, often a server's error message, and download the file again"
            raise SourceError(path.name, what + should_be, fix)
    for magic, what, fix in MAGIC:
        if head.startswith(magic) and not (magic == GZIP and format in UNPACKED):
            raise SourceError(path.name, what + should_be, fix)
    found = kind_of(path)
    if found and format and found != format:
        raise SourceError(path.name, f"{NAMES[found]}{should_be}", f"read it with --format {found}")


def _head(path: AnyPath) -> bytes:
    if not isinstance(path, RemotePath) and not path.is_file():
        return b""
    with path.open("rb") as file:
        head: bytes = file.read(HEAD)
    return head
