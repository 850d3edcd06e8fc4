"""Local disk cache for the shards of a remote dataset: prefetched, verified, shared by all training processes."""

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
from glitbuild.stages.train.plan import Place, Plan
from glitbuild.stages.train.sources import Source, SourceShard, shards_of

CACHED = re.compile(r"[0-9a-f]{64}\.tar|[0-9a-f]{64}-[0-9a-f]{64}\.json")
PART = re.compile(rf"(?:{CACHED.pattern})\.(\d+)\.part")
"""Name of a file that is being written, with an upper bound of its final size in bytes."""

BYTES_PER_MEMBERS = 128
"""Space reserved per sample in an index."""

AGAIN = "run the same command again to resume from the last checkpoint"


CACHE_SIZE = "50GB"
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)(I?)B?", re.IGNORECASE)


def cache_folder(given: str | None) -> Path:
    """Return the cache folder; the default follows the XDG convention for user caches."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "glitbuild", "shards")
    return Path(given or default).expanduser().absolute()


def size_in_bytes(given: str | None) -> int:
    """Return a size such as ``500MB`` in bytes, or 0 if it is not a size. Without a unit it is in gigabytes."""
    match = SIZE.fullmatch(str(given or CACHE_SIZE).strip())
    if not match:
        return 0
    number, unit, binary = match.groups()
    power = "KMGT".index(unit.upper()) + 1 if unit else 0 if match[0][-1] in "Bb" else 3
    return int(float(number) * (1024 if binary else 1000) ** power)


@dataclass(frozen=True, slots=True)
class ShardCache:
    """A folder of shards, named after their SHA-256.

    Every process that reads a file there, or will soon, holds a shared lock on it; a process that writes or
    removes one holds an exclusive lock. The kernel releases the locks of a process that dies, so a partial file
    is recognised by its name and the absence of a lock.

    Attributes:
        folder: absolute path of the cache.
        limit: largest total size of the files in bytes.
    """

    folder: Path
    limit: int

    def prepare(self, store: Store, entries: Sequence[ShardEntry]) -> None:
        """Create the folder, and check before the training that the shards exist and fit.

        Raises:
            ConfigError: the folder can't be written to, or the largest shard exceeds the limit.
            DatasetError: a shard is missing or has another size; the error names the first one.
        """
        if (largest := max(entries, key=lambda entry: entry.bytes)).bytes > self.limit:
            why = f"shard {largest.name} of {store} has {largest.bytes:,} bytes, but the limit is {self.limit:,}"
            raise ConfigError("--cache-size", why, "give a larger size")
        sizes = store.sizes("shards")
        for path, entry in ((tar_path(entry.name), entry) for entry in entries):
            if path not in sizes:
                raise DatasetError(store.path(path), "missing", VALIDATE)
            if sizes[path] != entry.bytes:
                raise DatasetError(
                    store.path(path), f"it has {sizes[path]:,} bytes instead of {entry.bytes:,}", VALIDATE
                )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room()
        except OSError as error:
            why = f"can't be written to ({error.strerror or error})"
            raise ConfigError(f"--cache {self.folder}", why, "choose another folder") from error

    def whole(self, block: Iterable[int], shards: Sequence[SourceShard], blocks: int) -> frozenset[int]:
        """Return the shards of a block that are read as a whole; samples of the others are read one by one.

        Each byte that a block needs is transferred at most once, whatever the limit: a cached shard stays until
        its block is over, because two blocks (the one being trained on and the next one) fit together. Local
        shards need no room.

        Args:
            block: numbers of the shards of the block.
            shards: all shards of the training.
            blocks: number of blocks per epoch.
        """
        one_set = blocks == 1 or sum(shard.remote_bytes for shard in shards) <= self.limit
        room, kept = self.limit if one_set else self.limit // 2, set()
        for number in sorted(block):  # sorted: the same shards in every epoch if an epoch is one block
            if shards[number].remote_bytes <= room:
                room -= shards[number].remote_bytes
                kept.add(number)
        return frozenset(kept)

    def open(self, store: Store, entry: ShardEntry) -> IO[bytes] | None:
        """Return a shard's tar, downloaded if necessary, or None if there is no room; it stays until it is closed.

        Raises:
            DatasetError: the shard doesn't match the manifest, or can't be read.
            TrainingError: the disk is full.
        """
        path = self.folder / f"{entry.sha256}.tar"
        while True:
            if file := _locked(path, "rb", fcntl.LOCK_SH):
                with suppress(PermissionError):  # the file belongs to another user
                    os.utime(file.fileno())
                return file
            if not self._obtain(path, entry.bytes, lambda file: _fetch(store, entry, file)):
                return None

    def index(self, store: Store, entry: ShardEntry) -> Sequence[Members]:
        """Return where the samples of a shard are that is read by range requests; the shard is verified first.

        Verifying means reading it once. The result is stored under the object's version, which another upload
        changes.

        Raises:
            DatasetError: the shard doesn't match the manifest, or can't be read.
            TrainingError: the cache, or its disk, is full.
        """
        path = self.folder / f"{entry.sha256}-{store.version(tar_path(entry.name))}.json"
        while True:
            if file := _locked(path, "rb", fcntl.LOCK_SH):
                with file:
                    return [Members(*members) for members in json.load(file)]
            if not self._obtain(path, entry.samples * BYTES_PER_MEMBERS, lambda file: _scan(store, entry, file)):
                raise TrainingError(
                    str(self.folder), "no room for an index of a shard", "give a larger --cache-size"
                )

    def _obtain(self, path: Path, size: int, write: Callable[[IO[bytes]], None]) -> bool:
        """Have one process write a file while others that want it wait; return False if there is no room."""
        part = path.with_name(f"{path.name}.{size}.part")
        file = _locked(part, "a+b", fcntl.LOCK_EX | fcntl.LOCK_NB)
        if file is None:
            # A shared lock suffices: once the file is complete, it is the one that its readers have locked.
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
                    fix = "free some space, or give a smaller --cache-size or another --cache"
                    raise TrainingError(str(self.folder), why, fix) from error
                raise
        return True

    def _make_room(self) -> bool:
        """Remove leftovers of killed processes and, if necessary, unused files, the least recently used first.

        Return whether the files, counting partial ones at their full size, are within the limit.
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
    """Open and lock a file; return None if it doesn't exist, is removed before it is locked, or would block."""
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
    """Remove a file unless another process has locked it; return whether it is gone."""
    with suppress(PermissionError):  # the file belongs to another user
        if file := _locked(path, "r+b", fcntl.LOCK_EX | fcntl.LOCK_NB):
            with file:
                path.unlink()
    return not path.exists()


