"""Overhead of the engine: the driver's memory, and the time per shard beyond the worker's own work.

    python benchmarks/engine.py

Memory: the whole command ``match`` on datasets of 1,000 and 100,000 samples in shards of 1,000, each in a separate
process, with a worker that reads and writes real shards but runs no model. Overhead: as many shards with a worker
that does nothing. A real shard takes ten seconds or more.
"""

import argparse
import hashlib
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.ray_runner import RayRunner
from glitbuild.engine.task import ShardReport, ShardTask
from glitbuild.flism.regions import default_regions
from glitbuild.records import ImageInfo, Matched, Pair, Sample, Source
from glitbuild.shards.layout import shard_name
from glitbuild.shards.manifest import write_manifest
from glitbuild.shards.reader import read_shard
from glitbuild.shards.store import Store
from glitbuild.shards.writer import Outcome, write_shard
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.match.worker import MatchPlan

SAMPLES_A_SHARD = 1000
REAL_SHARD_SECONDS = 10.0
WORKERS = 2
CAPTION = "A grey square of sixteen pixels. Nothing else is in the picture."


class CountingWorker:
    """Reports shards without doing anything."""

    def run(self, task: ShardTask) -> ShardReport:
        """Return a report of a full shard."""
        return ShardReport(task.shard, SAMPLES_A_SHARD, 0)


class CopyingWorker:
    """Reads and writes real shards; pairs every sentence with the center box.

    Args:
        plan: plan that names the two datasets.
    """

    def __init__(self, plan: MatchPlan) -> None:
        self._plan = plan

    def run(self, task: ShardTask) -> ShardReport:
        """Copy one shard, adding pairs without running a model."""
        source, out = Store(self._plan.source), Store(self._plan.out)
        origin = {"shard": task.shard, "sha256": task.sha256}
        outcomes = (
            (replace(sample, matched=_matched(sample)), jpeg)
            for sample, jpeg in read_shard(source, task.shard, task.sha256)
        )
        sidecar = write_shard(out, task.shard, outcomes, self._plan.config, lambda: origin)
        return ShardReport(task.shard, sidecar.samples, 0)


def _matched(sample: Sample) -> Matched:
    regions = default_regions(sample.image.width, sample.image.height)
    end = CAPTION.index(".") + 1
    return Matched(((0, end), (end + 1, len(CAPTION))), regions, (Pair(0, 4, 0.2), Pair(1, 4, 0.1)), 0)


def make_dataset(folder: Path, samples: int) -> None:
    """Write a dataset of tiny images."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "gray").save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    info = ImageInfo(16, 16, hashlib.sha256(jpeg).hexdigest(), "jpeg", False)
    store, config, sidecars = Store(str(folder)), {"stage": "ingest"}, []
    for start in range(0, samples, SAMPLES_A_SHARD):
        outcomes: Iterator[Outcome] = (
            (Sample(f"{number:09d}", CAPTION, info, Source("gray", str(number))), jpeg)
            for number in range(start, start + SAMPLES_A_SHARD)
        )
        rows = {"rows": [start, start + SAMPLES_A_SHARD], "sha256": ""}
        sidecars.append(write_shard(store, shard_name(len(sidecars)), outcomes, config, lambda rows=rows: rows))
    write_manifest(store, sidecars, config, {})


def match(folder: str) -> float:
    """Run the command in this process and return its peak memory in MiB."""
    # The detector and the model are named but never loaded.
    options = MatchOptions(f"{folder}/raw", f"{folder}/out", workers=WORKERS, detector="none")
    result = run_match(options, plain=True, build=CopyingWorker)
    assert result.manifest.totals["pairs"] == 2 * result.manifest.totals["samples"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def overhead(shards: int) -> float:
    """Return the overhead per shard in seconds of a worker's time."""
    tasks = (ShardTask(shard_name(number), "0" * 64) for number in range(shards))
    with RayRunner(CountingWorker, Cluster(WORKERS)) as runner:
        start = time.perf_counter()
        done = sum(1 for _ in runner.run(tasks))
        seconds = time.perf_counter() - start
    assert done == shards
    return seconds * WORKERS / shards


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000, help="size of the larger dataset")
    parser.add_argument(
        "--match", metavar="DIR", help="only match DIR/raw and print this process's peak memory in MiB"
    )
    options = parser.parse_args()
    if options.match:
        print(match(options.match))
        return
    for samples in (SAMPLES_A_SHARD, options.samples):
        with tempfile.TemporaryDirectory() as folder:
            make_dataset(Path(folder) / "raw", samples)
            start = time.perf_counter()
            child = [
                sys.executable,
                __file__,
                "--match",
                folder,
            ]  # separate process, so that its peak memory is its own
            peak = float(subprocess.run(child, stdout=subprocess.PIPE, check=True).stdout)
            print(
                f"{samples:>9,} samples: driver's peak memory {peak:.1f} MiB, {time.perf_counter() - start:.1f} s"
            )
    seconds = overhead(options.samples // SAMPLES_A_SHARD)
    share = 100 * seconds / REAL_SHARD_SECONDS
    print(f"overhead: {1000 * seconds:.1f} ms per shard, {share:.3f} % of a {REAL_SHARD_SECONDS:.0f}-second shard")


if __name__ == "__main__":
    main()
