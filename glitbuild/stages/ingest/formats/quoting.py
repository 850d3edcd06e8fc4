"""From the lines of a delimited file to cells, so that no quote ever swallows the rows behind it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.formats.text_file import MAX_LINE, Line

_OPENING = re.compile(' *"')
_INSIDE = re.compile(r'(?:[^"]++|"")*+')
_SPACES = re.compile(" *")

_ENDS = "\r\n"

IsRow = Callable[[list[str], list[str]], bool]
"""Whether cells look like a row's, and not like a line of a caption, given those in front of that caption."""


@dataclass(frozen=True, slots=True)
class CellRow:
    """A row's cells.

    Attributes:
        line: the number of its first line, counted from 1.
        cells: or why there are none.
        quoted: a cell of it is in quotes, or begins with a quote that fits nowhere.
        needed: a cell in quotes holds what can only stand in them: a delimiter, a line break, a quote.
        stray: a quote is in a cell that is not in quotes.
    """

    line: int
    cells: list[str] | Rejected
    quoted: bool = False
    needed: bool = False
    stray: bool = False


class _BadQuoteError(Exception):
    """A quote stands where none can."""


class QuotedRows:
    r"""Rows whose cells may be in quotes; two quotes in such a cell are one, and it may have line breaks.

    A row goes on in the next line only while a quote is open. If that quote is never closed, is closed in the
    middle of a cell, or all the lines it goes on in are rows themselves, then the row's first line alone is
    rejected, and what comes next is read anew. Where a row can't be read so, but can with ``\"`` as a quote
    in quotes, it is.

    Args:
        lines: of the file.
        delimiter: between cells.

    Attributes:
        width: cells of a row; 0 where that is not known yet.
        is_row: see ``IsRow``.
    """

    def __init__(self, lines: Iterator[Line], delimiter: str) -> None:
        self._lines, self._delimiter = lines, delimiter
        self.width = 0
        self.is_row: IsRow = lambda cells, before: False
        self._read: list[Line] = []
        self._first = 0

    def __iter__(self) -> Iterator[CellRow]:
        while self._has(0):
            number, line = self._line(0)
            if isinstance(line, Rejected):
                self._pass(1)
                yield CellRow(number, line)
            elif is_blank(line):
                self._pass(1)
            else:
                yield from self._row(number, line)

    def rest(self) -> Iterator[Line]:
        """Yield the lines behind the rows so far."""
        while self._has(0):
            line = self._line(0)
            self._pass(1)
            yield line

    def _row(self, number: int, line: str) -> Iterator[CellRow]:
        if '"' not in line:
            self._pass(1)
            yield from plain_rows(number, line, self._delimiter, self.width)
            return
        found = self._try(escaped=False)
        if isinstance(found, str) and '\\"' in line:
            escaped = self._try(escaped=True)
            found = escaped if isinstance(escaped, tuple) else found
        if isinstance(found, str):
            self._pass(1)
            yield CellRow(number, Rejected(SkipReason.ROW_UNREADABLE, f"line {number}: {found}"), quoted=True)
            return
        record, count = found
        self._pass(count)
        yield CellRow(number, record.cells, record.quoted, record.needed, record.stray)

    def _try(self, escaped: bool) -> "tuple[_Record, int] | str":
        """Return the row that comes next, and how many lines it has; or what is wrong with its quotes."""
        record = _Record(self._delimiter, escaped)
        count = size = 0
        all_rows, before = True, list[str]()
        try:
            while count == 0 or record.is_open:
                if not self._has(count) or size > MAX_LINE:
                    return "a quote is opened and never closed"
                line = self._line(count)[1]
                if isinstance(line, Rejected):
                    return f"a quote is open where the file can't be read: {line.detail}"
                record.feed(line)
                before = before if count else list(record.cells)
                all_rows = all_rows and (count == 0 or self.is_row(self._bare_cells(line), before))
                count += 1
                size += len(line)
        except _BadQuoteError as error:
            return str(error)
        if count > 1 and all_rows:
            return "a quote is opened and not closed in this line, and what follows are rows themselves"
        if record.quoted and record.stray:
            return "a quote in a cell that is not in quotes, beside one that is"
        return record, count

    def _bare_cells(self, line: str) -> list[str]:
        return [cell.strip().strip('"') for cell in line.split(self._delimiter)]

    def _has(self, index: int) -> bool:
        while self._first + index >= len(self._read):
            line = next(self._lines, None)
            if line is None:
                return False
            self._read.append(line)
        return True

    def _line(self, index: int) -> Line:
        return self._read[self._first + index]

    def _pass(self, count: int) -> None:
        self._first += count
        if 2 * self._first >= len(self._read):  # so that each line is moved at most once
            del self._read[: self._first]
            self._first = 0


