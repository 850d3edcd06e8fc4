"""Read a shard back: its samples with their JPEGs, and its skipped rows."""

import hashlib
import tarfile
from collections.abc import Iterator
from typing import IO, cast

from glitbuild.errors import DatasetError
from glitbuild.records import Sample, Skip
from glitbuild.shards.layout import skipped_path, tar_path
from glitbuild.shards.store import Store


def read_shard(store: Store, shard: str, sha256: str | None = None) -> Iterator[tuple[Sample, bytes]]:
    """Yield the samples of a shard with their JPEGs, in order; one of them is in memory at a time.

    Args:
        store: the dataset directory.
        shard: the shard's name.
        sha256: what the manifest says of the tar; checked when its end is reached.

    Raises:
        DatasetError: the tar is damaged or not the one in the manifest, or its members are not KEY.jpg
            followed by KEY.json.
    """
    for _, jpeg, record in read_members(store, shard, sha256):
        try:
            sample = Sample.from_json(record)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(store, shard, f"a record doesn't fit the schema ({error!r})") from error
        yield sample, jpeg


def read_members(store: Store, shard: str, sha256: str | None = None) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield each sample of a shard as its members' KEY and their bytes, JPEG and JSON; see ``read_shard``."""
    try:
        with store.open(tar_path(shard)) as raw:
            file = _HashingReader(raw)
            yield from _members(store, shard, file)
            if sha256 is not None and file.sha256_of_all() != sha256:
                raise _damaged(store, shard, "its SHA-256 is not the one in the manifest")
    except (tarfile.TarError, EOFError, FileNotFoundError) as error:
        raise _damaged(store, shard, str(error) or type(error).__name__) from error


def _members(store: Store, shard: str, file: "_HashingReader") -> Iterator[tuple[str, bytes, bytes]]:
    with tarfile.open(fileobj=cast(IO[bytes], file), mode="r|") as tar:
        members = iter(tar)
        for image in members:
            jpeg = _content(tar, image)
            record = next(members, None)
            stem = image.name.removesuffix(".jpg")
            if image.name == stem or record is None or record.name != f"{stem}.json":
                raise _damaged(store, shard, f"{image.name} is not a KEY.jpg followed by its KEY.json")
            yield stem, jpeg, _content(tar, record)


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
    fix = "remove the shard's sidecar and run the command that made it again"
    return DatasetError(store.path(tar_path(shard)), why, fix)
