"""Checks on outputs: a command never overwrites its input, and a directory has one writer at a time."""

import os
import posixpath
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glitbuild.errors import ConfigError
from glitbuild.shards.layout import FIRST_SIZES, FOLDERS, MANIFEST, shard_of
from glitbuild.shards.store import Store

FIX = "choose another one"

ALIASES = {"s3a": "s3", "gcs": "gs", "abfss": "abfs", "local": "file"}
"""Protocols of fsspec that are aliases of another."""


@dataclass(frozen=True, slots=True)
class Location:
    """Normalised location of a file or directory, which need not exist, for comparing different spellings of it.

    Attributes:
        protocol: fsspec protocol; ``file`` for local disks.
        path: path without links and ``..``, and on object stores without doubled slashes.
    """

    protocol: str
    path: str

    @classmethod
    def of(cls, spec: str) -> "Location":
        """Return the location of a path or an fsspec URL; of the last URL, if they are chained."""
        from fsspec.core import url_to_fs

        spec = spec.rpartition("::")[2]
        if "://" not in spec:
            return cls("file", os.path.realpath(spec))
        fs, path = url_to_fs(spec)
        protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
        protocol = ALIASES.get(protocol, protocol)
        return cls(protocol, os.path.realpath(path) if protocol == "file" else posixpath.normpath(path))

    def __truediv__(self, name: str) -> "Location":
        return Location(self.protocol, posixpath.join(self.path, name))

    def contains(self, other: "Location") -> bool:
        """Return whether another location is the same as this one or inside it."""
        if self.protocol != other.protocol:
            return False
        if other.path == self.path or other.path.startswith(self.path.rstrip("/") + "/"):
            return True
        return self.protocol == "file" and _contains_by_inode(self.path, other.path)


def refuse_overlap(inputs: Iterable[str], out: str, option: str = "--out") -> None:
    """Refuse an output directory whose dataset files would overlap with those of an input.

    An input elsewhere in the directory is fine, such as its subfolder ``photos``, and so is a directory inside a
    folder of images.

    Args:
        inputs: paths and fsspec URLs of files and directories; names that are neither are ignored.
        out: path or fsspec URL of the dataset directory to write.
        option: option that names the output.

    Raises:
        ConfigError: the two overlap; the message names the input and says how.
    """
    target = Location.of(out)
    for spec in inputs:
        for place in _places(spec):
            if problem := _problem(place, target):
                raise ConfigError(f"{option} {out}", problem.format(spec), FIX)


def refuse_read_file(datasets: Iterable[str], files: Iterable[str], file: str, option: str = "--out") -> None:
    """Refuse an output file that is also an input.

    Args:
        datasets: dataset directories that are about to be read.
        files: other files that are about to be read, as paths or fsspec URLs.
        file: path or fsspec URL of the file to write.
        option: option that names the output.

    Raises:
        ConfigError: the file is an input; the message names the input.
    """
    target = Location.of(file)
    for spec in files:
        if target.contains(Location.of(spec)):
            raise ConfigError(f"{option} {file}", f"it is {spec}, which is about to be read", "choose another file")
    for spec in datasets:
        if target.contains(Location.of(spec)) or _is_own(target, Location.of(spec)):
            raise ConfigError(f"{option} {file}", f"it is a file of the dataset {spec}, the input", FIX)


def refuse_inside(inputs: Iterable[str], folder: str, option: str = "--out") -> None:
    """Refuse an output folder, which may be removed as a whole, if it is or contains an input.

    Args:
        inputs: paths and fsspec URLs of files and directories.
        folder: local path of the folder to write.
        option: option that names the folder.

    Raises:
        ConfigError: the folder contains an input; the message names it.
    """
    target = Location.of(folder)
    for spec in inputs:
        place = Location.of(spec)
        if target.contains(place) or _is_own(target, place):
            raise ConfigError(f"{option} {folder}", f"it contains {spec}, which is about to be read", FIX)


def _problem(place: Location, target: Location) -> str:
    """Return how an input and an output directory overlap; an empty string if they don't."""
    if place.contains(target) and target.contains(place):
        return "it is the input {} itself"
    if _is_own(place, target):
        return "its own files would overwrite the input {}"
    if _is_own(target, place):
        return "it is among the files of the input {}"
    return ""


def _is_own(place: Location, dataset: Location) -> bool:
    """Return whether a location is, or is inside, one of the files and folders of a dataset directory."""
    return any((dataset / name).contains(place) for name in (*FOLDERS, MANIFEST, FIRST_SIZES))


