"""Parquet: one file or a folder of them; images as paths, bytes, or Hugging Face's {bytes, path}."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.ingest.arrow_columns import nested_columns, with_classes
from glitbuild.ingest.columns import Columns, find_columns, to_row
from glitbuild.ingest.files import read_file, why
from glitbuild.ingest.remote import AnyPath, RemotePath
from glitbuild.ingest.source import Rejected, Row, SourceOptions
from glitbuild.records import SkipReason, Source, writable

BATCH_ROWS = 16
"""Rows in memory at a time: with images of some megabytes each, some tens of megabytes.

Parquet can't be read in less than a data page, though; writers put up to 1,024 rows in one, or a row group
where that is smaller (100 rows in Hugging Face's files).
"""


class ParquetSource:
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
        """The files, and the columns chosen."""
        files = f"{len(self._paths)} files, " if len(self._paths) > 1 else ""
        return f"{self._name}: parquet, {files}{self._columns[0]}"

    def rows(self) -> Iterator[Row]:
        """Yield a row a row; where a file is damaged, a rejected row stands for the rest of it."""
        number = 0
        for path, columns, used in zip(self._paths, self._columns, self._used, strict=True):
            for row in self._rows_of(path, columns, used, number):
                yield row
                number += 1

    def _rows_of(self, path: AnyPath, columns: Columns, used: list[str], number: int) -> Iterator[Row]:
        import pyarrow

        read_path = partial(read_file, path.parent)
        try:
            for record in _records(path, used):
                if problem := next((value for value in record.values() if isinstance(value, Rejected)), None):
                    yield Row.reject(Source(self._name, str(number)), problem.reason, problem.detail)
                else:
                    yield to_row(record, columns, self._name, number, read_path)
                number += 1
        except (pyarrow.ArrowException, OSError) as error:
            detail = f"{path.name}: its rows from here on can't be read: {why(error)}"
            yield Row.reject(Source(self._name, str(number)), SkipReason.ROW_UNREADABLE, detail)


def _records(path: AnyPath, used: list[str]) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet

    # A buffered stream without read-ahead: otherwise a whole row group's column is held, images and all.
    with (
        _source(path) as source,
        pyarrow.parquet.ParquetFile(source, buffer_size=1 << 20, pre_buffer=False) as file,
    ):
        for batch in file.iter_batches(BATCH_ROWS, columns=used, use_threads=False):
            columns = {name: list(_values(name, batch.column(name))) for name in used}
            for index in range(batch.num_rows):
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
