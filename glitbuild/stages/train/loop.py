"""One process of a training, from top to bottom: data, model, optimizer, loop, log."""

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.precision import AUTO, BF16, FP32
from glitbuild.clip.precision import computing as computing_in
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.saved import save_model
from glitbuild.clip.text import clips_own
from glitbuild.clip.towers import stretch, text_tower
from glitbuild.errors import ConfigError, ModelError, TrainingError
from glitbuild.files import write_whole
from glitbuild.options import blaming
from glitbuild.shards.manifest import identity
from glitbuild.stages.train.cache import Ahead, ShardCache
from glitbuild.stages.train.data import Batch, Batches, ExampleMaker, load
from glitbuild.stages.train.folder import RAY, RunLog, State, load_checkpoint, save_checkpoint
from glitbuild.stages.train.losses import GLOBAL, Group, Objective, Views
from glitbuild.stages.train.optim import (
    backward,
    explained,
    model_too_large,
    parameter_groups,
    rate,
    too_little_memory,
)
from glitbuild.stages.train.options import TrainOptions
from glitbuild.stages.train.plan import Plan
from glitbuild.stages.train.sources import Source, shards_of
from glitbuild.stages.train.stopping import STOP, StopRequest
from glitbuild.stages.train.validation import Best, Validation
from glitbuild.tsl import to_input

MOST_SCALE = math.log(100)
"""Largest logarithm of logit_scale: CLIP (arXiv 2103.00020) keeps the scale below 100."""

BAD_BATCH = "nan-batch.json"


@dataclass(frozen=True, slots=True)
class Job:
    """Description of a training that every process gets; small and picklable.

    Attributes:
        options: options of the command.
        sources: URLs of the matched datasets, in the order of ``options.dir``.
        run: folder of the run, accessible to all processes.
        clip: model to start from.
        cache: cache of the shards of remote datasets; the same folder on each machine.
    """

    options: TrainOptions
    sources: tuple[str, ...]
    run: str
    clip: ClipSpec
    cache: ShardCache | None = None


@dataclass(frozen=True, slots=True)
class Pieces:
    """Parts of the training that an experiment may replace.

    Attributes:
        batches: factory of the batches, called like ``Batches``.
        views: factory of the module that computes the features of a batch, called like ``Views``.
        objective: factory of the function that computes the losses of the features, called like ``Objective``.
    """

    batches: Callable[..., Batches] = Batches
    views: Callable[..., torch.nn.Module] = Views
    objective: Callable[..., Objective] = Objective


@dataclass(frozen=True, slots=True)
class Training:
    """Everything a training needs, created and checked; nothing has been written yet.

    Attributes:
        job: description of the training.
        device: torch device.
        group: processes of the training.
        sources: matched datasets.
        plan: order of the samples.
        model: open_clip model.
        views: module that computes the features of a batch with the model.
        objective: function that computes the losses of the features.
        batches: dataset of the batches.
        input_size: side of the model's input in pixels.
        optimizer: optimizer of the trained parameters.
        validation: evaluation on the validation dataset, if there is one.
    """

    job: Job
    device: str
    group: Group
    sources: Sequence[Source]
    plan: Plan
    model: Any
    views: torch.nn.Module
    objective: Objective
    batches: Batches
    input_size: int
    optimizer: torch.optim.Optimizer
    validation: Validation | None = None


def prepare(job: Job, device: str, group: Group | None = None, pieces: Pieces | None = None) -> Training:
    """Load what a training needs and check that it can start, without waiting for other processes.

    Args:
        job: description of the training.
        device: torch device.
        group: processes of the training; by default this one alone.
        pieces: replacements for batches, features and losses.

    Raises:
        ModelError: the model is unavailable, or can't be trained this way.
        ConfigError: the options leave nothing to train.
        DatasetError: the dataset is damaged.
        TrainingError: the model doesn't fit in memory.
    """
    options, group, pieces = job.options, group or Group(), pieces or Pieces()

    # Model: stretched, and locked as the options say.
    model = load_model(job, device)
    with blaming(job.clip.shown):
        views = pieces.views(model, options.losses)
    objective = pieces.objective(options.loss_weights, group)

    # Data: the assignment of samples to steps is fixed before the first step.
    sources = tuple(map(Source.open, job.sources, options.repeats))
    plan = Plan.of(sources, options.seed, options.batch_size, group.size)
    preprocess, tokenizer = Preprocess.of(model), clips_own(job.clip.tokenizer())
    maker = ExampleMaker(preprocess, tokenizer, model.context_length, options.pairs)
    if job.cache:  # the folder may be missing on machines other than the command's
        job.cache.folder.mkdir(parents=True, exist_ok=True)
    batches = pieces.batches(sources, maker, plan, job.cache)

    # Optimizer: only of the parameters that the losses reach.
    blank = replace(batches[[]], keys=("",)).to(device)
    with computing(device, options.precision):
        features = views(blank)
    freeze_unreached(model, pieces.objective(options.loss_weights)(features)["loss"], options)
    parameters = parameter_groups(model, options.weight_decay)
    optimizer = torch.optim.AdamW(parameters, lr=options.lr, fused=device != "cpu")
    size = preprocess.size
    found = Training(job, device, group, sources, plan, model, views, objective, batches, size, optimizer)
    return with_validation(found, maker, pieces) if options.val else found


