import base64

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.errors import SourceError
from glitbuild.records import SkipReason, Source
from glitbuild.stages.ingest.accept import Limits, accept
from glitbuild.stages.ingest.formats.parquet import BATCH_ROWS, ParquetSource
from glitbuild.stages.ingest.source import SourceOptions


@pytest.fixture
def opened(tmp_path):
    def opened(*tables, **options):
        paths = []
        for index, table in enumerate(tables):
            paths.append(tmp_path / f"{index}.parquet")
            pq.write_table(pa.table(table), paths[-1], row_group_size=50)
        return ParquetSource(paths, "data", SourceOptions(**options))

    return opened


def invalid_text(*values, kind=pa.utf8):
    """A column of strings whose bytes Arrow never checked."""
    return pa.array(values, pa.large_binary() if kind is pa.large_utf8 else pa.binary()).view(kind())


def test_paths(opened, tmp_path, jpeg):
    (tmp_path / "a.jpg").write_bytes(jpeg)
    source = opened({"image": ["a.jpg", "b.jpg", None], "caption": ["A.", None, "C."], "url": ["u", None, None]})
    assert source.summary == 'data: parquet, image column "image", caption column "caption"'
    first, second, third = source.rows()
    assert (first.source, first.caption, first.read_image()) == (Source("data", "a.jpg", "u"), "A.", jpeg)
    assert (second.source.id, second.caption) == ("b.jpg", None)
    assert (third.source.id, third.rejected.reason) == ("2", SkipReason.IMAGE_MISSING)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_bytes(opened, jpeg, kind):
    source = opened({"jpg": pa.array([jpeg] * 3).cast(kind), "text": ["a", "b", "c"], "key": [5, 6, None]})
    rows = list(source.rows())
    assert [(row.source.id, row.named) for row in rows] == [("5", True), ("6", True), ("2", False)]
    assert all(row.read_image() == jpeg for row in rows)


def test_hugging_faces_struct(opened, tmp_path, jpeg):
    (tmp_path / "b.jpg").write_bytes(jpeg)
    cells = [
        {"bytes": jpeg, "path": "x.jpg"},
        {"bytes": None, "path": "b.jpg"},
        {"bytes": None, "path": None},
        None,
    ]
    rows = list(opened({"image": cells, "caption": list("abcd")}).rows())
    assert rows[0].read_image() == rows[1].read_image() == jpeg
    assert [row.rejected and row.rejected.reason for row in rows[2:]] == [SkipReason.IMAGE_MISSING] * 2
    assert [row.source.id for row in rows] == ["0", "1", "2", "3"]


def test_several_files_are_one_input(opened):
    tables = [{"image": [b"x"] * 40, "caption": [f"{part}/{row}" for row in range(40)]} for part in range(3)]
    source = opened(*tables)
    rows = list(source.rows())
    assert [row.caption for row in rows] == [f"{part}/{row}" for part in range(3) for row in range(40)]
    assert [row.source.id for row in rows] == [str(number) for number in range(120)]
    assert [row.caption for row in source.rows()] == [row.caption for row in rows]


@pytest.mark.parametrize("kind", [pa.utf8, pa.large_utf8])
def test_text_that_is_no_utf8_costs_only_its_row(opened, tmp_path, jpeg, kind):
    (tmp_path / "a.jpg").write_bytes(jpeg)
    captions = invalid_text(b"good", b"caf\xe9", None, b"good", kind=kind)
    ids = invalid_text(b"1", b"2", b"3", b"\xff", kind=kind)
    source = opened({"image": ["a.jpg"] * 4, "caption": captions, "id": ids})
    results = [accept(row, "0", Limits()) for row in source.rows()]
    assert [None if isinstance(result, tuple) else result.reason for result in results] == [
        None,
        SkipReason.CAPTION_ENCODING,
        SkipReason.CAPTION_MISSING,
        None,
    ]
    assert results[3][0].source.id == "\\udcff"


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (pa.array(["x"]).dictionary_encode(), None),
        (pa.array([b"x"]), None),
        (pa.array([["x"]]), SkipReason.ROW_UNREADABLE),
        (pa.array([1.5]), SkipReason.ROW_UNREADABLE),
        (pa.nulls(1), None),
        (pa.array([float("nan")]), None),
        (invalid_text(b"\xff").dictionary_encode(), None),
        (pa.ListArray.from_arrays([0, 1], invalid_text(b"\xff")), SkipReason.ROW_UNREADABLE),
        (pa.array([1 << 58]).cast(pa.timestamp("ms")), SkipReason.ROW_UNREADABLE),
    ],
)
def test_other_types(opened, captions, expected):
    (row,) = opened({"image": ["a.jpg"], "caption": captions}).rows()
    assert (row.rejected and row.rejected.reason) == expected


