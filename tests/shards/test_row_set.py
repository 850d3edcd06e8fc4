from hypothesis import given
from hypothesis import strategies as st

from glitbuild.shards.row_set import RowSet


@given(st.lists(st.integers(0, 5000)), st.lists(st.integers(0, 5000)))
def test_it_holds_what_was_added(added: list[int], asked: list[int]) -> None:
    rows, expected = RowSet(), set[int]()
    for row in added:
        assert rows.add(row) == (row not in expected)
        expected.add(row)
    assert bool(rows) == bool(expected)
    for row in [*added, *asked]:
        assert (row in rows) == (row in expected)
