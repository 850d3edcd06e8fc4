import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glitbuild.errors import SourceError
from glitbuild.stages.ingest.formats.parquet import check_end
from glitbuild.stages.ingest.registry import SourceOptions, open_sources


def parquet(path: Path, rows: int, size: int = 2000, **options: object) -> bytes:
    table = pa.table({"image": [os.urandom(size) for _ in range(rows)], "caption": ["A."] * rows})
    pq.write_table(table, path, **options)
    return path.read_bytes()


@pytest.mark.parametrize(
    "options", [{}, {"write_page_index": True}, {"use_dictionary": False, "row_group_size": 1}]
)
@pytest.mark.parametrize("rows", [(3, 3), (1, 40), (40, 1), (0, 2), (2, 0)])
def test_files_joined_are_refused(tmp_path: Path, rows: tuple[int, int], options: dict[str, object]) -> None:
    one, two = (parquet(tmp_path / f"{number}.parquet", count, **options) for number, count in enumerate(rows))
    for number in range(2):
        check_end(tmp_path / f"{number}.parquet")
    path = tmp_path / "all.parquet"
    for data in (one + two, one + two + one):
        path.write_bytes(data)
        with pytest.raises(SourceError, match=r"all.parquet: several Parquet files joined into one"):
            open_sources([str(path)], SourceOptions())


def test_a_seam_beyond_what_is_read_at_a_time(tmp_path: Path) -> None:
    one = parquet(tmp_path / "1.parquet", 3, 500_000)
    (tmp_path / "all.parquet").write_bytes(one + one)
    with pytest.raises(SourceError, match="several"):
        check_end(tmp_path / "all.parquet")


@pytest.mark.parametrize(
    "change", [lambda data: data + b"\n", lambda data: data[:-1], lambda data: data + b"x" * 999]
)
def test_bytes_behind_the_footer_are_refused(tmp_path: Path, change: object) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(change(parquet(path, 3)))  # type: ignore[operator]
    with pytest.raises(SourceError, match=r"x.parquet: it begins as a Parquet file but does not end as one"):
        open_sources([str(path)], SourceOptions())


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"PAR1\0\0\0\0PAR1", b"text" * 9])
def test_what_is_no_parquet_is_said_by_its_reader(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(data)
    check_end(path)
    with pytest.raises(SourceError, match=r"not a Parquet file|Couldn.t deserialize"):
        open_sources([str(path)], SourceOptions())
