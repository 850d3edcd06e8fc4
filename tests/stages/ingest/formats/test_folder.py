import json
import os

import pytest

from glitbuild.errors import SourceError
from glitbuild.records import SkipReason, Source
from glitbuild.stages.ingest.accept import Limits, accept
from glitbuild.stages.ingest.formats.folder import FolderSource
from glitbuild.stages.ingest.source import SourceOptions


@pytest.fixture
def make(tmp_path, jpeg):
    """Make files of a folder: None is a good image, other values are texts, bytes or objects."""

    def make(files):
        for name, content in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, dict | list):
                content = json.dumps(content)
            path.write_bytes(jpeg if content is None else content.encode() if isinstance(content, str) else content)
        return tmp_path / "photos"

    return make


def opened(root, **options):
    return FolderSource(root, "photos", SourceOptions(**options))


def ids(source):
    return [row.source.id for row in source.rows()]


def test_rows(make, jpeg):
    source = opened(
        make({"b.jpg": None, "b.txt": "B.\n", "a/c.PNG": None, "a/c.json": {"caption": "C.", "url": "u"}})
    )
    assert source.summary == "photos: folder of images with .txt or .json captions"
    first, second = source.rows()
    assert (first.source, first.caption) == (Source("photos", "a/c.PNG", "u"), "C.")
    assert (second.source, second.caption) == (Source("photos", "b.jpg"), "B.\n")
    assert first.read_image() == jpeg
    assert not first.named


def test_order_is_that_of_the_paths_parts(make):
    names = ["b.jpg", "a.jpg", "a/z.jpg", "a-b/y.jpg", "a/B/x.jpg", "a.d/w.jpg", "Z.jpg", "é.jpg", "a/b.jpg"]
    source = opened(make(dict.fromkeys(names)))
    assert ids(source) == sorted(names, key=lambda name: name.split("/")) == ids(source)


@pytest.mark.parametrize(
    "suffix",
    ["jpg", "JPEG", "jpe", "jfif", "png", "WebP", "gif", "bmp", "tif", "TIFF", "avif", "heic", "jp2"],
)
def test_suffixes(make, suffix):
    assert ids(opened(make({f"a.b.{suffix}": None, "a.b.txt": "c", "a.md": "no row", "b.jpg.bak": "no row"}))) == [
        f"a.b.{suffix}"
    ]


def test_hidden_files_are_no_rows(make):
    assert ids(opened(make({"a.jpg": None, ".b.jpg": None, ".git/c.jpg": None, "d/.e/f.jpg": None}))) == ["a.jpg"]


def test_what_desktops_leave_is_no_row(make):
    names = [
        "__MACOSX/._a.jpg",
        "__MACOSX/b.jpg",
        "Thumbs.db",
        "desktop.ini",
        "d/@eaDir/a.jpg/SYNO_THUMB.jpg",
        ".DS_Store",
    ]
    assert ids(
        opened(make(dict.fromkeys(["a.jpg", "._a.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", *names])))
    ) == ["a.jpg"]


def test_texts_that_differ_in_case_only(make):
    rows = opened(
        make({"a.jpg": None, "a.txt": "a", "a.TXT": "A", "b.JSON": {}, "b.json": {}, "b.txt": "b"})
    ).rows()
    found = [(row.source.id, row.rejected.reason if row.rejected else row.caption) for row in rows]
    duplicate, missing = SkipReason.DUPLICATE_KEY, SkipReason.IMAGE_MISSING
    assert found == [("a.jpg", "A"), ("a.txt", duplicate), ("b.json", duplicate), ("b.txt", missing)]


def test_two_images_share_a_caption(make):
    rows = list(opened(make({"a.jpg": None, "a.png": None, "a.TXT": "both"})).rows())
    assert [(row.source.id, row.caption) for row in rows] == [("a.jpg", "both"), ("a.png", "both")]


