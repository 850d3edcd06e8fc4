"""Access to a dataset directory, local or through fsspec; files appear only when they are complete."""

import errno
import hashlib
import os
import posixpath
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from glitbuild.errors import ConfigError
from glitbuild.files import is_stray
from glitbuild.records import writable

TEMPORARY = ".part-"
"""Part of the name of every file that is being written; such files are never read."""

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "hf"}
"""Protocols whose files become visible only when their upload (multipart for large files) is complete."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A complete file: its size in bytes and the SHA-256 of its content, in hex."""

    bytes: int
    sha256: str


class HashingFile:
    """A binary file opened for writing that tracks the size and SHA-256 of what is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> int:
        """Write all of ``data`` and return its length."""
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self._size

    def flush(self) -> None:
        """Flush buffered data to the file system."""
        self._file.flush()

    @property
    def closed(self) -> bool:
        """Whether the underlying file is closed (required by pyarrow)."""
        return self._file.closed

    @property
    def stored(self) -> StoredFile:
        """Size and hash of what has been written so far."""
        return StoredFile(self._size, self._hash.hexdigest())


class StagedFile(HashingFile):
    """A file being written that appears under its name only when it is committed."""

    def finish(self) -> None:
        """Write out all data, so that only the renaming can still fail."""

    def commit(self) -> None:
        """Make the file appear under its name, replacing an older one."""
        raise NotImplementedError

    def discard(self) -> None:
        """Remove the file, unless it has been committed."""
        raise NotImplementedError


class _Part(StagedFile):
    """A temporary file next to the final one; on local disks it is synced before it is renamed."""

    def __init__(self, fs: Any, path: str, is_local: bool) -> None:
        folder, name = posixpath.split(path)
        fs.makedirs(folder, exist_ok=True)
        self._fs, self._final, self._is_local = fs, path, is_local
        self._part = posixpath.join(folder, f".{name}{TEMPORARY}{secrets.token_hex(6)}")
        super().__init__(fs.open(self._part, "wb"))

    def finish(self) -> None:
        self._file.flush()
        if self._is_local:
            os.fsync(self._file.fileno())
        self._file.close()

    def commit(self) -> None:
        if self._is_local:
            os.replace(self._part, self._final)  # noqa: PTH105 - fsspec's mv falls back to a copy, which is not atomic
        else:
            self._fs.mv(self._part, self._final)

    def discard(self) -> None:
        self._file.close()
        if self._fs.exists(self._part):
            self._fs.rm_file(self._part)


class _Upload(StagedFile):
    """An object uploaded under its final name, in parts if it is large.

    Renaming it later would be a copy, which S3 limits to 5 GB. The object becomes visible when the upload is
    completed, which closing the file does.
    """

    def __init__(self, fs: Any, path: str) -> None:
        self._upload, self._committed = fs.open(path, "wb"), False
        super().__init__(self._upload)

    def commit(self) -> None:
        self._upload.close()
        self._committed = True

    def discard(self) -> None:
        if not self._committed:
            # Closing the file, as its finalizer does, would complete the upload with partial content.
            self._upload.closed = True
            with suppress(Exception):  # the upload may be gone already, and must not hide the first error
                self._upload.discard()


class Store:
    """A dataset directory; file names are POSIX paths relative to it, such as ``shards/00000.tar``.

    Args:
        url: local path or fsspec URL (``s3://bucket/dataset``).

    Raises:
        ConfigError: the URL's protocol is unknown or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        try:
            # A cached listing would hide what other processes have written since.
            self._fs, self._root = url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise ConfigError(
                url, str(error), "give a local path, or install the driver (s3: glitbuild[s3])"
            ) from error
        self.url = url
        protocols = {self._fs.protocol} if isinstance(self._fs.protocol, str) else set(self._fs.protocol)
        self.is_local = "file" in protocols
        self._is_object_store = bool(protocols & OBJECT_STORES)

    @property
    def root(self) -> str:
        """Path of the directory in its file system, the same for every URL of it."""
        return os.path.realpath(self._root) if self.is_local else str(self._root)

    @property
    def name(self) -> str:
        """Name of the directory in pages and reports, without its path, which may be private."""
        return writable(posixpath.basename(self._root.rstrip("/"))) or "dataset"

    def __str__(self) -> str:
        return self.url

    def path(self, name: str) -> str:
        """Return the full path of a file, for messages and other libraries."""
        return posixpath.join(self._root, name)

    def exists(self, name: str = "") -> bool:
        """Return whether a file exists, or the directory itself if no name is given."""
        return bool(self._fs.exists(self.path(name) if name else self._root))

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        return int(self._fs.size(self.path(name)))

    def version(self, name: str) -> str:
        """Return a value that changes when a file is rewritten: a hash of the store's metadata of the file.

        Raises:
            FileNotFoundError: the file does not exist.
        """
        return str(self._fs.ukey(self.path(name)))

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: the file does not exist.
        """
        return bytes(self._fs.cat_file(self.path(name)))

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Return the bytes ``[start, end)`` of a file with one request; fewer if the file is shorter.

        Raises:
            FileNotFoundError: the file does not exist.
        """
        try:
            return bytes(self._fs.cat_file(self.path(name), start=start, end=end))
        except OSError as error:
            if error.errno != errno.EINVAL:  # s3fs raises it for a range that starts beyond the end
                raise
            return b""

    def stored(self, name: str) -> StoredFile:
        """Return a file's size and hash, for which the whole file is read."""
        with self.open(name) as file:
            return StoredFile(self.size(name), hashlib.file_digest(file, "sha256").hexdigest())

    def open(self, name: str) -> Any:
        """Open a file for reading, as a binary file object."""
        return self._fs.open(self.path(name), "rb")

    def names(self, folder: str) -> list[str]:
        """Return the sorted names of the complete files in a folder; none if the folder doesn't exist.

        Files that desktops leave behind, such as ``.DS_Store``, are omitted.
        """
        self._fs.invalidate_cache()
        if not self._fs.isdir(self.path(folder)):
            return []
        found = (posixpath.basename(path) for path in self._fs.ls(self.path(folder), detail=False))
        return sorted(f"{folder}/{name}" for name in found if TEMPORARY not in name and not is_stray(name))

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the sizes in bytes of the complete files in a folder, by name; ``""`` is the directory itself."""
        self._fs.invalidate_cache()
        if not self._fs.isdir(self.path(folder)):
            return {}
        entries = [entry for entry in self._fs.ls(self.path(folder), detail=True) if entry["type"] == "file"]
        found = {posixpath.basename(entry["name"]): int(entry["size"]) for entry in entries}
        return {posixpath.join(folder, name): found[name] for name in sorted(found) if TEMPORARY not in name}

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        if self.exists(name):
            self._fs.rm_file(self.path(name))

    @contextmanager
    def stage(self, name: str) -> Iterator[StagedFile]:
        """Write a file that appears under its name when it is committed, and is discarded if the block doesn't.

        To replace several files at once, complete all of them (``finish``) before committing the first.
        """
        path = self.path(name)
        file = _Upload(self._fs, path) if self._is_object_store else _Part(self._fs, path, self.is_local)
        try:
            yield file
        finally:
            file.discard()

    @contextmanager
    def create(self, name: str) -> Iterator[HashingFile]:
        """Write a file that appears under its name when the block ends, or not at all if the block raises."""
        with self.stage(name) as file:
            yield file
            file.finish()
            file.commit()

    def write(self, name: str, data: bytes) -> StoredFile:
        """Write a complete file at once."""
        with self.create(name) as file:
            file.write(data)
        return file.stored

    def sweep(self, folders: tuple[str, ...]) -> None:
        """Remove partial files that killed runs left in these folders."""
        for folder in folders:
            if not self._fs.isdir(self.path(folder)):
                continue
            for path in self._fs.ls(self.path(folder), detail=False):
                if TEMPORARY in posixpath.basename(path):
                    self.remove(posixpath.relpath(path, self._root))

    def check_writable(self) -> None:
        """Check that files can be written to the directory, by writing and removing a test file.

        Raises:
            ConfigError: the directory isn't writable.
        """
        try:
            self.probe("shards/probe")
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ConfigError(self.url, f"can't be written to ({reason})", "choose another --out") from error

    def probe(self, name: str) -> None:
        """Write a file and remove it, with any folders created for it; errors of the file system are passed on."""
        made = [path for path in Path(self.path(name)).parents if self.is_local and not path.exists()]
        self.write(name, b"")
        self.remove(name)
        for folder in made:  # deepest first
            folder.rmdir()
