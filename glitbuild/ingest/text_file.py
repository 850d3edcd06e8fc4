"""The lines of a text file as people have them: UTF-8 or UTF-16, gzip or not, with any line ends."""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from glitbuild.errors import SourceError
from glitbuild.ingest.files import why
from glitbuild.ingest.remote import AnyPath
from glitbuild.ingest.source import Rejected
from glitbuild.records import SkipReason

MAX_LINE = 1 << 27
"""Characters of a line: an image of 100 MB in base64. A longer one is not kept in memory."""

HEAD = 1 << 16
"""Bytes that tell the encoding and the line ends."""

COMPRESSED = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}

DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, UnicodeError)
"""What a gzip file or UTF-16 text that is damaged or cut off makes Python raise."""

Line = tuple[int, str | Rejected]
"""A line's number, from 1, and the line with its end, or why it can't be read."""


class TextFile:
    """A text file that is read line by line, as often as needed.

    It is UTF-8, whose invalid bytes become lone surrogates for ``accept`` to find, or UTF-16 with a byte order
    mark. Lines end with a line feed, or in a file that has none at its beginning, with a carriage return.

    Args:
        path: the file; gzip is told by its first bytes, not by its name.

    Raises:
        SourceError: it is compressed in another way, or in an encoding that can't be told.
        OSError: it can't be read.
    """

    def __init__(self, path: AnyPath) -> None:
        self._path = path
        with path.open("rb") as file:
            magic = file.read(6)
        self._gzip = magic.startswith(b"\x1f\x8b")
        for start, name in COMPRESSED.items():
            if magic.startswith(start):
                raise SourceError(path.name, f"it is compressed with {name}", "unpack it, or compress it with gzip")
        head = self._head()
        self._encoding, self._errors = _encoding(path.name, head)
        text = head.decode(self._encoding, "ignore")
        self._end = "\r" if "\r" in text and "\n" not in text else "\n"

    def lines(self) -> Iterator[Line]:
        """Yield every line; where the file is damaged, a ``Rejected`` stands for the rest of it."""
        with self._open() as data, io.TextIOWrapper(data, self._encoding, self._errors, self._end) as file:
            number = 0
            while True:
                number += 1
                try:
                    line = file.readline(MAX_LINE + 1)
                    too_long = len(line) > MAX_LINE
                    while too_long and line and not line.endswith(self._end):
                        line = file.readline(1 << 20)
                except DAMAGE as error:
                    yield number, _unreadable(f"line {number}: from here on the file can't be read: {why(error)}")
                    return
                if too_long:
                    yield number, _unreadable(f"line {number}: more than {MAX_LINE} characters")
                elif line:
                    yield number, line
                else:
                    return

    def _head(self) -> bytes:
        """Return the first bytes, as far as they can be unpacked."""
        head = b""
        try:
            with self._open() as data:
                while len(head) < HEAD and (more := cast(Any, data).read1(HEAD)):
                    head += more
        except DAMAGE as error:
            if not head:
                why_not = f"it can't be unpacked: {why(error)}"
                raise SourceError(self._path.name, why_not, "fetch it again") from error
        return head

    def _open(self) -> IO[bytes]:
        file: IO[bytes] = self._path.open("rb")
        return cast(IO[bytes], _Unpacked(file)) if self._gzip else file


class _Unpacked(gzip.GzipFile):
    """A gzip file that closes the file below it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._below = file

    def close(self) -> None:
        super().close()
        self._below.close()


def _encoding(name: str, head: bytes) -> tuple[str, str]:
    """Return a file's encoding, and what is done with bytes that don't fit it."""
    # The first character of a table is ASCII: otherwise the two bytes in front are no byte order mark.
    if (head[:2] == b"\xff\xfe" and head[3:4] == b"\0" != head[2:3]) or (
        head[:2] == b"\xfe\xff" and head[2:3] == b"\0" != head[3:4]
    ):
        return "utf-16", "surrogatepass"
    if head[:4].count(0) > 1:
        why = "it begins with NUL characters, as UTF-32 does, or UTF-16 without a byte order mark"
        raise SourceError(name, why, "convert it to UTF-8")
    return "utf-8-sig", "surrogateescape"


def _unreadable(detail: str) -> Rejected:
    return Rejected(SkipReason.ROW_UNREADABLE, detail)