def test_columns(opened, tmp_path):
    with pytest.raises(SourceError, match=r'0.parquet: no image column "pic"; its columns are: image, caption, id'):
        opened({"image": [b""], "caption": [""], "id": [""]}, image_column="pic")
    with pytest.raises(SourceError, match=r"1.parquet: no caption column"):
        opened({"image": [b""], "caption": [""]}, {"image": [b""]})
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(SourceError, match=r"bad.parquet: not a Parquet file"):
        ParquetSource([tmp_path / "bad.parquet"], "bad", SourceOptions())


def test_damage_in_the_middle(opened, tmp_path):
    source = opened({"image": [bytes([index]) * 3000 for index in range(100)], "caption": ["c"] * 100})
    path = tmp_path / "0.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60_000] = b"\xff" * 60_000
    path.write_bytes(data[: len(data)])
    rows = list(source.rows())
    assert rows[-1].rejected.reason == SkipReason.ROW_UNREADABLE
    assert rows[-1].rejected.detail.startswith("0.parquet: its rows from here on can't be read")
    assert str(tmp_path) not in rows[-1].rejected.detail


@pytest.mark.slow
def test_memory_is_a_batch_not_a_row_group(tmp_path):
    size, count = 200_000, 200
    path = tmp_path / "large.parquet"
    images = [index.to_bytes(2, "big") * (size // 2) for index in range(count)]
    table = pa.table({"image": images, "caption": ["c"] * count})
    pq.write_table(table, path, use_dictionary=False, compression="none", write_batch_size=8)
    del images, table
    before = pa.total_allocated_bytes()
    most = 0
    for row in ParquetSource([path], "large", SourceOptions()).rows():
        most = max(most, pa.total_allocated_bytes() - before)
        assert len(row.read_image()) == size
    assert most < 4 * BATCH_ROWS * size < count * size


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=50)), min_size=1, max_size=40))
def test_any_caption_comes_back(tmp_path_factory, captions):
    path = tmp_path_factory.mktemp("parquet") / "x.parquet"
    pq.write_table(pa.table({"image": ["a"] * len(captions), "caption": pa.array(captions, pa.utf8())}), path)
    assert [row.caption for row in ParquetSource([path], "x", SourceOptions()).rows()] == captions


def test_nan_and_null_are_nothing(opened):
    nan = float("nan")
    table = {
        "image": ["a.jpg", "b.jpg", "nan", "d.jpg"],
        "caption": pa.array([None, None, "c", "nan"]).dictionary_encode(),
        "id": [1.0, nan, nan, None],
        "url": [nan] * 4,
        "license": pa.array(["CC0", None, "nan", "NULL"]).dictionary_encode(),
        "split": pa.nulls(4),
        "origin": pa.array([None, nan, float("inf"), 0.0], pa.float32()),
    }
    rows = list(opened(table).rows())
    assert [row.source for row in rows] == [
        Source("data", "1", license="CC0"),
        Source("data", "b.jpg"),
        Source("data", "2"),
        Source("data", "d.jpg", origin="0"),
    ]
    results = [accept(row, "0", Limits()).reason for row in rows]
    assert results[:2] + results[3:] == [SkipReason.CAPTION_MISSING] * 3
    assert results[2] == SkipReason.IMAGE_MISSING


def test_columns_that_come_twice(tmp_path):
    table = pa.table([["a"], ["b"], ["u"], ["v"]], names=["image", "caption", "url", "url"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(SourceError, match='the column "url" is there twice'):
        ParquetSource([tmp_path / "x.parquet"], "x", SourceOptions())


def test_base64_and_lists_of_one(opened, jpeg):
    text = base64.b64encode(jpeg).decode()
    columns = [
        [text],
        pa.array([text]).dictionary_encode(),
        [jpeg],
        [f"data:image/jpeg;base64,{text}"],
        [[jpeg]],
        [[text]],
        [[{"bytes": jpeg, "path": None}]],
        [{"bytes": text, "path": "a.jpg"}],
    ]
    for column in columns:
        (row,) = opened({"image": column, "caption": ["c"]}).rows()
        assert (row.read_image(), row.source.id, row.picture) == (jpeg, "0", "")
