"""Runs FLISM on one shard: read, match, write. A plain class that doesn't depend on Ray."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from glitbuild.clip.load import ClipSpec
from glitbuild.engine.task import ShardReport, ShardTask
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.flism.flism import FLISM, CaptionedImage
from glitbuild.images.stored import open_rgb
from glitbuild.records import Sample, Skip, SkipReason
from glitbuild.shards.reader import read_shard
from glitbuild.shards.sidecar import Config
from glitbuild.shards.store import Store
from glitbuild.shards.writer import Outcome, write_shard


@dataclass(frozen=True, slots=True)
class MatchPlan:
    """Everything a worker needs to know; small and picklable.

    Attributes:
        source: URL of the dataset to match.
        out: URL of the dataset to write.
        detector: detector and its score threshold.
        clip: CLIP model.
        min_area: smallest area of a detection, as a share of the image.
        max_area: largest area of a detection, as a share of the image.
        config: options as the sidecars record them.
        device: ``cpu`` or ``cuda``.
        threads: number of threads that decode and crop while the models run.
        default_regions: whether quadrants and centre are candidates besides detections.
        precision: in which CLIP computes; None for the device's default.
    """

    source: str
    out: str
    detector: DetectorSpec
    clip: ClipSpec
    min_area: float
    max_area: float
    config: Config
    device: str = "cpu"
    threads: int = 1
    default_regions: bool = True
    precision: str | None = None


class MatchWorker:
    """Matches the samples of a shard and writes them, one shard at a time.

    Batches are formed within a shard, from its samples in order, so that a shard's bytes depend only on its
    input, not on when it was made or what else was running.

    Args:
        plan: models and options.

    Raises:
        ModelError: a model is unavailable or unusable.
    """

    def __init__(self, plan: MatchPlan) -> None:
        self._plan = plan
        self._source, self._out = Store(plan.source), Store(plan.out)
        self._flism = FLISM(
            plan.detector,
            plan.clip,
            min_area=plan.min_area,
            max_area=plan.max_area,
            default_regions=plan.default_regions,
            device=plan.device,
            threads=plan.threads,
            precision=plan.precision,
        )

    def run(self, task: ShardTask) -> ShardReport:
        """Match one shard and write the result; see ``Worker``."""
        flism = self._flism
        flism.seconds.clear()
        with flism.timed("read"):
            samples = list(read_shard(self._source, task.shard, task.sha256))
        outcomes = self.match(samples)
        with flism.timed("write"):
            origin = {"shard": task.shard, "sha256": task.sha256}
            sidecar = write_shard(self._out, task.shard, outcomes, self._plan.config, lambda: origin)
        skipped = sum(sidecar.skipped.values())
        return ShardReport(task.shard, sidecar.samples, skipped, dict(flism.seconds))

    def match(self, samples: Sequence[tuple[Sample, bytes]]) -> list[Outcome]:
        """Return each sample with its sentences, regions and pairs, or the reason why it has none."""
        found = self._flism.match([_captioned(sample, jpeg) for sample, jpeg in samples])
        return [
            Skip(sample.key, sample.source, SkipReason.IMAGE_CORRUPT, str(matched))
            if isinstance(matched, OSError)
            else (replace(sample, matched=matched), jpeg)
            for (sample, jpeg), matched in zip(samples, found, strict=True)
        ]


def _captioned(sample: Sample, jpeg: bytes) -> CaptionedImage:
    image = sample.image
    return CaptionedImage(sample.caption, image.width, image.height, partial(open_rgb, jpeg), sample.boxes)
