import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.errors import SourceError
from glitbuild.ingest.accept import Limits, accept
from glitbuild.ingest.jsonl import JsonlSource
from glitbuild.ingest.source import Rejected, SourceOptions
from glitbuild.records import SkipReason, Source


@pytest.fixture
def opened(tmp_path):
    def opened(lines, **options):
        data = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        (tmp_path / "data.jsonl").write_bytes(data)
        return JsonlSource(tmp_path / "data.jsonl", "data", SourceOptions(**options))

    return opened


def rejections(source):
    return [row.rejected.reason if row.rejected else None for row in source.rows()]


def test_rows(opened, tmp_path, jpeg):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.jpg").write_bytes(jpeg)
    carried = {"id": 7, "url": "https://x.org/a", "license": None, "dataset": "docci", "more": [1]}
    source = opened([{"image": "sub/a.jpg", "caption": "A dog."} | carried, {"image": "b.jpg", "caption": "B."}])
    assert source.summary == 'data.jsonl: jsonl, image column "image", caption column "caption"'
    first, second = source.rows()
    assert first.source == Source("docci", "7", "https://x.org/a", "")
    assert (first.caption, first.named, first.read_image()) == ("A dog.", True, jpeg)
    assert second.source == Source("data", "b.jpg")
    assert not second.named
    with pytest.raises(Rejected, match=r"image_missing: b.jpg: No such file"):
        second.read_image()


def test_rows_can_be_read_again(opened):
    source = opened([{"image": "a", "caption": str(number)} for number in range(5)])
    one, other = source.rows(), source.rows()
    assert [row.caption for row in one] == [row.caption for row in other] == list("01234")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{broken", SkipReason.ROW_UNREADABLE),
        (b"[1, 2]", SkipReason.ROW_UNREADABLE),
        (b"null", SkipReason.ROW_UNREADABLE),
        (b"\xff\xfe\x00", SkipReason.ROW_UNREADABLE),
        (b"[" * 100_000, SkipReason.ROW_UNREADABLE),
        (b'{"image": "a.jpg", "caption": ' + b"1" * 10_000 + b"}", SkipReason.ROW_UNREADABLE),
        (b'{"image": "a.jpg", "caption": ["a", "b"]}', SkipReason.ROW_UNREADABLE),
        (b'{"image": "a.jpg", "caption": 5}', SkipReason.ROW_UNREADABLE),
        (b'{"image": 5, "caption": "c"}', SkipReason.ROW_UNREADABLE),
        (b'{"caption": "c"}', SkipReason.IMAGE_MISSING),
        (b'{"image": null, "caption": "c"}', SkipReason.IMAGE_MISSING),
        (b'{"image": "", "caption": "c"}', SkipReason.IMAGE_MISSING),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_bad_line_is_a_rejected_row(opened, line, expected, place):
    lines = [{"image": "a.jpg", "caption": "c"}]
    lines.insert(place, line)
    source = opened(lines)
    assert rejections(source)[place] == expected
    assert rejections(source)[1 - place] is None


def test_the_detail_names_the_line(opened):
    row = list(opened([{"image": "a", "caption": "c"}, b"", b"  ", b"{oops"]).rows())[1]
    assert row.rejected.detail.startswith("line 4: invalid JSON: ")
    assert row.source == Source("data", "1")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"image": "a.jpg", "caption": "caf\xe9"}', SkipReason.CAPTION_ENCODING),
        (b'{"image": "a.jpg", "caption": "\\ud83d"}', SkipReason.CAPTION_ENCODING),
        (b'{"image": "a.jpg", "caption": "a\\u0000"}', SkipReason.CAPTION_NUL),
        (b'{"image": "a.jpg", "caption": null}', SkipReason.CAPTION_MISSING),
        (b'{"image": "a.jpg"}', SkipReason.CAPTION_MISSING),
        (b'{"image": "nul\\u0000.jpg", "caption": "c"}', SkipReason.IMAGE_MISSING),
        (b'{"image": "\\ud83d.jpg", "caption": "c"}', SkipReason.IMAGE_MISSING),
        (b'{"image": ".", "caption": "c"}', SkipReason.IMAGE_MISSING),
        (b'{"image": "https://x.org/a.jpg", "caption": "c"}', SkipReason.IMAGE_MISSING),
    ],
)
def test_what_accept_finds(opened, tmp_path, jpeg, line, expected):
    (tmp_path / "a.jpg").write_bytes(jpeg)
    _, row = opened([{"image": "a.jpg", "caption": "c"}, line]).rows()
    skip = accept(row, "000000001", Limits())
    assert skip.reason == expected
    assert str(tmp_path) not in skip.detail
    skip.to_json()


def test_line_ends_and_byte_order_mark(opened):
    source = opened([b'\xef\xbb\xbf{"image": "a", "caption": "c"}\r', b"\r", b'{"image": "b", "caption": "d"}\r'])
    assert [row.caption for row in source.rows()] == ["c", "d"]


@pytest.mark.parametrize(
    ("record", "image", "caption"),
    [
        ({"path": "p", "text": "t", "description": "d"}, "path", "text"),
        ({"filename": "p", "file_name": "q", "long_caption": "t"}, "file_name", "long_caption"),
        ({"txt": "t", "jpg": "p"}, "jpg", "txt"),
    ],
)
def test_columns_are_found(opened, record, image, caption):
    assert opened([record]).summary == f'data.jsonl: jsonl, image column "{image}", caption column "{caption}"'


def test_columns_are_named(opened):
    source = opened(
        [b"broken", {"image": "a", "img": "b", "words": "w"}], image_column="img", caption_column="words"
    )
    row = list(source.rows())[1]
    assert (row.source.id, row.caption) == ("b", "w")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"image_column": "pic"},
            'no image column "pic"; its columns are: image, caption; name one with --image-',
        ),
        (
            {"caption_column": "pic"},
            'no caption column "pic"; its columns are: image, caption; name one with --cap',
        ),
    ],
)
def test_a_missing_column_names_those_there_are(opened, options, message):
    with pytest.raises(SourceError, match=message):
        opened([{"image": "a", "caption": "b"}], **options)


@pytest.mark.parametrize("lines", [[], [b"no json", {"only": 1}], [{"only": 1}], [{"image": "a"}]])
def test_no_columns(opened, lines):
    with pytest.raises(SourceError, match=r"no (image|caption) column; its columns are: (none|only|image)"):
        opened(lines)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=50), min_size=1, max_size=8), st.booleans())
def test_any_caption_comes_back(tmp_path_factory, captions, ascii):
    path = tmp_path_factory.mktemp("jsonl") / "x.jsonl"
    if ascii:  # two halves of a pair that happen to meet are one character in JSON
        captions = [json.loads(json.dumps(caption)) for caption in captions]
    else:
        captions = [caption.encode("utf-8", "replace").decode() for caption in captions]
    lines = [json.dumps({"image": "a", "caption": caption}, ensure_ascii=ascii) for caption in captions]
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    assert [row.caption for row in JsonlSource(path, "x", SourceOptions()).rows()] == captions
