"""Which samples of a dataset are shown, and reading no more than these."""

import random
from collections.abc import Iterator, Sequence
from itertools import islice

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
    """Yield the samples of these numbers with their JPEGs; a shard is read no further than its last one.

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
            rows = islice(read_shard(store, entry.name), max(wanted) + 1)
            yield from (row for index, row in enumerate(rows) if index in wanted)
