"""The command ``match``: check, plan, run the workers, write the manifest."""

import logging
import os
from collections.abc import Callable
from functools import partial

from glitbuild.clip.load import ClipSpec
from glitbuild.engine.cluster import Cluster, choose_cluster
from glitbuild.engine.derive import derive, open_input_and_output
from glitbuild.engine.local_runner import LocalRunner
from glitbuild.engine.match_worker import MatchPlan, MatchWorker
from glitbuild.engine.options import MatchOptions
from glitbuild.engine.progress import Progress
from glitbuild.engine.ray_runner import RayRunner
from glitbuild.engine.result import Result
from glitbuild.engine.task import BuildWorker, ShardFailure, ShardTask, Worker
from glitbuild.errors import ShardFailedError
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.shards.lock import writing
from glitbuild.shards.manifest import Manifest, require_captions
from glitbuild.shards.sidecar import Config

THREADS_A_GPU = 8
"""They decode and crop while the GPU computes."""

BuildMatchWorker = Callable[[MatchPlan], Worker]

log = logging.getLogger(__name__)


def run_match(options: MatchOptions, plain: bool = False, build: BuildMatchWorker | None = None) -> Result:
    """Match a dataset: its regions, sentences and pairs, in a new dataset directory.

    Args:
        options: of the command.
        plain: progress as lines, also on a terminal.
        build: makes the worker from the plan, where it is to run; by default a ``MatchWorker``.

    Raises:
        ConfigError: the options are wrong; nothing has been written.
        ShardFailedError: some shards were given up; the others are done, and a new run tries again.
    """
    source, manifest, out = open_input_and_output(options.dir, options.out)
    require_captions(options.dir, manifest)
    detector = DetectorSpec.parse(options.detector, options.score, options.trust_detector, options.detector_sha256)
    clip = ClipSpec.parse(options.clip_model, options.clip_pretrained, options.facts)
    config = _config(options, detector, clip) | manifest.of_columns

    def make(todo: list[ShardTask], prepare: Callable[[], None]) -> float:
        cluster = choose_cluster(options)
        plan = MatchPlan(
            source=source.root if source.is_local else source.url,
            out=out.root if out.is_local else out.url,
            detector=detector,
            clip=clip,
            min_area=options.min_area,
            max_area=options.max_area,
            default_regions=options.default_regions,
            config=config,
            device="cuda" if cluster and cluster.gpus_each else "cpu",
            threads=THREADS_A_GPU if cluster and cluster.gpus_each else 1,
        )
        return _run(partial(build or build_match_worker, plan), cluster, manifest, todo, prepare, plain)

    with writing(out):
        return derive(manifest, out, config, options.overwrite, make)


def _run(
    build_worker: BuildWorker,
    cluster: Cluster | None,
    manifest: Manifest,
    todo: list[ShardTask],
    prepare: Callable[[], None],
    plain: bool,
) -> float:
    """Make the shards that are left to do, and return the images a second."""
    sizes = {entry.name: entry.samples for entry in manifest.shards}
    failures: list[ShardFailure] = []
    log.info("match: loading the models")
    with RayRunner(build_worker, cluster) if cluster else LocalRunner(build_worker) as runner:
        prepare()
        total, workers = sum(sizes[task.shard] for task in todo), cluster.actors if cluster else 1
        with Progress("match", total, plain, workers=workers) as progress:
            for report in runner.run(todo):
                if isinstance(report, ShardFailure):
                    failures.append(report)
                    log.error("shard %s given up: %s", report.shard, report.reason)
                    continue
                progress.advance(report.samples + report.skipped)
                seconds = {stage: round(spent, 3) for stage, spent in report.seconds.items()}
                log.debug("shard %s done: %s", report.shard, seconds, extra={"seconds": seconds})
            rate = progress.rate
    if failures:
        shards = ", ".join(sorted(failure.shard for failure in failures)[:5])
        why = f"{len(failures)} of {len(todo)} failed ({shards}); the first: {failures[0].reason}"
        raise ShardFailedError("shards", why, "the others are done; run the same command again to retry these")
    return rate


def build_match_worker(plan: MatchPlan) -> MatchWorker:
    """Build a worker where it is to run; of the processes of a machine one downloads missing weights."""
    import tempfile
    from pathlib import Path

    import open_clip  # noqa: F401 - it takes seconds, which need not be spent holding the lock
    import torch
    from filelock import FileLock

    if plan.device == "cpu":
        # Sums are split by thread: with one, a shard's bytes don't depend on how many workers there are.
        torch.set_num_threads(1)
    if plan.detector.is_local and plan.clip.is_local:
        return MatchWorker(plan)
    with FileLock(Path(tempfile.gettempdir()) / f"glitbuild-{os.getuid()}.lock"):
        return MatchWorker(plan)


def _config(options: MatchOptions, detector: DetectorSpec, clip: ClipSpec) -> Config:
    from glitbuild.flism.sentences import SentenceSplitter

    return (
        {
            "stage": "match",
            "detector": detector.identity,
            "score": detector.score,
            "min_area": options.min_area,
            "max_area": options.max_area,
            "clip_model": clip.name,
            "clip_pretrained": clip.identity,
            "splitter": SentenceSplitter.name,
        }
        | clip.changes
        | ({} if options.default_regions else {"default_regions": False})
    )
