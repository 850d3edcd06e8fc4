"""Shards of a remote dataset on this machine's disk: fetched ahead, checked, shared by all training processes."""

import errno
import fcntl
import json
import os
import re
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from glitbuild.errors import ConfigError, DatasetError, GlitbuildError, TrainingError
from glitbuild.shards.layout import tar_path
from glitbuild.shards.manifest import ShardEntry
from glitbuild.shards.output import LOCK
from glitbuild.shards.reader import VALIDATE, read_members
from glitbuild.shards.sidecar import Members
from glitbuild.shards.store import HashingFile, Store, StoredFile
from glitbuild.stages.train.plan import BLOCK, Place, Plan

CACHED = re.compile(r"[0-9a-f]{64}\.tar|[0-9a-f]{64}-[0-9a-f]{64}\.json")
PART = re.compile(rf"(?:{CACHED.pattern})\.(\d+)\.part")
"""A file that is being written, with the most bytes that it will have."""

BYTES_PER_MEMBERS = 128
"""Room for a sample in an index."""

AGAIN = "run the same command again to resume from the last checkpoint"


CACHE_SIZE = "50GB"
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)(I?)B?", re.IGNORECASE)


def cache_folder(given: str | None) -> Path:
    """Return the folder of the cache; by default where this user's programs keep such things."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "glitbuild", "shards")
    return Path(given or default).expanduser().absolute()


def size_in_bytes(given: str | None) -> int:
    """Return a size such as ``500MB`` in bytes; a number without a unit means gigabytes. 0 if it is not a size."""
    match = SIZE.fullmatch(str(given or CACHE_SIZE).strip())
    if not match:
        return 0
    number, unit, binary = match.groups()
    power = "KMGT".index(unit.upper()) + 1 if unit else 0 if match[0][-1] in "Bb" else 3
    return int(float(number) * (1024 if binary else 1000) ** power)


@dataclass(frozen=True, slots=True)
class ShardCache:
    """A folder of shards, named after their SHA-256.

    Whoever reads a file there, or will soon, holds a shared lock on it, and whoever writes or removes one an
    exclusive lock. The kernel drops the locks of a process that dies, so what such a process left half written
    is known by its name and its missing lock.

    Attributes:
        folder: absolute.
        limit: bytes that the files may have together.
    """

    folder: Path
    limit: int

    def prepare(self, store: Store, entries: Sequence[ShardEntry]) -> None:
        """Make the folder, and find out before the training whether the shards are there and fit.

        Raises:
            ConfigError: the folder can't be written to, or the largest shard is larger than the limit.
            DatasetError: names the first shard that is missing or has another size.
        """
        if (largest := max(entries, key=lambda entry: entry.bytes)).bytes > self.limit:
            why = f"shard {largest.name} of {store} has {largest.bytes:,} bytes and the limit is {self.limit:,}"
            raise ConfigError("--cache-size", why, "give more")
        sizes = store.sizes("shards")
        for path, entry in ((tar_path(entry.name), entry) for entry in entries):
            if path not in sizes:
                raise DatasetError(store.path(path), "missing", VALIDATE)
            if sizes[path] != entry.bytes:
                raise DatasetError(
                    store.path(path), f"it has {sizes[path]:,} bytes and not {entry.bytes:,}", VALIDATE
                )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room()
        except OSError as error:
            why = f"can't be written to ({error.strerror or error})"
            raise ConfigError(f"--cache {self.folder}", why, "choose another folder") from error

    def whole(self, block: Iterable[int], entries: Sequence[ShardEntry]) -> frozenset[int]:
        """Return which shards of a block are kept whole; the others' samples are read one by one.

        Each byte that an epoch needs is moved once at most, whatever the limit: a shard that is kept stays until
        its block is over, as two blocks, one being trained on and the next being fetched, fit together.
        """
        one_set = len(entries) <= BLOCK or sum(entry.bytes for entry in entries) <= self.limit
        room, kept = self.limit if one_set else self.limit // 2, set()
        for number in sorted(block):  # the same ones in every epoch, where the epoch is one block
            if entries[number].bytes <= room:
                room -= entries[number].bytes
                kept.add(number)
        return frozenset(kept)

    def open(self, store: Store, entry: ShardEntry) -> IO[bytes] | None:
        """Return a shard's tar, fetched if need be, or None if there is no room; it stays until it is closed.

        Raises:
            DatasetError: the shard is not the manifest's, or can't be read.
            TrainingError: the disk is full.
        """
        path = self.folder / f"{entry.sha256}.tar"
        while True:
            if file := _locked(path, "rb", fcntl.LOCK_SH):
                with suppress(PermissionError):  # another user's
                    os.utime(file.fileno())
                return file
            if not self._obtain(path, entry.bytes, lambda file: _fetch(store, entry, file)):
                return None

    def index(self, store: Store, entry: ShardEntry) -> Sequence[Members]:
        """Return where the samples of a shard lie that is read by ranges; it is checked first, by reading it once.

        That is remembered together with the store's mark of the object's version, which another upload changes.

        Raises:
            DatasetError: the shard is not the manifest's, or can't be read.
            TrainingError: the cache, or its disk, is full.
        """
        path = self.folder / f"{entry.sha256}-{store.version(tar_path(entry.name))}.json"
        while True:
            if file := _locked(path, "rb", fcntl.LOCK_SH):
                with file:
                    return [Members(*members) for members in json.load(file)]
            if not self._obtain(path, entry.samples * BYTES_PER_MEMBERS, lambda file: _scan(store, entry, file)):
                raise TrainingError(str(self.folder), "there is no room for an index", "give more --cache-size")

    def _obtain(self, path: Path, size: int, write: Callable[[IO[bytes]], None]) -> bool:
        """Have a file written by one process while others that want it wait; return False if there is no room."""
        part = path.with_name(f"{path.name}.{size}.part")
        file = _locked(part, "a+b", fcntl.LOCK_EX | fcntl.LOCK_NB)
        if file is None:
            # Not for an exclusive lock: when the file is whole, it is the one that its readers have locked.
            if waited := _locked(part, "rb", fcntl.LOCK_SH):
                waited.close()
            return True
        with file:
            try:
                if path.exists():
                    part.unlink()
                    return True
                if not self._make_room():
                    part.unlink()
                    return False
                file.truncate(0)
                write(file)
                file.flush()
                os.fsync(file.fileno())
                part.replace(path)
            except BaseException as error:
                part.unlink(missing_ok=True)
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    why = "the disk is full"
                    fix = "free some of it, or give a smaller --cache-size or another --cache"
                    raise TrainingError(str(self.folder), why, fix) from error
                raise
        return True

    def _make_room(self) -> bool:
        """Remove what killed processes left and, if need be, files that nobody uses, the least recently used first.

        Return whether the files, and those being written as if they were whole, are within the limit.
        """
        from filelock import FileLock

        with FileLock(self.folder / LOCK):
            total, files = 0, []
            for path in self.folder.iterdir():
                if (part := PART.fullmatch(path.name)) and not _remove_unused(path):
                    total += int(part[1])
                elif CACHED.fullmatch(path.name):
                    with suppress(FileNotFoundError):
                        status = path.stat()
                        total += status.st_size
                        files.append((status.st_mtime_ns, status.st_size, path))
            for _, size, path in sorted(files):
                if total <= self.limit:
                    break
                if _remove_unused(path):
                    total -= size
            return total <= self.limit


def _locked(path: Path, mode: str, how: int) -> IO[bytes] | None:
    """Open and lock a file; None if it isn't there, not any more once it is locked, or not to be waited for."""
    try:
        file = cast(IO[bytes], path.open(mode))
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, how)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _remove_unused(path: Path) -> bool:
    """Remove a file unless somebody has locked it; return whether it is gone."""
    with suppress(PermissionError):  # another user's
        if file := _locked(path, "r+b", fcntl.LOCK_EX | fcntl.LOCK_NB):
            with file:
                path.unlink()
    return not path.exists()


