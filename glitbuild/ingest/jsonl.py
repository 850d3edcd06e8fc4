"""JSON Lines: an object a line, images as paths relative to the file."""

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.ingest.columns import find_columns, to_row
from glitbuild.ingest.files import parse_object, read_file
from glitbuild.ingest.remote import AnyPath
from glitbuild.ingest.source import Rejected, Row, SourceOptions
from glitbuild.ingest.text_file import TextFile
from glitbuild.records import Source

_OVER_LINES = re.compile(r"\s*(?:\[\s*\{|[\[{]\s*\Z)")

PEEK = 100
"""Lines that are looked at to find the columns."""


class JsonlSource:
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
        self._path, self._name = path, name
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

    def rows(self) -> Iterator[Row]:
        """Yield a row a line that is not blank; a line that is no JSON object is a rejected row."""
        read_path = partial(read_file, self._path.parent)
        for number, record in enumerate(read_lines(self._path)):
            if isinstance(record, Rejected):
                yield Row.reject(Source(self._name, str(number)), record.reason, record.detail)
            else:
                yield to_row(record, self._columns, self._name, number, read_path)


def read_lines(path: AnyPath) -> Iterator[dict[str, Any] | Rejected]:
    """Yield the object of each line that is not blank, or why it has none."""
    for number, line in TextFile(path).lines():
        if isinstance(line, Rejected):
            yield line
        elif line.strip():
            try:
                yield parse_object(line, f"line {number}")
            except Rejected as rejected:
                yield rejected


def _goes_on(path: AnyPath) -> bool:
    """Return whether the first line that is not blank begins an array or object that goes on in the next."""
    lines = (line for _, line in TextFile(path).lines())
    first = next((line for line in lines if isinstance(line, Rejected) or line.strip()), "")
    return not isinstance(first, Rejected) and _OVER_LINES.match(first) is not None
