"""Checks across all shards of a dataset: every input row is in exactly one shard, and every key is unique."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ShardRows:
    """The rows of a shard.

    Attributes:
        shard: name of the shard.
        stated: input of the shard according to its sidecar.
        count: number of samples and skipped rows.
        runs: K x 2, keys as ranges of consecutive numbers with exclusive ends; None if the keys are wrong.
    """

    shard: str
    stated: dict[str, Any]
    count: int
    runs: NDArray[np.int64] | None

    @property
    def moved(self) -> dict[str, list[int]]:
        """Rows that an older version moved to other shards, by shard."""
        found: dict[str, list[int]] = self.stated.get("moved", {})
        return found


def runs_of(keys: Sequence[int]) -> NDArray[np.int64]:
    """Return numbers as ranges of consecutive ones, K x 2, in ascending order."""
    numbers = np.unique(np.array(keys, dtype=np.int64))
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    starts, ends = np.append(0, breaks + 1), np.append(breaks, len(numbers) - 1)
    return np.stack([numbers[starts], numbers[ends] + 1], axis=1) if len(numbers) else np.empty((0, 2), np.int64)


def _numbers(runs: NDArray[np.int64]) -> list[int]:
    return [number for start, end in runs.tolist() for number in range(start, end)]


@dataclass(slots=True)
class RowOrder:
    """Checks that the shards of an input are contiguous; add them in order.

    Attributes:
        position: number of the row that follows the shards so far; None after a shard that could not be read.
        moved: rows that the shards so far handed over, by the shard that should have them.
        complete: whether all shards so far could be read.
    """

    position: int | None = 0
    moved: dict[str, list[int]] = field(default_factory=dict)
    complete: bool = True

    def problem(self, rows: ShardRows | None) -> str:
        """Add a shard; return what is wrong with the rows that its sidecar lists, or an empty string.

        Args:
            rows: rows of the shard; None if it could not be read.
        """
        if rows is None:
            self.position, self.complete = None, False
            return ""
        for shard, gone in rows.moved.items():
            self.moved.setdefault(shard, []).extend(gone)
        moved = [row for gone in rows.moved.values() for row in gone]
        held = None if rows.runs is None else sorted([*_numbers(rows.runs), *moved])
        count = rows.count + len(moved)
        if "retried" in rows.stated:  # older versions wrote retried rows to shards at the end
            stated = rows.stated["retried"]
            if self.complete and sorted(self.moved.pop(rows.shard, [])) != stated:
                return "says it is made from skipped rows that the other shards still have or never had"
            return "" if len(stated) == count and held in (None, stated) else "lists rows that it doesn't hold"
        stated, start = rows.stated.get("rows"), self.position
        if start is None and isinstance(stated, list):
            start = next(iter(stated), None)
        self.position = start + count if isinstance(start, int) else None
        if not isinstance(start, int) or stated != [start, start + count]:
            return f"says it is made from the rows {stated}, but it holds {count} rows starting at {start}"
        return "" if held in (None, list(range(start, start + count))) else "lists rows that it doesn't hold"


def repeated_keys(shards: Sequence[tuple[str, NDArray[np.int64]]]) -> Iterator[tuple[str, int]]:
    """Yield shards with a key that an earlier shard also has, each with its first such key.

    If several shards share a key, not all of them are necessarily reported.
    """
    if not shards:
        return
    runs = np.concatenate([runs for _, runs in shards])
    shard_of = np.repeat(np.arange(len(shards)), [len(runs) for _, runs in shards])
    order = np.lexsort((shard_of, runs[:, 0]))
    ends = runs[order, 1]
    highest = np.maximum.accumulate(ends)
    # Index of the earlier run that reaches furthest: if any earlier run overlaps a run, that one does.
    furthest = np.maximum.accumulate(np.where(ends == highest, np.arange(len(ends)), 0))
    seen: set[int] = set()
    for place in np.flatnonzero(runs[order[1:], 0] < highest[:-1]) + 1:
        later = int(max(shard_of[order[place]], shard_of[order[furthest[place - 1]]]))
        if later not in seen:
            seen.add(later)
            yield shards[later][0], int(runs[order[place], 0])
