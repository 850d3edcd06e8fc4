"""A dataset directory, on a local disk or anywhere fsspec reaches, whose files appear only when whole."""

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
"""Stands in the name of every file that is being written; nothing with it is ever read."""

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "hf"}
"""Protocols whose files are seen only once their upload is complete, large ones in parts."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is whole: its size in bytes and the SHA-256 of its content, in hex."""

    bytes: int
    sha256: str


class HashingFile:
    """A binary file opened for writing that knows the size and SHA-256 of what went through it."""

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
        """Hand what is buffered to the file system."""
        self._file.flush()

    @property
    def closed(self) -> bool:
        """Whether the file below is closed (pyarrow asks)."""
        return self._file.closed

    @property
    def stored(self) -> StoredFile:
        """Size and hash of what has been written so far."""
        return StoredFile(self._size, self._hash.hexdigest())


class StagedFile(HashingFile):
    """A file being written that appears under its name only when it is committed."""

    def finish(self) -> None:
        """Have its bytes where nothing can fail any more but giving them the name."""

    def commit(self) -> None:
        """Let it appear, in the place of an older one."""
        raise NotImplementedError

    def discard(self) -> None:
        """Leave nothing of it, unless it was committed."""
        raise NotImplementedError


class _Part(StagedFile):
    """A temporary file beside the final one; locally it is on the disk before it takes the name."""

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
    """An object uploaded under its own name, in parts where it is large.

    To move it there later would be a copy, of at most 5 GB in S3. The store shows it once the upload is complete,
    which is what closing the file does.
    """

    def __init__(self, fs: Any, path: str) -> None:
        self._upload, self._committed = fs.open(path, "wb"), False
        super().__init__(self._upload)

    def commit(self) -> None:
        self._upload.close()
        self._committed = True

    def discard(self) -> None:
        if not self._committed:
            # Closing it, which its finalizer does too, would complete the upload with what there is.
            self._upload.closed = True
            with suppress(Exception):  # the upload may be gone already; what matters is the first error
                self._upload.discard()


class Store:
    """A dataset directory. Names of files are posix paths below it, such as ``shards/00000.tar``.

    Args:
        url: a local path or an fsspec URL (``s3://bucket/dataset``).

    Raises:
        ConfigError: the URL's protocol is unknown or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        try:
            # A listing kept from before would hide what other processes have written since.
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
        """The directory as the file system names it; two URLs of one directory have the same."""
        return os.path.realpath(self._root) if self.is_local else str(self._root)

    @property
    def name(self) -> str:
        """What pages and reports call the directory; where it lies is nobody else's business."""
        return writable(posixpath.basename(self._root.rstrip("/"))) or "dataset"

    def __str__(self) -> str:
        return self.url

    def path(self, name: str) -> str:
        """Return the full path of a file, for messages and other libraries."""
        return posixpath.join(self._root, name)

    def exists(self, name: str = "") -> bool:
        """Return whether the file, or without a name the directory, is there."""
        return bool(self._fs.exists(self.path(name) if name else self._root))

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        return int(self._fs.size(self.path(name)))

    def version(self, name: str) -> str:
        """Return what changes when a file is written again: a hash of all that the store says about it.

        Raises:
            FileNotFoundError: it is not there.
        """
        return str(self._fs.ukey(self.path(name)))

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: it is not there.
        """
        return bytes(self._fs.cat_file(self.path(name)))

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Return the bytes ``[start, end)`` of a file, in one request; fewer where it ends before.

        Raises:
            FileNotFoundError: it is not there.
        """
        try:
            return bytes(self._fs.cat_file(self.path(name), start=start, end=end))
        except OSError as error:
            if error.errno != errno.EINVAL:  # what s3fs makes of a range that begins behind the end
                raise
            return b""

    def stored(self, name: str) -> StoredFile:
        """Return a file's size and hash; all of it is read."""
        with self.open(name) as file:
            return StoredFile(self.size(name), hashlib.file_digest(file, "sha256").hexdigest())

    def open(self, name: str) -> Any:
        """Open a file for reading, as a binary file object."""
        return self._fs.open(self.path(name), "rb")

    def names(self, folder: str) -> list[str]:
        """Return the names of the whole files in a folder, sorted; an absent folder has none.

        What desktops leave, such as ``.DS_Store``, is not among them.
        """
        self._fs.invalidate_cache()
        if not self._fs.isdir(self.path(folder)):
            return []
        found = (posixpath.basename(path) for path in self._fs.ls(self.path(folder), detail=False))
        return sorted(f"{folder}/{name}" for name in found if TEMPORARY not in name and not is_stray(name))

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the sizes in bytes of the whole files in a folder, by name; ``""`` is the directory itself."""
        self._fs.invalidate_cache()
        if not self._fs.isdir(self.path(folder)):
            return {}
        entries = [entry for entry in self._fs.ls(self.path(folder), detail=True) if entry["type"] == "file"]
        found = {posixpath.basename(entry["name"]): int(entry["size"]) for entry in entries}
        return {posixpath.join(folder, name): found[name] for name in sorted(found) if TEMPORARY not in name}

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        if self.exists(name):
            self._fs.rm_file(self.path(name))

    @contextmanager
    def stage(self, name: str) -> Iterator[StagedFile]:
        """Write a file that appears under its name when it is committed; what is not when the block ends is gone.

        To replace several files at once, have all of them whole (``finish``) before the first is committed.
        """
        path = self.path(name)
        file = _Upload(self._fs, path) if self._is_object_store else _Part(self._fs, path, self.is_local)
        try:
            yield file
        finally:
            file.discard()

    @contextmanager
    def create(self, name: str) -> Iterator[HashingFile]:
        """Write a file that appears under its name when the block ends, and not at all if it raises."""
        with self.stage(name) as file:
            yield file
            file.finish()
            file.commit()

    def write(self, name: str, data: bytes) -> StoredFile:
        """Write a whole file at once."""
        with self.create(name) as file:
            file.write(data)
        return file.stored

    def sweep(self, folders: tuple[str, ...]) -> None:
        """Remove what runs that were killed left half written in these folders."""
        for folder in folders:
            if not self._fs.isdir(self.path(folder)):
                continue
            for path in self._fs.ls(self.path(folder), detail=False):
                if TEMPORARY in posixpath.basename(path):
                    self.remove(posixpath.relpath(path, self._root))

    def check_writable(self) -> None:
        """Prove that files can be written to the directory; nothing of the proof remains.

        Raises:
            ConfigError: they can't.
        """
        try:
            self.probe("shards/probe")
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ConfigError(self.url, f"can't be written to ({reason})", "choose another --out") from error

    def probe(self, name: str) -> None:
        """Write a file and remove it, with the folders that were made for it; raise what the file system raises."""
        made = [path for path in Path(self.path(name)).parents if self.is_local and not path.exists()]
        self.write(name, b"")
        self.remove(name)
        for folder in made:  # the deepest is the first
            folder.rmdir()