def with_validation(training: Training, maker: ExampleMaker, pieces: Pieces) -> Training:
    """Return a training with its validation.

    Raises:
        DatasetError: the validation dataset is damaged.
    """
    options, group = training.job.options, training.group
    assert options.val
    source = Source.open(options.val)
    plan = Plan.of([source], 0, min(options.batch_size, source.manifest.totals["samples"]), group.size)
    validation = Validation(
        pieces.batches([source], replace(maker, pairs="best"), plan, None),
        plan,
        pieces.views(training.model, options.losses | {GLOBAL}),
        training.objective,
        group,
        training.device,
        options.loader_workers,
        options.accumulate,
        identity(source.manifest),
    )
    return replace(training, validation=validation)


def train(training: Training, report: Callable[[State, int], None]) -> State:
    """Take all steps after the last checkpoint, then write the model.

    Args:
        training: training of this process; its model is modified.
        report: called after each step with the progress of the run and the number of images of the step.

    Returns:
        Progress of the run. If the run was asked to end (``StopRequest``), fewer steps than planned are done, and
        there is a checkpoint of the last one instead of a model.

    Raises:
        DatasetError: the last checkpoint or a sample is damaged.
        TrainingError: a loss is NaN or infinite, memory is too small, or a decoding process died.
    """
    job, device, group, plan = training.job, training.device, training.group, training.plan
    model, optimizer = training.model, training.optimizer
    options, run, first, steps = job.options, Path(job.run), group.rank == 0, plan.batches * job.options.epochs

    state = load_checkpoint(run, model, optimizer)
    views: Any = training.views
    if group.size > 1:
        views = DistributedDataParallel(views, broadcast_buffers=False)
    mixed = partial(computing, device, options.precision)
    log = RunLog(run, state.step, asdict(options), options.wandb) if first else None
    places = plan.steps(options.epochs, group.rank, state.step)
    ahead = Ahead(training.sources, plan, options.epochs, job.cache) if job.cache else None
    validation = training.validation
    best = Best(run, validation.dataset) if validation and first else None
    if validation and not state.step:
        values = validation.run(model, mixed)
        if log and best:
            log.write(0, values)
            best.offer(0, values, model, job.clip.model_cfg())

    with StopRequest(run / RAY / STOP) as request:
        end = time.perf_counter()
        for batch in load(training.batches, places, options.loader_workers, device != "cpu", ahead):
            start, shares = time.perf_counter(), plan.shares(state.step)
            lr = options.lr * rate(state.step, steps, options.warmup)
            for parameters in optimizer.param_groups:
                parameters["lr"] = lr
            with explained(options, job.run, device, state.step, shares[group.rank]):
                here = batch.to(device)
                losses = backward(views, here, training.objective, options.accumulate, mixed, shares)
                values, beyond, outside = over_all(group, losses, here, training.input_size)
                if not math.isfinite(values["loss"]):
                    stop(training, state.step, values)
                if options.clip_grad:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_grad)
                optimizer.step()
                optimizer.zero_grad()
                with torch.no_grad():
                    model.logit_scale.clamp_(max=MOST_SCALE)
            now = time.perf_counter()
            own = (now - start, now - end, peak_memory(device), float(request.asked))
            seconds, since_last, memory, asked = group.largest(own, device)
            end = now
            state.step += 1
            state.sentences_beyond += beyond
            state.boxes_outside += outside
            report(state, sum(shares))
            values |= {"epoch": (state.step - 1) // plan.batches, "lr": lr}
            values |= {"logit_scale": float(model.logit_scale.detach().exp()), "step_seconds": seconds}
            values |= {"images_per_second": sum(shares) / since_last, "memory_gib": memory}
            if validation and (state.step % options.val_every == 0 or state.step == steps):
                values |= (metrics := validation.run(model, mixed))
                if best:
                    best.offer(state.step, metrics, model, job.clip.model_cfg())
                end = time.perf_counter()
            if log:
                log.write(state.step, values)
            if first and state.step < steps and (asked or state.step % options.save_every == 0):
                save_checkpoint(run, state, model, optimizer)
            if asked and state.step < steps:
                break
    if log:
        log.close()
        if state.step == steps:
            save_model(run, model, job.clip.model_cfg())
    return state


def peak_memory(device: str) -> float:
    """Return the most memory that this process has used so far, in GiB: of the GPU, or else of the machine."""
    if device == "cpu":
        import resource

        # In KiB on Linux, in bytes on macOS.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    return torch.cuda.max_memory_allocated(device) / 2**30


def load_model(job: Job, device: str) -> Any:
    """Return the open_clip model, stretched and locked as the options say.

    Raises:
        ModelError: it is unavailable or can't be stretched.
        TrainingError: it doesn't fit in memory.
    """
    try:
        model: Any = job.clip.load(device)
    except (MemoryError, RuntimeError, ModelError) as error:
        if too_little_memory(error):
            raise model_too_large(job.run, device) from error
        raise
    with blaming(job.clip.shown):
        stretch(model, job.options.context_length)
    model.train()
    if job.options.grad_checkpointing:
        model.set_grad_checkpointing()
    if job.options.compile:
        compile_layers(model)
    # Same semantics as open_clip's own options: all but the last groups or layers are locked.
    if job.options.unlocked_image_groups is not None:
        model.lock_image_tower(unlocked_groups=job.options.unlocked_image_groups)
    if job.options.unlocked_text_layers is not None:
        model.lock_text_tower(unlocked_layers=job.options.unlocked_text_layers)
    return model


def compile_layers(model: Any) -> None:
    """Compile the layers of both towers with torch.compile, in place: names and weights stay the same."""
    for tower in (model.visual, text_tower(model)):
        for block in tower.transformer.resblocks:
            block.compile()


def computing(device: str, precision: str = AUTO) -> AbstractContextManager[Any]:
    """Return the context in which the model computes: autocast to bfloat16, unless it computes in float32."""
    if precision == AUTO:
        precision = FP32 if torch.device(device).type == "cpu" else BF16
    return computing_in(device, precision)


def freeze_unreached(model: torch.nn.Module, loss: Tensor, options: TrainOptions) -> None:
    """Freeze the parameters that get no gradient, such as logit_scale from ``tsl`` alone.

    A single process would leave them unchanged, but several would wait for their gradients.

    Args:
        model: model to train.
        loss: loss of any batch.
        options: options of the command, named in the error.

    Raises:
        ConfigError: no parameter is left to train.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(loss, trained, allow_unused=True) if trained and loss.requires_grad else ()
    if all(gradient is None for gradient in found):
        fix = "unlock a part of a tower with --unlocked-image-groups or --unlocked-text-layers"
        why = "the loss reaches no unlocked parameter, so nothing would be trained"
        raise ConfigError(f"--loss {options.loss}", why, fix)
    for parameter, gradient in zip(trained, found, strict=True):
        parameter.requires_grad_(gradient is not None)


def over_all(group: Group, losses: dict[str, Tensor], batch: Batch, size: int) -> tuple[dict[str, float], int, int]:
    """Return the losses over the samples of all processes, and how many of these lack tokens and patches.

    Args:
        group: processes of the training.
        losses: losses of this process.
        batch: batch of this process, on its device.
        size: side of the model's input in pixels.
    """
    rows = slice(len(batch))
    spans, boxes = batch.spans[rows], to_input(batch.boxes[rows], batch.windows[rows], size)
    beyond = (spans[:, 0] >= spans[:, 1]).sum()
    outside = (boxes[:, 2:] <= boxes[:, :2]).any(dim=1).sum()
    own = [value.detach().double() for value in (*losses.values(), beyond, outside)]
    table = group.table(torch.stack(own))
    means, sums = table.mean(dim=0).tolist(), table.sum(dim=0).tolist()
    return dict(zip(losses, means, strict=False)), int(sums[-2]), int(sums[-1])


def stop(training: Training, step: int, values: dict[str, float]) -> NoReturn:
    """End a run whose loss is NaN or infinite, and write the keys of the batch to the run's folder.

    Raises:
        TrainingError: always.
    """
    job, group, plan = training.job, training.group, training.plan
    path = Path(job.run) / BAD_BATCH
    if group.rank == 0:
        places = next(replace(plan, world_size=1).steps(step + 1, done=step))  # of all processes
        found = {"step": step, "keys": training.batches.keys(places)}
        if len(training.sources) > 1:  # which may have the same keys
            shards = shards_of(training.sources)
            found["dirs"] = [shards[place.shard].source.url for place in places]
        found["losses"] = {name: repr(value) for name, value in values.items()}
        write_whole(path, json.dumps(found, indent=1) + "\n")
    group.wait(training.device)  # the first process that fails ends the others
    fix = f"the batch's keys are in {path}; lower --lr, or set --clip-grad 1"
    raise TrainingError(job.run, f"the loss of step {step} is {values['loss']}", fix)
