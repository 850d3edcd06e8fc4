"""Assigns samples to batches as a pure function of the seed and the epoch."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import ConfigError
from glitbuild.stages.train.sources import Source

BLOCK = 64
"""Number of shards whose samples are shuffled together; bounds memory for any number of shards."""

GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Place:
    """One sample in one epoch: row ``row`` of shard number ``shard``, seen for the ``visit``-th time, from 0."""

    epoch: int
    shard: int
    row: int
    visit: int = 0


@dataclass(frozen=True, slots=True)
class Repeat:
    """How often the samples of one of several datasets are seen per epoch.

    Attributes:
        shards: number of shards of the dataset.
        times: number of visits of each sample per epoch. With 2.5, each is seen twice, and half of them a third
            time: another half in every other epoch.
    """

    shards: int
    times: float = 1.0

    @property
    def visits(self) -> int:
        """Number of times that each shard is read per epoch, the last time possibly in part."""
        return math.ceil(self.times)


@dataclass(frozen=True, slots=True)
class Plan:
    """Order of the samples in a training.

    Each epoch visits every sample once, or as often as its dataset's ``Repeat`` says, in its own order. The last
    batch of an epoch is smaller if the samples don't fill it. Each process gets an equal part of every batch, as
    far as possible: the first processes have one sample more than the others, and if there are fewer samples than
    processes, the last ones have none. The samples of a step therefore don't depend on the number of processes.

    Attributes:
        sizes: number of samples of each shard, of all datasets.
        seed: seed of the order.
        batch_size: number of samples per batch, over all processes.
        world_size: number of processes.
        repeats: datasets that the shards belong to, in order; empty for a single one whose samples come once.

    Raises:
        ConfigError: an epoch doesn't fill a single batch.
    """

    sizes: tuple[int, ...]
    seed: int
    batch_size: int
    world_size: int = 1
    repeats: tuple[Repeat, ...] = ()

    def __post_init__(self) -> None:
        if self.samples < self.batch_size:
            what = f"an epoch has only {self.samples} samples"
            raise ConfigError(f"--batch-size {self.batch_size}", what, "give a smaller batch size")

    @classmethod
    def of(cls, sources: Iterable[Source], seed: int, batch_size: int, world_size: int = 1) -> "Plan":
        """Return the plan of a training on the given datasets.

        Raises:
            ConfigError: an epoch doesn't fill a single batch.
        """
        found = tuple(sources)
        sizes = tuple(entry.samples for source in found for entry in source.manifest.shards)
        repeats = tuple(Repeat(len(source.manifest.shards), source.repeat) for source in found)
        return cls(sizes, seed, batch_size, world_size, repeats)

    @property
    def samples(self) -> int:
        """Number of samples per epoch, each counted as often as it is seen."""
        return sum(math.floor(repeat.times) * count + extra for repeat, _, count, extra in self._datasets())

    @property
    def batches(self) -> int:
        """Number of batches per epoch."""
        return -(-self.samples // self.batch_size)

    def images(self, steps: int) -> int:
        """Return the total number of samples in the first ``steps`` steps."""
        epochs, batches = divmod(steps, self.batches)
        return epochs * self.samples + batches * self.batch_size

    def shares(self, step: int) -> list[int]:
        """Return the number of samples of each process in a step."""
        count = self.images(step + 1) - self.images(step)
        return [self._end(rank, count) - self._end(rank - 1, count) for rank in range(self.world_size)]

    def _end(self, rank: int, count: int) -> int:
        """Return the end of a process's part of a batch of ``count`` samples."""
        return -(-count * (rank + 1) // self.world_size)

    @property
    def blocks(self) -> int:
        """Number of blocks per epoch; the shards of a block are shuffled together."""
        return -(-sum(repeat.shards * repeat.visits for repeat in self._repeats()) // BLOCK)

    def block(self, place: Place) -> int:
        """Return the number of the block that contains a place, counted from the beginning of the training."""
        _, positions = _shuffled(self.seed, place.epoch, self._repeats())
        return place.epoch * self.blocks + int(positions[place.visit, place.shard]) // BLOCK

    def shards(self, block: int) -> frozenset[int]:
        """Return the shards of a block."""
        epoch, number = divmod(block, self.blocks)
        units, _ = _shuffled(self.seed, epoch, self._repeats())
        return frozenset(units[number * BLOCK : (number + 1) * BLOCK, 0].tolist())

    def order(self, epoch: int) -> Iterator[Place]:
        """Yield all samples in the order of an epoch: shards in random order, samples shuffled among 64 of them.

        Shards of a dataset are spread over the epoch, and visits of a sample over its block or over the blocks.
        """
        units, _ = _shuffled(self.seed, epoch, self._repeats())
        starts = np.concatenate([[0], np.cumsum(self.sizes)])
        for start in range(0, len(units), BLOCK):
            block = units[start : start + BLOCK]
            rows = self._rows(block, epoch, starts)
            counts = [len(each) for each in rows]
            shards, visits = np.repeat(block, counts, axis=0).T
            row = np.concatenate(rows)
            for i in _spread(starts[shards] + row, np.random.default_rng([self.seed, epoch, start])):
                yield Place(epoch, int(shards[i]), int(row[i]), int(visits[i]))

    def _rows(self, units: NDArray[np.int64], epoch: int, starts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the rows of each shard that are seen at a visit: all of them, except at a last visit in part.

        For a last visit, the N samples of a dataset are placed on a circle, in steps of about the golden ratio of
        it, so that any arc holds about as many samples of each shard. Each epoch takes the arc after the previous
        one's, so that over all epochs every sample is seen as often as every other, or once more.
        """
        found = []
        datasets = list(self._datasets())
        for shard, visit in units.tolist():
            rows = np.arange(self.sizes[shard])
            number = next(i for i, (repeat, first, *_) in enumerate(datasets) if shard < first + repeat.shards)
            repeat, first, count, extra = datasets[number]
            if visit == math.floor(repeat.times):
                offset = int(np.random.default_rng([self.seed, number]).integers(count))
                places = ((starts[shard] - starts[first] + rows) * _stride(count) + offset) % count
                rows = rows[(places - epoch * extra) % count < extra]
            found.append(rows)
        return found

    def _repeats(self) -> tuple[Repeat, ...]:
        return self.repeats or (Repeat(len(self.sizes)),)

    def _datasets(self) -> Iterator[tuple[Repeat, int, int, int]]:
        """Yield each dataset, its first shard, its number of samples, and how many are seen once more per epoch."""
        first = 0
        for repeat in self._repeats():
            count = sum(self.sizes[first : first + repeat.shards])
            yield repeat, first, count, round((repeat.times - math.floor(repeat.times)) * count)
            first += repeat.shards

    def of_epoch(self, epoch: int, rank: int = 0) -> Iterator[list[Place]]:
        """Yield a process's part of each batch of an epoch."""
        order = self.order(epoch)
        left = self.samples
        for _ in range(self.batches):
            batch = [next(order) for _ in range(min(self.batch_size, left))]
            left -= len(batch)
            yield batch[self._end(rank - 1, len(batch)) : self._end(rank, len(batch))]

    def steps(self, epochs: int, rank: int = 0, done: int = 0) -> Iterator[list[Place]]:
        """Yield a process's part of each batch of a training, skipping the first ``done``."""
        for epoch in range(done // self.batches, epochs):
            skip = max(0, done - epoch * self.batches)
            for number, places in enumerate(self.of_epoch(epoch, rank)):
                if number >= skip:
                    yield places


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, repeats: tuple[Repeat, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order in which shards are read in an epoch, and where each of them is in it.

    Returns:
        ``(shard, visit)`` in order, U x 2; and the position in it by visit and shard.
    """
    rng = np.random.default_rng([seed, epoch])
    units, at, first = [], [], 0
    for repeat in repeats:
        shards, visits = first + rng.permutation(repeat.shards), np.arange(repeat.visits)
        units.append(np.stack([np.tile(shards, repeat.visits), np.repeat(visits, repeat.shards)], axis=1))
        at.append((np.arange(len(units[-1])) + rng.random()) / len(units[-1]))
        first += repeat.shards
    order = np.concatenate(units)[np.argsort(np.concatenate(at), kind="stable")]
    positions = np.full((max(repeat.visits for repeat in repeats), first), -1)
    positions[order[:, 1], order[:, 0]] = np.arange(len(order))
    return order, positions


def _spread(samples: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random order of samples in which those that occur m times are an m-th of the whole apart.

    A sample in the same batch twice would be its own negative in the contrastive losses.
    """
    _, first, same, counts = np.unique(samples, return_index=True, return_inverse=True, return_counts=True)
    drawn = np.argsort(rng.permutation(len(first))) / len(first)
    occurrence = np.empty(len(samples), np.int64)
    occurrence[np.argsort(same, kind="stable")] = np.arange(len(samples)) - np.repeat(
        np.cumsum(counts) - counts, counts
    )
    return np.argsort((occurrence + drawn[np.argsort(np.argsort(first))][same]) / counts[same], kind="stable")


@lru_cache(maxsize=64)
def _stride(count: int) -> int:
    """Return the number nearest above the golden ratio of ``count`` that has no factor in common with it."""
    return next(n for n in range(max(1, round(GOLDEN * count)), count + 2) if math.gcd(n, count) == 1)
