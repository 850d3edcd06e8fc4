"""Columns that a dataset keeps beside image, caption and source: which these are, their types, their values.

A column has one type in all records, or ``datasets`` could not read them. Only all rows together tell it, so they
are read once before the first record is made.
"""

import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source, Value, writable
from glitbuild.stages.ingest.source import RowSource, SourceOptions
from glitbuild.stages.ingest.values import cut_text, is_missing, stands_for_nothing, to_text

ALL = "all"
"""Instead of names: every column that nothing else is made of."""

SOURCE_FIELDS = tuple(name for name in Source.__dataclass_fields__ if name != "extra")

MOST = 1000
"""Columns that are kept; more are keys that differ from row to row."""
LONGEST_NAME = 200
"""Characters of a column's name; what is longer is no name."""
WHOLE = 1 << 53
"""Up to it, a float holds every whole number exactly."""

_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?=[.eE])(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_BOOLS = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}

log = logging.getLogger(__name__)


class Cell(str):
    """A value of a format in which everything is text, such as CSV: it may be meant as a number or a boolean."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """Which columns of an input are kept.

    Attributes:
        names: those that were asked for, or ``("all",)``.
        without: columns that are no part of all: the row is made of them, or they hold no single value.
    """

    names: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()

    @classmethod
    def choose(
        cls,
        what: str,
        present: Collection[str],
        names: tuple[str, ...],
        used: Collection[str],
        nested: Collection[str] = (),
    ) -> "Kept":
        """Check what was asked for against what there is.

        Args:
            what: the input, for the error.
            present: its columns.
            names: those to keep, or ``("all",)``.
            used: columns that the row is made of.
            nested: columns that are known to hold lists, objects or bytes.

        Raises:
            SourceError: a column is missing, nested, or in every record anyway.
        """
        if names == (ALL,):
            if nested := sorted(set(nested) - set(used)):
                log.info("ingest: %s: not kept, as they hold no single value: %s", what, ", ".join(nested))
            return cls(names, frozenset([*used, *nested]))
        for name in names:
            if name in SOURCE_FIELDS:
                why = "it is in every record's source anyway"
                raise SourceError(f'{what}, column "{name}"', why, "leave it out of --keep-columns")
            if name not in present:
                there = ", ".join(present) or "none"
                raise SourceError(what, f'no column "{name}"; its columns are: {there}', "correct --keep-columns")
            if name in nested:
                raise _nested(f'{what}, column "{name}"')
        return cls(names)

    def among(self, present: Iterable[str]) -> list[str]:
        """Return those of the columns present that are kept."""
        if self.names != (ALL,):
            return [name for name in present if name in self.names]
        return [name for name in present if name not in self.without and _is_name(name)]

    def of(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the kept values of a record as they are; None for a named column that it lacks."""
        if self.names == (ALL,):
            return {name: record[name] for name in self.among(record)}
        return {name: record.get(name) for name in self.names}


