"""Rows that were tried again: which shard a row belongs to now.

A run that tries rows again writes what becomes of them into new shards, behind all others, whose sidecars list
the rows (``retried``). Only then do the shards they come from let go of them: the lines leave ``skipped/``, and
the sidecar says where they went (``moved``). Wherever a run is stopped between the two, what is left to do can be
told from the sidecars alone; where a row is claimed twice it belongs to the later shard.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from glitbuild.errors import DatasetError
from glitbuild.shards.layout import shard_of, sidecar_path, skipped_path
from glitbuild.shards.reader import read_skipped
from glitbuild.shards.row_set import RowSet
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store


class Retried:
    """The shards of rows that were tried again, also those among them that were lost.

    Args:
        store: the dataset directory.

    Attributes:
        rows: of each such shard, rising; the shards in order. Those of one that was lost are told by the others.
        total: rows that the input has; None where no shard tells.
    """

    def __init__(self, store: Store) -> None:
        self.total: int | None = None
        found: dict[str, list[int]] = {}
        moved: dict[str, list[int]] = {}
        for sidecar in sidecars(store):
            if is_retried(sidecar):
                found[sidecar.shard] = sidecar.input["retried"]
                self.total = sidecar.input["of"]
            for shard, rows in sidecar.input.get("moved", {}).items():
                moved.setdefault(shard, []).extend(rows)
        rows_of = {shard: sorted(rows) for shard, rows in moved.items()} | found
        self.rows = dict(sorted(rows_of.items(), key=lambda item: int(item[0])))

    def behind(self, shard: str) -> RowSet:
        """Return the rows of the shards behind this one: they are not its own any more."""
        later = RowSet()
        for name, rows in self.rows.items():
            if int(name) > int(shard):
                for row in rows:
                    later.add(row)
        return later

    def moved_from(self, sidecar: Sidecar) -> dict[str, list[int]]:
        """Return the rows that a shard began with and that are in others now, by shard."""
        moved: dict[str, list[int]] = {}
        gone: set[int] = set()
        for name, rows in self.rows.items():
            if int(name) > int(sidecar.shard):
                new = [row for row in _shared(rows, sidecar) if row not in gone]
                gone.update(new)
                moved |= {name: new} if new else {}
        return moved


def is_retried(sidecar: Sidecar) -> bool:
    """Return whether a shard was made of rows that had been skipped before."""
    return "retried" in sidecar.input


def row_range(store: Store, sidecar: Sidecar) -> tuple[int, int]:
    """Return the rows ``[start, end)`` of the input that a shard was made of.

    Raises:
        DatasetError: its sidecar doesn't say.
    """
    try:
        start, end = map(int, sidecar.input["rows"])
    except (KeyError, TypeError, ValueError) as error:
        path, fix = store.path(sidecar_path(sidecar.shard)), "remove it and run the command again"
        raise DatasetError(path, "it doesn't say which rows the shard is made from", fix) from error
    return start, end


def first_row(store: Store, sidecar: Sidecar) -> int:
    """Return the row that a shard begins with; for one of retried rows, that behind the last."""
    return int(sidecar.input["of"]) if is_retried(sidecar) else row_range(store, sidecar)[0]


def first_rows(store: Store) -> list[tuple[int, int]]:
    """Return the numbers of the finished shards, rising, each with its first row."""
    return [(int(sidecar.shard), first_row(store, sidecar)) for sidecar in sidecars(store)]


def rows_made_of(sidecar: Sidecar) -> Sequence[int]:
    """Return the rows that a shard was made of, rising, before any of them moved to another."""
    retried: list[int] | None = sidecar.input.get("retried")
    return range(*sidecar.input["rows"]) if retried is None else retried


def sidecars(store: Store) -> Iterator[Sidecar]:
    """Yield those of the shards that are done, in order."""
    found = {shard for name in store.names("shards") if name.endswith(".json") and (shard := shard_of(name))}
    for shard in sorted(found, key=int):
        if sidecar := Sidecar.read(store, shard):
            yield sidecar


def settle(store: Store) -> None:
    """Let shards go of the rows that others have by now.

    May be stopped anywhere and called again: a list of skipped rows that is ahead of its sidecar only makes the
    sidecar be written again.
    """
    retried = Retried(store)
    if not retried.rows:
        return
    for sidecar in sidecars(store):
        moved = retried.moved_from(sidecar)
        if moved != sidecar.input.get("moved", {}):
            _let_go(store, sidecar, moved)


def _shared(rows: list[int], sidecar: Sidecar) -> list[int]:
    """Return those of the rows that a shard was made of."""
    own = rows_made_of(sidecar)
    if not own:
        return []
    between = rows[bisect_left(rows, own[0]) : bisect_right(rows, own[-1])]
    return between if isinstance(own, range) else sorted(set(own) & set(between))


def _let_go(store: Store, sidecar: Sidecar, moved: dict[str, list[int]]) -> None:
    gone = {row for rows in moved.values() for row in rows}
    path = skipped_path(sidecar.shard)
    kept = Counter(str(skip.reason) for skip in read_skipped(store, sidecar.shard) if int(skip.key) not in gone)
    if sidecar.samples + kept.total() + len(gone) != len(rows_made_of(sidecar)):
        why = "it doesn't hold the rows that its sidecar says"
        fix = "remove the sidecar and run the command again"
        raise DatasetError(store.path(sidecar_path(sidecar.shard)), why, fix)
    with store.create(path) as output:
        for skip in read_skipped(store, sidecar.shard):
            if int(skip.key) not in gone:
                output.write(skip.to_json() + b"\n")
    described: dict[str, Any] = sidecar.input | {"moved": moved}
    replace(
        sidecar,
        skipped=dict(sorted(kept.items())),
        files=sidecar.files | {path: output.stored},
        input=described,
    ).write(store)
