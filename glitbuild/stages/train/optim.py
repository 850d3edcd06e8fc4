"""Gradients and optimization: accumulation, parameter groups, learning rate, out-of-memory errors."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from glitbuild.batches import out_of_memory
from glitbuild.errors import TrainingError
from glitbuild.stages.train.data import Batch
from glitbuild.stages.train.losses import Features, Objective
from glitbuild.stages.train.options import TrainOptions

SIGNS = ("not enough memory", "alloc_failed", "can't allocate", "cannot allocate memory")
"""What torch's allocators and GPU libraries say besides "out of memory"."""


def too_little_memory(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, says that memory was too small."""
    seen: BaseException | None = error
    while seen is not None:
        if out_of_memory(seen) or any(sign in str(seen).lower() for sign in SIGNS):
            return True
        seen = seen.__cause__
    return False


@contextmanager
def explained(options: TrainOptions, run: str, device: str, step: int, share: int) -> Iterator[None]:
    """Turn an out-of-memory error of a step into one that says what to do.

    Args:
        options: options of the command.
        run: folder of the run.
        device: device of the process.
        step: number of the current step.
        share: number of samples of this process in the step.

    Raises:
        TrainingError: memory is too small.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not too_little_memory(error):
            raise
        raise step_too_large(options, run, device, step, share) from error


def step_too_large(options: TrainOptions, run: str, device: str, step: int, share: int) -> TrainingError:
    """Return the error for a step that doesn't fit in memory.

    Args:
        options: options of the command.
        run: folder of the run.
        device: device of the process.
        step: number of the current step.
        share: number of samples of this process in the step.
    """
    where = "the GPU" if device.startswith("cuda") else "this machine"
    what = f"step {step} with --batch-size {options.batch_size} and --accumulate {options.accumulate}"
    parts = min(2 * options.accumulate, share)
    if not options.grad_checkpointing:
        fix = "run the same command again with --grad-checkpointing"
        fix += f", or --accumulate {parts}" if parts > options.accumulate else ""
        fix += ": the same steps in less memory"
    elif parts > options.accumulate:
        fix = f"run the same command again with --accumulate {parts}: the same steps in less memory"
    else:
        fix = "one sample alone is too much: --accumulate can't be raised; choose a smaller --model or --batch-size"
    return TrainingError(run, f"memory of {where} is too small (out of memory) for {what}", fix)


def model_too_large(run: str, device: str) -> TrainingError:
    """Return the error for a model that doesn't fit in memory."""
    why = f"memory is too small (out of memory) for the model alone on {device}"
    return TrainingError(
        run, why, "free memory, or choose a smaller --model; --batch-size and --accumulate don't help"
    )


def backward(
    views: Any,
    batch: Batch,
    objective: Objective,
    parts: int,
    computing: Any = nullcontext,
    shares: Sequence[int] = (),
) -> dict[str, Tensor]:
    """Add the gradients of a batch to the model's, and return the losses.

    When computed in several parts, the losses are still those of the whole batch with all its negatives: features
    are first computed without gradients, then the losses and their gradients with respect to the features, then
    each part once more with gradients, continuing from those of its features (GradCache, arXiv 2101.06983).

    Args:
        views: ``Views``, possibly wrapped for several processes.
        batch: batch on the model's device.
        objective: objective of the training.
        parts: number of parts that the batch is cut into.
        computing: factory of the context in which the model computes, such as autocast.
        shares: number of samples of each process, if there are several.
    """
    if parts <= 1:
        with computing():
            features = views(batch)
        losses = objective(features, shares)
        losses["loss"].backward()
        return losses
    pieces = parts_of(batch, parts)
    with torch.no_grad(), computing():
        known = [views(piece) for piece in pieces]
    leaves = {name: value.detach() for name, value in joined(known).items()}
    for value in leaves.values():
        value.requires_grad_(value.is_floating_point())
    losses = objective(leaves, shares)
    losses["loss"].backward()
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        waiting: AbstractContextManager[Any] = (
            nullcontext() if last or not hasattr(views, "no_sync") else views.no_sync()
        )
        with waiting:
            with computing():
                features = views(piece)
            start = sum(map(len, pieces[:number]))
            names = [name for name in gradients if name != "logit_scale" or last]
            names = [name for name in names if features[name].requires_grad]  # the others belong to a locked tower
            onward = [
                gradients[name] if name == "logit_scale" else gradients[name][start : start + len(piece)]
                for name in names
            ]
            if names:
                torch.autograd.backward([features[name] for name in names], onward)
    return losses


def parts_of(batch: Batch, parts: int) -> list[Batch]:
    """Return a batch in up to ``parts`` parts of about equal size."""
    size = max(1, -(-len(batch) // parts))
    # A process without samples computes its blank row once, because the others wait for it.
    return [batch.part(start, start + size) for start in range(0, len(batch), size)] or [batch]


def joined(parts: Sequence[Features]) -> Features:
    """Return the features of all parts of a batch."""
    return {
        name: first if name == "logit_scale" else torch.cat([part[name] for part in parts])
        for name, first in parts[0].items()
    }


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return a model's parameters in two groups: matrices with weight decay; gains, biases and scales without."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def warm_cosine(
    optimizer: torch.optim.Optimizer, steps: int, warm: float = 0.05
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a schedule that rises over a share ``warm`` of the steps, then falls to 0 along a cosine."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps, warm))


def rate(step: int, steps: int, warm: float) -> float:
    """Return the learning rate of a step as a share of the peak: a linear rise, then a cosine to 0."""
    rise = round(steps * warm)
    if step < rise:
        return (step + 1) / rise
    return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(1, steps - rise))
