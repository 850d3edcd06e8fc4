"""The command ``train``: check, begin or go on, train in one process or several, say what came of it."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from glitbuild.clip.load import ClipSpec
from glitbuild.engine.progress import Progress
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.options import TRAIN, content_of
from glitbuild.shards.manifest import Manifest, open_dataset, require_captions
from glitbuild.shards.output import locked
from glitbuild.shards.reader import check_shards
from glitbuild.shards.sidecar import Config
from glitbuild.stages.train.cache import ShardCache
from glitbuild.stages.train.folder import RUN, RunFolder, State
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.plan import Plan

__all__ = ["RUN", "Trained", "run_train"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to.

    Attributes:
        steps: of the whole training.
        epochs: same as above.
        samples: of the dataset.
        sentences_beyond: local sentences that stood behind the last token, over all steps.
        boxes_outside: regions of which the model's centre crop left nothing, same as above.
        done_before: nothing was left to do.
        images_per_second: of this run.
    """

    steps: int
    epochs: int
    samples: int
    sentences_beyond: int
    boxes_outside: int
    done_before: bool = False
    images_per_second: float = 0.0


def run_train(options: TrainOptions, plain: bool = False) -> Trained:
    """Fine-tune a model on a matched dataset; what an earlier call of the same options began is continued.

    Args:
        options: of the command.
        plain: progress as lines, also on a terminal.

    Raises:
        ConfigError: the options, the cache or the model are wrong; nothing has been written.
        DatasetError: the dataset is not matched, or damaged.
        TrainingError: a loss is not a number, memory is too small, or a process died.
    """
    store, manifest = open_dataset(options.dir)
    require_captions(options.dir, manifest)
    if manifest.config.get("stage") != "match":
        raise DatasetError(options.dir, "its records have no best_pair", "run `glitbuild match` on it first")
    clip = ClipSpec.parse(options.model, options.pretrained, options.facts, TRAIN)
    sizes = tuple(entry.samples for entry in manifest.shards)
    plan = Plan(sizes, options.seed, options.batch_size, options.world_size)
    folder = RunFolder(options, _config(options, clip, manifest))
    if done := folder.done():
        return Trained(**done, done_before=True)
    source = store.root if store.is_local else store.url
    cache = None if store.is_local else ShardCache(options.cache_folder, options.cache_limit)
    if store.is_local and (options.cache or options.cache_size):
        name = "--cache" if options.cache else "--cache-size"
        raise ConfigError(name, f"{options.dir} is on this machine, so no shard is fetched", f"omit {name}")
    reads = [options.dir, *([str(cache.folder)] if cache else [])]
    folder.check([*reads, *(name for name in (clip.model, clip.pretrained) if Path(name).is_absolute())])
    with locked(folder.path, options.out):
        if done := folder.done():  # by a run that has ended meanwhile
            return Trained(**done, done_before=True)
        if cache:  # the rest of the check comes with each shard
            cache.prepare(store, manifest.shards)
        else:
            check_shards(store, manifest.shards)
        total = plan.batches * options.epochs
        count = sum(sizes)
        log.info("train: %d samples, %d steps in %d epochs; loading the model", count, total, options.epochs)
        state, rate = _train(options, source, cache, clip, plan, folder, plain)
        done = {"steps": total, "epochs": options.epochs, "samples": count}
        done |= {"sentences_beyond": state.sentences_beyond, "boxes_outside": state.boxes_outside}
        folder.finish(done)
        return Trained(**done, images_per_second=rate)


def _train(
    options: TrainOptions,
    source: str,
    cache: ShardCache | None,
    clip: ClipSpec,
    plan: Plan,
    folder: RunFolder,
    plain: bool,
) -> tuple[State, float]:
    """Load the model, which finds the last mistakes of the command line; then begin to write, and train."""
    import torch

    from glitbuild.stages.train.loop import Job, prepare, train

    job, several = Job(options, source, str(folder.path), clip, cache), bool(options.gpus or options.workers)
    device = "cuda" if torch.cuda.is_available() and not several else "cpu"
    if several:
        from glitbuild.stages.train.distributed import check_gpus, train_with_ray

        check_gpus(options)
    training = prepare(job, device)
    images = plan.images(plan.batches * options.epochs) - plan.images(folder.steps)
    if several:
        del training  # the processes load the model themselves; this was to see that they can
        with Progress("train", images, plain) as progress:
            return train_with_ray(job, plan, folder.begin, progress.advance), progress.rate
    folder.begin()
    with Progress("train", images, plain) as progress:
        return train(training, lambda state, images: progress.advance(images)), progress.rate


def _config(options: TrainOptions, clip: ClipSpec, manifest: Manifest) -> Config:
    # What was decided of the weights counts, not which option or file decided it.
    config = content_of(options) | clip.changes
    shards = hashlib.sha256("".join(entry.sha256 for entry in manifest.shards).encode()).hexdigest()
    return config | {"stage": "train", "dir": f"sha256:{shards}", "model": clip.name, "pretrained": clip.identity}
