"""One process of a training, from top to bottom: data, model, optimizer, loop, log."""

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.names import blaming
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.saved import save_model
from glitbuild.clip.text import clip_tokenizer
from glitbuild.clip.towers import stretch
from glitbuild.errors import ConfigError, ModelError, TrainingError
from glitbuild.files import write_whole
from glitbuild.shards.manifest import open_dataset
from glitbuild.stages.train.ahead import Ahead
from glitbuild.stages.train.cache import ShardCache
from glitbuild.stages.train.checkpoint import State, load_checkpoint, save_checkpoint
from glitbuild.stages.train.data import Batch, Batches, ExampleMaker, load
from glitbuild.stages.train.log import RunLog
from glitbuild.stages.train.losses import Group, Objective, Views
from glitbuild.stages.train.memory import model_too_large, step_too_large, too_little_memory
from glitbuild.stages.train.optim import backward, parameter_groups, rate
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.plan import Plan
from glitbuild.tsl.loss import to_input

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
        cache: of the dataset's shards, where it is remote; on each machine in the same folder.
    """

    options: TrainOptions
    source: str
    run: str
    clip: ClipSpec
    cache: ShardCache | None = None


@dataclass(frozen=True, slots=True)
class Pieces:
    """What an experiment may replace.

    Attributes:
        batches: makes the batches; called as ``Batches`` is.
        views: computes the features of a batch; called as ``Views`` is.
        objective: computes the losses of the features; called as ``Objective`` is.
    """

    batches: Callable[..., Batches] = Batches
    views: Callable[..., torch.nn.Module] = Views
    objective: Callable[..., Objective] = Objective


class Trainer:
    """Trains a model on one device.

    Making one loads the model and finds out whether it can be trained; nothing is written and no other process
    is waited for before ``run``.

    Args:
        job: what to do.
        device: a torch device.
        rank: of this process.
        world_size: processes, whose group has been started if there are several.
        pieces: what is used to make batches, features and losses.

    Attributes:
        model: the open_clip model.
        state: how far the run is.
        steps: of the whole training.
        batches: makes them.

    Raises:
        ModelError: the model can't be had or can't be trained this way.
        ConfigError: the options leave nothing to train.
        DatasetError: the dataset is damaged.
        TrainingError: the model doesn't fit in memory.
    """

    def __init__(
        self, job: Job, device: str, rank: int = 0, world_size: int = 1, pieces: Pieces | None = None
    ) -> None:
        options, pieces = job.options, pieces or Pieces()
        self._job, self._device, self._group = job, device, Group(rank, world_size)
        try:
            self.model = job.clip.load(device)
        except (MemoryError, RuntimeError, ModelError) as error:
            if too_little_memory(error):
                raise model_too_large(job.run, device) from error
            raise
        with blaming(job.clip.shown):
            stretch(self.model)
            tokenizer, preprocess = clip_tokenizer(job.clip.architecture), Preprocess.of(self.model)
            self._views: Any = pieces.views(self.model.train(), options.losses)
        _lock(self.model, options)
        self._objective = pieces.objective(options.weights, self._group)
        _, manifest = open_dataset(job.source)
        if job.cache:  # on another machine than the command it may be missing
            job.cache.folder.mkdir(parents=True, exist_ok=True)
        sizes = tuple(entry.samples for entry in manifest.shards)
        self._plan = Plan(sizes, options.seed, options.batch_size, world_size)
        self.steps = self._plan.batches * options.epochs
        maker = ExampleMaker(
            preprocess,
            tokenizer,
            self.model.context_length,
            options.pairs,
        )
        self._size = maker.preprocess.size
        self.batches = pieces.batches(job.source, manifest, maker, self._plan, job.cache)
        self._shards = manifest.shards
        self.state = State()
        self._leave_out_what_no_loss_reaches(pieces.objective)
        self._optimizer = torch.optim.AdamW(
            parameter_groups(self.model, options.weight_decay), lr=options.lr, fused=device != "cpu"
        )

    def run(self, report: Callable[[int], None]) -> State:
        """Take all steps that are left, behind the last checkpoint, then write the model.

        Args:
            report: called with the number of images after each step.

        Raises:
            DatasetError: the last checkpoint or a sample is damaged.
            TrainingError: a loss is not a number, memory is too small, or a decoding process died.
        """
        options, run = self._job.options, Path(self._job.run)
        first = self._group.rank == 0
        self.state = load_checkpoint(run, self.model, self._optimizer)
        if self._group.size > 1:
            self._views = DistributedDataParallel(self._views, broadcast_buffers=False)
        log = RunLog(run, self.state.step, asdict(options), options.wandb) if first else None
        places = self._plan.steps(options.epochs, self._group.rank, self.state.step)
        cache, source = self._job.cache, self._job.source
        ahead = Ahead(source, self._shards, self._plan, options.epochs, cache) if cache else None
        for batch in load(self.batches, places, options.loader_workers, self._device != "cpu", ahead):
            start = time.perf_counter()
            shares = self._plan.shares(self.state.step)
            try:
                values = self._step(batch.to(self._device), shares)
            except (MemoryError, RuntimeError) as error:
                if not too_little_memory(error):
                    raise
                share = shares[self._group.rank]
                raise step_too_large(options, self._job.run, self._device, self.state.step, share) from error
            values["step_seconds"] = self._slowest(time.perf_counter() - start)
            report(sum(shares))
            if log:
                log.write(self.state.step, values)
            if first and self.state.step % options.save_every == 0 and self.state.step < self.steps:
                save_checkpoint(run, self.state, self.model, self._optimizer)
        if log:
            log.close()
            save_model(run, self.model, self._job.clip.model_cfg())
        return self.state

    def _step(self, batch: Batch, shares: Sequence[int]) -> dict[str, float]:
        """Take one step with this process's samples; return what all processes together found."""
        options = self._job.options
        lr = options.lr * rate(self.state.step, self.steps, options.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        losses = backward(self._views, batch, self._objective, options.accumulate, self._computing, shares)
        values, beyond, outside = self._together(losses, batch)
        if not math.isfinite(values["loss"]):
            self._stop(batch, values)
        if options.clip_grad:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), options.clip_grad)
        self._optimizer.step()
        self._optimizer.zero_grad()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=MOST_SCALE)
        self.state.step += 1
        self.state.sentences_beyond += beyond
        self.state.boxes_outside += outside
        scale = float(self.model.logit_scale.detach().exp())
        epoch = (self.state.step - 1) // self._plan.batches
        return values | {"epoch": epoch, "lr": lr, "logit_scale": scale}

    def _together(self, losses: dict[str, Tensor], batch: Batch) -> tuple[dict[str, float], int, int]:
        """Return the losses of all processes' samples, and how many of these lack tokens and patches."""
        rows = slice(len(batch))
        spans, boxes = batch.spans[rows], to_input(batch.boxes[rows], batch.windows[rows], self._size)
        beyond = (spans[:, 0] >= spans[:, 1]).sum()
        outside = (boxes[:, 2:] <= boxes[:, :2]).any(dim=1).sum()
        own = [value.detach().double() for value in (*losses.values(), beyond, outside)]
        table = self._group.table(torch.stack(own))
        means, sums = table.mean(dim=0).tolist(), table.sum(dim=0).tolist()
        return dict(zip(losses, means, strict=False)), int(sums[-2]), int(sums[-1])

    def _slowest(self, seconds: float) -> float:
        if self._group.size == 1:
            return seconds
        return float(self._group.table(torch.tensor([seconds], device=self._device)).max())

    def _computing(self) -> Any:
        if self._device == "cpu":
            return nullcontext()
        return torch.autocast(torch.device(self._device).type, dtype=torch.bfloat16)

    def _stop(self, batch: Batch, values: dict[str, float]) -> None:
        path, step = Path(self._job.run) / BAD_BATCH, self.state.step
        if self._group.rank == 0:
            keys = batch.keys
            if self._group.size > 1:  # the other processes' too
                keys = self.batches.keys(next(replace(self._plan, world_size=1).steps(step + 1, done=step)))
            found = {"step": step, "keys": keys, "losses": {k: repr(v) for k, v in values.items()}}
            write_whole(path, json.dumps(found, indent=1) + "\n")
        self._group.wait(self._device)  # the first that fails ends the others
        what = f"the loss of step {step} is {values['loss']}"
        fix = f"the batch's keys are in {path}; lower --lr, or set --clip-grad 1"
        raise TrainingError(self._job.run, what, fix)

    def _leave_out_what_no_loss_reaches(self, objective: Callable[..., Objective]) -> None:
        """Freeze the parameters that get no gradient, such as logit_scale from ``tsl`` alone.

        One process would leave them as they are; several would wait for their gradients.
        """
        blank = self.batches[[]].to(self._device)
        batch, options = replace(blank, keys=("",)), self._job.options
        with self._computing():
            features = self._views(batch)
        loss = objective(options.weights)(features)["loss"]
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(loss, trained, allow_unused=True) if trained and loss.requires_grad else ()
        if all(gradient is None for gradient in found):
            what = f"--loss {options.loss}"
            fix = "unlock a part of a tower with --unlocked-image-groups or --unlocked-text-layers"
            raise ConfigError(what, "it reaches no parameter that is not locked, so nothing would be trained", fix)
        for parameter, gradient in zip(trained, found, strict=True):
            parameter.requires_grad_(gradient is not None)


def _lock(model: Any, options: TrainOptions) -> None:
    """Freeze towers, but for their last groups or layers, as open_clip's own options do."""
    if options.unlocked_image_groups is not None:
        model.lock_image_tower(unlocked_groups=options.unlocked_image_groups)
    if options.unlocked_text_layers is not None:
        model.lock_text_tower(unlocked_layers=options.unlocked_text_layers)
