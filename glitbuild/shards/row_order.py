"""Over all shards of a dataset: no key comes twice, and every row of the input is in one shard."""

from dataclasses import dataclass, field

from glitbuild.shards.retried import is_retried
from glitbuild.shards.row_set import RowSet
from glitbuild.shards.sidecar import Sidecar


@dataclass(slots=True)
class RowOrder:
    """How far the shards before went.

    Within a shard keys rise. From shard to shard they may start anew: rows that were tried again come last.

    Attributes:
        rows: behind the last row of the shards so far; None behind a shard that could not be read.
        moved: rows that the shards so far let go of, by the shard that is to have them.
        complete: all shards so far could be read.
    """

    rows: int | None = 0
    moved: dict[str, list[int]] = field(default_factory=dict)
    complete: bool = True
    _last_key: str = ""
    _keys: RowSet = field(default_factory=RowSet)
    _shard_keys: list[int] = field(default_factory=list)

    def begin_shard(self) -> None:
        """Begin with the next shard's keys; those of a damaged one are never added."""
        self._last_key, self._shard_keys = "", []

    def add_keys(self) -> None:
        """Add the keys of a shard that was read to its end."""
        for key in self._shard_keys:
            self._keys.add(key)

    def key_problem(self, key: str) -> str:
        """Count a sample; return what is wrong with its key, or an empty string."""
        last, self._last_key = self._last_key, key
        self._shard_keys.append(int(key))
        if (len(last), last) >= (len(key), key):
            return f"key {key} after {last}: keys must rise"
        return f"key {key} is in another shard, too" if int(key) in self._keys else ""

    def row_problem(self, sidecar: Sidecar, count: int, rows: list[int] | None) -> str:
        """Count a shard; return what is wrong with the rows its sidecar names, or an empty string.

        Args:
            sidecar: of the stage ``ingest`` or ``scenes``.
            count: of its samples and skipped rows.
            rows: their keys; None where something is wrong with these themselves.
        """
        gone: dict[str, list[int]] = sidecar.input.get("moved", {})
        for shard, rows_of in gone.items():
            self.moved.setdefault(shard, []).extend(rows_of)
        moved = [row for rows_of in gone.values() for row in rows_of]
        held = None if rows is None else sorted([*rows, *moved])
        count += len(moved)
        if not is_retried(sidecar):
            return self._range_problem(sidecar.input.get("rows"), count, held)
        stated: list[int] = sidecar.input["retried"]
        if self.complete and sorted(self.moved.pop(sidecar.shard, [])) != stated:
            return "says it is made from skipped rows, which the other shards still have or never had"
        return "" if len(stated) == count and held in (None, stated) else "names other rows than it holds"

    def pass_over(self) -> None:
        """Count a shard that could not be read."""
        self.rows, self.complete = None, False

    def _range_problem(self, stated: object, count: int, held: list[int] | None) -> str:
        start = self.rows
        if start is None and isinstance(stated, list):
            start = next(iter(stated), None)
        self.rows = start + count if isinstance(start, int) else None
        if not isinstance(start, int) or stated != [start, start + count]:
            return f"says it is made from the rows {stated}, but it holds {count} from {start}"
        return "" if held in (None, list(range(start, start + count))) else "names other rows than it holds"