def _places(spec: str) -> Iterable[Location]:
    """Yield the location of an input, and the locations of shards that links in it point to."""
    try:
        place = Location.of(spec)
    except (ImportError, ValueError):  # unknown protocol, which is reported when the input is opened
        return
    if place.protocol != "file":
        yield place
        return
    if not os.path.exists(place.path):  # noqa: PTH110 - it may be the name of a dataset on the Hub
        return
    yield place
    for folder in (Path(place.path), Path(place.path, "shards")):
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            links = [entry.path for entry in entries if entry.is_symlink()]
        # Only files that a dataset directory may hold could be overwritten.
        real = (os.path.realpath(link) for link in links)
        yield from (Location("file", path) for path in real if shard_of("/".join(path.split("/")[-2:])))


def _contains_by_inode(folder: str, path: str) -> bool:
    """Compare by device and inode, because file systems may ignore case or mount one folder in several places."""
    try:
        wanted = _identity(folder)
    except OSError:
        return False
    while True:
        try:
            if _identity(path) == wanted:
                return True
        except OSError:
            pass  # it doesn't exist yet, but one of its parents may
        parent = os.path.dirname(path)  # noqa: PTH120 - it need not be a valid path on this platform
        if parent == path:
            return False
        path = parent


def _identity(path: str) -> tuple[Any, Any]:
    status = os.stat(path)  # noqa: PTH116
    return status.st_dev, status.st_ino


LOCK = ".lock"
"""Lock file of a directory that is being written; the kernel releases the lock when its process ends."""


@contextmanager
def writing(store: Store, option: str = "--out") -> Iterator[None]:
    """Lock a dataset directory for this command; see ``locked``.

    Object stores have no locks, so there it is only checked that the directory is writable.

    Raises:
        ConfigError: the directory isn't writable, or another run is writing to it.
    """
    if not store.is_local:
        store.check_writable()
        yield
        return
    with locked(Path(store.root), store.url, option):
        store.check_writable()
        yield


@contextmanager
def locked(folder: Path, name: str, option: str = "--out") -> Iterator[None]:
    """Lock a local directory for this process while the block runs.

    The directory is created if it is missing. If the block leaves it empty, because it failed before it wrote
    anything, every directory that was created for it is removed again.

    Args:
        folder: local directory.
        name: name of the directory as the user wrote it, for messages.
        option: option that names the directory.

    Raises:
        ConfigError: the directory isn't writable, or another process has locked it.
    """
    from filelock import FileLock, Timeout

    missing = [path for path in (folder, *folder.parents) if not path.exists()]  # deepest first
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        fix = f"wait until it has finished, or choose another {option}"
        raise ConfigError(name, "another run is writing here", fix) from error
    except OSError as error:
        _remove_empty(missing)
        reason = error.strerror or str(error)
        raise ConfigError(name, f"can't be written to ({reason})", f"choose another {option}") from error
    try:
        yield
    finally:
        # Removed while it is locked, so that a process that has already opened it notices that it is gone.
        with suppress(OSError):
            (folder / LOCK).unlink()
        lock.release()
        _remove_empty(missing)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, deepest first, until one is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def check_writable(
    path: str, datasets: Iterable[str] = (), files: Iterable[str] = (), option: str = "--out"
) -> None:
    """Check before any work is done that a file can be written, by writing and removing a test file.

    Args:
        path: local path or fsspec URL of the file to write.
        datasets: dataset directories that are about to be read; the file must not be one of theirs.
        files: other files that are about to be read; the file must not be one of them.
        option: option that names the file.

    Raises:
        ConfigError: the file can't be written, or is an input.
    """
    store, name = _place(path)
    refuse_read_file(datasets, files, path, option)
    try:
        if os.path.isdir(path):  # noqa: PTH112 - it may be a URL
            raise IsADirectoryError(0, "it is a folder")
        store.probe(f".{name}.probe")
    except Exception as error:  # any file system's errors
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ConfigError(path, f"can't be written to ({reason})", "choose another file") from error


def write_file(path: str, data: bytes) -> None:
    """Write a file that appears only when it is complete."""
    store, name = _place(path)
    store.write(name, data)


def _place(path: str) -> tuple[Store, str]:
    folder, _, name = path.rpartition("/")
    return Store(folder or ("/" if path.startswith("/") else ".")), name
