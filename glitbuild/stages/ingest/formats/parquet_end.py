"""A Parquet file's end: its footer is read from there, so what is joined to it would be read wrongly or be lost."""

from typing import IO, Any

from glitbuild.errors import SourceError
from glitbuild.stages.ingest.remote import AnyPath

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
