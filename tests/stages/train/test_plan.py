from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glitbuild.errors import ConfigError
from glitbuild.stages.train import plan as plan_module
from glitbuild.stages.train.plan import BLOCK, Place, Plan, Repeat


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(sum))
    return Plan(
        tuple(sizes), draw(st.integers(0, 99)), draw(st.integers(1, sum(sizes))), world_size=draw(st.integers(1, 7))
    )


@st.composite
def mixtures(draw: st.DrawFn) -> Plan:
    """Plans of several datasets whose samples are seen more or less often than once."""
    counts = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    times = [draw(st.sampled_from((0.3, 0.5, 1.0, 1.7, 2.0, 3.25))) for _ in counts]
    sizes = tuple(draw(st.lists(st.integers(1, 9), min_size=sum(counts), max_size=sum(counts))))
    repeats = tuple(Repeat(count, each) for count, each in zip(counts, times, strict=True))
    plan = Plan(sizes, draw(st.integers(0, 99)), 0, draw(st.integers(1, 4)), repeats)
    assume(plan.samples)
    return replace(plan, batch_size=draw(st.integers(1, plan.samples)))


def seen(plan: Plan, epoch: int) -> Counter[Place]:
    return Counter(
        place for rank in range(plan.world_size) for batch in plan.of_epoch(epoch, rank) for place in batch
    )


@given(plans(), st.integers(0, 3))
def test_every_sample_comes_once_an_epoch_whatever_the_processes(plan: Plan, epoch: int) -> None:
    every = {Place(epoch, shard, row) for shard, size in enumerate(plan.sizes) for row in range(size)}
    assert seen(plan, epoch) == dict.fromkeys(every, 1)


@given(mixtures(), st.integers(1, 5))
def test_samples_come_as_often_as_is_asked_and_equally_often(plan: Plan, epochs: int) -> None:
    total: Counter[tuple[int, int]] = Counter()
    for epoch in range(epochs):
        places = seen(plan, epoch)
        assert set(places.values()) == {1}
        assert places.total() == plan.samples
        total.update((place.shard, place.row) for place in places)
        first = 0
        for repeat in plan.repeats:
            shards = range(first, first := first + repeat.shards)
            size = sum(plan.sizes[shard] for shard in shards)
            assert abs(sum(place.shard in shards for place in places) - repeat.times * size) <= 0.5
    first = 0
    for repeat in plan.repeats:
        shards = range(first, first := first + repeat.shards)
        counts = {total[shard, row] for shard in shards for row in range(plan.sizes[shard])}
        assert max(counts) - min(counts) <= 1


@given(mixtures())
def test_a_place_is_in_the_block_that_its_shard_is_read_in(plan: Plan) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "BLOCK", 3)
        for epoch in range(2):
            blocks = [plan.block(place) for place in plan.order(epoch)]
            assert blocks == sorted(blocks)
            assert set(blocks) <= set(range(epoch * plan.blocks, (epoch + 1) * plan.blocks))
            for place, block in zip(plan.order(epoch), blocks, strict=True):
                assert place.shard in plan.shards(block)


def test_the_order_of_one_dataset_is_that_of_earlier_versions() -> None:
    rows = [(place.shard, place.row) for place in Plan((7, 3, 6), 0, 4).order(1)]
    assert rows[:8] == [(0, 5), (2, 0), (0, 4), (0, 1), (2, 4), (2, 1), (1, 2), (0, 3)]
    assert rows[8:] == [(2, 3), (1, 1), (0, 0), (1, 0), (0, 2), (0, 6), (2, 2), (2, 5)]
    assert rows == [(place.shard, place.row) for place in Plan((7, 3, 6), 0, 4, 1, (Repeat(3, 1.0),)).order(1)]


def test_a_sample_that_comes_again_is_not_its_own_negative() -> None:
    plan = Plan((100, 300), 0, 50, repeats=(Repeat(1, 4.0), Repeat(1, 1.0)))
    for batch in plan.steps(1):
        assert len({(place.shard, place.row) for place in batch}) == len(batch)


def test_a_small_dataset_is_spread_over_the_whole_epoch() -> None:
    plan = Plan((4,) * (10 * BLOCK + 8), 0, 8, repeats=(Repeat(10 * BLOCK), Repeat(8, 2.0)))
    blocks = Counter(plan.block(place) for place in plan.order(0) if place.shard >= 10 * BLOCK)
    assert len(blocks) >= 10 and max(blocks.values()) <= 3 * 4


def test_half_a_dataset_takes_turns_within_each_shard() -> None:
    plan = Plan((20,) * 10, 0, 10, repeats=(Repeat(10, 0.5),))
    rows = [{(place.shard, place.row) for place in plan.order(epoch)} for epoch in range(3)]
    assert not rows[0] & rows[1] and rows[0] == rows[2]
    assert set(Counter(shard for shard, _ in rows[0]).values()) <= {9, 10, 11}


@given(st.one_of(plans(), mixtures()), st.integers(1, 3))
def test_the_steps_of_several_processes_are_those_of_one(plan: Plan, epochs: int) -> None:
    alone = list(replace(plan, world_size=1).steps(epochs))
    parts = [list(plan.steps(epochs, rank)) for rank in range(plan.world_size)]
    assert [[place for part in step for place in part] for step in zip(*parts, strict=True)] == alone
    assert len(alone) == plan.batches * epochs
    for number, step in enumerate(zip(*parts, strict=True)):
        assert plan.shares(number) == [len(part) for part in step]
        assert max(plan.shares(number)) - min(plan.shares(number)) <= 1
        assert plan.images(number) == sum(map(len, alone[:number]))


@given(st.one_of(plans(), mixtures()), st.integers(1, 3), st.data())
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
