"""The ``eval`` command: metrics of a model on a dataset."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.encoder import choose_device
from glitbuild.clip.load import CONTEXT_LENGTH, ClipSpec
from glitbuild.engine.cluster import THREADS_A_GPU, choose_cluster
from glitbuild.engine.progress import Progress
from glitbuild.engine.runners import FIX, ReadTask, in_order, running
from glitbuild.engine.task import Runner, done, usable_cpus, versions_of
from glitbuild.options import EVAL
from glitbuild.shards.layout import truth_path
from glitbuild.shards.manifest import Manifest, ShardEntry, manifest_sha256, open_dataset, require_captions
from glitbuild.shards.output import check_writable, refuse_overlap
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.benchmarks import find_benchmark, run_benchmark
from glitbuild.stages.evaluate.embedded import Embedded, EmbeddingCache, joined
from glitbuild.stages.evaluate.metrics import Suites
from glitbuild.stages.evaluate.options import AVERAGING, LOCALIZATION, TRUTH, EvalOptions, at_least, make_plan
from glitbuild.stages.evaluate.report import Report, write_files
from glitbuild.stages.evaluate.worker import EvalPlan, EvalWorker, TextTask

MOST_THREADS = 16
"""Number of threads that decode images when running in this process."""

TEXTS_AT_A_TIME = 4096
"""Number of disturbed captions whose tokens are in memory at a time."""

log = logging.getLogger(__name__)


def run_eval(options: EvalOptions, plain: bool = False) -> Report:
    """Evaluate a model; errors in the options are found before anything is written.

    Args:
        options: options of the command.
        plain: whether to report progress as lines even on a terminal.

    Raises:
        ConfigError: the dataset doesn't exist or lacks what a suite needs, there is no GPU, or a file can't be
            written.
        ModelError: the model is unavailable, or its kind is not supported.
        DatasetError: the dataset is damaged.
        EvaluationError: the model's embeddings are not finite.
    """
    if read := find_benchmark(options):
        _check_outputs(options)
        report = run_benchmark(options, read, plain)
        write_files(report, options)
        return report
    store, manifest = open_dataset(options.dir)
    require_captions(options.dir, manifest)
    plan = make_plan(options, store, manifest)
    cluster = choose_cluster(options.workers, options.gpus, options.ray_address)
    _check_outputs(options)
    cache = EmbeddingCache(options.cache, int(options.cache_size * 1e9)) if options.cache else None
    spec = ClipSpec.parse(options.model, options.pretrained, options.facts, EVAL)
    work = EvalPlan(
        source=store.root if store.is_local else store.url,
        spec=spec,
        plan=plan,
        context_length=options.context_length,
        at_least=at_least(options, plan),
        batch_size=options.batch_size,
        device=choose_device(options.device) if cluster is None else "cuda" if cluster.gpus_each else "cpu",
        threads=min(usable_cpus(), MOST_THREADS) if cluster is None else THREADS_A_GPU if cluster.gpus_each else 1,
    )
    with running(partial(EvalWorker, work), cluster) as runner:
        start = time.monotonic()
        samples, workers = manifest.totals["samples"], cluster.actors if cluster else 1
        with Progress("eval", samples, plain, workers=workers) as progress:
            embedded = joined(_each_shard(runner, store, manifest, work, cache, progress))
        if plan.protocol and len(embedded.captions) != plan.protocol.samples:
            raise plan.protocol.incomplete(store.url, len(embedded.captions))
        suites = Suites(embedded, partial(_embed, runner), plan, options)
        found, omitted = {}, {}
        for name in plan.suites:
            if name == LOCALIZATION and embedded.no_patches:
                omitted[name] = embedded.no_patches
                continue
            log.debug("suite %s", name)
            found[name] = suites.run(name)
    report = Report(
        model=spec.name,
        identity=spec.identity,
        reading={name: value for name, value in spec.changes.items() if name != CONTEXT_LENGTH},
        context_length=embedded.context_length,
        dataset=store.name,
        manifest=f"sha256:{manifest_sha256(store)}",
        samples=len(embedded.captions),
        images=len(embedded.images),
        truncated=embedded.truncated,
        suites=found,
        device=work.device,
        seed=options.seed,
        seconds=round(time.monotonic() - start, 1),
        versions=versions_of("eval"),
        omitted=omitted,
        protocol=plan.protocol.recorded() if plan.protocol else {},
    )
    write_files(report, options)
    return report


def _each_shard(
    runner: Runner[ReadTask | TextTask, tuple[str, Any]],
    store: Store,
    manifest: Manifest,
    work: EvalPlan,
    cache: EmbeddingCache | None,
    progress: Progress,
) -> Iterator[Embedded]:
    """Yield the embeddings of all shards in order, from the cache if it has them."""
    keys = {entry.name: _key(store, entry, work) for entry in manifest.shards} if cache else {}
    kept = {name: found for name, key in keys.items() if cache and (found := cache.read(key))}
    missing = [entry for entry in manifest.shards if entry.name not in kept]
    if cache:
        log.info("eval: %d of %d shards have no embeddings in the cache", len(missing), len(manifest.shards))
    reports = done(runner.run(ReadTask(entry) for entry in missing), at_once=True, fix=FIX)
    fresh = in_order((entry.name for entry in missing), reports)
    for entry in manifest.shards:
        if (found := kept.pop(entry.name, None)) is None:
            found = next(fresh)
            if cache:
                cache.write(keys[entry.name], found)
        progress.advance(entry.samples)
        yield found


def _key(store: Store, entry: ShardEntry, work: EvalPlan) -> dict[str, Any]:
    """Return everything that determines the embeddings of a shard, as the cache key."""
    truth = ""
    if work.plan.places == TRUTH and (sidecar := Sidecar.read(store, entry.name)):
        truth = sidecar.files[truth_path(entry.name)].sha256
    spec = work.spec
    return {
        "shard": entry.sha256,
        "truth": truth,
        "model": [spec.model if spec.pretrained else "", spec.identity, spec.changes],
        "context_length": [work.context_length, work.at_least],
        "protocol": asdict(work.plan.protocol) if work.plan.protocol else None,
        "batch_size": work.batch_size,
        "device": work.device,
        "needs": [work.plan.places, work.plan.pairs, work.plan.needs_sentences, work.plan.needs_boxes],
        "averages": AVERAGING in work.plan.suites,
        "versions": versions_of("eval"),
    }


def _embed(runner: Runner[ReadTask | TextTask, tuple[str, Any]], texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the embeddings of texts, M x D."""
    starts = range(0, len(texts), TEXTS_AT_A_TIME)
    tasks = (TextTask(f"of texts {start}", tuple(texts[start : start + TEXTS_AT_A_TIME])) for start in starts)
    reports = done(runner.run(tasks), at_once=True, fix=FIX)
    return np.concatenate(list(in_order((f"of texts {start}" for start in starts), reports)))


def _check_outputs(options: EvalOptions) -> None:
    """Check that the output files can be written, and that none of them is read as an input."""
    folder = Path(options.model.removeprefix("local-dir:"))
    weights = [str(path) for path in folder.iterdir()] if folder.is_dir() else []
    weights += filter(None, [options.pretrained])
    for option, path in (("--out", options.out), ("--markdown", options.markdown)):
        if path:
            check_writable(path, [options.dir], weights, option)
    if options.cache:
        refuse_overlap([options.dir], options.cache, "--cache")
