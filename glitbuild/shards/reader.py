"""Reading shards: samples with their JPEGs, and skipped rows.

All readers follow one rule: a shard is used only if its SHA-256 matches the manifest, and any other file only if
its SHA-256 matches the sidecar. ``read_shard`` verifies a shard while it is read to its end; code that reads single
samples calls ``check_shards`` first, or uses a ``ShardCache``, which does so.
"""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, cast

from glitbuild.errors import DatasetError
from glitbuild.records import Sample, Skip
from glitbuild.shards.layout import sidecar_path, skipped_path, tar_path
from glitbuild.shards.sidecar import Members, RawSample, Sidecar, group, scan
from glitbuild.shards.store import Store, StoredFile

if TYPE_CHECKING:
    from glitbuild.shards.manifest import ShardEntry

REMEDY = "remove the shard's sidecar and rerun the command that made it"
VALIDATE = "run glitbuild validate to see what else is wrong, and remake the shard"


def read_shard(store: Store, shard: str, sha256: str) -> Iterator[tuple[Sample, bytes]]:
    """Yield the samples of a shard with their JPEGs, in order; only one is in memory at a time.

    Args:
        store: dataset directory.
        shard: name of the shard.
        sha256: SHA-256 of the tar from the manifest; compared at the end of the tar, so read it to its end.

    Raises:
        DatasetError: the tar is damaged or doesn't match the manifest, or its members are not KEY.jpg followed by
            KEY.json and optionally KEY.txt.
    """
    for raw in read_members(store, shard, sha256):
        try:
            sample = Sample.from_json(raw.record)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(store, shard, f"a record doesn't conform to the schema ({error!r})") from error
        yield sample, raw.jpeg


def read_members(store: Store, shard: str, sha256: str) -> Iterator[RawSample]:
    """Yield the samples of a shard as the raw contents of their members; see ``read_shard``."""
    try:
        with store.open(tar_path(shard)) as raw:
            file = _HashingReader(raw)
            with tarfile.open(fileobj=cast(IO[bytes], file), mode="r|") as tar:
                yield from group((member, _content(tar, member)) for member in tar)
            if file.sha256_of_all() != sha256:
                raise _damaged(store, shard, "its SHA-256 is not the one in the manifest")
    except (tarfile.TarError, EOFError, FileNotFoundError) as error:
        raise _damaged(store, shard, str(error) or type(error).__name__) from error


def read_index(store: Store, shard: str) -> Sequence[Members]:
    """Return the position of each sample in a shard, in order, from its sidecar or (``glit/1``) the tar's headers.

    Raises:
        DatasetError: the shard is not finished, or its tar is damaged.
    """
    sidecar = Sidecar.read(store, shard)
    if sidecar is None:
        raise DatasetError(store.path(sidecar_path(shard)), "missing", REMEDY)
    if sidecar.members is not None:
        return sidecar.members
    try:
        with store.open(tar_path(shard)) as file:
            return scan(file)
    except (tarfile.TarError, FileNotFoundError) as error:
        raise _damaged(store, shard, str(error) or type(error).__name__) from error


def read_sample(store: Store, shard: str, members: Members) -> tuple[Sample, bytes]:
    """Return one sample and its JPEG with a single range read, locally and from object stores.

    The image is verified against the SHA-256 in its record; only ``check_shards`` and ``read_shard`` verify the
    record itself against the manifest.

    Args:
        store: dataset directory.
        shard: name of the shard.
        members: entry of ``read_index``.

    Raises:
        DatasetError: the sample is not at this position in the tar.
    """
    try:
        return members.unpack(store.read_range(tar_path(shard), *members.span))
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise _damaged(store, shard, f"sample {members.key} can't be read ({error})") from error


class _HashingReader:
    """A file that is read once from start to end, hashing everything that is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def sha256_of_all(self) -> str:
        while self.read(1 << 20):
            pass
        return self._hash.hexdigest()


def check_shards(store: Store, entries: Sequence["ShardEntry"]) -> None:
    """Verify all shards against the manifest by the SHA-256 of their tars.

    Args:
        store: dataset directory.
        entries: the manifest's ``shards``.

    Raises:
        DatasetError: a shard is missing or doesn't match; the message names the first one.
    """
    check_files(store, {tar_path(entry.name): StoredFile(entry.bytes, entry.sha256) for entry in entries})


def check_files(
    store: Store, files: Mapping[str, StoredFile], progress: Callable[[int], None] = lambda count: None
) -> None:
    """Verify that files are those that were written; all of them are read completely, several in parallel.

    Args:
        store: dataset directory.
        files: expected size and hash of each file, by its path in the directory.
        progress: callback that gets 1 for each file that is checked.

    Raises:
        DatasetError: a file is missing or doesn't match; the message names the first one in the given order.
    """
    # Hashing releases the interpreter lock, so threads are as fast as processes.
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 16))
    try:
        found = pool.map(lambda name: store.stored(name) if store.exists(name) else None, files)
        for (name, written), stored in zip(files.items(), found, strict=True):
            if stored is None:
                raise DatasetError(store.path(name), "missing", VALIDATE)
            if stored.bytes != written.bytes:
                why = f"it has {stored.bytes:,} bytes instead of {written.bytes:,}"
                raise DatasetError(store.path(name), why, VALIDATE)
            if stored.sha256 != written.sha256:
                why = "its content is not the one that was written (SHA-256)"
                raise DatasetError(store.path(name), why, VALIDATE)
            progress(1)
    finally:
        pool.shutdown(cancel_futures=True)


def read_listed(store: Store, shard: str, path: str) -> bytes:
    """Return the content of a shard's additional file, such as its ground truth.

    Args:
        store: dataset directory.
        shard: name of the shard.
        path: path of the file, relative to the dataset directory.

    Raises:
        DatasetError: the file is missing, or doesn't match the shard's sidecar.
    """
    sidecar = Sidecar.read(store, shard)
    if sidecar is None or path not in sidecar.files or not store.exists(path):
        raise DatasetError(store.path(path), "missing", REMEDY)
    data = store.read(path)
    if hashlib.sha256(data).hexdigest() != sidecar.files[path].sha256:
        raise DatasetError(store.path(path), "its SHA-256 is not the one in the sidecar", REMEDY)
    return data


def read_skipped(store: Store, shard: str) -> Iterator[Skip]:
    """Yield the skipped rows of a shard.

    Raises:
        DatasetError: the file is missing, or a row doesn't conform to the schema.
    """
    path = skipped_path(shard)
    try:
        with store.open(path) as file:
            for line in file:
                yield Skip.from_json(line)
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            store.path(path), repr(error), "remove the shard's sidecar and rerun the command"
        ) from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    data = file.read() if file else b""
    if len(data) != member.size:
        raise tarfile.ReadError(f"{member.name} is cut off")
    return data


def _damaged(store: Store, shard: str, why: str) -> DatasetError:
    return DatasetError(store.path(tar_path(shard)), why, REMEDY)
