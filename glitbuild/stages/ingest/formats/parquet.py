"""Parquet: one file or a folder of them; images as paths, bytes, or Hugging Face's {bytes, path}."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source, writable
from glitbuild.stages.ingest.columns import Columns, ReadPath, find_columns, to_row
from glitbuild.stages.ingest.files import read_file, why
from glitbuild.stages.ingest.given_boxes import LABEL_KEYS
from glitbuild.stages.ingest.remote import AnyPath, RemotePath
from glitbuild.stages.ingest.source import DIGEST, Cut, Row, RowSource, SourceOptions, digest_text

if TYPE_CHECKING:
    from datasets import Features


def nested_columns(schema: Any) -> list[str]:
    """Return the columns that hold lists, objects or bytes."""
    from pyarrow import types

    tests = (types.is_nested, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return [field.name for field in schema if any(test(field.type) for test in tests)]


def with_classes(columns: Columns, schema: Any) -> Columns:
    """Return the columns with the names of the classes, where the column of boxes has labels that are numbers.

    ``datasets`` writes them into the metadata of an Arrow schema.
    """
    if columns.boxes is None or b"huggingface" not in (schema.metadata or {}):
        return columns
    from datasets import Features

    return with_feature_classes(columns, Features.from_arrow_schema(schema))


def with_feature_classes(columns: Columns, features: "Features | None") -> Columns:
    """Return the same for a dataset of ``datasets``; None: its features are not known."""
    if columns.boxes is None or not features:
        return columns
    return replace(columns, classes=tuple(_classes(features[columns.boxes], False)))


def _classes(feature: Any, is_label: bool) -> list[str]:
    """Return the names of the first label that has some, within lists and objects."""
    if isinstance(feature, dict):
        return next(filter(None, (_classes(of, name in LABEL_KEYS) for name, of in feature.items())), [])
    if isinstance(feature, list):
        return _classes(feature[0], is_label)
    if (inner := getattr(feature, "feature", None)) is not None:
        return _classes(inner, is_label)
    names: list[str] | None = getattr(feature, "names", None)
    return list(names) if is_label and names else []


MAGIC = b"PAR1"
CHUNK = 1 << 20


def check_end(path: AnyPath) -> None:
    """Refuse a file that is cut off, has bytes behind its footer, or is several joined with ``cat``.

    Of files joined, readers take the footer of the last, whose offsets then point into the first.

    Raises:
        SourceError: says what is wrong.
    """
    import pyarrow
    import pyarrow.parquet

    with path.open("rb") as file:
        size = file.seek(0, 2)
        if _read(file, 0, 4) != MAGIC or size < 12:
            return  # what is no Parquet is said by its reader
        tail = _read(file, size - 8, 8)
        if tail[4:] != MAGIC:
            why = (
                "it begins as a Parquet file but does not end as one: it is cut off, or bytes stand behind its end"
            )
            raise SourceError(path.name, why, "make or download it again")
        footer = size - 8 - int.from_bytes(tail[:4], "little")
        file.seek(0)
        try:
            metadata = pyarrow.parquet.read_metadata(file)
        except (pyarrow.ArrowException, OSError):
            return  # likewise
        # Between the data and the footer there are indices, if anything. Where another file stands before this
        # one, the offsets fall short by its size, so that it ends within as many bytes from the start.
        if _has_seam(file, footer - _data_end(metadata)):
            why = "several Parquet files joined into one, of which readers find the last only"
            raise SourceError(path.name, why, "give the files as they were, in a folder")


def _data_end(metadata: Any) -> int:
    end = len(MAGIC)
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            chunk = row_group.column(index)
            start = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                start = min(start, chunk.dictionary_page_offset)
            end = max(end, start + chunk.total_compressed_size)
    return end


def _has_seam(file: IO[bytes], size: int) -> bool:
    """Return whether a file ends, and another begins, among the first bytes."""
    seam, at, before = MAGIC * 2, 0, b""
    file.seek(0)
    while at < size:
        chunk = file.read(min(CHUNK, size + len(MAGIC) - at))
        if seam in before + chunk:
            return True
        if not chunk:
            break
        before, at = chunk[-len(seam) + 1 :], at + len(chunk)
    return False


def _read(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


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
