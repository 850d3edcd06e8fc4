import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.batches import in_batches, made_ahead, out_of_memory


@given(st.lists(st.integers(), max_size=60), st.integers(1, 20), st.integers(1, 20))
def test_results_come_in_order_whatever_fits(items: list[int], batch_size: int, fits: int) -> None:
    batches: list[int] = []

    def compute(batch: Sequence[int]) -> list[str]:
        if len(batch) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        batches.append(len(batch))
        return [str(item) for item in batch]

    assert in_batches(compute, items, batch_size) == [str(item) for item in items]
    assert all(size <= min(batch_size, fits) for size in batches)


def test_one_item_that_does_not_fit_is_an_error() -> None:
    def compute(batch: Sequence[int]) -> list[int]:
        raise MemoryError

    with pytest.raises(MemoryError):
        in_batches(compute, [1, 2, 3], 2)


def test_other_errors_are_not_retried() -> None:
    calls = []

    def compute(batch: Sequence[int]) -> list[int]:
        calls.append(len(batch))
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        in_batches(compute, [1, 2, 3], 2)
    assert calls == [2]


def test_a_real_failed_allocation_is_recognised() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(error.value)


def test_a_batch_that_loses_items_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 items returned 2"):
        in_batches(lambda batch: list(batch)[1:], [1, 2, 3], 3)


def test_the_next_window_is_made_while_one_is_used() -> None:
    begun: list[int] = []
    inside = threading.Event()

    def make(item: int) -> int:
        begun.append(item)
        if item == 3:
            inside.set()
        return -item

    with ThreadPoolExecutor(1) as pool:
        windows = made_ahead([[1, 2], [3], [], [4]], make, pool)
        assert next(windows) == ([1, 2], [-1, -2])
        assert inside.wait(10)  # though nobody has asked for the second yet
        assert 4 not in begun
        assert list(windows) == [([3], [-3]), ([], []), ([4], [-4])]
        assert list(made_ahead([], make, pool)) == []
    assert begun == [1, 2, 3, 4]
