"""What to say when memory was too small for a step or for the model."""

from collections.abc import Iterator
from contextlib import contextmanager

from glitbuild.batches import out_of_memory
from glitbuild.errors import TrainingError
from glitbuild.stages.train.options import TrainOptions

SIGNS = ("not enough memory", "alloc_failed", "can't allocate", "cannot allocate memory")
"""What torch's allocators and the libraries of a GPU say, beside "out of memory"."""


def too_little_memory(error: BaseException) -> bool:
    """Return whether an error, or what it came from, says that memory was too small."""
    seen: BaseException | None = error
    while seen is not None:
        if out_of_memory(seen) or any(sign in str(seen).lower() for sign in SIGNS):
            return True
        seen = seen.__cause__
    return False


@contextmanager
def explained(options: TrainOptions, run: str, device: str, step: int, share: int) -> Iterator[None]:
    """Turn an error of a step that doesn't fit in memory into one that says what to do.

    Args:
        options: of the command.
        run: the run's folder.
        device: of the process.
        step: that is being taken.
        share: samples of this process in the step.

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
    """Return the error for a step that doesn't fit.

    Args:
        options: of the command.
        run: the run's folder.
        device: of the process.
        step: that was being taken.
        share: samples of this process in the step.
    """
    where = "the GPU" if device.startswith("cuda") else "this machine"
    what = f"step {step} with --batch-size {options.batch_size} and --accumulate {options.accumulate}"
    parts = min(2 * options.accumulate, share)
    if parts > options.accumulate:
        fix = f"run the same command again with --accumulate {parts}: the same steps in less memory"
    else:
        fix = "one sample alone is too much: --accumulate can't be raised; take a smaller --model or --batch-size"
    return TrainingError(run, f"memory of {where} is too small (out of memory) for {what}", fix)


def model_too_large(run: str, device: str) -> TrainingError:
    """Return the error for a model that doesn't fit."""
    why = f"memory is too small (out of memory) for the model alone on {device}"
    return TrainingError(
        run, why, "free memory, or take a smaller --model; --batch-size and --accumulate can't help"
    )
