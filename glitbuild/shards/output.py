"""Where a command may write: never over what it reads, one writer at a time, each file whole."""

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
"""Protocols by which fsspec reaches the same files as by another."""


@dataclass(frozen=True, slots=True)
class Location:
    """A file or a directory, which may not exist, so that two spellings of one can be told to be the same.

    Attributes:
        protocol: of fsspec; ``file`` for this machine's disks.
        path: without links and ``..``; on object stores without doubled slashes too.
    """

    protocol: str
    path: str

    @classmethod
    def of(cls, spec: str) -> "Location":
        """Return the location of a path or an fsspec URL, of a chain of URLs that of the last."""
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
        """Return whether another is this one, or lies in it."""
        if self.protocol != other.protocol:
            return False
        if other.path == self.path or other.path.startswith(self.path.rstrip("/") + "/"):
            return True
        return self.protocol == "file" and _contains_by_inode(self.path, other.path)


def refuse_overlap(inputs: Iterable[str], out: str, option: str = "--out") -> None:
    """Refuse a dataset directory to write whose files are, or would lie among, those of an input.

    An input elsewhere in the directory is fine, such as its subfolder ``photos``; and so is a directory that
    lies in a folder of pictures.

    Args:
        inputs: paths and fsspec URLs of files and directories; names that are neither are passed over.
        out: the dataset directory, same as above.
        option: the option that names it.

    Raises:
        ConfigError: names the input and how the two overlap.
    """
    target = Location.of(out)
    for spec in inputs:
        for place in _places(spec):
            if problem := _problem(place, target):
                raise ConfigError(f"{option} {out}", problem.format(spec), FIX)


def refuse_read_file(datasets: Iterable[str], files: Iterable[str], file: str, option: str = "--out") -> None:
    """Refuse a file to write that is about to be read.

    Args:
        datasets: dataset directories that are about to be read.
        files: other files that are, as paths or fsspec URLs.
        file: the file to write, same as above.
        option: the option that names it.

    Raises:
        ConfigError: names what is to be read.
    """
    target = Location.of(file)
    for spec in files:
        if target.contains(Location.of(spec)):
            raise ConfigError(f"{option} {file}", f"it is {spec}, which is about to be read", "choose another file")
    for spec in datasets:
        if target.contains(Location.of(spec)) or _is_own(target, Location.of(spec)):
            raise ConfigError(f"{option} {file}", f"it is a file of the dataset {spec}, the input", FIX)


def refuse_inside(inputs: Iterable[str], folder: str, option: str = "--out") -> None:
    """Refuse a folder to write that may be removed as a whole, and an input is the folder or lies in it.

    Args:
        inputs: paths and fsspec URLs of files and directories.
        folder: a local path.
        option: the option that names it.

    Raises:
        ConfigError: names the input.
    """
    target = Location.of(folder)
    for spec in inputs:
        place = Location.of(spec)
        if target.contains(place) or _is_own(target, place):
            raise ConfigError(f"{option} {folder}", f"it holds {spec}, which is about to be read", FIX)


def _problem(place: Location, target: Location) -> str:
    """Return how an input and a dataset directory to write overlap; nothing where they don't."""
    if place.contains(target) and target.contains(place):
        return "it is the input {} itself"
    if _is_own(place, target):
        return "its own files would take the place of the input {}"
    if _is_own(target, place):
        return "it lies among the files of the input {}"
    return ""


def _is_own(place: Location, dataset: Location) -> bool:
    """Return whether something is one of the files that a dataset directory may hold, or lies among them."""
    return any((dataset / name).contains(place) for name in (*FOLDERS, MANIFEST, FIRST_SIZES))


def _places(spec: str) -> Iterable[Location]:
    """Yield where an input lies, and where the shards lie that links in it lead to."""
    try:
        place = Location.of(spec)
    except (ImportError, ValueError):  # an unknown protocol, which opening the input reports
        return
    if place.protocol != "file":
        yield place
        return
    if not os.path.exists(place.path):  # noqa: PTH110 - the name of a dataset on the Hub, perhaps
        return
    yield place
    for folder in (Path(place.path), Path(place.path, "shards")):
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            links = [entry.path for entry in entries if entry.is_symlink()]
        # Only what a dataset directory may hold can be written over.
        real = (os.path.realpath(link) for link in links)
        yield from (Location("file", path) for path in real if shard_of("/".join(path.split("/")[-2:])))


def _contains_by_inode(folder: str, path: str) -> bool:
    """Compare by device and inode: file systems may ignore case, and show one folder in several places."""
    try:
        wanted = _identity(folder)
    except OSError:
        return False
    while True:
        try:
            if _identity(path) == wanted:
                return True
        except OSError:
            pass  # it isn't there yet, but the folder it will be in may be
        parent = os.path.dirname(path)  # noqa: PTH120 - also of what is no path of this platform
        if parent == path:
            return False
        path = parent


def _identity(path: str) -> tuple[Any, Any]:
    status = os.stat(path)  # noqa: PTH116
    return status.st_dev, status.st_ino


LOCK = ".lock"
"""Lies in a directory while a command writes there; the kernel drops the lock with the process that holds it."""


@contextmanager
def writing(store: Store, option: str = "--out") -> Iterator[None]:
    """Keep a dataset directory for this command alone; see ``locked``.

    Object stores have no locks: there, only whether the directory can be written to is checked.

    Raises:
        ConfigError: it can't be written to, or another run is writing there.
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
    """Keep a local directory for this process alone while the block runs.

    The directory is made if it is missing. If the block leaves it empty, because it failed before it wrote
    anything, every directory that was made for it is removed again.

    Args:
        folder: the directory.
        name: what the user calls it, for messages.
        option: the option that names it.

    Raises:
        ConfigError: it can't be written to, or another process holds it.
    """
    from filelock import FileLock, Timeout

    missing = [path for path in (folder, *folder.parents) if not path.exists()]  # the deepest first
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        fix = f"wait until it has ended, or choose another {option}"
        raise ConfigError(name, "another run is writing here", fix) from error
    except OSError as error:
        _remove_empty(missing)
        reason = error.strerror or str(error)
        raise ConfigError(name, f"can't be written to ({reason})", f"choose another {option}") from error
    try:
        yield
    finally:
        # Removed while it is held: a process that has opened it already sees that its name is gone.
        with suppress(OSError):
            (folder / LOCK).unlink()
        lock.release()
        _remove_empty(missing)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders as long as they are empty, the deepest first."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def check_writable(
    path: str, datasets: Iterable[str] = (), files: Iterable[str] = (), option: str = "--out"
) -> None:
    """Prove before any work is done that a file can be written; nothing of the proof remains.

    Args:
        path: a local path or an fsspec URL.
        datasets: dataset directories that are about to be read; the file must not be one of theirs.
        files: others that are about to be read; the file must be none of them.
        option: the option that names the file.

    Raises:
        ConfigError: it can't.
    """
    store, name = _place(path)
    refuse_read_file(datasets, files, path, option)
    try:
        if os.path.isdir(path):  # noqa: PTH112 - a URL is no Path
            raise IsADirectoryError(0, "it is a folder")
        store.probe(f".{name}.probe")
    except Exception as error:  # of any file system
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ConfigError(path, f"can't be written to ({reason})", "choose another file") from error


def write_file(path: str, data: bytes) -> None:
    """Write a file that appears when it is whole."""
    store, name = _place(path)
    store.write(name, data)


def _place(path: str) -> tuple[Store, str]:
    folder, _, name = path.rpartition("/")
    return Store(folder or ("/" if path.startswith("/") else ".")), name
