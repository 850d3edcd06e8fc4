"""JSON Lines, one object per line, images as paths relative to the file; JSON arrays, element by element."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source
from glitbuild.stages.ingest.columns import find_columns, to_row
from glitbuild.stages.ingest.files import parse_object, read_file, unique_keys, why
from glitbuild.stages.ingest.formats.text_file import RawLine, TextFile
from glitbuild.stages.ingest.remote import AnyPath
from glitbuild.stages.ingest.source import Cut, Row, RowSource, SourceOptions, cut_at, digest, same_rows

_OVER_LINES = re.compile(r"\s*(?:\[\s*\{|[\[{]\s*\Z)")

PEEK = 100
"""Lines that are looked at to find the columns."""


class JsonlSource(RowSource):
    """A ``.jsonl`` or ``.ndjson`` file, read line by line.

    Args:
        path: the file.
        name: what its rows give as their dataset.
        options: the columns.

    Raises:
        SourceError: the first lines have no such columns, or are no objects.
        OSError: the file can't be read.
    """

    def __init__(self, path: AnyPath, name: str, options: SourceOptions) -> None:
        self._path, self._name, self._file = path, name, TextFile(path)
        present: dict[str, None] = {}
        problem: Rejected | None = None
        for record in islice(read_lines(path), PEEK):
            if isinstance(record, Rejected):
                problem = problem or record
            else:
                present |= dict.fromkeys(record)
        # JSON over several lines may have lines that are objects, too, but most of these end with a comma.
        if problem and (not present or _goes_on(path)):
            fix = "each line must hold one object; of a JSON array, jq -c '.[]' makes such lines"
            raise SourceError(path.name, f"it is not JSON Lines: {problem.detail}", fix)
        self._columns = find_columns(path.name, list(present), options)

    @property
    def summary(self) -> str:
        """The file, and the columns chosen."""
        return f"{self._path.name}: jsonl, {self._columns}"

    def cut(self, size: int) -> Iterator[Cut]:
        """Cut by lines: a range is where its first one begins; of a file that can't be entered, it carries them."""
        lines, can_seek = _with_rows(self._file.raw_lines()), self._file.can_seek
        yield from cut_at(((_digest(x), (x.offset, x.number) if can_seek else x) for x in lines), size, can_seek)

    def read(self, cut: Cut, first: int) -> Iterator[Row]:
        """Yield a row per line that is not blank; a line that is no JSON object is a rejected row."""
        read_path = partial(read_file, self._path.parent)
        lines = _with_rows(self._file.raw_lines(*cut.place)) if self._file.can_seek else cut.place
        for number, line in enumerate(same_rows(islice(lines, len(cut)), _digest, cut, self._path.name), first):
            record = _parse(line.number, self._file.decode(line.data))
            if isinstance(record, Rejected):
                yield Row.reject(Source(self._name, str(number)), record.reason, record.detail)
            else:
                yield to_row(record, self._columns, self._name, number, read_path)


def _with_rows(lines: Iterable[RawLine]) -> Iterator[RawLine]:
    """Yield the lines that are not blank."""
    for line in lines:
        data = line.data
        if isinstance(data, Rejected) or (
            data.strip() and (data.isascii() or data.decode("utf-8", "replace").strip())
        ):
            yield line


def _digest(line: RawLine) -> bytes:
    return digest(line.data if isinstance(line.data, bytes) else line.data.detail.encode())


def _parse(number: int, line: str | Rejected) -> dict[str, Any] | Rejected:
    if isinstance(line, Rejected):
        return line
    try:
        return parse_object(line, f"line {number}")
    except Rejected as rejected:
        return rejected


def read_lines(path: AnyPath) -> Iterator[dict[str, Any] | Rejected]:
    """Yield the object of each line that is not blank, or why it has none."""
    file = TextFile(path)
    for line in _with_rows(file.raw_lines()):
        yield _parse(line.number, file.decode(line.data))


def _goes_on(path: AnyPath) -> bool:
    """Return whether the first line that is not blank begins an array or object that goes on in the next."""
    lines = (line for _, line in TextFile(path).lines())
    first = next((line for line in lines if isinstance(line, Rejected) or line.strip()), "")
    return not isinstance(first, Rejected) and _OVER_LINES.match(first) is not None


CHUNK = 1 << 20
"""Characters read at a time; what an element needs beyond is read as it is found to be missing."""


def read_array(path: AnyPath, key: str | None = None) -> Iterator[Any]:
    """Yield the elements of an array, and where it is damaged, a ``Rejected`` for the rest of it.

    Several arrays, or objects, one behind the other as ``cat`` joins them, are read one after another.

    Args:
        path: a UTF-8 file that holds an array, or an object with an array in it.
        key: the array's key in the object; None where the file is the array.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = _Reader(file.read)
        behind = ""
        try:
            while not behind or reader.has_more():
                yield from reader.elements() if key is None else reader.elements_of(key)
                behind = f", behind the end of the {'list' if key is None else 'object'},"
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else why(error)
            detail = f"{path.name}: from character {reader.position}{behind} on it can't be read: {reason}"
            yield Rejected(SkipReason.ROW_UNREADABLE, detail)


class _Reader:
    """Decodes values from a text of which only a window is in memory."""

    def __init__(self, read: Any) -> None:
        self._read, self._window, self._start, self._at = read, "", 0, 0
        self._decode = json.JSONDecoder(object_pairs_hook=unique_keys).raw_decode

    @property
    def position(self) -> int:
        """Characters of the file that are done with."""
        return self._start + self._at

    def has_more(self) -> bool:
        """Return whether there is more than white space and byte order marks."""
        while (found := self._next()) == "\ufeff":
            self._at += 1
        return bool(found)

    def elements_of(self, key: str) -> Iterator[Any]:
        """Yield the elements of the array that an object has under a key, and read the object to its end."""
        self._expect("{")
        is_there = False
        while True:
            name = self._value()
            self._expect(":")
            if name == key:
                yield from self.elements()
                is_there = True
            else:
                self._value()
            if self._expect(",}") == "}":
                break
        if not is_there:
            raise ValueError(f'the object has no "{key}"')

    def elements(self) -> Iterator[Any]:
        """Yield the elements of the array that comes next."""
        self._expect("[")
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            yield self._value()
            if self._expect(",]") == "]":
                return

    def _peek(self) -> str:
        """Return the next character that is no white space."""
        if not (found := self._next()):
            raise ValueError("it ends too early")
        return found

    def _next(self) -> str:
        """Return likewise, or ``""`` at the end."""
        while True:
            while self._at < len(self._window):
                if not self._window[self._at].isspace():
                    return self._window[self._at]
                self._at += 1
            if not self._fill():
                return ""

    def _expect(self, characters: str) -> str:
        found = self._peek()
        if found not in characters:
            raise ValueError(f"{found!r} where there should be {' or '.join(characters)}")
        self._at += 1
        return found

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decode(self._window, self._at)
                if end < len(self._window):  # a number at the window's end may go on behind it
                    self._at = end
                    return value
            except json.JSONDecodeError:
                if not self._fill():
                    raise
                continue
            if not self._fill():
                raise ValueError("it ends too early")

    def _fill(self) -> bool:
        """Read as much again as the window has, so that a long element is not decoded too many times."""
        more = self._read(max(CHUNK, len(self._window) - self._at))
        self._window, self._start, self._at = self._window[self._at :] + more, self.position, 0
        return bool(more)
