"""Reads single samples of the current shards, from an open tar or by range requests to a remote one."""

import os
import tarfile
from collections.abc import Iterable, Sequence
from typing import IO

from glitbuild.errors import DatasetError
from glitbuild.records import Sample
from glitbuild.shards.layout import tar_path
from glitbuild.shards.reader import read_sample
from glitbuild.shards.sidecar import Members, scan
from glitbuild.shards.store import Store
from glitbuild.stages.train.cache import AGAIN, ShardCache
from glitbuild.stages.train.plan import Place, Plan
from glitbuild.stages.train.sources import Source, shards_of


class ShardFile:
    """An open shard.

    Args:
        file: local file of its tar.
        where: name of the shard in messages.
        samples: number of samples according to the manifest.

    Raises:
        DatasetError: the tar is damaged, or holds another number of samples.
    """

    def __init__(self, file: IO[bytes], where: str, samples: int) -> None:
        self._file, self._where = file, where
        try:
            self._members = scan(file)
        except (OSError, tarfile.TarError) as error:
            raise self._damaged(str(error) or type(error).__name__) from error
        if len(self._members) != samples:
            raise self._damaged(f"it doesn't hold {samples} samples")

    def read(self, row: int) -> tuple[Sample, bytes]:
        """Return a sample and its JPEG.

        Raises:
            DatasetError: the tar holds another sample there, or none.
        """
        members = self._members[row]
        start, end = members.span
        self._file.seek(start)
        try:
            return members.unpack(self._file.read(end - start))
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(f"sample {members.key} can't be read ({error!r})") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _damaged(self, why: str) -> DatasetError:
        return DatasetError(self._where, why, "run `glitbuild validate`, and make the shard again")


class ShardRanges:
    """A remote shard whose samples are read by one request each.

    Args:
        store: dataset directory.
        shard: name of the shard.
        members: positions of its samples in the tar.
    """

    def __init__(self, store: Store, shard: str, members: Sequence[Members]) -> None:
        self._store, self._shard, self._members = store, shard, members

    def read(self, row: int) -> tuple[Sample, bytes]:
        """Return a sample and its JPEG.

        Raises:
            DatasetError: the tar holds another sample there, or none, or it can't be read.
        """
        try:
            return read_sample(self._store, self._shard, self._members[row])
        except OSError as error:
            where = self._store.path(tar_path(self._shard))
            raise DatasetError(where, f"can't be read ({error or type(error).__name__})", AGAIN) from error


class OpenShards:
    """Reads the samples at places of a plan, and closes the shards of a block after it.

    Args:
        sources: datasets of the training; the shards of local ones have been verified.
        plan: order of the training.
        cache: cache of the shards of remote datasets; None if there are none.
    """

    def __init__(self, sources: Iterable[Source], plan: Plan, cache: ShardCache | None = None) -> None:
        self._shards, self._plan, self._cache = shards_of(sources), plan, cache
        self._leave()

    def read(self, place: Place) -> tuple[Sample, bytes]:
        """Return the sample at a place and its JPEG.

        Raises:
            DatasetError: it can't be read, or its shard doesn't match the manifest.
            TrainingError: the disk of the cache is full.
        """
        if self._process != os.getpid():
            self._leave()  # a file opened before a fork shares its position between both processes
        if self._block != (block := self._plan.block(place)):
            self._enter(block)
        shard = self._files.get(place.shard) or self._ranges.get(place.shard) or self._open(place.shard)
        return shard.read(place.row)

    def _leave(self) -> None:
        self._process, self._block = os.getpid(), -1
        self._whole: frozenset[int] = frozenset()
        self._files: dict[int, ShardFile] = {}
        self._ranges: dict[int, ShardRanges] = {}

    def _enter(self, block: int) -> None:
        self._block, self._whole = block, self._plan.shards(block)
        if self._cache:
            self._whole = self._cache.whole(self._whole, self._shards, self._plan.blocks)
        for number in self._files.keys() - self._whole:
            self._files.pop(number).close()
        self._ranges.clear()

    def _open(self, number: int) -> ShardFile | ShardRanges:
        source, entry = self._shards[number].source, self._shards[number].entry
        store, path = Store(source.url), tar_path(entry.name)
        if number in self._whole:
            cache = None if source.is_local else self._cache
            file = cache.open(store, entry) if cache else store.open(path)
            if file:
                self._files[number] = ShardFile(file, store.path(path), entry.samples)
                return self._files[number]
        assert self._cache
        self._ranges[number] = ShardRanges(store, entry.name, self._cache.index(store, entry))
        return self._ranges[number]