def _fetch(store: Store, entry: ShardEntry, file: IO[bytes]) -> None:
    """Copy a shard's tar in one sequential read, and verify that it matches the manifest."""
    where, copy = store.path(tar_path(entry.name)), HashingFile(file)
    try:
        with store.open(tar_path(entry.name)) as source:
            shutil.copyfileobj(source, copy, 1 << 20)
    except FileNotFoundError as error:
        raise DatasetError(where, "missing", VALIDATE) from error
    except Exception as error:  # each fsspec driver raises its own errors
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DatasetError(where, f"can't be read ({error or type(error).__name__})", AGAIN) from error
    if copy.stored != StoredFile(entry.bytes, entry.sha256):
        raise DatasetError(where, "its SHA-256 is not the one in the manifest", VALIDATE)


def _scan(store: Store, entry: ShardEntry, file: IO[bytes]) -> None:
    """Write where the samples of a shard are, and verify that it matches the manifest, in one pass."""
    index = [raw.members.to_list() for raw in read_members(store, entry.name, entry.sha256)]
    file.write(json.dumps(index, separators=(",", ":")).encode())


THREADS = 4
"""Number of shards downloaded concurrently."""

SECONDS_BETWEEN_TRIES = 1.0


class Ahead:
    """Prefetches the current block and the next one in background threads.

    Threads don't survive a fork, so it starts only at the first call of ``reach``.

    Args:
        sources: datasets of the training.
        plan: order of the training.
        epochs: number of epochs of the training.
        cache: cache of the shards.
    """

    def __init__(self, sources: Iterable[Source], plan: Plan, epochs: int, cache: ShardCache) -> None:
        self._every, self._plan, self._cache = shards_of(sources), plan, cache
        self._end = plan.blocks * epochs
        self._changed = threading.Condition()
        self._current = -1
        self._held: dict[int, list[IO[bytes]]] = defaultdict(list)

    def reach(self, place: Place) -> None:
        """Note that all batches before the one that begins at this place are done."""
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
                # Daemon threads, so that a process that ends doesn't wait for downloads it no longer needs.
                threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Release all shards, and start no further downloads."""
        with self._changed:
            self._current = self._end
            for files in self._held.values():
                _close(files)
            self._held.clear()
            self._changed.notify_all()

    def _ahead(self, first: int) -> Iterator[tuple[int, int]]:
        for block in range(first, self._end):
            for number in sorted(self._cache.whole(self._plan.shards(block), self._every, self._plan.blocks)):
                if not self._every[number].source.is_local:
                    yield block, number

    def _run(self) -> None:
        while True:
            with self._changed:
                block, number = next(self._shards, (self._end, 0))
                self._changed.wait_for(lambda block=block: block <= self._current + 1)  # type: ignore[misc]
            if block >= self._end or self._current >= self._end:
                return
            self._hold(block, self._every[number])

    def _hold(self, block: int, shard: SourceShard) -> None:
        """Cache a shard and keep it open; if other runs leave no room, retry until they do or its block is over."""
        store = Store(shard.source.url)
        while self._current <= block:
            try:
                file = self._cache.open(store, shard.entry)
            except GlitbuildError:
                return  # reading the shard raises the same error, where it is reported
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
