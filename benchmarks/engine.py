"""The engine's own cost: 100,000 samples through Ray with a worker that only counts.

    python benchmarks/engine.py

Prints the driver's memory after 1,000 and after 100,000 samples, and the seconds a shard costs beyond
the worker's own. A shard is 1,000 samples; a real one takes ten seconds or more.
"""

import argparse
import time
from collections.abc import Iterator

import psutil

from glitbuild.engine.cluster import Cluster, RayRunner
from glitbuild.engine.task import ShardReport, ShardTask

SAMPLES_A_SHARD = 1000
REAL_SHARD_SECONDS = 10.0


class CountingWorker:
    """Does nothing with a shard but report it."""

    def run(self, task: ShardTask) -> ShardReport:
        """Return a report of a full shard."""
        return ShardReport(task.shard, SAMPLES_A_SHARD, 0)


def tasks(shards: int) -> Iterator[ShardTask]:
    """Yield so many tasks."""
    for number in range(shards):
        yield ShardTask(f"{number:05d}", "0" * 64)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    shards = options.samples // SAMPLES_A_SHARD
    process, done, memory = psutil.Process(), 0, {}
    with RayRunner(CountingWorker, Cluster(options.workers)) as runner:
        start = time.perf_counter()
        for _ in runner.run(tasks(shards)):
            done += 1
            if done in (1, shards):
                memory[done * SAMPLES_A_SHARD] = process.memory_info().rss / 2**20
        seconds = time.perf_counter() - start
        assert done == shards
    # Each worker has one shard at a time, so a shard's overhead is what it holds a worker beyond its work.
    overhead = seconds * options.workers / shards
    for samples, megabytes in memory.items():
        print(f"driver after {samples:>9,} samples: {megabytes:.1f} MiB")
    print(f"{shards} shards in {seconds:.2f} s: {overhead * 1000:.1f} ms a shard and worker,")
    print(f"{100 * overhead / REAL_SHARD_SECONDS:.3f} % of a shard of {REAL_SHARD_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
