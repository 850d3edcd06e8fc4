"""CSV and TSV with a header: images as paths relative to the file, as addresses, or as base64."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source
from glitbuild.stages.ingest.columns import Columns, find_columns, is_url, to_row
from glitbuild.stages.ingest.files import embedded_image, read_file
from glitbuild.stages.ingest.formats.folder import IMAGE_SUFFIXES
from glitbuild.stages.ingest.formats.quoting import CellRow, QuotedRows, is_blank, plain_rows
from glitbuild.stages.ingest.formats.text_file import Line, TextFile
from glitbuild.stages.ingest.kept_columns import Cell
from glitbuild.stages.ingest.remote import AnyPath
from glitbuild.stages.ingest.source import Cut, Row, RowSource, SourceOptions, cut_at, digest_text, same_rows

DELIMITERS = {"csv": ",;\t|", "tsv": "\t,;|"}
"""What may stand between cells, in the order in which it is looked for."""

LONGEST_NAME = 200
"""Characters of a column's name; what is longer is no name."""

_NUMBERED = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9]).*")
_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a file is written.

    Attributes:
        delimiter: between cells.
        quoting: whether quotes around a cell are no part of it.
        least: cells that a row must have.
        most: cells that a row may have.
    """

    delimiter: str
    quoting: bool
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where reading a row may begin.

    Attributes:
        offset: byte at which its line begins.
        line: number of that line.
        passed: rows in front of it in the same line.
        kind: of the names of images before that line; see ``_cells``.
    """

    offset: int
    line: int
    passed: int = 0
    kind: str = ""


