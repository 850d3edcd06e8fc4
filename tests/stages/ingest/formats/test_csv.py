import base64
import bz2
import csv
import gzip
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.errors import SourceError
from glitbuild.records import SkipReason, Source
from glitbuild.stages.ingest.accept import Limits, accept
from glitbuild.stages.ingest.formats.csv import CsvSource
from glitbuild.stages.ingest.source import SourceOptions


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
    monkeypatch.setattr("glitbuild.stages.ingest.formats.text_file.MAX_LINE", 100)
    monkeypatch.setattr("glitbuild.stages.ingest.formats.quoting.MAX_LINE", 100)
    long = b"word " * 15
    source = opened(b"image,caption\na," + 2 * long + b'\nb,"' + long + b"\n" + long + b'"\nc,d\n')
    rows = list(source.rows())
    assert [row.rejected and row.rejected.detail for row in rows] == [
        "line 2: more than 100 characters",
        None,
        None,
    ]


def test_an_open_quote_is_not_followed_without_end(opened, monkeypatch):
    monkeypatch.setattr("glitbuild.stages.ingest.formats.quoting.MAX_LINE", 100)
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
        (b"imag;caption\n", "no image column; its columns are: imag, caption"),
        (b"image;caption;caption\n", '"caption" is there twice'),
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


def captions(source):
    """Each row's caption, or the reason why it can't be read."""
    return [row.rejected.detail if row.rejected else row.caption for row in source.rows()]


PLAIN = ["A shop.", '"Big sale" says it.', '"Grand opening', "A dog.", 'A tv of 32"', '"Stop"', 'It is 5" wide.']


@pytest.mark.parametrize("header", ["image\tcaption", "caption\turl", "caption\timage\tsize"])
def test_quotes_in_a_published_tsv_are_text(opened, header):
    names = header.split("\t")
    cells = {"image": "{}.jpg", "url": "https://a.org/{}", "size": "{}"}
    lines = ["\t".join(cells.get(name, caption).format(i) for name in names) for i, caption in enumerate(PLAIN)]
    assert captions(opened("\n".join([header, *lines]).encode(), "data.tsv")) == PLAIN


def test_a_quote_that_another_line_happens_to_close_in_a_tsv(opened):
    lines = ["1.jpg\tA dog.", '2.jpg\t"Grand opening', "3.jpg\tA cat.", '4.jpg\tA tv of 32"', "5.jpg\tThe end."]
    expected = [line.partition("\t")[2] for line in lines]
    assert captions(opened("\n".join(["image\tcaption", *lines]).encode(), "data.tsv")) == expected


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize(
    "texts",
    [
        ['He said "hi".', "one\ttwo", "line\nbreak", "tab\tand\nbreak\t.", "plain"],
        ["two\nlines", "plain", "plain", "plain"],
        ['"', '""', '"a" and "b"', "plain"],
    ],
)
def test_a_tsv_with_quoting(tmp_path, quoting, texts):
    with (tmp_path / "x.tsv").open("w", newline="") as file:
        rows = [["image", "caption"], *([f"{i}.jpg", text] for i, text in enumerate(texts))]
        csv.writer(file, delimiter="\t", quoting=quoting).writerows(rows)
    assert captions(CsvSource(tmp_path / "x.tsv", "x", SourceOptions())) == texts


def test_a_broken_row_does_not_make_the_quotes_of_a_tsv_text(opened):
    lines = [f'{i}.jpg\t"A dog, {i}."' for i in range(5)]
    lines.insert(3, '9.jpg\t"A "dog".')
    found = captions(opened("\n".join(["image\tcaption", *lines]).encode(), "data.tsv"))
    assert found.pop(3) == "line 5: a quote is closed in the middle of a cell, at character 10"
    assert found == [f"A dog, {i}." for i in range(5)]


