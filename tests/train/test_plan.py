from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.errors import ConfigError
from glitbuild.train.plan import BLOCK, Place, Plan


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(sum))
    world = draw(st.integers(1, 4))
    largest = sum(sizes) // world
    if not largest:
        world, largest = 1, sum(sizes)
    return Plan(tuple(sizes), draw(st.integers(0, 99)), world * draw(st.integers(1, largest)), world)


@given(plans(), st.integers(0, 3))
def test_every_sample_comes_once_an_epoch_whatever_the_processes(plan: Plan, epoch: int) -> None:
    parts = [list(plan.of_epoch(epoch, rank)) for rank in range(plan.world_size)]
    assert {len(part) for part in parts} == {plan.batches}
    for batch in zip(*parts, strict=True):
        assert len({len(part) for part in batch}) == 1
        assert 0 < sum(map(len, batch)) <= plan.batch_size
    seen = Counter(place for part in parts for batch in part for place in batch)
    every = {Place(epoch, shard, row) for shard, size in enumerate(plan.sizes) for row in range(size)}
    assert set(seen) <= every
    assert set(seen.values()) == {1}
    assert len(every) - len(seen) < plan.world_size


@given(plans(), st.integers(0, 3))
def test_the_processes_share_the_batches_of_one(plan: Plan, epoch: int) -> None:
    alone = Plan(plan.sizes, plan.seed, plan.batch_size)
    parts = [list(plan.of_epoch(epoch, rank)) for rank in range(plan.world_size)]
    for number, batch in enumerate(alone.of_epoch(epoch)):
        if number < plan.batches:
            joined = [place for part in parts for place in part[number]]
            assert joined == batch[: len(joined)]
            assert len(batch) - len(joined) < plan.world_size


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


@pytest.mark.parametrize(("batch_size", "world", "says"), [(11, 1, "10 samples"), (9, 2, "multiple of 2")])
def test_a_batch_that_cannot_be_filled_or_shared_is_refused(batch_size: int, world: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Plan((5, 5), 0, batch_size, world)
