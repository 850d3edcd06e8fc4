"""CSV and TSV with a header: images as paths relative to the file."""

import csv
from collections.abc import Iterator
from functools import partial

from glitbuild.errors import SourceError
from glitbuild.ingest.columns import find_columns, to_row
from glitbuild.ingest.files import read_file, why
from glitbuild.ingest.remote import AnyPath
from glitbuild.ingest.source import Rejected, Row, SourceOptions
from glitbuild.records import SkipReason, Source

MAX_FIELD = 1 << 24
"""Characters of a cell. A quote that is never closed swallows the file up to here, not into memory."""


class CsvSource:
    """A ``.csv`` or, with tabs, ``.tsv`` file, read row by row.

    Quoting is taken strictly and every row must fit the header: read leniently, a quote or a comma too
    many would cut captions short without a word.

    Args:
        path: the file.
        name: what its rows give as their dataset.
        options: the columns.

    Raises:
        SourceError: there is no header, or it has no such columns.
        OSError: the file can't be read.
    """

    def __init__(self, path: AnyPath, name: str, options: SourceOptions) -> None:
        self._path, self._name = path, name
        self._format = "tsv" if path.suffix.lower() == ".tsv" else "csv"
        # The limit is the whole process's. It is only ever raised: two files may be read by turns.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))
        header = next(self._lines(), (1, []))[1]
        if isinstance(header, Rejected):
            raise SourceError(path.name, f"its header can't be read: {header.detail}")
        if not header:
            raise SourceError(path.name, "it is empty", "the first row must name the columns")
        self._header = header
        self._columns = find_columns(path.name, header, options)

    @property
    def summary(self) -> str:
        """The file, and the columns chosen."""
        return f"{self._path.name}: {self._format}, {self._columns}"

    def rows(self) -> Iterator[Row]:
        """Yield a row a row; one that can't be parsed or has too many cells is a rejected row."""
        read_path = partial(read_file, self._path.parent)
        lines = self._lines()
        next(lines)
        for number, (line, cells) in enumerate(lines):
            if not isinstance(cells, Rejected) and len(cells) > len(self._header):
                detail = f"line {line}: {len(cells)} cells under a header of {len(self._header)}"
                cells = Rejected(SkipReason.ROW_UNREADABLE, detail)
            if isinstance(cells, Rejected):
                yield Row.reject(Source(self._name, str(number)), cells.reason, cells.detail)
            else:
                record = dict(zip(self._header, cells, strict=False))
                yield to_row(record, self._columns, self._name, number, read_path)

    def _lines(self) -> Iterator[tuple[int, list[str] | Rejected]]:
        """Yield each row's last line, from 1, and its cells, or why it has none; blank lines are no rows."""
        with self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter="\t" if self._format == "tsv" else ",", strict=True)
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    detail = f"line {reader.line_num}: {why(error)}"
                    yield reader.line_num, Rejected(SkipReason.ROW_UNREADABLE, detail)
                    continue
                if cells:
                    yield reader.line_num, cells
