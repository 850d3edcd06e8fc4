"""The ``match`` command: check, plan, run the workers, write the manifest."""

import logging
import os
from collections.abc import Callable
from functools import partial

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.precision import AUTO, choose_precision
from glitbuild.engine.cluster import THREADS_A_GPU, Cluster, choose_cluster
from glitbuild.engine.derive import Derivation, begun_with, open_input_and_output
from glitbuild.engine.progress import Progress
from glitbuild.engine.runners import running
from glitbuild.engine.task import Result, ShardReport, ShardTask, Worker, done
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.options import content_of
from glitbuild.shards.manifest import require_captions
from glitbuild.shards.output import writing
from glitbuild.shards.sidecar import Config
from glitbuild.shards.store import Store
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.match.worker import MatchPlan, MatchWorker

BuildMatchWorker = Callable[[MatchPlan], Worker[ShardTask, ShardReport]]

log = logging.getLogger(__name__)


def run_match(options: MatchOptions, plain: bool = False, build: BuildMatchWorker | None = None) -> Result:
    """Match a dataset: write its regions, sentences and pairs to a new dataset directory.

    Args:
        options: options of the command.
        plain: whether to report progress as lines even on a terminal.
        build: factory that makes the worker from the plan, on the worker's machine; by default a ``MatchWorker``.

    Raises:
        ConfigError: the options are invalid; nothing has been written.
        ShardFailedError: some shards failed for good; the others are done, and another run retries these.
    """
    source, manifest, out = open_input_and_output(options.dir, options.out)
    require_captions(options.dir, manifest)
    detector = DetectorSpec.parse(options.detector, options.score, options.trust_detector, options.detector_sha256)
    clip = ClipSpec.parse(options.clip_model, options.clip_pretrained, options.facts)
    config = _config(options, detector, clip) | manifest.of_columns

    with writing(out):
        precision = _precision(options, out)
        if precision:
            config["precision"] = precision
        derivation = Derivation(source, manifest, out, config, options.overwrite)
        if derivation.finished:
            return derivation.finished
        if not derivation.todo:
            derivation.prepare()
            return derivation.finish(0.0)
        cluster, on_gpu = _where(options, len(derivation.todo))
        plan = MatchPlan(
            source=source.root if source.is_local else source.url,
            out=out.root if out.is_local else out.url,
            detector=detector,
            clip=clip,
            min_area=options.min_area,
            max_area=options.max_area,
            default_regions=options.default_regions,
            precision=precision,
            config=config,
            device="cuda" if on_gpu else "cpu",
            threads=THREADS_A_GPU if on_gpu else 1,
        )
        log.info("match: loading the models%s", f"; CLIP computes in {precision}" if precision else "")
        with running(partial(build or build_match_worker, plan), cluster) as runner:
            derivation.prepare()  # only once the models are loaded, as --overwrite removes files
            workers = cluster.actors if cluster else 1
            with Progress("match", derivation.images, plain, workers=workers) as progress:
                for report in done(runner.run(derivation.todo)):
                    progress.advance(report.samples + report.skipped)
                    seconds = {stage: round(spent, 3) for stage, spent in report.seconds.items()}
                    log.debug("shard %s done: %s", report.shard, seconds, extra={"seconds": seconds})
        return derivation.finish(progress.rate)


def _where(options: MatchOptions, tasks: int | None = None) -> tuple[Cluster | None, bool]:
    """Return the cluster to run on, None for this process, and whether its workers have GPUs."""
    cluster = choose_cluster(options.workers, options.gpus, options.ray_address, all_here=True, tasks=tasks)
    return cluster, cluster is not None and cluster.gpus_each > 0


def _precision(options: MatchOptions, out: Store) -> str | None:
    """Return the precision to record and to compute in; None in a dataset that was begun when none was recorded.

    What was begun is continued in the same precision on any machine, as the bytes depend on it.
    """
    begun = None if options.overwrite else begun_with(out)
    if options.precision == AUTO and begun is not None:
        return begun.get("precision")
    if options.precision != AUTO:
        return options.precision
    return choose_precision(AUTO, "cuda" if _where(options)[1] else "cpu")


def build_match_worker(plan: MatchPlan) -> MatchWorker:
    """Build a worker where it will run; one process per machine downloads missing weights."""
    import tempfile
    from pathlib import Path

    import open_clip  # noqa: F401 - importing takes seconds, so it happens before the lock is taken
    import torch
    from filelock import FileLock

    if plan.device == "cpu":
        # Sums are split by thread: with one thread, a shard's bytes don't depend on the number of workers.
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
            "clip_model": clip.name,
            "clip_pretrained": clip.identity,
            "splitter": SentenceSplitter.name,
        }
        | clip.changes
        | content_of(options)
    )
