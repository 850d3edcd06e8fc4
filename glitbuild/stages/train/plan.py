"""Which samples are in which batch: a pure function of the seed and the epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import ConfigError

BLOCK = 64
"""Shards whose samples are shuffled together: bounds memory, however many shards there are."""


@dataclass(frozen=True, slots=True)
class Place:
    """One sample of one epoch: ``row`` of the shard with the number ``shard``."""

    epoch: int
    shard: int
    row: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The order of a training.

    In every epoch each sample comes once, in an order of its own. The last batch of an epoch is smaller where
    the samples don't fill it. Of several processes each gets its part of every batch, as equal as can be: the
    first have one sample more than the others, and where there are fewer samples than processes, the last have
    none. So which samples are in which step doesn't depend on how many processes there are.

    Attributes:
        sizes: samples of each shard.
        seed: of the order.
        batch_size: samples of a batch, of all processes together.
        world_size: processes.

    Raises:
        ConfigError: a batch can't be filled.
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
        """Batches of an epoch."""
        return -(-sum(self.sizes) // self.batch_size)

    def images(self, steps: int) -> int:
        """Return how many samples the first steps of a training have."""
        epochs, batches = divmod(steps, self.batches)
        return epochs * sum(self.sizes) + batches * self.batch_size

    def shares(self, step: int) -> list[int]:
        """Return how many samples each process has in a step."""
        count = self.images(step + 1) - self.images(step)
        return [self._end(rank, count) - self._end(rank - 1, count) for rank in range(self.world_size)]

    def _end(self, rank: int, count: int) -> int:
        """Return where the part of a process ends in a batch of so many samples."""
        return -(-count * (rank + 1) // self.world_size)

    @property
    def blocks(self) -> int:
        """Blocks of an epoch: shards whose samples are shuffled together."""
        return -(-len(self.sizes) // BLOCK)

    def block(self, place: Place) -> int:
        """Return the number of the block that a place is in, counted from the beginning of the training."""
        _, positions = _shuffled(self.seed, place.epoch, len(self.sizes))
        return place.epoch * self.blocks + int(positions[place.shard]) // BLOCK

    def shards(self, block: int) -> frozenset[int]:
        """Return the shards of a block."""
        epoch, number = divmod(block, self.blocks)
        shards, _ = _shuffled(self.seed, epoch, len(self.sizes))
        return frozenset(shards[number * BLOCK : (number + 1) * BLOCK].tolist())

    def order(self, epoch: int) -> Iterator[Place]:
        """Yield all samples in the order of an epoch: shards in random order, then samples among 64 of them."""
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
        """Yield a process's part of each batch of a training, without the first ``done``."""
        for epoch in range(done // self.batches, epochs):
            skip = max(0, done - epoch * self.batches)
            for number, places in enumerate(self.of_epoch(epoch, rank)):
                if number >= skip:
                    yield places


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order of so many shards in an epoch, and the position of each in it."""
    shards = np.random.default_rng([seed, epoch]).permutation(count)
    return shards, np.argsort(shards)