class _Record:
    """The cells of a row, line by line."""

    def __init__(self, delimiter: str, escaped: bool) -> None:
        self._delimiter, self._escaped = delimiter, escaped
        self._open: list[str] = []
        self.is_open = self.quoted = self.needed = self.stray = False
        self.cells: list[str] = []

    def feed(self, line: str) -> None:
        """Read a line to its end.

        Raises:
            _BadQuoteError: something stands behind a cell in quotes.
        """
        line = line.replace('\\"', '""') if self._escaped else line
        end = len(line.rstrip(_ENDS))
        at = 0
        while True:
            if not self.is_open:
                opening = _OPENING.match(line, at, end)
                if not opening:
                    at = self._plain(line, at, end)
                    if at > end:
                        return
                    continue
                self.is_open, at = True, opening.end()
            inside = _INSIDE.match(line, at)
            assert inside is not None  # it matches nothing at least
            self._open.append(inside[0])
            if inside.end() == len(line):
                return
            at = self._closed(line, inside.end() + 1, end)
            if at > end:
                return

    def _plain(self, line: str, at: int, end: int) -> int:
        """Add the cell that begins here; return where the next one does, beyond the end if there is none."""
        stop = line.find(self._delimiter, at, end)
        stop = end if stop < 0 else stop
        cell = _bare(line[at:stop], self._delimiter)
        self.stray = self.stray or '"' in cell
        if cell.lstrip()[:1] == '"':
            raise _BadQuoteError("a quote behind white space that is no space")
        self.cells.append(cell)
        return stop + 1

    def _closed(self, line: str, at: int, end: int) -> int:
        """Add the cell whose closing quote is in front of this place; return likewise."""
        content = "".join(self._open)
        self.cells.append(content.replace('""', '"'))
        self.is_open, self._open, self.quoted = False, [], True
        needs = ('"', self._delimiter, "\n", "\r")
        self.needed = self.needed or any(character in content for character in needs)
        spaces = _SPACES.match(line, at, end)
        at = spaces.end() if spaces else at
        if at < end and line[at] != self._delimiter:
            raise _BadQuoteError(f"a quote is closed in the middle of a cell, at character {at}")
        return at + 1


def plain_rows(number: int, line: str, delimiter: str, width: int) -> Iterator[CellRow]:
    """Yield the row of a line in which no quote has a meaning.

    Where cells are too few or too many, but fit between carriage returns in the line, those end rows as well.
    """
    line = line.rstrip(_ENDS)
    rows = [line.split(delimiter)]
    if "\r" in line and len(rows[0]) != width:
        parts = [part.split(delimiter) for part in line.split("\r")]
        rows = parts if all(len(part) == width for part in parts) else rows
    for cells in rows:
        yield CellRow(number, [_bare(cell, delimiter) for cell in cells])


def is_blank(line: str) -> bool:
    """Return whether there is nothing in a line, not even a delimiter."""
    return not line.strip(" " + _ENDS)


def _bare(cell: str, delimiter: str) -> str:
    """Return a cell that is not in quotes; spaces around it are only part of it between tabs."""
    return cell if delimiter == "\t" else cell.strip(" ")
