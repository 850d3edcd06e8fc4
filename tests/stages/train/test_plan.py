from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.errors import ConfigError
from glitbuild.stages.train.plan import BLOCK, Place, Plan


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(sum))
    return Plan(
        tuple(sizes), draw(st.integers(0, 99)), draw(st.integers(1, sum(sizes))), world_size=draw(st.integers(1, 7))
    )


@given(plans(), st.integers(0, 3))
def test_every_sample_comes_once_an_epoch_whatever_the_processes(plan: Plan, epoch: int) -> None:
    seen = Counter(
        place for rank in range(plan.world_size) for batch in plan.of_epoch(epoch, rank) for place in batch
    )
    every = {Place(epoch, shard, row) for shard, size in enumerate(plan.sizes) for row in range(size)}
    assert set(seen) == every
    assert set(seen.values()) == {1}


@given(plans(), st.integers(1, 3))
def test_the_steps_of_several_processes_are_those_of_one(plan: Plan, epochs: int) -> None:
    alone = list(Plan(plan.sizes, plan.seed, plan.batch_size).steps(epochs))
    parts = [list(plan.steps(epochs, rank)) for rank in range(plan.world_size)]
    assert [[place for part in step for place in part] for step in zip(*parts, strict=True)] == alone
    assert len(alone) == plan.batches * epochs
    for number, step in enumerate(zip(*parts, strict=True)):
        assert plan.shares(number) == [len(part) for part in step]
        assert max(plan.shares(number)) - min(plan.shares(number)) <= 1
        assert plan.images(number) == sum(map(len, alone[:number]))


@given(plans(), st.integers(1, 3), st.data())
def test_going_on_gives_the_batches_that_are_left(plan: Plan, epochs: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, plan.world_size - 1))
    whole = list(plan.steps(epochs, rank))
    assert len(whole) == epochs * plan.batches
    done = data.draw(st.integers(0, len(whole)))
    assert list(plan.steps(epochs, rank, done)) == whole[done:]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [list(Plan((50, 50), seed, 10).order(epoch)) for seed in (0, 1) for epoch in (0, 1)]
    rows = [[(place.shard, place.row) for place in order] for order in orders]
    assert len({tuple(order) for order in rows}) == 4
    assert orders[0] == list(Plan((50, 50), 0, 10).order(0))


def test_shards_are_mixed_with_each_other() -> None:
    order = list(Plan((20,) * BLOCK * 2, 0, 10).order(0))
    assert len({place.shard for place in order[:100]}) > 30
    assert len({place.shard for place in order[: 20 * BLOCK]}) == BLOCK


def test_25_samples_in_batches_of_8_are_four_steps_for_one_and_for_three_processes() -> None:
    shares = [[Plan((25,), 0, 8, world).shares(step) for step in range(4)] for world in (1, 2, 3)]
    assert shares == [
        [[8], [8], [8], [1]],
        [[4, 4], [4, 4], [4, 4], [1, 0]],
        [[3, 3, 2], [3, 3, 2], [3, 3, 2], [1, 0, 0]],
    ]


def test_a_batch_that_cannot_be_filled_is_refused_for_any_number_of_processes() -> None:
    for world in (1, 2, 3):
        with pytest.raises(ConfigError, match="10 samples"):
            Plan((5, 5), 0, 11, world)
