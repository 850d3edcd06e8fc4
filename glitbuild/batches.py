"""Batches through a model, halved where memory is too small; windows of pictures, made ahead in threads."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


def in_batches(
    compute: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], batch_size: int
) -> list[Result]:
    """Return ``compute``'s result for every item, in order.

    Which items share a batch depends on ``items`` and ``batch_size`` alone, as long as memory suffices.

    Raises:
        MemoryError, RuntimeError: one item alone does not fit in memory.
    """
    results: list[Result] = []
    start = 0
    while start < len(items):
        batch = items[start : start + batch_size]
        try:
            results.extend(_checked(compute(batch), len(batch)))
            start += len(batch)
            continue
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or len(batch) == 1:
                raise
            batch_size = (len(batch) + 1) // 2
            log.warning("out of memory: continuing with batches of %d", batch_size)
        # Outside the except clause: while it is handled, the error's traceback keeps the tensors alive.
        _free_device_memory()
    return results


def made_ahead(
    windows: Sequence[Sequence[Item]], make: Callable[[Item], Result], pool: Executor
) -> Iterator[tuple[Sequence[Item], list[Result]]]:
    """Yield each window with what ``make`` gives for its items; the next window is made while one is used.

    Args:
        windows: items that fit in memory together with those of the next window, once they are made.
        make: function that runs in the pool, such as one that decodes a picture.
        pool: threads.
    """
    coming = [pool.submit(make, item) for item in windows[0]] if windows else []
    for number, window in enumerate(windows):
        made = [future.result() for future in coming]
        following = windows[number + 1] if number + 1 < len(windows) else []
        coming = [pool.submit(make, item) for item in following]
        yield window, made


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory, of the host or of the device, was too small."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _checked(results: list[Result], expected: int) -> list[Result]:
    if len(results) != expected:
        raise ValueError(f"a batch of {expected} gave {len(results)} results")
    return results


def _free_device_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