@pytest.mark.parametrize(
    "line",
    [
        b'1.jpg,"open',
        b'1.jpg,"open, and more',
        b'"1.jpg,open',
        b'1.jpg,"A "dog" runs"',
        b'1.jpg,"closed" too early',
        b'1.jpg,\t"A dog, brown"',
        b'1.jpg,"A dog",5" wide',
        b'1.jpg,""open"',
    ],
)
@pytest.mark.parametrize(
    "rest",
    [b"2.jpg,A cat.\n3.jpg,The end.", b'2.jpg,"A cat."\n3.jpg,"The end."', b'"2.jpg","A cat."\n"3.jpg",The end.'],
)
def test_no_quote_swallows_the_rows_behind_it(opened, line, rest):
    found = captions(opened(b"image,caption\n0.jpg,First.\n" + line + b"\n" + rest + b"\n"))
    assert found[1].startswith("line 3: ")
    assert found[:1] + found[2:] == ["First.", "A cat.", "The end."]


@pytest.mark.parametrize("names", ["{}.jpg", "https://a.org/{}", "img_{}"])
def test_a_quote_that_another_row_happens_to_close(opened, names):
    texts = ['"open', "A cat, grey.", "A bird.", 'closed"', "The end."]
    lines = [f"{names.format(i)},{text}" for i, text in enumerate(texts)]
    found = captions(opened("\n".join(["image,caption", *lines]).encode()))
    assert found[0].startswith("line 2: a quote is opened and not closed in this line")
    assert found[1].startswith("line 3: 3 cells")
    assert found[2:] == ["A bird.", 'closed"', "The end."]


@pytest.mark.parametrize("names", ["{}.jpg", "https://a.org/{}", "img_{}"])
def test_such_a_quote_in_front_of_the_image(opened, names):
    texts = ["A dog.", '"open', "A cat.", 'closed"', "The end."]
    lines = [f"{text},{names.format(i)}" for i, text in enumerate(texts)]
    found = captions(opened("\n".join(["caption,image", *lines]).encode()))
    assert found[1].startswith("line 3: a quote is opened and not closed in this line")
    assert found[:1] + found[2:] == ["A dog.", "A cat.", 'closed"', "The end."]


