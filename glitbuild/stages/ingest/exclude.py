"""Datasets whose pictures must not be in another: their identity, and the hashes of their pictures."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from glitbuild.engine.task import ShardTask
from glitbuild.errors import DatasetError
from glitbuild.images.stored import open_rgb
from glitbuild.shards.layout import MANIFEST
from glitbuild.shards.manifest import Manifest, open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.shards.store import Store
from glitbuild.stages.ingest.near import perceptual_hash

WINDOW = 32
"""Pictures in memory at a time."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """A finished dataset to be kept apart."""

    store: Store
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.store.name

    @property
    def identity(self) -> dict[str, str]:
        """What the configuration says of it: its name, and its manifest's SHA-256, which stands for its shards'."""
        return {"dataset": self.name, "sha256": hashlib.sha256(self.store.read(MANIFEST)).hexdigest()}

    def tasks(self) -> Iterator[ShardTask]:
        """Yield its shards, for ``HashWorker``."""
        return (ShardTask(entry.name, entry.sha256) for entry in self.manifest.shards)


def open_excluded(urls: Sequence[str]) -> list[Excluded]:
    """Open datasets to be kept apart.

    Raises:
        ConfigError: there is no finished dataset.
    """
    return [Excluded(*open_dataset(url)) for url in urls]


@dataclass(frozen=True, slots=True)
class ShardHashes:
    """The perceptual hashes of a shard's pictures, by the numbers of their keys."""

    shard: str
    hashes: dict[int, int]


class HashWorker:
    """Hashes the pictures of a shard.

    Args:
        url: of the dataset.
        threads: that decode.
    """

    def __init__(self, url: str, threads: int) -> None:
        self._store, self._pool = Store(url), ThreadPoolExecutor(threads)

    def run(self, task: ShardTask) -> ShardHashes:
        """Return the hashes of a shard.

        Raises:
            DatasetError: the shard is damaged, or a picture in it.
        """
        hashes: dict[int, int] = {}
        samples = ((sample.key, jpeg) for sample, jpeg in read_shard(self._store, task.shard, task.sha256))
        while window := list(islice(samples, WINDOW)):
            hashes.update(self._pool.map(self._hash, window))
        return ShardHashes(task.shard, hashes)

    def _hash(self, picture: tuple[str, bytes]) -> tuple[int, int]:
        key, jpeg = picture
        try:
            return int(key), perceptual_hash(open_rgb(jpeg))
        except OSError as error:
            why, fix = f"the image of {key} can't be decoded ({error})", "see what glitbuild validate says of it"
            raise DatasetError(self._store.url, why, fix) from error
