import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.records import Rejected, Sample, Skip, SkipReason, Source
from glitbuild.stages.ingest.accept import Limits, accept, check_caption
from glitbuild.stages.ingest.source import Row
from glitbuild.stages.ingest.values import LONGEST, LONGEST_URL, cut_text
from tests.stages.ingest.conftest import encode_image

LIMITS = Limits()
JPEG = encode_image()


def row(caption="A red square.", image=JPEG, id="a.jpg", **fields):
    def read_image():
        if isinstance(image, Exception):
            raise image
        return image

    return Row(Source("pictures", id), caption, read_image, **fields)


def test_a_good_row():
    sample, data = accept(row(), "000000042", LIMITS)
    assert data == JPEG
    assert isinstance(sample, Sample)
    assert (sample.key, sample.caption, sample.source) == (
        "000000042",
        "A red square.",
        Source("pictures", "a.jpg"),
    )
    assert (sample.image.width, sample.image.height) == (24, 16)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (None, SkipReason.CAPTION_MISSING),
        ("nan", SkipReason.CAPTION_MISSING),
        (" NULL\n", SkipReason.CAPTION_MISSING),
        ("N/A", SkipReason.CAPTION_MISSING),
        ("a\0b", SkipReason.CAPTION_NUL),
        ("\0", SkipReason.CAPTION_NUL),
        ("half \ud83d", SkipReason.CAPTION_ENCODING),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), SkipReason.CAPTION_ENCODING),
        ("", SkipReason.CAPTION_EMPTY),
        (" \t\r\n\u00a0\u3000", SkipReason.CAPTION_EMPTY),
        ("\u200b\ufeff \u200d\u2060", SkipReason.CAPTION_EMPTY),
        ("x" * 100_001, SkipReason.CAPTION_TOO_LONG),
    ],
)
def test_bad_captions_before_the_image_is_read(caption, expected):
    skip = accept(row(caption, AssertionError("the image was read")), "000000000", LIMITS)
    assert isinstance(skip, Skip)
    assert skip.reason == expected
    assert skip.detail


@pytest.mark.parametrize(
    "caption",
    [
        "word " * 9_999 + "words",
        "x" * 100_000,
        "A 👩‍👩‍👧 family, 🇫🇷 flag",
        "כלב רץ \u200fעל הדשא",
        "ليلة مرصعة بالنجوم",
        "one\nline, then\tanother",
        "é",
        "e\u0301",
        "nan bread",
        "None of the dogs runs.",
        "\U0001fae8",
    ],
    ids=[
        "50000",
        "100000",
        "emoji",
        "hebrew",
        "arabic",
        "lines",
        "composed",
        "decomposed",
        "nan",
        "none",
        "new emoji",
    ],
)
def test_captions_kept_as_they_are(caption):
    sample, _ = accept(row(caption), "000000000", LIMITS)
    assert sample.caption == caption
    assert Sample.from_json(sample.to_json()) == sample


def test_white_space_around_a_caption_goes():
    assert accept(row("\n  A dog. \r\n"), "0", LIMITS)[0].caption == "A dog."
    assert check_caption(" " * 200_000 + "x", 1) == "x"


def test_limits_are_the_users():
    assert accept(row("abc"), "0", Limits(max_caption=2)).reason == SkipReason.CAPTION_TOO_LONG
    assert accept(row(), "0", Limits(max_pixels=24 * 16 - 1)).reason == SkipReason.IMAGE_TOO_LARGE
    assert isinstance(accept(row(), "0", Limits(max_pixels=24 * 16)), tuple)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (b"", SkipReason.IMAGE_EMPTY),
        (FileNotFoundError(2, "No such file or directory", "/home/someone/a.jpg"), SkipReason.IMAGE_MISSING),
        (OSError("connection lost"), SkipReason.IMAGE_MISSING),
        (Rejected(SkipReason.IMAGE_MISSING, "a.jpg: gone"), SkipReason.IMAGE_MISSING),
        (JPEG[:100], SkipReason.IMAGE_CORRUPT),
    ],
)
def test_bad_images(image, expected):
    skip = accept(row(image=image), "000000001", LIMITS)
    assert (skip.key, skip.source, skip.reason) == ("000000001", Source("pictures", "a.jpg"), expected)
    assert "/home" not in skip.detail


def test_a_rejected_row_is_not_looked_at():
    rejected = Row.reject(Source("d", "7"), SkipReason.ROW_UNREADABLE, "line 8: invalid JSON")
    assert accept(rejected, "0", LIMITS) == Skip(
        "0", Source("d", "7"), SkipReason.ROW_UNREADABLE, "line 8: invalid JSON"
    )
    with pytest.raises(Rejected, match="invalid JSON"):
        rejected.read_image()


@settings(deadline=None)
@given(st.text(st.characters(), max_size=30), st.one_of(st.none(), st.text(st.characters(), max_size=30)))
def test_whatever_comes_can_be_written(text, caption):
    """Names with surrogates too, as those of files that are no UTF-8."""
    image = Rejected(SkipReason.IMAGE_MISSING, text)
    for result in (
        accept(row(caption, image, text), "0", LIMITS),
        accept(row("fine", JPEG, text), "0", LIMITS),
    ):
        record = result[0] if isinstance(result, tuple) else result
        assert json.loads(record.to_json())["source"]["id"] == record.source.id


def test_long_texts_are_cut():
    id, url = "é" * 5000, "https://a.org/" + "x" * 9000
    source = Source("d" * 2000, id, url, "l" * 2000, "s" * 2000, "o" * 2000)
    sample, _ = accept(Row(source, "A dog.", lambda: JPEG), "0", LIMITS)
    problem = Rejected(SkipReason.IMAGE_MISSING, f"{id}: No such file")
    skip = accept(Row(source, "A dog.", lambda: JPEG, problem), "0", LIMITS)
    assert skip.source == sample.source
    assert len(skip.source.id) == len(skip.detail) == len(skip.source.license) == LONGEST == 1000
    assert len(skip.source.url) == LONGEST_URL == 8000
    assert skip.source.id.startswith("é" * 900) and "…[5000 characters, sha256 " in skip.source.id
    assert skip.detail.startswith("é" * 700) and skip.detail.endswith("é: No such file")


def test_cut_texts_that_begin_alike_differ():
    assert cut_text("x" * 5000 + "a") != cut_text("x" * 5000 + "b")
    assert cut_text("x" * 1000) == "x" * 1000


@pytest.mark.parametrize("length", [999, 1000, 1001, 100_000])
def test_surrogates_are_spelled_out_before_a_text_is_cut(length):
    skip = accept(row(id="\udce9" * length, image=OSError("\udce9" * length)), "0", LIMITS)
    assert len(skip.source.id) == len(skip.detail) == 1000
    skip.to_json()