def test_a_caption_of_several_lines_is_one_row(opened):
    text = "A dog, brown.\n\n1, 2, 3\r\nseen in a.jpg\nA cat, grey."
    assert captions(opened(f'image,caption\n1.jpg,"{text}"\n2.jpg,b\n'.encode())) == [text, "b"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            'image, caption\n1.jpg, "A dog, brown."\n2.jpg,   "A cat." \n3.jpg, plain',
            ["A dog, brown.", "A cat.", "plain"],
        ),
        (' image , caption \n"1.jpg" ,"A dog."', ["A dog."]),
        ("image;score;caption\n1.jpg;0,5;A dog, brown.", ["A dog, brown."]),
        ("image|caption\n1.jpg|A dog, brown.", ["A dog, brown."]),
        ("image\tcaption\n1.jpg\tA dog, brown.", ["A dog, brown."]),
        ("image,caption,\n1.jpg,A dog.,\n2.jpg,A cat.", ["A dog.", "A cat."]),
        ("image,caption\n1.jpg,A dog.,\n2.jpg,A cat.,", ["A dog.", "A cat."]),
        (",image,caption\n0,1.jpg,A dog.", ["A dog."]),
        ('image,caption\n1.jpg,"He said \\"hi, there\\"."\n2.jpg,"a ""b"""', ['He said "hi, there".', 'a "b"']),
        ('image,caption\n1.jpg,"5\\", wide"\n2.jpg,"\\"A\\" dog"', ['5", wide', '"A" dog']),
        ("image,caption\r1.jpg,A dog.\r2.jpg,A cat.\r", ["A dog.", "A cat."]),
        ("image,caption\n1.jpg,A dog.\r2.jpg,A cat.\r\n3.jpg,A\rbird.\n", ["A dog.", "A cat.", "A\rbird."]),
        ("\n  \nimage,caption\n\n1.jpg,A dog.\n   \n\r\n2.jpg,A cat.", ["A dog.", "A cat."]),
        ('image,caption\n1.jpg,5" wide\n2.jpg,say "hi"', ['5" wide', 'say "hi"']),
    ],
)
@pytest.mark.parametrize("encode", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "gzip"])
def test_dialects(opened, data, expected, encode):
    if encode == "gzip":
        written = gzip.compress(data.encode(), mtime=0)
    else:
        written = (b"\xfe\xff" if encode == "utf-16-be" else b"") + data.encode(encode)
    assert captions(opened(written)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"1.jpg,A dog.", "line 2: 2 cells under a header of 3"),
        (b"1.jpg,A dog.,CC0,", "line 2: 4 cells under a header of 3"),
        (b'1.jpg,He said "hi, there",', "line 2: 4 cells under a header of 3"),
        (b"1.jpg", None),
        (b",,", 'nothing in the image column "image"'),
    ],
)
def test_too_few_and_too_many_cells(opened, line, expected):
    first, second = captions(opened(b"image,caption,license\n" + line + b"\n2.jpg,b,c\n"))
    assert (first, second) == (expected, "b")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "cc3m.tsv",
            b"a dog runs\thttps://a.org/1.jpg\n",
            "its first line is a row and names no columns; put a line in",
        ),
        ("cc12m.tsv", b"https://a.org/1.jpg\ta dog runs\n", "its first line is a row .* such as caption<TAB>url"),
        (
            "ofa.tsv",
            b"1\ta dog\t" + base64.b64encode(b"\xff\xd8\xff" + bytes(300)) + b"\n",
            "its first line is a row",
        ),
        ("a.csv", b"1.jpg,a dog\n", "its first line is a row"),
        ("a.csv", b"image,caption,url,url\n", '"url" is there twice'),
        ("a.csv", b"id,image,caption, id\n", '"id" is there twice'),
        ("a.csv", "image,caption\n".encode("utf-16-le"), "begins with NUL characters"),
        ("a.csv", "image,caption\n".encode("utf-32"), "begins with NUL characters"),
        ("a.csv", bz2.compress(b"image,caption\n"), "compressed with bzip2; unpack it"),
        ("a.csv", gzip.compress(b"image,caption\n", mtime=0)[:12], "can't be (unpacked|read)"),
    ],
)
def test_refused_in_one_line(opened, name, data, message):
    with pytest.raises(SourceError, match=message):
        opened(data, name)


def test_columns_that_are_not_used_may_come_twice(opened):
    assert captions(opened(b"image,caption,tag,tag\na,b,c,d\n")) == ["b"]


@pytest.mark.parametrize("cut", ["gzip", "utf-16"])
def test_damage_further_on_is_a_row(opened, cut):
    rows = "".join(f"{i}.jpg,{hashlib.sha256(bytes([i % 256])).hexdigest()}\n" for i in range(5000))
    whole = ("image,caption\n" + rows).encode("utf-16" if cut == "utf-16" else "utf-8")
    data = gzip.compress(whole, mtime=0)[:-1000] if cut == "gzip" else whole[:-1]
    found = captions(opened(data))
    assert "from here on the file can't be read" in found[-1]
    assert 1000 < len(found) <= 5001


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from('ab",;\t\n\r\\ '), max_size=12), min_size=1, max_size=6), st.data())
def test_what_the_csv_module_writes_comes_back(tmp_path_factory, texts, data):
    """Of the hardest characters, in every quoting that the module has."""
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    path = tmp_path_factory.mktemp("csv") / data.draw(st.sampled_from(["x.csv", "x.tsv"]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",", quoting=quoting)
        writer.writerows([["image", "caption"], *([f"{i}.jpg", text] for i, text in enumerate(texts))])
    found = [row.caption for row in CsvSource(path, "x", SourceOptions()).rows()]
    assert [text.strip(" ") for text in found] == [text.strip(" ") for text in texts]
