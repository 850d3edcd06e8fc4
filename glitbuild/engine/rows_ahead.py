"""The rows of all sources, numbered, with those ahead being checked already."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from glitbuild.engine.row_checks import Checked, RowChecks, Waiting
from glitbuild.ingest.seen import SeenKeys
from glitbuild.ingest.source import Rejected, Row, RowSource
from glitbuild.records import SkipReason

DOWNLOADS_AHEAD = 4096
"""Rows that may be read ahead where their images are addresses: a slow one shall not stop the others."""

IsWanted = Callable[[int], bool]
"""Whether the row of this number is to be checked."""


class RowsAhead:
    """A queue of rows; a name that comes twice in its input makes a rejected row.

    Args:
        sources: the inputs, in order.
        checks: what is done with each row.
        near: rows that may be read ahead; see ``DOWNLOADS_AHEAD``.

    Attributes:
        position: the number of the next row.
        has_urls: whether images of the rows read so far are addresses.
    """

    def __init__(self, sources: Sequence[RowSource], checks: RowChecks, near: int) -> None:
        self._sources, self._checks, self._near = sources, checks, near

    def __enter__(self) -> "RowsAhead":
        self._ahead: deque[Waiting] = deque()
        self._stack = ExitStack()
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._checks.close()
        self._stack.close()

    def restart(self) -> None:
        """Go back to the first row."""
        while self._ahead:
            self._checks.drop(self._ahead.popleft())
        self._stack.close()
        self._begin()

    def _begin(self) -> None:
        self.position, self.has_urls = 0, False
        self._rows = self._named_once(self._stack.enter_context(SeenKeys()))
        self.look_again()

    def look_again(self) -> None:
        """Forget which rows ahead were not wanted."""
        self._looked_at = 0

    def has_more(self) -> bool:
        """Return whether there is another row."""
        return bool(self._ahead) or self._read()

    @property
    def next_row(self) -> tuple[int, Row]:
        """The next row, after the number of its input; only where there is one."""
        return self._ahead[0].input, self._ahead[0].row

    def check_next(self, is_wanted: IsWanted, end: int | None) -> Checked:
        """Return what became of the next row, and have the wanted ones before ``end`` checked meanwhile."""
        self._fill()
        while self._looked_at < len(self._ahead):
            number = self.position + self._looked_at
            if is_wanted(number) and (end is None or number < end):
                self._checks.begin(self._ahead[self._looked_at], f"{number:09d}")
            self._looked_at += 1
        self._checks.begin(self._ahead[0], f"{self.position:09d}")  # it may be the one at the end
        checked = self._ahead[0].checked
        assert checked is not None
        return checked.result()

    def pass_over(self) -> Row:
        """Go on to the row after the next, and return that one."""
        waiting = self._ahead.popleft()
        self._looked_at = max(0, self._looked_at - 1)
        self._checks.drop(waiting)
        self.position += 1
        return waiting.row

    def _read(self) -> bool:
        """Read one more row; return whether there was one."""
        found = next(self._rows, None)
        if found is None:
            return False
        self.has_urls = self.has_urls or bool(found[1].url)
        self._ahead.append(Waiting(*found))
        return True

    def _fill(self) -> None:
        while len(self._ahead) < self._near or (len(self._ahead) < DOWNLOADS_AHEAD and self._ahead[-1].row.url):
            if not self._read():
                return

    def _named_once(self, seen: SeenKeys) -> Iterator[tuple[int, Row]]:
        """Yield each row after the number of its input."""
        for number, source in enumerate(self._sources):
            for row in source.rows():
                if row.named and not seen.add(number, row.source.id):
                    detail = f"{row.source.id} came before in this input"
                    yield number, replace(row, rejected=Rejected(SkipReason.DUPLICATE_KEY, detail))
                else:
                    yield number, row
