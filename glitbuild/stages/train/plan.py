"""Assigns samples to batches as a pure function of the seed and the epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import ConfigError

BLOCK = 64
"""Number of shards whose samples are shuffled together; bounds memory for any number of shards."""


@dataclass(frozen=True, slots=True)
class Place:
    """One sample in one epoch: row ``row`` of shard number ``shard``."""

    epoch: int
    shard: int
    row: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Order of the samples in a training.

    Each epoch visits every sample once, in its own order. The last batch of an epoch is smaller if the samples
    don't fill it. Each process gets an equal part of every batch, as far as possible: the first processes have
    one sample more than the others, and if there are fewer samples than processes, the last ones have none. The
    samples of a step therefore don't depend on the number of processes.

    Attributes:
        sizes: number of samples of each shard.
        seed: seed of the order.
        batch_size: number of samples per batch, over all processes.
        world_size: number of processes.

    Raises:
        ConfigError: the dataset doesn't fill a single batch.
    """

    sizes: tuple[int, ...]
    seed: int
    batch_size: int
    world_size: int = 1

    def __post_init__(self) -> None:
        if sum(self.sizes) < self.batch_size:
            what = f"the dataset has only {sum(self.sizes)} samples"
            raise ConfigError(f"--batch-size {self.batch_size}", what, "give a smaller batch size")

    @property
    def batches(self) -> int:
        """Number of batches per epoch."""
        return -(-sum(self.sizes) // self.batch_size)

    def images(self, steps: int) -> int:
        """Return the total number of samples in the first ``steps`` steps."""
        epochs, batches = divmod(steps, self.batches)
        return epochs * sum(self.sizes) + batches * self.batch_size

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
        return -(-len(self.sizes) // BLOCK)

    def block(self, place: Place) -> int:
        """Return the number of the block that contains a place, counted from the beginning of the training."""
        _, positions = _shuffled(self.seed, place.epoch, len(self.sizes))
        return place.epoch * self.blocks + int(positions[place.shard]) // BLOCK

    def shards(self, block: int) -> frozenset[int]:
        """Return the shards of a block."""
        epoch, number = divmod(block, self.blocks)
        shards, _ = _shuffled(self.seed, epoch, len(self.sizes))
        return frozenset(shards[number * BLOCK : (number + 1) * BLOCK].tolist())

    def order(self, epoch: int) -> Iterator[Place]:
        """Yield all samples in the order of an epoch: shards in random order, samples shuffled among 64 of them."""
        shards, _ = _shuffled(self.seed, epoch, len(self.sizes))
        for start in range(0, len(shards), BLOCK):
            block = shards[start : start + BLOCK]
            owners = np.repeat(block, [self.sizes[shard] for shard in block])
            rows = np.concatenate([np.arange(self.sizes[shard]) for shard in block])
            for i in np.random.default_rng([self.seed, epoch, start]).permutation(len(rows)):
                yield Place(epoch, int(owners[i]), int(rows[i]))

    def of_epoch(self, epoch: int, rank: int = 0) -> Iterator[list[Place]]:
        """Yield a process's part of each batch of an epoch."""
        order = self.order(epoch)
        left = sum(self.sizes)
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
def _shuffled(seed: int, epoch: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order of ``count`` shards in an epoch, and the position of each shard in it."""
    shards = np.random.default_rng([seed, epoch]).permutation(count)
    return shards, np.argsort(shards)