@dataclass(slots=True)
class ColumnTypes:
    """What the rows say of the types of their columns. In whatever order and parts they come, it is the same.

    A column is of booleans, whole numbers or numbers only if every row has one; else it is text.

    Attributes:
        rows: how many were added.
        kinds: which kinds of values a column has: ``bool``, ``int``, ``long`` (too large for a float to be exact),
            ``float``, ``text``, ``nested``.
        values: how many rows have a value.
    """

    rows: int = 0
    kinds: dict[str, set[str]] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the kept values of a row.

        Raises:
            SourceError: there are too many columns.
        """
        self.rows += 1
        for name, value in record.items():
            if name not in self.kinds and len(self.kinds) == MOST:
                why = f"the rows have more than {MOST:,} columns"
                raise SourceError("--keep-columns", why, "name those to keep instead of all")
            kinds = self.kinds.setdefault(name, set())
            if kind := _kind(value):
                kinds.add(kind)
                self.values[name] = self.values.get(name, 0) + 1

    def merge(self, other: "ColumnTypes") -> None:
        """Add what other rows say."""
        self.rows += other.rows
        for name, kinds in other.kinds.items():
            self.kinds.setdefault(name, set()).update(kinds)
            self.values[name] = self.values.get(name, 0) + other.values.get(name, 0)

    def types(self) -> Iterator[tuple[str, str]]:
        """Yield the columns by name with their types: ``bool``, ``int``, ``float``, ``text`` or ``nested``."""
        for name in sorted(self.kinds):
            kinds = self.kinds[name]
            if "nested" in kinds:
                yield name, "nested"
            elif self.values.get(name, 0) < self.rows:
                yield name, "text"
            elif kinds == {"bool"}:
                yield name, "bool"
            elif kinds <= {"int", "long"}:
                yield name, "int"
            else:
                yield name, "float" if kinds <= {"int", "float"} else "text"


def find_types(sources: Sequence[RowSource], options: SourceOptions) -> dict[str, str]:
    """Return the type of each column that is kept, by name in the order of the names.

    Reads every row of the inputs, but no picture that a row only names.

    Args:
        sources: all inputs.
        options: ``keep_columns`` is used; where it is empty nothing is read.

    Raises:
        SourceError: a column that was named holds lists, objects or bytes; or there are too many.
    """
    if not options.keep_columns:
        return {}
    found = ColumnTypes()
    for source in sources:
        for row in source.rows():
            if row.rejected is None:
                found.add(row.extra)
    types = dict(found.types())
    nested = [name for name, type in types.items() if type == "nested"]
    if nested and options.keep_columns != (ALL,):
        raise _nested(f'column "{nested[0]}"')
    if nested:
        log.info("ingest: not kept, as they hold no single value: %s", ", ".join(nested))
    return {name: type for name, type in types.items() if type != "nested"}


def to_extra(record: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Value]:
    """Return what a record keeps: the same names and types, in the same order, for every row.

    Args:
        record: the row's values by column.
        types: of the columns, as ``find_types`` returned them.

    Raises:
        Rejected: a value is not of its column's type: the input has changed since.
    """
    return {name: _typed(record.get(name), name, type) for name, type in types.items()}


def _typed(value: Any, name: str, type: str) -> Value:
    kind = _kind(value)
    if type == "text" and kind != "nested":
        return cut_text(to_text(value))
    if type == "bool" and kind == "bool":
        return _BOOLS[value] if isinstance(value, Cell) else bool(value)
    if type == "int" and kind in ("int", "long"):
        return int(value)
    if type == "float" and kind in ("int", "float"):
        return float(value)
    detail = f'the column "{name}" holds {kind or "nothing"}, and where the columns were read all rows had {type}'
    raise Rejected(SkipReason.ROW_UNREADABLE, detail)


def _kind(value: Any) -> str:
    """Return the kind of a value, ``""`` for none."""
    if isinstance(value, Cell):
        return _kind_of_cell(value)
    if isinstance(value, Mapping | list | tuple | bytes):
        return "nested"
    if is_missing(value) or (isinstance(value, str) and not to_text(value)):
        return ""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return _kind_of_int(value)
    return "float" if isinstance(value, float) else "text"


def _kind_of_cell(text: str) -> str:
    text = text.strip()
    if not text or stands_for_nothing(text):
        return ""
    if text in _BOOLS:
        return "bool"
    if _INT.fullmatch(text):
        return _kind_of_int(int(text))
    return "float" if _FLOAT.fullmatch(text) and not is_missing(float(text)) else "text"


def _kind_of_int(value: int) -> str:
    if abs(value) <= WHOLE:
        return "int"
    return "long" if -(1 << 63) <= value < 1 << 63 else "text"


@lru_cache(2 * MOST)
def _is_name(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and writable(name) == name


def _nested(what: str) -> SourceError:
    return SourceError(
        what, "it holds lists, objects or bytes, not single values", "leave it out of --keep-columns"
    )
