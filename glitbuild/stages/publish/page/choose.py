"""Which samples of a dataset are shown, and reading no more shards than hold them."""

import random
from collections.abc import Iterator, Sequence

from glitbuild.records import Sample
from glitbuild.shards.manifest import Manifest
from glitbuild.shards.reader import read_shard
from glitbuild.shards.store import Store


def choose(total: int, count: int, seed: int | None) -> list[int]:
    """Return the numbers of at most ``count`` of ``total`` samples, rising: spread evenly, or drawn by a seed."""
    count = min(total, count)
    if seed is None:
        return [number * total // count for number in range(count)]
    return sorted(random.Random(seed).sample(range(total), count))


def read_chosen(store: Store, manifest: Manifest, numbers: Sequence[int]) -> Iterator[tuple[Sample, bytes]]:
    """Yield the samples of these numbers with their JPEGs.

    A shard with one of them is read to its end, which shows whether it is the manifest's.

    Args:
        store: the dataset directory.
        manifest: of the dataset.
        numbers: running numbers of samples over all shards, rising.

    Raises:
        DatasetError: a shard is damaged.
    """
    first = 0
    for entry in manifest.shards:
        wanted = {number - first for number in numbers if first <= number < first + entry.samples}
        first += entry.samples
        if wanted:
            rows = enumerate(read_shard(store, entry.name, entry.sha256))
            yield from (row for index, row in rows if index in wanted)
