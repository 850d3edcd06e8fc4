from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.shards.rows import RowOrder, ShardRows, repeated_keys, runs_of


@given(st.lists(st.integers(0, 60)))
def test_runs_are_the_numbers(keys: list[int]) -> None:
    runs = runs_of(keys).tolist()
    assert [number for start, end in runs for number in range(start, end)] == sorted(set(keys))
    assert all(end < start for (_, end), (start, _) in pairwise(runs))


@given(st.lists(st.sets(st.integers(0, 40), max_size=8), max_size=6))
def test_a_key_that_comes_twice_is_found_in_the_later_shard(shards: list[set[int]]) -> None:
    found = list(repeated_keys([(f"{number}", runs_of(sorted(keys))) for number, keys in enumerate(shards)]))
    before: set[int] = set()
    expected = []
    for number, keys in enumerate(shards):
        if keys & before:
            expected.append(f"{number}")
        before |= keys
    assert {shard for shard, _ in found} <= set(expected)
    assert bool(found) == bool(expected)
    for shard, key in found:
        assert any(key in other for number, other in enumerate(shards) if f"{number}" != shard)
        assert key in shards[int(shard)]


def test_a_key_within_a_run_that_began_long_before_is_found() -> None:
    shards = [("00000", runs_of(range(10))), ("00001", runs_of([2])), ("00002", runs_of([5, 11]))]
    assert list(repeated_keys(shards)) == [("00001", 2), ("00002", 5)]


def test_rows_that_an_older_version_moved_are_in_the_shard_they_were_moved_to() -> None:
    order = RowOrder()
    first = ShardRows("00000", {"rows": [0, 4], "moved": {"00002": [1, 3]}}, 2, runs_of([0, 2]))
    second = ShardRows("00001", {"rows": [4, 6]}, 2, runs_of([4, 5]))
    retried = ShardRows("00002", {"retried": [1, 3], "of": 6}, 2, runs_of([1, 3]))
    assert [order.problem(rows) for rows in (first, second, retried)] == ["", "", ""]
    assert order.moved == {}
    assert "never had" in order.problem(retried)


def test_a_shard_that_cannot_be_read_is_passed_over() -> None:
    order = RowOrder()
    assert order.problem(None) == ""
    assert order.problem(ShardRows("00001", {"rows": [7, 9]}, 2, runs_of([7, 8]))) == ""
    assert "holds 2 rows starting at 9" in order.problem(ShardRows("00002", {"rows": [8, 10]}, 2, runs_of([8, 9])))
    assert "lists rows that it doesn't hold" in order.problem(
        ShardRows("00003", {"rows": [11, 13]}, 2, runs_of([11, 13]))
    )
    assert runs_of([]).shape == (0, 2) and runs_of([]).dtype == np.int64
