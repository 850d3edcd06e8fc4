"""Batched inference that halves a batch when memory runs out, and prefetching of decoded images in threads."""

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
    """Apply ``compute`` to the items in batches and return one result per item, in order.

    As long as memory suffices, the composition of the batches depends on ``items`` and ``batch_size`` alone.

    Raises:
        MemoryError, RuntimeError: a single item does not fit in memory.
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
        # Outside the except clause, because the traceback of an error being handled keeps the tensors alive.
        _free_device_memory()
    return results


def made_ahead(
    windows: Sequence[Sequence[Item]], make: Callable[[Item], Result], pool: Executor
) -> Iterator[tuple[Sequence[Item], list[Result]]]:
    """Yield each window with the results of ``make`` for its items, while the pool computes the next window.

    Args:
        windows: groups of items; the results of any two consecutive groups must fit in memory together.
        make: function to run in the pool, such as one that decodes an image.
        pool: threads.
    """
    coming = [pool.submit(make, item) for item in windows[0]] if windows else []
    for number, window in enumerate(windows):
        made = [future.result() for future in coming]
        following = windows[number + 1] if number + 1 < len(windows) else []
        coming = [pool.submit(make, item) for item in following]
        yield window, made


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error reports that the host or the device ran out of memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _checked(results: list[Result], expected: int) -> list[Result]:
    if len(results) != expected:
        raise ValueError(f"a batch of {expected} items returned {len(results)} results")
    return results


def _free_device_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
