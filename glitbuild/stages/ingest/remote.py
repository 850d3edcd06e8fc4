"""Inputs anywhere fsspec reaches, as paths, and what a file is by its first bytes."""

import io
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from glitbuild.errors import SourceError
from glitbuild.files import LFS

BLOCK = 1 << 20
"""Bytes read ahead."""


class RemotePath:
    """A file or folder of an fsspec file system.

    Args:
        fs: the file system.
        path: as the file system writes it.
        is_folder: whether it is a folder, where a listing has told.
        version: what a listing has told by which a file that was changed is another.
    """

    def __init__(self, fs: Any, path: str, is_folder: bool | None = None, version: str = "") -> None:
        self._fs, self._path, self._is_folder = fs, path.rstrip("/"), is_folder
        self.version = version

    @classmethod
    def at(cls, url: str) -> "RemotePath":
        """Return the path of a URL.

        Raises:
            SourceError: its protocol is unknown, or the driver is not installed.
        """
        from fsspec.core import url_to_fs

        try:
            return cls(*url_to_fs(url, use_listings_cache=False))
        except (ImportError, ValueError) as error:
            raise SourceError(url, str(error), "install the driver (s3: glitbuild[s3])") from error

    def __truediv__(self, name: str) -> "RemotePath":
        """Return a path below; no name leads out of the folder by being absolute.

        Object stores know no ``.`` and ``..``, so they are resolved here.

        Raises:
            ValueError: it leads out of the bucket, or of the folder at the top.
        """
        path = self._path
        for part in name.lstrip("/").split("/"):
            if part == "..":
                path = posixpath.dirname(path)
                if not path.rpartition("://")[2].strip("/") or path.endswith(":/"):
                    raise ValueError("leads out of where the input lies")
            elif part != ".":
                path = posixpath.join(path, part)
        return RemotePath(self._fs, path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and (self._fs, self._path) == (other._fs, other._path)

    def __hash__(self) -> int:
        return hash(self._path)

    @property
    def name(self) -> str:
        """The last part."""
        return posixpath.basename(self._path)

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The last part's suffix, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "RemotePath":
        """The folder that it is in."""
        return RemotePath(self._fs, posixpath.dirname(self._path), is_folder=True)

    def resolve(self) -> "RemotePath":
        """Return itself: there are no links."""
        return self

    absolute = resolve

    def exists(self) -> bool:
        """Return whether it is there."""
        return self._is_folder is not None or bool(self._fs.exists(self._path))

    def is_dir(self) -> bool:
        """Return whether it is a folder."""
        if self._is_folder is None:
            self._is_folder = bool(self._fs.isdir(self._path)) or None
        return bool(self._is_folder)

    def is_file(self) -> bool:
        """Return whether it is a file."""
        return self.exists() and not self.is_dir()

    def iterdir(self) -> Iterator["RemotePath"]:
        """Yield what a folder holds."""
        for entry in self._fs.ls(self._path, detail=True):
            path = str(entry["name"]).rstrip("/")
            if path != self._path:  # S3 may have an object of the folder's own name
                told = (entry.get(key) for key in ("size", "ETag", "etag", "md5Hash", "md5", "blob_id"))
                version = ":".join(str(value) for value in told if value is not None)
                yield RemotePath(self._fs, path, entry["type"] == "directory", version)

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        """Yield what a folder holds under a name of this pattern; nothing where there is no folder."""
        if self.is_dir():
            yield from (path for path in self.iterdir() if PurePosixPath(path.name).match(pattern))

    def open(
        self, mode: str = "r", encoding: str = "utf-8", errors: str | None = None, newline: str | None = None
    ) -> IO[Any]:
        """Open a file for reading, text or with ``rb`` bytes."""
        file = io.BufferedReader(self._fs.open(self._path, "rb", block_size=BLOCK))
        return file if "b" in mode else io.TextIOWrapper(file, encoding, errors, newline)

    def read_bytes(self) -> bytes:
        """Return a file's content."""
        return bytes(self._fs.cat_file(self._path))

    def read_range(self, offset: int, size: int) -> bytes:
        """Return a part of a file's content."""
        return bytes(self._fs.cat_file(self._path, start=offset, end=offset + size)) if size else b""


AnyPath = Path | RemotePath


def locate(spec: str) -> AnyPath:
    """Return the path of an input as the command line names it, on this machine or by a URL."""
    return RemotePath.at(spec) if "://" in spec else Path(spec)


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