def _fetch(store: Store, entry: ShardEntry, file: IO[bytes]) -> None:
    """Copy a shard's tar, read once from start to end, and see that it is the manifest's."""
    where, copy = store.path(tar_path(entry.name)), HashingFile(file)
    try:
        with store.open(tar_path(entry.name)) as source:
            shutil.copyfileobj(source, copy, 1 << 20)
    except FileNotFoundError as error:
        raise DatasetError(where, "missing", VALIDATE) from error
    except Exception as error:  # every driver has errors of its own
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DatasetError(where, f"can't be read ({error or type(error).__name__})", AGAIN) from error
    if copy.stored != StoredFile(entry.bytes, entry.sha256):
        raise DatasetError(where, "its SHA-256 is not the one in the manifest", VALIDATE)


def _scan(store: Store, entry: ShardEntry, file: IO[bytes]) -> None:
    """Write where the samples of a shard lie, and see that it is the manifest's, all in one pass."""
    index = [raw.members.to_list() for raw in read_members(store, entry.name, entry.sha256)]
    file.write(json.dumps(index, separators=(",", ":")).encode())


THREADS = 4
"""Shards that are fetched at the same time."""

SECONDS_BETWEEN_TRIES = 1.0


class Ahead:
    """Fetches the block that is being trained on and the next one, in threads of its own.

    Threads don't survive a fork, so it begins only when it is told where the training begins.

    Args:
        url: of the dataset directory.
        entries: the manifest's ``shards``.
        plan: the order of the training.
        epochs: of the training.
        cache: of the shards.
    """

    def __init__(self, url: str, entries: Sequence[ShardEntry], plan: Plan, epochs: int, cache: ShardCache) -> None:
        self._url, self._entries, self._plan, self._cache = url, entries, plan, cache
        self._end = plan.blocks * epochs
        self._changed = threading.Condition()
        self._current = -1
        self._held: dict[int, list[IO[bytes]]] = defaultdict(list)

    def reach(self, place: Place) -> None:
        """Be told that all batches before the one that begins here are done with."""
        block = self._plan.block(place)
        begins = self._current < 0
        with self._changed:
            for earlier in [number for number in self._held if number < block]:
                _close(self._held.pop(earlier))
            self._current = block
            self._changed.notify_all()
        if begins:
            self._shards = self._ahead(block)
            for _ in range(THREADS):
                # Daemons: a process that ends doesn't wait for what it no longer needs.
                threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Let go of all shards, and fetch no more than what is being fetched."""
        with self._changed:
            self._current = self._end
            for files in self._held.values():
                _close(files)
            self._held.clear()
            self._changed.notify_all()

    def _ahead(self, first: int) -> Iterator[tuple[int, int]]:
        for block in range(first, self._end):
            for number in sorted(self._cache.whole(self._plan.shards(block), self._entries)):
                yield block, number

    def _run(self) -> None:
        store = Store(self._url)
        while True:
            with self._changed:
                block, number = next(self._shards, (self._end, 0))
                self._changed.wait_for(lambda block=block: block <= self._current + 1)  # type: ignore[misc]
            if block >= self._end or self._current >= self._end:
                return
            self._hold(block, number, store)

    def _hold(self, block: int, number: int, store: Store) -> None:
        """Have a shard and keep it open; where other runs leave no room, until they do or its block is over."""
        while self._current <= block:
            try:
                file = self._cache.open(store, self._entries[number])
            except GlitbuildError:
                return  # who needs the shard meets the same error, and says it
            with self._changed:
                if file and self._current <= block:
                    self._held[block].append(file)
                    return
                if file:
                    file.close()
                self._changed.wait(SECONDS_BETWEEN_TRIES)


def _close(files: list[IO[bytes]]) -> None:
    for file in files:
        file.close()
