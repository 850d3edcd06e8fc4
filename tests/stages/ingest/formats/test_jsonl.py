import base64
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source
from glitbuild.stages.ingest.accept import Limits, accept
from glitbuild.stages.ingest.formats.jsonl import JsonlSource
from glitbuild.stages.ingest.source import SourceOptions


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


ROWS = [{"image": f"{i}.jpg", "caption": f"Caption {i}."} for i in range(3)]


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
        "[" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
        "[ " + ",\n ".join(map(json.dumps, ROWS)) + "]",
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        json.dumps({"info": {}, "images": ROWS}, indent=1),
        "".join(map(json.dumps, ROWS)),
        ",\n".join(map(json.dumps, ROWS)) + ",",
        "\n".join(json.dumps([row["image"], row["caption"]]) for row in ROWS),
        "\n".join(json.dumps(json.dumps(row)) for row in ROWS),
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_is_not_json_lines_is_refused_in_one_line(tmp_path, data, mark):
    (tmp_path / "data.jsonl").write_text(mark + data, encoding="utf-8")
    with pytest.raises(SourceError, match=r"data.jsonl: it is not JSON Lines: line 1: .*; each line must hold one"):
        JsonlSource(tmp_path / "data.jsonl", "data", SourceOptions())


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (
            b'{"image": "a", "caption": "b"}{"image": "c", "caption": "d"}',
            "something behind the JSON value, at char",
        ),
        (b'{"image": "a", "caption": "b"},', "something behind the JSON value, at character 30"),
        (b'["a", "b"]', "a list, not a JSON object"),
        (b'{"caption": "A dog.", "image": "a", "caption": "A cat."}', 'the key "caption" is there twice'),
        (b'{"caption": "A dog.", "image": {"path": "a", "path": "b"}}', 'the key "path" is there twice'),
    ],
)
def test_a_line_that_is_not_one_object_is_a_row(opened, line, detail):
    first, bad, last = opened([ROWS[0], line, ROWS[1]]).rows()
    assert (first.caption, last.caption) == ("Caption 0.", "Caption 1.")
    assert bad.rejected.reason == SkipReason.ROW_UNREADABLE
    assert detail in bad.rejected.detail


def test_a_repeated_key_of_what_is_not_used_does_no_harm(opened):
    (row,) = opened([b'{"image": "a", "caption": "b", "meta": {"x": 1, "x": 2}}']).rows()
    assert row.caption == "b"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n  \n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_encodings_and_line_ends(tmp_path, encoding, end, pack):
    lines = [json.dumps(row | {"caption": f"é {row['caption']}"}, ensure_ascii=False) for row in ROWS]
    (tmp_path / "data.jsonl").write_bytes(pack(end.join(lines).encode(encoding)))
    source = JsonlSource(tmp_path / "data.jsonl", "data", SourceOptions())
    assert [row.caption for row in source.rows()] == [f"é Caption {i}." for i in range(3)]


def test_nan_is_nothing(opened):
    nan = float("nan")
    lost = {"id": nan, "image": "a.jpg", "caption": "c", "license": nan, "url": nan, "origin": nan, "split": nan}
    rows = list(opened([lost, lost, lost | {"id": 2.0}, lost | {"id": float("inf"), "dataset": nan}]).rows())
    assert [row.source for row in rows] == [Source("data", name) for name in ("a.jpg", "a.jpg", "2", "a.jpg")]
    assert [row.named for row in rows] == [False, False, True, False]
    caption, image = opened([{"image": "a", "caption": nan}, {"image": nan, "caption": "c"}]).rows()
    assert accept(caption, "0", Limits()).reason == SkipReason.CAPTION_MISSING
    assert accept(image, "1", Limits()).reason == SkipReason.IMAGE_MISSING
    assert (image.source.id, image.picture) == ("1", "")


def test_base64_images(opened, jpeg):
    text = base64.b64encode(jpeg).decode()
    images = [text, f"data:image/jpeg;base64,{text}", {"bytes": text, "path": "a.jpg"}, [text], [{"bytes": text}]]
    images += [{"url": f"data:image/jpeg;base64,{text}"}, {"bytes": None, "path": text}]
    rows = list(opened([{"image": image, "caption": "c", "url": text} for image in images]).rows())
    assert [row.read_image() for row in rows] == [jpeg] * len(images)
    assert [row.source for row in rows] == [Source("data", str(number)) for number in range(len(images))]
