"""JSON Lines: an object a line, images as paths relative to the file."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from glitbuild.ingest.columns import find_columns, to_row
from glitbuild.ingest.files import parse_object, read_file
from glitbuild.ingest.remote import AnyPath
from glitbuild.ingest.source import Rejected, Row, SourceOptions
from glitbuild.records import Source

PEEK = 100
"""Lines that are looked at to find the columns."""


class JsonlSource:
    """A ``.jsonl`` or ``.ndjson`` file, read line by line.

    Args:
        path: the file.
        name: what its rows give as their dataset.
        options: the columns.

    Raises:
        SourceError: the first lines have no such columns.
        OSError: the file can't be read.
    """

    def __init__(self, path: AnyPath, name: str, options: SourceOptions) -> None:
        self._path, self._name = path, name
        present: dict[str, None] = {}
        for record in islice(read_lines(path), PEEK):
            if not isinstance(record, Rejected):
                present |= dict.fromkeys(record)
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
    with path.open("rb") as file:
        for line, data in enumerate(file, start=1):
            if data.strip():
                try:
                    yield parse_object(data, f"line {line}")
                except Rejected as rejected:
                    yield rejected