def test_which_caption_wins(make):
    root = make({"a.jpg": None, "a.txt": "text", "a.json": {"text": "field", "long": "named", "license": "CC0"}})
    (row,) = opened(root).rows()
    assert (row.caption, row.source.license) == ("text", "CC0")
    (row,) = opened(root, caption_column="long").rows()
    assert row.caption == "named"
    assert opened(root, caption_column="long").summary.endswith(', caption field "long"')
    with pytest.raises(SourceError, match='has the field "no"; fields: text, long, license'):
        opened(root, caption_column="no")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.txt": b"caf\xe9"}, SkipReason.CAPTION_ENCODING),
        ({"a.txt": b"\0"}, SkipReason.CAPTION_NUL),
        ({"a.txt": b""}, SkipReason.CAPTION_EMPTY),
        ({"a.txt": b"\xef\xbb\xbf"}, SkipReason.CAPTION_EMPTY),
        ({}, SkipReason.CAPTION_MISSING),
        ({"a.json": b"{"}, SkipReason.ROW_UNREADABLE),
        ({"a.json": ["A dog."]}, SkipReason.ROW_UNREADABLE),
        ({"a.json": {"caption": ["A dog."]}}, SkipReason.ROW_UNREADABLE),
        ({"a.json": {"title": "A dog."}}, SkipReason.CAPTION_MISSING),
        ({"a.json": {"caption": None}}, SkipReason.CAPTION_MISSING),
        ({"a.txt": "c", "a.jpg": b""}, SkipReason.IMAGE_EMPTY),
        ({"a.txt": "c", "a.jpg": b"no image"}, SkipReason.IMAGE_NOT_AN_IMAGE),
    ],
)
def test_bad_rows(make, files, expected):
    (row,) = opened(make({"a.jpg": None} | files)).rows()
    assert accept(row, "0", Limits()).reason == expected


def test_a_text_without_an_image_is_a_row(make):
    source = opened(
        make({"a.jpg": None, "a.txt": "a", "b.txt": "b", "b.json": {}, "c/d.json": {}, "c/a.txt": "other"})
    )
    rows = {row.source.id: row.rejected and row.rejected.reason for row in source.rows()}
    missing = SkipReason.IMAGE_MISSING
    assert rows == {"a.jpg": None, "b.txt": missing, "c/a.txt": missing, "c/d.json": missing}


def test_byte_order_mark(make):
    root = make(
        {"a.jpg": None, "a.txt": b"\xef\xbb\xbfA.", "b.jpg": None, "b.json": b'\xef\xbb\xbf{"caption": "B."}'}
    )
    assert [row.caption for row in opened(root).rows()] == ["A.", "B."]


def test_no_image(make):
    with pytest.raises(SourceError, match="photos: no image in this folder"):
        opened(make({"a.txt": "a", "b/c.md": ""}))
    assert len(ids(opened(make({f"{number:03}.txt": "" for number in range(200)} | {"z.jpg": None})))) == 202


def test_no_columns_to_name(make):
    with pytest.raises(SourceError, match="has no columns"):
        opened(make({"a.jpg": None}), image_column="image")


def test_links(make, tmp_path):
    root = make({"a/b.jpg": None})
    (root / "a/loop").symlink_to(root)
    (root / "a/other").symlink_to(root / "a")
    (root / "self.jpg").symlink_to(root / "self.jpg")
    (root / "gone.jpg").symlink_to(tmp_path / "gone.jpg")
    (root / "link.jpg").symlink_to(root / "a/b.jpg")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "c.jpg").write_bytes(b"c")
    (root / "linked").symlink_to(outside)
    source = opened(root)
    assert ids(source) == ["a/b.jpg", "gone.jpg", "link.jpg", "linked/c.jpg", "self.jpg"]
    rows = {row.source.id: row for row in source.rows()}
    assert rows["linked/c.jpg"].read_image() == b"c"
    for name in ("gone.jpg", "self.jpg"):
        skip = accept(rows[name], "0", Limits())
        assert skip.reason == SkipReason.CAPTION_MISSING
        with pytest.raises(Exception, match="image_missing"):
            rows[name].read_image()


def test_not_files(make):
    root = make({"a.jpg": None, "c.txt": "c", "b.jpg/d.png": None})
    os.mkfifo(root / "c.jpg")
    rows = list(opened(root).rows())
    assert [row.source.id for row in rows] == ["a.jpg", "b.jpg/d.png", "c.jpg"]
    skip = accept(rows[2], "0", Limits())
    assert (skip.reason, skip.detail) == (SkipReason.IMAGE_MISSING, "c.jpg: not a file")


def test_a_name_that_is_no_utf8(make, jpeg):
    root = make({"a.txt": "a"})
    with open(os.fsencode(root) + b"/\xff.jpg", "wb") as file:  # noqa: PTH123 - pathlib takes no bytes
        file.write(jpeg)
    with open(os.fsencode(root) + b"/\xff.txt", "w") as file:  # noqa: PTH123
        file.write("A.")
    sample, _ = accept(list(opened(root).rows())[1], "0", Limits())
    assert sample.source.id == "\\udcff.jpg"
    sample.to_json()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_forbidden(make):
    root = make({"a.jpg": None, "b/c.jpg": None})
    (root / "b").chmod(0)
    (root / "a.jpg").chmod(0)
    try:
        first, second = opened(root).rows()
        assert second.rejected.detail == "b: Permission denied"
        with pytest.raises(Exception, match=r"a.jpg: Permission denied"):
            first.read_image()
    finally:
        (root / "b").chmod(0o700)
