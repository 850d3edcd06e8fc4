import gzip
from pathlib import Path

import pytest

from glitbuild.files import not_weights

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 605157884\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (POINTER, "Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\xef\xbb\xbf\n  <html lang='en'>", "web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page"),
        (b'{"error": "Repository not found"}', "JSON"),
        (gzip.compress(b"weights", mtime=0), "compressed"),
    ],
)
def test_what_stands_where_weights_should_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    found = not_weights(path)
    assert found is not None
    assert says in found[0]


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\x80\x02}", b"\x10\0\0\0\0\0\0\0{}"])
def test_what_may_be_weights_is_left_to_those_who_read_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    assert not_weights(path) is None