class CsvSource(RowSource):
    """A ``.csv`` or, with tabs, ``.tsv`` file, read row by row.

    How it is written is decided once for the file: the delimiter by the header, and between tabs by the whole
    file whether quotes are more than text. A row that doesn't fit is rejected: read leniently, a quote or a
    comma too many would cut captions short without a word.

    Args:
        path: the file.
        name: what its rows give as their dataset.
        options: the columns.

    Raises:
        SourceError: there is no header, or it has no such columns.
        OSError: the file can't be read.
    """

    def __init__(self, path: AnyPath, name: str, options: SourceOptions) -> None:
        self._path, self._name, self._file = path, name, TextFile(path)
        self._format = "tsv" if path.name.lower().removesuffix(".gz").endswith(".tsv") else "csv"
        delimiter, self._header, self._columns = self._open(options)
        self._image = self._header.index(self._columns.image)
        self._dialect = self._decide(delimiter)

    @property
    def summary(self) -> str:
        """The file, and the columns chosen."""
        return f"{self._path.name}: {self._format}, {self._columns}"

    def cut(self, size: int) -> Iterator[Cut]:
        """Cut by rows, which may have several lines; a range is the place of its first, or carries its rows."""
        can_seek = self._file.can_seek
        yield from cut_at(
            ((_digest(row), place if can_seek else row) for row, place in self._placed()), size, can_seek
        )

    def read(self, cut: Cut, first: int) -> Iterator[Row]:
        """Yield a row per row; one that can't be parsed or has too few or too many cells is a rejected row."""
        read_path = partial(read_file, self._path.parent)
        found = self._rows(self._dialect, cut.place) if self._file.can_seek else cut.place
        for number, row in enumerate(same_rows(islice(found, len(cut)), _digest, cut, self._path.name), first):
            cells = self._fit(row)
            if isinstance(cells, Rejected):
                yield Row.reject(Source(self._name, str(number)), cells.reason, cells.detail)
            else:
                record = dict(zip(self._header, cells, strict=False))
                made = to_row(record, self._columns, self._name, number, read_path)
                yield replace(made, extra={name: value and Cell(value) for name, value in made.extra.items()})

    def _placed(self) -> Iterator[tuple[CellRow, _Place]]:
        """Yield each row with the place at which reading it may begin."""
        offsets = deque[tuple[int, int]]()

        def lines() -> Iterator[Line]:
            for line in self._file.raw_lines():
                offsets.append((line.number, line.offset))
                yield line.number, self._file.decode(line.data)

        place, kind = _Place(0, 0), ""
        for row in self._behind_header(QuotedRows(lines(), self._dialect.delimiter), self._dialect):
            if row.line == place.line:
                place = replace(place, passed=place.passed + 1)
            else:
                while offsets[0][0] < row.line:
                    offsets.popleft()
                place = _Place(offsets[0][1], row.line, 0, kind)
            yield row, place
            kind = self._kind(row, kind)

    def _open(self, options: SourceOptions) -> tuple[str, list[str], Columns]:
        """Return the delimiter with which the header has the columns, the header, and the columns."""
        problems: list[tuple[int, SourceError]] = []
        for delimiter in DELIMITERS[self._format]:
            header: list[str] = []
            try:
                header = self._read_header(delimiter)
                self._check_names(header)
                return delimiter, header, find_columns(self._path.name, header, options)
            except SourceError as error:
                problems.append((len(header), error))
        # What is said is of the delimiter that there is.
        raise max(problems, key=lambda problem: problem[0])[1]

    def _read_header(self, delimiter: str) -> list[str]:
        first = next(iter(QuotedRows(self._file.lines(), delimiter)), None)
        if first is None:
            raise SourceError(self._path.name, "it is empty", "the first row must name the columns")
        if isinstance(first.cells, Rejected):
            raise SourceError(self._path.name, f"its header can't be read: {first.cells.detail}")
        return [name.strip() for name in first.cells]

    def _check_names(self, header: list[str]) -> None:
        """Refuse a row in the place of the header, as in the lists of CC3M and CC12M."""
        if any(len(name) > LONGEST_NAME or _looks_like_image(name) for name in header):
            example = f"caption{'<TAB>' if self._format == 'tsv' else ','}url"
            fix = f"put a line in front that names the columns, such as {example}"
            raise SourceError(self._path.name, "its first line is a row and names no columns", fix)

    def _decide(self, delimiter: str) -> _Dialect:
        width = len(self._header)
        least = next((index + 1 for index in reversed(range(width)) if self._header[index]), 0)
        dialect = _Dialect(delimiter, True, least, width)
        if delimiter == "\t" and not self._is_quoted(dialect):
            dialect = replace(dialect, quoting=False)
        first = list(islice(self._rows(dialect), 2))
        if first and all(_has_empty_end(row, width) for row in first):
            dialect = replace(dialect, most=width + 1)  # a delimiter ends the rows, but not the header
        return dialect

    def _is_quoted(self, dialect: _Dialect) -> bool:
        """Return whether quotes around cells between tabs are quotes, which the whole file tells.

        Published lists of captions put no text in quotes, and a caption may begin with one. So rows that make
        sense only if quotes are quotes are counted against those where a quote fits nowhere. Where most rows have
        cells in quotes, all of these count.
        """
        rows = quoted = needed = against = 0
        for row in self._rows(dialect):
            rows += 1
            fits = not isinstance(self._fit(row, dialect), Rejected)
            quoted += row.quoted and fits
            needed += row.needed and fits
            against += row.stray or (row.quoted and not fits)
        return not against or (quoted if 2 * quoted > rows else needed) > against

    def _rows(self, dialect: _Dialect, place: _Place | None = None) -> Iterator[CellRow]:
        """Yield the rows behind the header, or from a place on."""
        if place is None:
            return self._behind_header(QuotedRows(self._file.lines(), dialect.delimiter), dialect)
        raw = self._file.raw_lines(place.offset, place.line)
        reader = QuotedRows(((line.number, self._file.decode(line.data)) for line in raw), dialect.delimiter)
        return islice(self._cells(reader, dialect, place.kind), place.passed, None)

    def _behind_header(self, reader: QuotedRows, dialect: _Dialect) -> Iterator[CellRow]:
        next(iter(reader))
        return self._cells(reader, dialect)

    def _cells(self, reader: QuotedRows, dialect: _Dialect, kind: str = "") -> Iterator[CellRow]:
        """Yield rows; ``kind`` is that of the names which the images before have."""
        reader.width = len(self._header)
        if not dialect.quoting:
            for number, line in reader.rest():
                if isinstance(line, Rejected):
                    yield CellRow(number, line)
                elif not is_blank(line):
                    yield from plain_rows(number, line, dialect.delimiter, reader.width)
            return
        image = self._image

        # A line of a caption may have as many commas as a row, but hardly the name of an image in front of one.
        def is_row(cells: list[str], before: list[str]) -> bool:
            if len(cells) < reader.width:
                return False
            own = _kind_of_name(before[image]) if len(before) > image else kind
            return _looks_like_image(cells[image]) or (own != "" and _kind_of_name(cells[image]) == own)

        reader.is_row = is_row
        for row in reader:
            kind = self._kind(row, kind)
            yield row

    def _kind(self, row: CellRow, before: str) -> str:
        """Return of what kind the name of a row's image is; where it has none, that before."""
        if isinstance(row.cells, Rejected) or len(row.cells) <= self._image:
            return before
        return _kind_of_name(row.cells[self._image])

    def _fit(self, row: CellRow, dialect: _Dialect | None = None) -> list[str] | Rejected:
        """Return a row's cells where they fit the header."""
        dialect = dialect or self._dialect
        cells, width = row.cells, len(self._header)
        if isinstance(cells, Rejected):
            return cells
        # A row without an image or a caption has a reason of its own.
        whole = len(cells) > self._last
        if len(cells) > dialect.most or any(cells[width:]) or (whole and len(cells) < dialect.least):
            detail = f"line {row.line}: {len(cells)} cells under a header of {width}"
            return Rejected(SkipReason.ROW_UNREADABLE, detail)
        return cells

    @property
    def _last(self) -> int:
        """The last cell that a sample can't do without."""
        caption = self._columns.caption
        return max(self._image, self._header.index(caption) if caption is not None else 0)


def _digest(row: CellRow) -> bytes:
    return digest_text(*row.cells) if isinstance(row.cells, list) else digest_text(row.cells.detail)


def _has_empty_end(row: CellRow, width: int) -> bool:
    """Return whether a row has one cell too many, with nothing in it."""
    return not isinstance(row.cells, Rejected) and len(row.cells) == width + 1 and not (row.cells[-1] or row.stray)


def _looks_like_image(cell: str) -> bool:
    cell = cell.strip()
    suffix = cell[cell.rfind(".") :].lower() if "." in cell[-6:] else ""
    return suffix in IMAGE_SUFFIXES or is_url(cell) or embedded_image(cell) is not None


def _kind_of_name(cell: str) -> str:
    """Return a name with all its numbers the same; nothing for one without numbers, or of numbers alone."""
    return _DIGITS.sub("0", cell) if len(cell) <= LONGEST_NAME and _NUMBERED.fullmatch(cell) else ""
