"""The ``train`` command: check, start or resume, train in one or more processes, return the result."""

import logging
from dataclasses import dataclass
from pathlib import Path

from glitbuild.clip.load import ClipSpec
from glitbuild.engine.progress import Progress
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.options import TRAIN, content_of
from glitbuild.shards.manifest import Manifest, identity, open_dataset, require_captions
from glitbuild.shards.output import locked
from glitbuild.shards.reader import check_shards
from glitbuild.shards.sidecar import Config
from glitbuild.shards.store import Store
from glitbuild.stages.train.cache import ShardCache
from glitbuild.stages.train.folder import RUN, RunFolder, State
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.plan import Plan
from glitbuild.stages.train.sources import Source

__all__ = ["RUN", "Trained", "run_train"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """Result of a training.

    Attributes:
        steps: number of steps of the whole training.
        epochs: number of epochs of the whole training.
        samples: number of samples of the datasets, each counted once.
        sentences_beyond: number of local sentences beyond the last token, summed over all steps.
        boxes_outside: number of regions that the model's centre crop removed, summed over all steps.
        done_before: whether the run was already done.
        images_per_second: throughput of this call.
        best_step: step of the best model on the validation dataset, in the run's ``best`` folder; None without one.
        best_recall: its recall@1 in percent, the mean of both directions.
    """

    steps: int
    epochs: int
    samples: int
    sentences_beyond: int
    boxes_outside: int
    done_before: bool = False
    images_per_second: float = 0.0
    best_step: int | None = None
    best_recall: float = 0.0


def run_train(options: TrainOptions, plain: bool = False) -> Trained:
    """Fine-tune a model on matched datasets; resume if an earlier call with the same options was interrupted.

    Args:
        options: options of the command.
        plain: whether to report progress as lines even on a terminal.

    Raises:
        ConfigError: the options, the cache or the model are invalid; nothing has been written.
        DatasetError: a dataset is not matched, or is damaged.
        TrainingError: a loss is NaN or infinite, memory is too small, or a process died.
    """
    sources = open_sources(options)
    if options.val:
        require_validation(options.val)
    clip = ClipSpec.parse(options.model, options.pretrained, options.facts, TRAIN)
    plan = Plan.of(sources, options.seed, options.batch_size, options.world_size)
    folder = RunFolder(options, _config(options, clip, sources))
    if done := folder.done():
        return Trained(**done, done_before=True)
    local = all(source.is_local for source in sources)
    cache = None if local else ShardCache(options.cache_folder, options.cache_limit)
    if local and (options.cache or options.cache_size):
        name, what = "--cache" if options.cache else "--cache-size", " and ".join(options.dirs)
        are = "is" if len(sources) == 1 else "are"
        raise ConfigError(name, f"{what} {are} local, so no shard is downloaded", f"omit {name}")
    reads = [*options.dirs, *filter(None, [options.val]), *([str(cache.folder)] if cache else [])]
    folder.check([*reads, *(name for name in (clip.model, clip.pretrained) if Path(name).is_absolute())])
    with locked(folder.path, options.out):
        if done := folder.done():  # another process finished the run in the meantime
            return Trained(**done, done_before=True)
        for dir, source in zip(options.dirs, sources, strict=True):
            if cache and not source.is_local:  # each shard is verified when it is downloaded
                cache.prepare(Store(dir), source.manifest.shards)
            else:
                check_shards(Store(dir), source.manifest.shards)
        total, count = plan.batches * options.epochs, sum(plan.sizes)
        seen = "" if plan.samples == count else f" ({plan.samples} per epoch)"
        log.info(
            "train: %d samples%s, %d steps in %d epochs; loading the model", count, seen, total, options.epochs
        )
        state, rate = _train(options, sources, cache, clip, plan, folder, plain)
        done = {"steps": total, "epochs": options.epochs, "samples": count}
        done |= {"sentences_beyond": state.sentences_beyond, "boxes_outside": state.boxes_outside}
        if state.step < total:
            log.warning("train: asked to end, so step %d of %d was saved as a checkpoint", state.step, total)
            raise KeyboardInterrupt
        if options.val:
            from glitbuild.stages.train.validation import MEAN, Best

            best = Best(folder.path, identity(open_dataset(options.val)[1]))
            done |= {"best_step": best.step, "best_recall": best.metrics[MEAN]}
        folder.finish(done)
        return Trained(**done, images_per_second=rate)


def open_sources(options: TrainOptions) -> tuple[Source, ...]:
    """Open the datasets of a training.

    Raises:
        ConfigError: one doesn't exist, is given twice, or would contribute no sample.
        DatasetError: one is not matched.
    """
    found: dict[str, Source] = {}
    for dir, repeat in zip(options.dirs, options.repeats, strict=True):
        source = Source.open(dir, repeat)
        require_matched(dir, source.manifest)
        if not Plan.of([source], 0, 0).samples:
            what = "it has no samples"
            if source.manifest.totals["samples"]:
                what = f"--repeat {repeat:g} leaves none of its {source.manifest.totals['samples']} samples"
            raise ConfigError(dir, what, "omit it, or give a larger number")
        if (same := identity(source.manifest)) in found:
            why = f"it has the same samples as {found[same].url}"
            raise ConfigError(dir, why, "give it once, with --repeat to have its samples seen more often")
        found[same] = source
    return tuple(found.values())


def require_matched(url: str, manifest: Manifest) -> None:
    """Check that a dataset was made by ``match``.

    Raises:
        DatasetError: it was not.
    """
    require_captions(url, manifest)
    if manifest.config.get("stage") != "match":
        raise DatasetError(url, "its records have no best_pair", "run `glitbuild match` on it first")


def require_validation(url: str) -> None:
    """Check that a dataset can be validated on.

    Raises:
        ConfigError: it doesn't exist or has no samples.
        DatasetError: it is not matched, or a shard is damaged.
    """
    store, manifest = open_dataset(url)
    require_matched(url, manifest)
    if not manifest.totals["samples"]:
        raise ConfigError(f"--val {url}", "it has no samples", "give a dataset that has some")
    if store.is_local:
        check_shards(store, manifest.shards)


def _train(
    options: TrainOptions,
    sources: tuple[Source, ...],
    cache: ShardCache | None,
    clip: ClipSpec,
    plan: Plan,
    folder: RunFolder,
    plain: bool,
) -> tuple[State, float]:
    """Load the model, which finds the last errors in the command line; only then write anything, and train."""
    import torch

    from glitbuild.stages.train.loop import Job, prepare, train

    urls = tuple(source.url for source in sources)
    job, several = Job(options, urls, str(folder.path), clip, cache), bool(options.gpus or options.workers)
    device = "cuda" if torch.cuda.is_available() and not several else "cpu"
    if several:
        from glitbuild.stages.train.distributed import check_gpus, train_with_ray

        check_gpus(options)
    training = prepare(job, device)
    images = plan.images(plan.batches * options.epochs) - plan.images(folder.steps)
    if several:
        del training  # only loaded as a check: the processes load the model themselves
        with Progress("train", images, plain) as progress:
            return train_with_ray(job, plan, folder.begin, progress.advance), progress.rate
    folder.begin()
    with Progress("train", images, plain) as progress:
        return train(training, lambda state, images: progress.advance(images)), progress.rate


def _config(options: TrainOptions, clip: ClipSpec, sources: tuple[Source, ...]) -> Config:
    # What is compared is how the checkpoint is read, not which option or file decided it.
    config = content_of(options) | clip.changes
    dirs = [f"sha256:{identity(source.manifest)}" for source in sources]
    if any(source.repeat != 1 for source in sources):
        config["repeat"] = [source.repeat for source in sources]
    return config | {
        "stage": "train",
        "dir": dirs[0] if len(dirs) == 1 else dirs,
        "model": clip.name,
        "pretrained": clip.identity,
    }
