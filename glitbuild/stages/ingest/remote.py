"""Inputs anywhere fsspec reaches: the part of pathlib's interface that sources need, for a URL."""

import io
import posixpath
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from glitbuild.errors import SourceError

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
