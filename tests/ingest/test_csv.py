import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.errors import SourceError
from glitbuild.ingest.accept import Limits, accept
from glitbuild.ingest.csv import CsvSource
from glitbuild.ingest.source import SourceOptions
from glitbuild.records import SkipReason, Source


@pytest.fixture
def opened(tmp_path):
    def opened(data, name="data.csv", **options):
        (tmp_path / name).write_bytes(data)
        return CsvSource(tmp_path / name, "data", SourceOptions(**options))

    return opened


def test_rows(opened, tmp_path, jpeg):
    (tmp_path / "a.jpg").write_bytes(jpeg)
    source = opened(b'image,caption,license,id\r\na.jpg,"A dog, ""Rex"",\nruns.",CC0,one\r\n\r\nb.jpg,B.,,\r\n')
    assert source.summary == 'data.csv: csv, image column "image", caption column "caption"'
    first, second = source.rows()
    assert (first.source, first.named) == (Source("data", "one", "", "CC0"), True)
    assert (first.caption, first.read_image()) == ('A dog, "Rex",\nruns.', jpeg)
    assert (second.source, second.named) == (Source("data", "b.jpg"), False)


def test_tabs(opened):
    source = opened(b"file\ttext\na.jpg\tone, two\n", "data.tsv")
    assert source.summary == 'data.tsv: tsv, image column "file", caption column "text"'
    assert [row.caption for row in source.rows()] == ["one, two"]


def test_long_cells_two_files_by_turns(opened, tmp_path):
    first = opened(b"image,caption\na,x\nb," + b"words" * 30_000)
    rows = first.rows()
    next(rows)
    assert [row.caption for row in opened(b"image,caption\nc,y\n", "other.csv").rows()] == ["y"]
    assert len(next(rows).caption) == 150_000


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"a.jpg", SkipReason.CAPTION_MISSING),
        (b"a.jpg,", SkipReason.CAPTION_EMPTY),
        (b",caption", SkipReason.IMAGE_MISSING),
        (b"gone.jpg,caption", SkipReason.IMAGE_MISSING),
        (b"a.jpg,A dog, running", SkipReason.ROW_UNREADABLE),
        (b'a.jpg,"A "dog" runs"', SkipReason.ROW_UNREADABLE),
        (b"a.jpg,nul\0byte", SkipReason.CAPTION_NUL),
        (b"a.jpg,caf\xe9", SkipReason.CAPTION_ENCODING),
    ],
)
def test_a_bad_row_costs_only_itself(opened, tmp_path, jpeg, line, expected):
    (tmp_path / "a.jpg").write_bytes(jpeg)
    results = [accept(row, "0", Limits()) for row in opened(b"image,caption\n" + line + b"\na.jpg,good\n").rows()]
    assert results[0].reason == expected
    assert results[1][0].caption == "good"
    assert len(results) == 2


def test_a_quote_that_is_never_closed(opened):
    rows = list(opened(b'image,caption\na,b\nc,"open\nd,e\n').rows())
    assert [row.rejected is None for row in rows] == [True, False, True]
    assert rows[1].rejected.detail == "line 3: a quote is opened and never closed"


def test_lines_and_quotes_beyond_the_limit(opened, monkeypatch):
    monkeypatch.setattr("glitbuild.ingest.text_file.MAX_LINE", 100)
    monkeypatch.setattr("glitbuild.ingest.quoting.MAX_LINE", 100)
    long = b"word " * 15
    source = opened(b"image,caption\na," + 2 * long + b'\nb,"' + long + b"\n" + long + b'"\nc,d\n')
    rows = list(source.rows())
    assert [row.rejected and row.rejected.detail for row in rows] == [
        "line 2: more than 100 characters",
        None,
        None,
    ]


def test_an_open_quote_is_not_followed_without_end(opened, monkeypatch):
    monkeypatch.setattr("glitbuild.ingest.quoting.MAX_LINE", 100)
    source = opened(b'image,caption\na,"open\n' + b"b,c\n" * 50 + b'd,e"\n')
    rows = list(source.rows())
    assert [row.rejected is None for row in rows] == [False] + [True] * 51


def test_byte_order_mark(opened):
    assert [row.caption for row in opened(b"\xef\xbb\xbfimage,caption\na,b").rows()] == ["b"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"a,b\n", "no image column; its columns are: a, b"),
        (b"imag;caption\n", "no image column; its columns are: imag;caption"),
        (b"image;caption;caption\n", "no image column; its columns are: image;caption;caption"),
        (b"image,caption,caption\n", '"caption" is there twice'),
        (b'"image\n', "its header can't be read"),
    ],
)
def test_no_columns(opened, data, message):
    with pytest.raises(SourceError, match=message):
        opened(data)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), min_size=1, max_size=8))
def test_any_caption_comes_back(tmp_path_factory, captions):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([["image", "caption"], *(["a", caption] for caption in captions)])
    assert [row.caption for row in CsvSource(path, "x", SourceOptions()).rows()] == captions
