import pytest

from glitbuild.errors import SourceError
from glitbuild.records import SkipReason, Source
from glitbuild.stages.ingest.columns import (
    CAPTION_COLUMNS,
    CARRIED_COLUMNS,
    IMAGE_COLUMNS,
    Columns,
    find_columns,
    to_row,
)
from glitbuild.stages.ingest.source import SourceOptions
from glitbuild.stages.ingest.values import to_text

COLUMNS = Columns("image", "caption", "id")


def row(record, columns=COLUMNS):
    return to_row(record, columns, "data", 7, lambda path: path.encode())


@pytest.mark.parametrize("image", IMAGE_COLUMNS)
@pytest.mark.parametrize("caption", CAPTION_COLUMNS)
def test_known_columns(image, caption):
    assert find_columns("x", ["more", caption, image], SourceOptions()) == Columns(image, caption)


def test_the_first_known_column_wins():
    present = [*reversed(IMAGE_COLUMNS), *reversed(CAPTION_COLUMNS), "key", "id"]
    assert find_columns("x", present, SourceOptions()) == COLUMNS


@pytest.mark.parametrize("kind", ["image", "caption"])
def test_a_named_column_must_be_there_once(kind):
    options = SourceOptions(**{f"{kind}_column": "mine"})
    with pytest.raises(SourceError, match=f'x: no {kind} column "mine"; its columns are: image, caption'):
        find_columns("x", ["image", "caption"], options)
    with pytest.raises(SourceError, match='the column "mine" is there twice'):
        find_columns("x", ["mine", "image", "caption", "mine"], options)
    assert getattr(find_columns("x", ["image", "caption", "mine"], options), kind) == "mine"


def test_only_columns_in_use_are_read():
    assert COLUMNS.used(["url", "image", "large", "url", "id"]) == ["url", "image", "id"]


@pytest.mark.parametrize(
    ("record", "name", "named"),
    [
        ({"id": "one", "image": "a.jpg"}, "one", True),
        ({"id": 0, "image": "a.jpg"}, "0", True),
        ({"id": None, "image": "a.jpg"}, "a.jpg", False),
        ({"id": "", "image": "a.jpg"}, "a.jpg", False),
        ({"id": float("nan"), "image": "a.jpg"}, "a.jpg", False),
        ({"id": "NaN", "image": "a.jpg"}, "a.jpg", False),
        ({"id": 3.0, "image": "a.jpg"}, "3", True),
        ({"id": "NA", "image": "a.jpg"}, "NA", True),
        ({"id": True, "image": "a.jpg"}, "True", True),
        ({"image": b"bytes"}, "7", False),
        ({"image": {"bytes": b"bytes", "path": "a.jpg"}}, "7", False),
    ],
)
def test_names(record, name, named):
    result = row(record | {"caption": "c"})
    assert (result.source, result.named, result.rejected) == (Source("data", name), named, None)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("a.jpg", b"a.jpg"),
        (b"bytes", b"bytes"),
        (b"", b""),
        ({"bytes": b"bytes", "path": "a.jpg"}, b"bytes"),
        ({"bytes": None, "path": "a.jpg"}, b"a.jpg"),
        ({"path": "a.jpg"}, b"a.jpg"),
        (None, SkipReason.IMAGE_MISSING),
        ("", SkipReason.IMAGE_MISSING),
        ({"bytes": None, "path": None}, SkipReason.IMAGE_MISSING),
        ({"width": 5}, SkipReason.ROW_UNREADABLE),
        ([1, 2], SkipReason.ROW_UNREADABLE),
        (1.5, SkipReason.ROW_UNREADABLE),
        (float("nan"), SkipReason.IMAGE_MISSING),
        ("nan", SkipReason.IMAGE_MISSING),
        ([], SkipReason.IMAGE_MISSING),
        ([None], SkipReason.IMAGE_MISSING),
        (["a.jpg"], b"a.jpg"),
        ([b"bytes"], b"bytes"),
        ([{"bytes": b"bytes", "path": None}], b"bytes"),
        (["a.jpg", "b.jpg"], SkipReason.ROW_UNREADABLE),
        ({"bytes": float("nan"), "path": "a.jpg"}, b"a.jpg"),
        ({"bytes": None, "path": float("nan")}, SkipReason.IMAGE_MISSING),
        ({"bytes": "", "path": "a.jpg"}, b"a.jpg"),
        ({"bytes": "Ynl0ZXM=", "path": "a.jpg"}, b"bytes"),
        ({"url": "a.jpg"}, b"a.jpg"),
    ],
)
def test_images(image, expected):
    result = row({"image": image, "caption": "c"})
    assert (result.rejected.reason if result.rejected else result.read_image()) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), (5, "5"), (True, "True"), (b"caf\xe9", "caf\\xe9"), ("é".encode(), "é")],
)
def test_carried_values_are_text(value, expected):
    assert to_text(value) == expected
    carried = dict.fromkeys(CARRIED_COLUMNS, value)
    assert row({"image": "a", "caption": "c", "id": "n"} | carried).source == Source(
        expected or "data", "n", expected, expected, expected, expected
    )


@pytest.mark.parametrize(
    "image", ["http://a.org/b.jpg", " HTTPS://a.org/b.jpg", {"bytes": None, "path": "https://a"}]
)
def test_an_address_is_to_be_downloaded(image):
    result = row({"image": image, "caption": "c", "id": "n", "url": "https://a.org/page.html"})
    address = image["path"] if isinstance(image, dict) else image
    assert (result.url, result.source) == (address, Source("data", "n", address))


@pytest.mark.parametrize("image", ["a.jpg", "http/a.jpg", "ftp://a.org/b.jpg", "s3://a/b.jpg", b"http://a.org/b"])
def test_anything_else_is_not(image):
    result = row({"image": image, "caption": "c", "id": "n", "url": "https://a.org/b.jpg"})
    assert (result.url, result.source.url) == ("", "https://a.org/b.jpg")


@pytest.mark.parametrize("column", ["image", "caption", "id", "url", "license", "dataset", "split", "origin"])
def test_no_column_that_is_used_may_come_twice(column):
    with pytest.raises(SourceError, match=f'x: the column "{column}" is there twice; rename one of them'):
        find_columns("x", ["image", "caption", "id", "url", column, column], SourceOptions())
