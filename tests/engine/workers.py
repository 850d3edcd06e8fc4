"""Workers for tests of the runners: they fail, die, or count, as a file in a folder tells them."""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from glitbuild.engine.task import ShardReport, ShardTask
from glitbuild.errors import DatasetError, ModelError
from glitbuild.flism.regions import default_regions
from glitbuild.records import Matched, Pair, Sample
from glitbuild.shards.reader import read_shard
from glitbuild.shards.store import Store
from glitbuild.shards.writer import write_shard
from glitbuild.stages.match.worker import MatchPlan


@dataclass(frozen=True)
class Moody:
    """A worker whose behaviour depends on the shard's number and on how often it was tried.

    Attributes:
        folder: tries are counted here, across processes.
        dies: shards at whose first so many tries the process ends.
        raises: likewise, with an unforeseen exception.
        damaged: likewise, with an error of our own.
    """

    folder: Path
    dies: dict[str, int]
    raises: dict[str, int]
    damaged: dict[str, int]

    def run(self, task: ShardTask) -> ShardReport:
        tries = len(list(self.folder.glob(f"{task.shard}-*")))
        (self.folder / f"{task.shard}-{tries}-{os.getpid()}").touch()
        if tries < self.dies.get(task.shard, 0):
            os._exit(1)
        if tries < self.raises.get(task.shard, 0):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if tries < self.damaged.get(task.shard, 0):
            raise DatasetError(task.shard, "damaged", "mend it")
        time.sleep(0.01)
        return ShardReport(task.shard, 10, 1)


def no_model() -> Moody:
    """Stand for a builder whose model can't be had."""
    raise ModelError("--clip-pretrained nothing", "neither a file nor a tag", "give one")


@dataclass(frozen=True)
class DiesAtStart:
    """A builder whose process ends the first so many times."""

    folder: Path
    times: int

    def __call__(self) -> Moody:
        (self.folder / f"start-{os.getpid()}").touch()
        if len(list(self.folder.glob("start-*"))) <= self.times:
            os._exit(1)
        return Moody(self.folder, {}, {}, {})


class CentreWorker:
    """Reads and writes real shards without a model: the whole caption goes to the centre."""

    def __init__(self, plan: MatchPlan) -> None:
        self._plan = plan

    def run(self, task: ShardTask) -> ShardReport:
        samples = list(read_shard(Store(self._plan.source), task.shard, task.sha256))
        origin = {"shard": task.shard, "sha256": task.sha256}
        outcomes = [(replace(sample, matched=self._match(sample)), jpeg) for sample, jpeg in samples]
        write_shard(Store(self._plan.out), task.shard, outcomes, self._plan.config, lambda: origin)
        return ShardReport(task.shard, len(samples), 0)

    @staticmethod
    def _match(sample: Sample) -> Matched:
        regions = default_regions(sample.image.width, sample.image.height)
        return Matched(((0, len(sample.caption)),), regions, (Pair(0, 4, 0.5),), 0)
