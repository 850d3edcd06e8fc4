import gzip

import pytest

from glitbuild.errors import SourceError
from glitbuild.records import Rejected
from glitbuild.stages.ingest.formats import text_file
from glitbuild.stages.ingest.formats.text_file import TextFile


@pytest.fixture
def lines(tmp_path):
    def lines(data):
        (tmp_path / "a.txt").write_bytes(data)
        found = list(TextFile(tmp_path / "a.txt").lines())
        assert [number for number, _ in found] == list(range(1, len(found) + 1))
        return [line.detail if isinstance(line, Rejected) else line for _, line in found]

    return lines


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a\nb", ["a\n", "b"]),
        (b"a\r\nb\rc\n", ["a\r\n", "b\rc\n"]),
        (b"a\rb\r", ["a\r", "b\r"]),
        ("a\u2028b\x0b\x85c\n".encode(), ["a\u2028b\x0b\x85c\n"]),
        (b"caf\xe9\n\xff\xfe", ["caf\udce9\n", "\udcff\udcfe"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", ["a\n", "\ufeffb"]),
        ("\ufeffaé\n𝄞".encode("utf-16-le"), ["aé\n", "𝄞"]),
        ("\ufeffaé\n𝄞".encode("utf-16-be"), ["aé\n", "𝄞"]),
        (b"\xff\xfe" + "a\n\ud800".encode("utf-16-le", "surrogatepass"), ["a\n", "\ud800"]),
        (gzip.compress(b"a\n", mtime=0) + gzip.compress(b"b", mtime=0), ["a\n", "b"]),
        (gzip.compress("\ufeffa\nb".encode("utf-16-le"), mtime=0), ["a\n", "b"]),
        (
            gzip.compress(b"a\nb\n", mtime=0) + b"more",
            ["a\n", "b\n", "line 3: from here on the file can't be read: "],
        ),
        (b"\xff\xfea\0\n", ["line 1: from here on the file can't be read: "]),
    ],
)
def test_lines(lines, data, expected):
    found = lines(data)
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected
    if not any("from here on" in line for line in expected):
        assert found == expected


def test_a_line_beyond_the_limit(lines, monkeypatch):
    monkeypatch.setattr(text_file, "MAX_LINE", 10)
    assert lines(b"0123456789" * 3 + b"\nshort\n123456789\n" + b"x" * 11) == [
        "line 1: more than 10 characters",
        "short\n",
        "123456789\n",
        "line 4: more than 10 characters",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("abc".encode("utf-16-le"), "begins with NUL characters, as UTF-32 does, or UTF-16 without"),
        ("abc".encode("utf-16-be"), "begins with NUL characters"),
        ("\ufeffabc".encode("utf-32-le"), "begins with NUL characters"),
        ("\ufeffabc".encode("utf-32-be"), "begins with NUL characters"),
        (b"PK\x03\x04rest", "compressed with zip; unpack it, or compress it with gzip"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (b"\xfd7zXZ\0", "compressed with xz"),
        (b"\x1f\x8b\x08 no more", "can't be unpacked"),
    ],
)
def test_what_is_refused(lines, data, message):
    with pytest.raises(SourceError, match=message):
        lines(data)
