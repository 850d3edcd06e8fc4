import json
import logging
from collections.abc import Iterator
from typing import Any

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source
from glitbuild.stages.ingest.kept_columns import MOST, Cell, ColumnTypes, Kept, find_types, to_extra
from glitbuild.stages.ingest.source import Row, SourceOptions

NOTHING = [None, float("nan"), float("inf"), "", " ", "NaN"]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int": st.integers(-(1 << 63), (1 << 63) - 1),
    "small": st.integers(-(1 << 53), 1 << 53),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "text": st.sampled_from(["a", "5", "true", "007", "1e5", "é" * 2000]),
    "nothing": st.sampled_from(NOTHING),
    "huge": st.integers(min_value=1 << 63),
}
PYTHON = {"bool": bool, "int": int, "float": float, "text": str}


@st.composite
def columns(draw: st.DrawFn) -> tuple[set[str], list[Any]]:
    """Draw a column's values, and of which kinds they are."""
    kinds = draw(st.sets(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3))
    found = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=8))
    return set(found), [draw(VALUES[kind]) for kind in found]


def expected(kinds: set[str], values: list[Any]) -> str:
    """Return a column's type by the rules as the documentation has them."""
    if kinds == {"bool"}:
        return "bool"
    if kinds <= {"int", "small"}:
        return "int"
    if kinds <= {"int", "small", "float"}:
        exact = all(abs(value) <= 1 << 53 for value in values if isinstance(value, int))
        return "float" if exact else "text"
    return "text"


def typed(values: list[Any]) -> str:
    types = ColumnTypes()
    for value in values:
        types.add({"c": value})
    return dict(types.types())["c"]


@given(columns())
def test_a_column_has_the_type_that_all_its_rows_have(column: tuple[set[str], list[Any]]) -> None:
    kinds, values = column
    type = typed(values)
    assert type == expected(kinds, values)
    found = [to_extra({"c": value}, {"c": type})["c"] for value in values]
    assert {each.__class__ for each in found} == {PYTHON[type]}
    if type != "text":
        assert found == values
    json.dumps(found, allow_nan=False)


@given(columns(), st.data())
def test_the_order_and_the_parts_of_the_rows_change_nothing(column: Any, data: st.DataObject) -> None:
    values = column[1]
    shuffled = data.draw(st.permutations(values))
    cut = data.draw(st.integers(0, len(values)))
    parts = [ColumnTypes(), ColumnTypes()]
    for part, of in zip(parts, (shuffled[:cut], shuffled[cut:]), strict=True):
        for value in of:
            part.add({"c": value})
    parts[0].merge(parts[1])
    assert dict(parts[0].types()) == {"c": typed(values)}


@pytest.mark.slow
@given(st.lists(columns(), min_size=1, max_size=3))
def test_arrow_takes_all_records_where_it_knows_the_first(drawn: list[Any]) -> None:
    rows = [{str(name): of[1][number % len(of[1])] for name, of in enumerate(drawn)} for number in range(8)]
    types = ColumnTypes()
    for row in rows:
        types.add(row)
    kept = [to_extra(row, dict(types.types())) for row in rows]
    first = datasets.Dataset.from_list(kept[:1]).features
    assert datasets.Dataset.from_list(kept, features=first).to_list() == kept


@pytest.mark.parametrize(
    ("cells", "type", "values"),
    [
        (["1", "-20"], "int", [1, -20]),
        (["1", "2.50"], "float", [1.0, 2.5]),
        (["1e3", "2"], "float", [1000.0, 2.0]),
        (["True", "false"], "bool", [True, False]),
        (["007", "8"], "text", ["007", "8"]),
        (["2.50", "a"], "text", ["2.50", "a"]),
        (["12345678901234567890"], "text", ["12345678901234567890"]),
        (["9007199254740993", "0.5"], "text", ["9007199254740993", "0.5"]),
        (["1e999"], "text", ["1e999"]),
        (["1", ""], "text", ["1", ""]),
        (["1", "NA"], "text", ["1", ""]),
        ([" 1 ", "2"], "int", [1, 2]),
        (["1_000"], "text", ["1_000"]),
        (["٣"], "text", ["٣"]),
    ],
)
def test_cells_are_numbers_where_all_are_written_as_such(cells: list[str], type: str, values: list[Any]) -> None:
    assert typed([Cell(cell) for cell in cells]) == type
    assert [to_extra({"c": Cell(cell)}, {"c": type})["c"] for cell in cells] == values


class Rows:
    """An input of these records; a text stands for a row that can't be read."""

    summary = "rows"

    def __init__(self, *records: dict[str, Any] | str) -> None:
        self.records = records

    def rows(self) -> Iterator[Row]:
        for record in self.records:
            if isinstance(record, str):
                yield Row.reject(Source("d", record), SkipReason.ROW_UNREADABLE, record)
            else:
                yield Row(Source("d", "1"), "c", bytes, extra=record)


ALL, NAMED = SourceOptions(keep_columns=("all",)), SourceOptions(keep_columns=("a", "b"))


def test_types_are_those_of_all_inputs_together(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "glitbuild"):
        found = find_types([Rows({"b": 1, "a": 1.5, "list": [1]}, "broken"), Rows({"b": 2.5, "a": True})], ALL)
    assert list(found.items()) == [("a", "text"), ("b", "float")]
    assert "list" in caplog.text


def test_a_key_that_a_row_lacks_is_a_missing_value() -> None:
    assert find_types([Rows({"a": 1, "b": 1}, {"a": 2})], ALL) == {"a": "int", "b": "text"}


def test_nothing_is_read_where_nothing_is_kept() -> None:
    assert find_types([None], SourceOptions()) == {}  # type: ignore[list-item]


def test_a_named_column_of_lists_is_refused() -> None:
    with pytest.raises(SourceError, match='"b"'):
        find_types([Rows({"a": 1, "b": 2}, {"a": 1, "b": [2]})], NAMED)


def test_keys_that_differ_from_row_to_row_are_no_columns() -> None:
    with pytest.raises(SourceError, match="1,000"):
        find_types([Rows(*({str(number): 1} for number in range(MOST + 1)))], ALL)


@pytest.mark.parametrize(
    ("value", "type"), [("a", "int"), (1.5, "int"), (None, "float"), (1, "bool"), (1 << 60, "float"), ([1], "text")]
)
def test_a_value_of_another_type_than_before_is_not_bent(value: Any, type: str) -> None:
    with pytest.raises(Rejected, match='"c"'):
        to_extra({"c": value}, {"c": type})


@pytest.mark.parametrize("name", ["license", "id", "split", "gone", "boxes"])
def test_a_column_that_can_not_be_kept_is_named(name: str) -> None:
    with pytest.raises(SourceError, match=name):
        Kept.choose("x", ["license", "id", "split", "boxes", "a"], (name,), [], nested=["boxes"])


def test_all_are_those_that_nothing_is_made_of() -> None:
    present = ["image", "a", "nested", "", "x" * 201, "\udc80", "b"]
    kept = Kept.choose("x", present, ("all",), ["image"], nested=["nested"])
    assert kept.among(present) == ["a", "b"]
    assert kept.of({"image": 1, "a": 2, "later": 3}) == {"a": 2, "later": 3}
