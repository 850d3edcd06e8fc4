"""The unit of work and of retry is a shard; what the runners need to know of one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard to make from a shard.

    Attributes:
        shard: its name, the same in input and output.
        sha256: of the input's tar.
    """

    shard: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardReport:
    """A shard is done.

    Attributes:
        shard: its name.
        samples: how many were written.
        skipped: how many were left out.
        seconds: spent by stage, for the log and for benchmarks.
    """

    shard: str
    samples: int
    skipped: int
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShardFailure:
    """A shard was given up, and why its last try failed."""

    shard: str
    reason: str


class Worker(Protocol):
    """Takes a shard and gives a shard, as often as it is called; everything it needs is loaded."""

    def run(self, task: ShardTask) -> ShardReport:
        """Make one shard; its files are whole when this returns."""
        ...


BuildWorker = Callable[[], Worker]
"""Makes a worker where it is to run; must be picklable."""
