"""One process of a training: its model, its part of every batch, its steps."""

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.names import blaming
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.saved import save_model
from glitbuild.clip.stretch import stretch
from glitbuild.clip.text import clip_tokenizer
from glitbuild.errors import TrainingError
from glitbuild.files import write_whole
from glitbuild.shards.manifest import open_dataset
from glitbuild.train.accumulate import backward
from glitbuild.train.checkpoint import State, load_checkpoint, save_checkpoint
from glitbuild.train.example import ExampleMaker
from glitbuild.train.loader import Batch, Batches, load
from glitbuild.train.log import RunLog
from glitbuild.train.objective import Objective
from glitbuild.train.options import TrainOptions
from glitbuild.train.plan import Plan
from glitbuild.train.schedule import parameter_groups, rate
from glitbuild.train.views import Views
from glitbuild.tsl.patches import to_input

MOST_SCALE = math.log(100)
"""CLIP (arXiv 2103.00020) keeps its logit_scale below 100."""

BAD_BATCH = "nan-batch.json"


@dataclass(frozen=True, slots=True)
class Job:
    """What every process of a training needs to know; small and picklable.

    Attributes:
        options: of the command.
        source: URL of the matched dataset.
        run: folder of the run, which all processes reach.
        clip: the model to start from.
    """

    options: TrainOptions
    source: str
    run: str
    clip: ClipSpec


class Trainer:
    """Trains a model on one device.

    Args:
        job: what to do.
        device: a torch device.
        rank: of this process.
        world_size: processes, whose group has been started if there are several.

    Attributes:
        model: the open_clip model.
        state: how far the run is.
        steps: of the whole training.
        batches: makes them.

    Raises:
        ModelError: the model can't be had or can't be trained this way.
        DatasetError: the dataset or the last checkpoint is damaged.
    """

    def __init__(self, job: Job, device: str, rank: int = 0, world_size: int = 1) -> None:
        options = job.options
        self._job, self._device, self._rank = job, device, rank
        self.model = job.clip.load(device)
        with blaming(job.clip.shown):
            stretch(self.model)
            tokenizer = clip_tokenizer(job.clip.architecture)
            self._views: Any = Views(self.model.train(), options.losses)
        _lock(self.model, options)
        self._optimizer = torch.optim.AdamW(
            parameter_groups(self.model, options.weight_decay), lr=options.lr, fused=device != "cpu"
        )
        self.state = load_checkpoint(Path(job.run), self.model, self._optimizer)
        if world_size > 1:
            self._views = DistributedDataParallel(self._views, broadcast_buffers=False)
        self._objective = Objective(options.weights, rank, world_size)
        _, manifest = open_dataset(job.source)
        sizes = tuple(entry.samples for entry in manifest.shards)
        self._plan = Plan(sizes, options.seed, options.batch_size, world_size)
        self.steps = self._plan.batches * options.epochs
        maker = ExampleMaker(
            Preprocess.of(self.model),
            tokenizer,
            self.model.context_length,
            options.pairs,
        )
        self._size = maker.preprocess.size
        self.batches = Batches(job.source, manifest, maker, options.seed)

    def run(self, report: Callable[[int], None]) -> State:
        """Take all steps that are left, then write the model.

        Args:
            report: called with the number of images after each step.

        Raises:
            TrainingError: a loss is not a number.
        """
        options, run = self._job.options, Path(self._job.run)
        first = self._rank == 0
        log = RunLog(run, self.state.step, asdict(options), options.wandb) if first else None
        places = self._plan.steps(options.epochs, self._rank, self.state.step)
        for batch in load(self.batches, places, options.loader_workers, self._device != "cpu"):
            start = time.perf_counter()
            values = self._step(batch.to(self._device))
            report(len(batch) * self._plan.world_size)
            if log:
                log.write(self.state.step, values | {"step_seconds": time.perf_counter() - start})
            if first and self.state.step % options.save_every == 0 and self.state.step < self.steps:
                save_checkpoint(run, self.state, self.model, self._optimizer)
        if log:
            log.close()
            save_model(run, self.model, self._job.clip.model_cfg())
        return self.state

    def _step(self, batch: Batch) -> dict[str, float]:
        options = self._job.options
        lr = options.lr * rate(self.state.step, self.steps, options.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        losses = backward(self._views, batch, self._objective, options.accumulate, self._computing)
        values = {name: float(value.detach()) for name, value in losses.items()}
        if not math.isfinite(values["loss"]):
            self._stop(batch, values)
        if options.clip_grad:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), options.clip_grad)
        self._optimizer.step()
        self._optimizer.zero_grad()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=MOST_SCALE)
        self._count(batch)
        scale = float(self.model.logit_scale.detach().exp())
        epoch = (self.state.step - 1) // self._plan.batches
        return values | {"epoch": epoch, "lr": lr, "logit_scale": scale}

    def _count(self, batch: Batch) -> None:
        self.state.step += 1
        self.state.sentences_beyond += int((batch.spans[:, 0] >= batch.spans[:, 1]).sum())
        boxes = to_input(batch.boxes, batch.windows, self._size)
        self.state.boxes_outside += int((boxes[:, 2:] <= boxes[:, :2]).any(dim=1).sum())

    def _computing(self) -> Any:
        if self._device == "cpu":
            return nullcontext()
        return torch.autocast(torch.device(self._device).type, dtype=torch.bfloat16)

    def _stop(self, batch: Batch, values: dict[str, float]) -> None:
        path = Path(self._job.run) / BAD_BATCH
        found = {"step": self.state.step, "keys": batch.keys, "losses": {k: repr(v) for k, v in values.items()}}
        write_whole(path, json.dumps(found, indent=1) + "\n")
        what = f"the loss of step {self.state.step} is {values['loss']}"
        fix = f"the batch's keys are in {path}; lower --lr, or set --clip-grad 1"
        raise TrainingError(self._job.run, what, fix)


def _lock(model: Any, options: TrainOptions) -> None:
    """Freeze towers, but for their last groups or layers, as open_clip's own options do."""
    if options.unlocked_image_groups is not None:
        model.lock_image_tower(unlocked_groups=options.unlocked_image_groups)
    if options.unlocked_text_layers is not None:
        model.lock_text_tower(unlocked_layers=options.unlocked_text_layers)
