"""The command ``train``: check, begin or go on, train in one process or several, say what came of it."""

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from glitbuild.clip.facts import OPTIONS
from glitbuild.clip.load import ClipSpec
from glitbuild.clip.names import TRAIN
from glitbuild.clip.saved import is_saved
from glitbuild.engine.progress import Progress
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.files import write_whole
from glitbuild.shards.manifest import Manifest, open_dataset, require_captions
from glitbuild.shards.reader import check_shards
from glitbuild.shards.sidecar import Config, refuse_changes
from glitbuild.train.checkpoint import FOLDER, State, has_checkpoint
from glitbuild.train.options import TrainOptions
from glitbuild.train.plan import Plan

RUN = "run.json"
"""What a run was begun with, and at its end what it came to."""

SCHEMA = "glit-run/1"

FREE = ("out", "gpus", "workers", "loader_workers", "save_every", "ray_address", "wandb", "resume", "overwrite")
"""Options that may change when a run is continued: the steps don't depend on them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to.

    Attributes:
        steps: of the whole training.
        epochs: likewise.
        samples: of the dataset.
        sentences_beyond: local sentences that stood behind the last token, over all steps.
        boxes_outside: regions of which the model's centre crop left nothing, likewise.
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
        ConfigError: the options or the model are wrong; nothing has been written.
        DatasetError: the dataset is not matched, or damaged.
        TrainingError: a loss is not a number, or a process died.
    """
    store, manifest = open_dataset(options.dir)
    require_captions(options.dir, manifest)
    if manifest.config.get("stage") != "match":
        raise DatasetError(options.dir, "its records have no best_pair", "run `glitbuild match` on it first")
    clip = ClipSpec.parse(options.model, options.pretrained, options.facts, TRAIN)
    sizes = tuple(entry.samples for entry in manifest.shards)
    plan = Plan(sizes, options.seed, options.batch_size, options.world_size)
    run = Path(options.out).resolve()
    config = _config(options, clip, manifest)
    if options.overwrite and run.exists():
        _remove(run)
    begun = _begun(run, config, options.out)
    if begun and "done" in begun:
        return Trained(**begun["done"], done_before=True)
    if options.resume and not has_checkpoint(run):
        raise ConfigError(f"--resume {options.out}", "there is no checkpoint", "leave --resume away to begin")
    check_shards(store, manifest.shards)
    run.mkdir(parents=True, exist_ok=True)
    _write(run, {"schema": SCHEMA, "config": config})
    source = store.root if store.is_local else store.url
    total = plan.batches * options.epochs
    log.info("train: %d samples, %d steps in %d epochs; loading the model", sum(sizes), total, options.epochs)
    state, rate = _train(options, source, str(run), clip, plan, plain)
    done: dict[str, Any] = {"steps": total, "epochs": options.epochs, "samples": sum(sizes)}
    done |= {"sentences_beyond": state.sentences_beyond, "boxes_outside": state.boxes_outside}
    _write(run, {"schema": SCHEMA, "config": config, "done": done})
    shutil.rmtree(run / FOLDER, ignore_errors=True)  # what they were for is over
    return Trained(**done, images_per_second=rate)


def _train(
    options: TrainOptions, source: str, run: str, clip: ClipSpec, plan: Plan, plain: bool
) -> tuple[State, float]:
    from glitbuild.train.job import Job, Trainer

    job = Job(options, source, run, clip)
    images = sum(plan.sizes) * options.epochs
    if options.gpus or options.workers:
        from glitbuild.train.several import train_with_ray

        with Progress("train", images, plain) as progress:
            return train_with_ray(job, progress.advance), progress.rate
    import torch

    trainer = Trainer(job, "cuda" if torch.cuda.is_available() else "cpu")
    done = trainer.state.step // plan.batches * sum(plan.sizes)
    done += trainer.state.step % plan.batches * options.batch_size
    with Progress("train", images - done, plain) as progress:
        return trainer.run(progress.advance), progress.rate


def _config(options: TrainOptions, clip: ClipSpec, manifest: Manifest) -> Config:
    # What was decided of the weights counts, not which option or file decided it.
    left_out = {*FREE, *OPTIONS.values()}
    config = {name: value for name, value in asdict(options).items() if name not in left_out} | clip.changes
    shards = hashlib.sha256("".join(entry.sha256 for entry in manifest.shards).encode()).hexdigest()
    return config | {"stage": "train", "dir": f"sha256:{shards}", "model": clip.name, "pretrained": clip.identity}


def _begun(run: Path, config: Config, out: str) -> dict[str, Any] | None:
    """Return what a run's folder says of it; None where there is none.

    Raises:
        OptionsChangedError: it was begun with other options.
        DatasetError: it is damaged, or of another schema.
        ConfigError: the folder holds something else.
    """
    path = run / RUN
    if not path.exists():
        if run.exists() and (not run.is_dir() or any(run.iterdir())):
            raise ConfigError(f"--out {out}", "the folder is not empty and holds no run", "choose another --out")
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if content["schema"] != SCHEMA:
            fix = "continue it with the version that began it, or start again with --overwrite"
            raise DatasetError(str(path), f"its schema is {content['schema']}, this version writes {SCHEMA}", fix)
        refuse_changes(out, content["config"], config)
    except (ValueError, KeyError, AttributeError) as error:
        raise DatasetError(str(path), f"damaged ({error!r})", "start again with --overwrite") from error
    if "done" in content and not is_saved(run):
        raise DatasetError(out, "the run is done, but its model is gone", "start again with --overwrite")
    return content


def _remove(run: Path) -> None:
    if not (run / RUN).exists():
        raise ConfigError(f"--out {run}", "not a run, so it is not removed", "choose another --out")
    shutil.rmtree(run)


def _write(run: Path, content: dict[str, Any]) -> None:
    write_whole(run / RUN, json.dumps(content, indent=1) + "\n")
