"""Read a shard back: its samples with their JPEGs, and its skipped rows.

There is one rule for all who read: a shard is used only if it is the one that the manifest lists, by its SHA-256,
and a file beside it only if it is the one in the sidecar. Who reads a shard to its end through ``read_shard`` has
it compared on the way; who reads single samples calls ``check_shards`` first, or has a ``ShardCache`` do it.
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

REMEDY = "remove the shard's sidecar and run the command that made it again"
VALIDATE = "see glitbuild validate for what else is wrong, and make the shard again"


def read_shard(store: Store, shard: str, sha256: str) -> Iterator[tuple[Sample, bytes]]:
    """Yield the samples of a shard with their JPEGs, in order; one of them is in memory at a time.

    Args:
        store: the dataset directory.
        shard: the shard's name.
        sha256: what the manifest says of the tar; checked when its end is reached, so read on to the end.

    Raises:
        DatasetError: the tar is damaged or not the one in the manifest, or its members are not KEY.jpg
            followed by KEY.json and perhaps KEY.txt.
    """
    for raw in read_members(store, shard, sha256):
        try:
            sample = Sample.from_json(raw.record)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(store, shard, f"a record doesn't fit the schema ({error!r})") from error
        yield sample, raw.jpeg


def read_members(store: Store, shard: str, sha256: str) -> Iterator[RawSample]:
    """Yield each sample of a shard as the content of its members; see ``read_shard``."""
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
    """Return where each sample of a shard lies, in order: as its sidecar says or, in ``glit/1``, the tar's headers.

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
    """Return one sample and its JPEG by a single read of a range of bytes, locally and from object stores.

    The picture is compared with the SHA-256 in the record; that the record is the manifest's is seen by
    ``check_shards`` and by ``read_shard`` alone.

    Args:
        store: the dataset directory.
        shard: the shard's name.
        members: an entry of ``read_index``.

    Raises:
        DatasetError: the tar has something else there.
    """
    try:
        return members.unpack(store.read_range(tar_path(shard), *members.span))
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise _damaged(store, shard, f"sample {members.key} can't be read ({error})") from error


class _HashingReader:
    """A file being read once, from start to end, that knows the hash of all that was read."""

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
    """See that all shards are those that the manifest lists, by the SHA-256 of their tars.

    Args:
        store: the dataset directory.
        entries: the manifest's ``shards``.

    Raises:
        DatasetError: names the first shard that is another one, or is missing.
    """
    check_files(store, {tar_path(entry.name): StoredFile(entry.bytes, entry.sha256) for entry in entries})


def check_files(
    store: Store, files: Mapping[str, StoredFile], progress: Callable[[int], None] = lambda count: None
) -> None:
    """See that files are those that were written; all of them are read, several at a time.

    Args:
        store: the dataset directory.
        files: what is known of each, by its path in the directory.
        progress: called with 1 for each file that is checked.

    Raises:
        DatasetError: names the first file, in their order, that is another one, or is missing.
    """
    # Hashing releases the interpreter, so threads are as fast as processes.
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 16))
    try:
        found = pool.map(lambda name: store.stored(name) if store.exists(name) else None, files)
        for (name, written), stored in zip(files.items(), found, strict=True):
            if stored is None:
                raise DatasetError(store.path(name), "missing", VALIDATE)
            if stored.bytes != written.bytes:
                why = f"it has {stored.bytes:,} bytes and not {written.bytes:,}"
                raise DatasetError(store.path(name), why, VALIDATE)
            if stored.sha256 != written.sha256:
                why = "its content is not the one that was written (SHA-256)"
                raise DatasetError(store.path(name), why, VALIDATE)
            progress(1)
    finally:
        pool.shutdown(cancel_futures=True)


def read_listed(store: Store, shard: str, path: str) -> bytes:
    """Return a file beside a shard, such as its rows of truth.

    Args:
        store: the dataset directory.
        shard: the shard's name.
        path: of the file, below the dataset directory.

    Raises:
        DatasetError: it is missing, or not the one that the shard's sidecar lists.
    """
    sidecar = Sidecar.read(store, shard)
    if sidecar is None or path not in sidecar.files or not store.exists(path):
        raise DatasetError(store.path(path), "missing", REMEDY)
    data = store.read(path)
    if hashlib.sha256(data).hexdigest() != sidecar.files[path].sha256:
        raise DatasetError(store.path(path), "its SHA-256 is not the one in the sidecar", REMEDY)
    return data


def read_skipped(store: Store, shard: str) -> Iterator[Skip]:
    """Yield the inputs that are not in a shard.

    Raises:
        DatasetError: the file is missing or a row doesn't fit the schema.
    """
    path = skipped_path(shard)
    try:
        with store.open(path) as file:
            for line in file:
                yield Skip.from_json(line)
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            store.path(path), repr(error), "remove the shard's sidecar and run the command again"
        ) from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    data = file.read() if file else b""
    if len(data) != member.size:
        raise tarfile.ReadError(f"{member.name} is cut off")
    return data


def _damaged(store: Store, shard: str, why: str) -> DatasetError:
    return DatasetError(store.path(tar_path(shard)), why, REMEDY)
