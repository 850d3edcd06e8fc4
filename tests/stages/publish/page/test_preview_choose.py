from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.shards.manifest import open_dataset
from glitbuild.stages.publish.page.preview import choose, read_chosen
from tests.factories import sample_with_jpeg
from tests.stages.publish.page.datasets import write


@given(st.integers(0, 500), st.integers(1, 300), st.none() | st.integers(0, 9))
def test_as_many_as_there_are_and_none_twice(total: int, count: int, seed: int | None) -> None:
    found = choose(total, count, seed)
    assert len(found) == min(total, count)
    assert found == sorted(set(found))
    assert all(0 <= number < total for number in found)
    assert found == choose(total, count, seed)


def test_evenly_is_evenly_and_a_seed_decides() -> None:
    assert choose(10, 5, None) == [0, 2, 4, 6, 8]
    assert choose(1000, 20, 1) != choose(1000, 20, 2)


@pytest.mark.parametrize("numbers", [[], [0], [6], [1, 2, 4], list(range(7))])
def test_the_chosen_are_read_from_their_shards(numbers: list[int], tmp_path: Path) -> None:
    write(tmp_path, map(sample_with_jpeg, range(3)), [], map(sample_with_jpeg, range(3, 7)), stage="ingest")
    found = list(read_chosen(*open_dataset(str(tmp_path)), numbers))
    assert [(sample.key, jpeg) for sample, jpeg in found] == [
        (sample.key, jpeg) for sample, jpeg in map(sample_with_jpeg, numbers)
    ]
