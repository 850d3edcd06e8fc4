"""JSON Lines: an object a line, images as paths relative to the file."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, Source
from glitbuild.stages.ingest.columns import find_columns, to_row
from glitbuild.stages.ingest.files import parse_object, read_file
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
