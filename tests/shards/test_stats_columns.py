from collections import Counter
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.shards import stats as column_counts
from glitbuild.shards.stats import MOST_SHOWN, ColumnCount

columns = st.one_of(
    st.lists(st.integers(-(10**6), 10**6), min_size=1),
    st.lists(st.floats(-1e6, 1e6), min_size=1),
    st.lists(st.booleans(), min_size=1),
    st.lists(st.text("abc", max_size=2), min_size=1),
)


def counted(values: list[Any]) -> ColumnCount:
    count = ColumnCount()
    for value in values:
        count.add(value)
    return count


@given(columns)
def test_the_counts_are_those_of_a_plain_count(values: list[Any]) -> None:
    found = counted(values).as_dict()
    assert found["count"] == len(values)
    if isinstance(values[0], str | bool):
        plain = Counter(value if isinstance(value, str) else "true" if value else "false" for value in values)
        assert found["different"] == len(plain)
        assert found["values"].items() <= plain.items()
        assert list(found["values"].values()) == sorted(plain.values(), reverse=True)[:MOST_SHOWN]
    else:
        assert (found["min"], found["max"]) == (min(values), max(values))
        assert found["mean"] == pytest.approx(fmean(values), rel=1e-9, abs=1e-6)


@given(columns, st.data())
def test_parts_together_are_the_whole(values: list[Any], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(values)))
    parts = counted(values[:cut])
    parts.merge(counted(values[cut:]))
    found, whole = parts.as_dict(), counted(values).as_dict()
    assert found.pop("mean", 0) == pytest.approx(whole.pop("mean", 0), rel=1e-9, abs=1e-6)
    assert found == whole


@pytest.mark.parametrize("cut", [0, 2, 3, 6])
def test_names_that_differ_in_all_rows_take_no_memory(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_counts, "MOST_DIFFERENT", 4)
    values = [str(number) for number in range(6)]
    found = counted(values[:cut])
    found.merge(counted(values[cut:]))
    assert found.values is None
    assert found.as_dict() == {"count": 6, "different": 5, "values": {}}
