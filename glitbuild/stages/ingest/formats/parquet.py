"""Parquet: one file or a folder of them; images as paths, bytes, or Hugging Face's {bytes, path}."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source, writable
from glitbuild.stages.ingest.columns import Columns, ReadPath, find_columns, to_row
from glitbuild.stages.ingest.files import read_file, why
from glitbuild.stages.ingest.formats.arrow_columns import nested_columns, with_classes
from glitbuild.stages.ingest.remote import AnyPath, RemotePath
from glitbuild.stages.ingest.source import DIGEST, Cut, Row, RowSource, SourceOptions, digest_text

BATCH_ROWS = 16
"""Rows in memory at a time: with images of some megabytes each, some tens of megabytes.

Parquet can't be read in less than a data page, though; writers put up to 1,024 rows in one, or a row group
where that is smaller (100 rows in Hugging Face's files).
"""


TOLD_ROWS = 4096
"""Rows in memory at a time of the columns without pictures."""


class ParquetSource(RowSource):
    """Parquet files, read in small batches, one after another in the order given.

    Args:
        paths: the files; all must have the columns.
        name: what their rows give as their dataset.
        options: the columns.

    Raises:
        SourceError: a file is not Parquet, or has no such columns.
        OSError: a file can't be read.
    """

    def __init__(self, paths: Sequence[AnyPath], name: str, options: SourceOptions) -> None:
        import pyarrow
        import pyarrow.parquet

        self._paths, self._name = list(paths), name
        self._columns: list[Columns] = []
        self._used: list[list[str]] = []
        for path in paths:
            try:
                with _source(path) as source:
                    schema = pyarrow.parquet.read_schema(source)
            except pyarrow.ArrowException as error:
                raise SourceError(path.name, f"not a Parquet file: {why(error)}") from error
            columns = find_columns(path.name, schema.names, options, nested_columns(schema))
            self._columns.append(with_classes(columns, schema))
            self._used.append(columns.used(schema.names))

    @property
    def summary(self) -> str:
        """The columns chosen."""
        return f"{self._name}: parquet, {self._columns[0]}"

    def cut(self, size: int) -> Iterator[Cut]:
        """Cut by rows, of which only the columns without pictures are read: a range is where its rows are."""
        place: _Place = []
        digests = bytearray()
        for file, row, found in self._told():
            if place and row is not None and place[-1][0] == file and place[-1][1] + place[-1][2] == row:
                place[-1] = (file, place[-1][1], place[-1][2] + 1)
            else:
                place.append((file, 0, found) if row is None else (file, row, 1))
            digests += digest_text(str(found))
            if len(digests) == size * DIGEST:
                yield Cut(bytes(digests), place)
                place, digests = [], bytearray()
        if place:
            yield Cut(bytes(digests), place)

    def read(self, cut: Cut, first: int) -> Iterator[Row]:
        """Yield a row per row; those of a damaged file, or a single one for the rest of it, are rejected rows."""
        import pyarrow

        number = first
        for file, start, count in cut.place:
            path, columns, used = self._paths[file], self._columns[file], self._used[file]
            if isinstance(count, str):
                yield Row.reject(Source(self._name, str(number)), SkipReason.ROW_UNREADABLE, count)
                number += 1
                continue
            read_path = partial(read_file, path.parent)
            end = number + count
            problem = "it has fewer rows than before"
            try:
                for record in islice(_records(path, used, start), count):
                    yield self._row(record, columns, number, read_path)
                    number += 1
            except (pyarrow.ArrowException, OSError) as error:
                problem = why(error)
            for unread in range(number, end):
                detail = f"{path.name}: this row can't be read: {problem}"
                yield Row.reject(Source(self._name, str(unread)), SkipReason.ROW_UNREADABLE, detail)
            number = end

    def _row(self, record: dict[str, Any], columns: Columns, number: int, read_path: ReadPath) -> Row:
        if problem := next((value for value in record.values() if isinstance(value, Rejected)), None):
            return Row.reject(Source(self._name, str(number)), problem.reason, problem.detail)
        return to_row(record, columns, self._name, number, read_path)

    def _told(self) -> Iterator[tuple[int, int | None, object]]:
        """Yield each row: its file, its number in it, and what it says beside its picture.

        Where a file is damaged, instead of the rest of it: the file, None, and the reason.
        """
        import pyarrow

        for file, (path, used) in enumerate(zip(self._paths, self._used, strict=True)):
            row = 0
            try:
                for row, record in enumerate(_records(path, _without_pictures(path, used), 0, TOLD_ROWS)):
                    yield file, row, [str(value) for value in record.values()]
            except (pyarrow.ArrowException, OSError) as error:
                yield file, None, f"{path.name}: its rows from here on can't be read: {why(error)}"


_Place = list[tuple[int, int, Any]]
"""File, first row in it and number of rows; or file, 0, and why the rest of it can't be read."""


def _without_pictures(path: AnyPath, used: list[str]) -> list[str]:
    """Return those of the columns that hold no bytes."""
    import pyarrow.parquet

    with _source(path) as source:
        schema = pyarrow.parquet.read_schema(source)
    return [name for name in used if not holds_bytes(schema.field(name).type)]


def holds_bytes(kind: Any) -> bool:
    """Return whether an Arrow type holds bytes, as of pictures."""
    from pyarrow import types

    if types.is_nested(kind):
        return any(holds_bytes(kind.field(index).type) for index in range(kind.num_fields))
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _records(path: AnyPath, used: list[str], start: int, rows: int = BATCH_ROWS) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file from one on, so many in memory at a time; row groups in front are not read."""
    import pyarrow.parquet

    # A buffered stream without read-ahead: otherwise a whole row group's column is held, images and all.
    with (
        _source(path) as source,
        pyarrow.parquet.ParquetFile(source, buffer_size=1 << 20, pre_buffer=False) as file,
    ):
        groups = list(range(file.num_row_groups))
        while groups and start >= (size := file.metadata.row_group(groups[0]).num_rows):
            start -= size
            del groups[0]
        if not used:  # nothing but pictures, which are not wanted
            yield from ({} for _ in range(file.metadata.num_rows - start))
            return
        for batch in file.iter_batches(rows, row_groups=groups, columns=used, use_threads=False):
            passed = min(start, batch.num_rows)
            start -= passed
            columns = (
                {name: list(_values(name, batch.column(name))) for name in used} if passed < batch.num_rows else {}
            )
            for index in range(passed, batch.num_rows):
                yield {name: values[index] for name, values in columns.items()}


def _source(path: AnyPath) -> AbstractContextManager[Any]:
    """Return what pyarrow reads a file from; a name that is not UTF-8 it can't open itself."""
    if isinstance(path, RemotePath) or writable(str(path)) != str(path):
        return path.open("rb")
    return nullcontext(path)


def _values(name: str, column: Any) -> Iterator[Any]:
    """Yield a column's values, or what rejects the row of one that Python can't hold.

    A string that is no UTF-8, which Arrow never checked, has lone surrogates.
    """
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_string(column.type) or types.is_large_string(column.type) or types.is_string_view(column.type):
        for value in column.cast(pyarrow.large_binary()):
            yield value.as_py().decode("utf-8", "surrogateescape") if value.is_valid else None
    else:
        for value in column:
            try:
                yield value.as_py()
            except (ValueError, OverflowError) as error:  # a date beyond Python's, bytes that are no text in a list
                detail = f'the column "{name}" holds a value that can\'t be read: {why(error)}'
                yield Rejected(SkipReason.ROW_UNREADABLE, detail)
