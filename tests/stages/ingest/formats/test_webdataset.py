import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.errors import SourceError
from glitbuild.records import SkipReason, Source
from glitbuild.stages.ingest.accept import Limits, accept
from glitbuild.stages.ingest.formats.webdataset import WebDatasetSource
from glitbuild.stages.ingest.source import SourceOptions
from tests.stages.ingest.conftest import write_tar


@pytest.fixture
def opened(tmp_path):
    def opened(*tars, **options):
        paths = [write_tar(tmp_path / f"{index:05}.tar", members) for index, members in enumerate(tars)]
        return WebDatasetSource(paths, "shards", SourceOptions(**options))

    return opened


def results(source):
    return [(row.source.id, row.rejected.reason if row.rejected else row.caption) for row in source.rows()]


def test_rows(opened, jpeg):
    source = opened(
        [
            ("a.jpg", jpeg),
            ("a.txt", "A.\n"),
            ("b.png", b"png"),
            ("b.json", {"caption": "B.", "url": "u", "id": 5}),
        ],
        [("a.jpg", b"other"), ("a.txt", "other")],
    )
    assert source.summary == "shards: webdataset"
    first, second, third = source.rows()
    assert (first.source, first.caption, first.named) == (Source("shards", "a"), "A.\n", True)
    assert first.read_image() == jpeg
    assert (second.source, second.caption, second.named) == (Source("shards", "5", "u"), "B.", True)
    assert (third.source.id, third.read_image()) == ("a", b"other")
    assert first.read_image() == jpeg


def test_our_own_records(opened, jpeg):
    record = {
        "caption": "A.",
        "key": "000000001",
        "source": {"dataset": "d", "id": "x/y.png", "url": "", "license": "L"},
    }
    (row,) = opened([("000000001.jpg", jpeg), ("000000001.json", record)]).rows()
    assert row.source == Source("d", "x/y.png", "", "L")
    assert not row.named


@pytest.mark.parametrize("name", ["a/b/c.jpg", "a.b/c.jpg", "./c.jpg", "c.JPG", "deep/" * 40 + "c.jpg", "é ü.jpg"])
def test_names(opened, name):
    stem = name.rsplit(".", 1)[0].removeprefix("./")
    assert results(opened([(name, b"x"), (f"{stem}.txt", "c")])) == [(stem, "c")]


def test_which_image(opened):
    members = [
        ("a.png", b"png"),
        ("a.jpeg", b"jpeg"),
        ("a.jpg", b"jpg"),
        ("a.seg.png", b"seg"),
        ("a.txt", "c"),
    ]
    (row,) = opened(members).rows()
    assert row.read_image() == b"jpg"
    (row,) = opened(members, image_column="SEG.png").rows()
    assert row.read_image() == b"seg"


def test_which_caption(opened):
    members = [
        ("a.jpg", b""),
        ("a.txt", "text"),
        ("a.json", {"caption": "field", "long": "named"}),
        ("a.cap", "member"),
    ]
    for column, expected in [
        (None, "text"),
        ("long", "named"),
        ("cap", "member"),
        ("txt", "text"),
        ("caption", "field"),
    ]:
        (row,) = opened(members, caption_column=column).rows()
        assert row.caption == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_column": "png"}, 'no member "png"; the members are: jpg, json'),
        ({"caption_column": "txt"}, 'no member or field "txt"; members: jpg, json; fields: caption'),
    ],
)
def test_a_missing_column(opened, options, message):
    with pytest.raises(SourceError, match=message):
        opened([("a.jpg", b""), ("a.json", {"caption": "c"}), ("b.json", b"broken")], **options)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("a.txt", "c"), ("a.cls", "1")], SkipReason.IMAGE_MISSING),
        ([("a.jpg", b"1"), ("a.jpg", b"2"), ("a.txt", "c")], SkipReason.DUPLICATE_KEY),
        ([("a.jpg", b"1"), ("a.JPG", b"2"), ("a.txt", "c")], SkipReason.DUPLICATE_KEY),
        ([("a.jpg", b"1"), ("a.txt", "c"), ("a.txt", "d")], SkipReason.DUPLICATE_KEY),
        ([("a.jpg", b"1"), ("a.json", b"{")], SkipReason.ROW_UNREADABLE),
        ([("a.jpg", b"1"), ("a.json", ["c"])], SkipReason.ROW_UNREADABLE),
        ([("a.jpg", b"1"), ("a.json", {"caption": 1})], SkipReason.ROW_UNREADABLE),
    ],
)
def test_bad_samples_cost_only_themselves(opened, members, expected):
    good = [("good.jpg", b"1"), ("good.txt", "c")]
    pictures = max(1, sum(name.lower() == "a.jpg" for name, _ in members))
    rows = [("good", "c"), *[("a", expected)] * pictures]
    assert results(opened([*good, *members])) == rows
    assert sorted(results(opened([*members, *good]))) == sorted(rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"caf\xe9", SkipReason.CAPTION_ENCODING),
        (b"a\0b", SkipReason.CAPTION_NUL),
        (b" ", SkipReason.CAPTION_EMPTY),
        (None, SkipReason.CAPTION_MISSING),
    ],
)
def test_bad_captions(opened, jpeg, text, expected):
    (row,) = opened([("a.jpg", jpeg), *([("a.txt", text)] if text is not None else [])]).rows()
    assert accept(row, "0", Limits()).reason == expected


def test_what_is_no_file_is_ignored(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in [("d", tarfile.DIRTYPE), ("d.jpg", tarfile.DIRTYPE), ("volume.jpg", b"V")]:
            info = tarfile.TarInfo(name)
            info.type = kind
            tar.addfile(info)
        for name in ("a.jpg", "a.txt", "nosuffix", "__meta__/a.jpg", "__meta__", ".hidden"):
            tar.addfile(tarfile.TarInfo(name))
    assert results(WebDatasetSource([path], "x", SourceOptions())) == [("a", "")]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.text(max_size=50).map(lambda text: text.lstrip("\ufeff")), min_size=1, max_size=8),
    st.booleans(),
)
def test_any_caption_comes_back(tmp_path_factory, captions, as_json):
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    members = []
    for number, caption in enumerate(captions):
        text = (f"{number}.json", {"caption": caption}) if as_json else (f"{number}.txt", caption)
        members += [(f"{number}.jpg", b"x"), text]
    write_tar(path, members)
    assert [row.caption for row in WebDatasetSource([path], "x", SourceOptions()).rows()] == captions


@pytest.mark.parametrize("nothing", ["NaN", "null", "Infinity", '"nan"', '""'])
def test_nan_in_a_record_is_nothing(opened, jpeg, nothing):
    names = ("id", "url", "license", "split", "origin", "dataset")
    record = "{" + ", ".join(f'"{name}": {nothing}' for name in names) + ', "caption": "A."}'
    rows = list(opened([("a.jpg", jpeg), ("a.json", record), ("b.jpg", jpeg), ("b.json", record)]).rows())
    assert [row.source for row in rows] == [Source("shards", "a"), Source("shards", "b")]
    (lost,) = opened([("c.jpg", jpeg), ("c.json", f'{{"id": 0, "caption": {nothing}}}')]).rows()
    assert lost.source.id == "0"
    assert accept(lost, "0", Limits()).reason in (SkipReason.CAPTION_MISSING, SkipReason.CAPTION_EMPTY)


def test_a_key_of_a_record_that_comes_twice(opened, jpeg):
    (row,) = opened([("a.jpg", jpeg), ("a.json", '{"caption": "A.", "caption": "B."}')]).rows()
    assert row.rejected.detail == 'a.json: the key "caption" is there twice'
