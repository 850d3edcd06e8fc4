"""The lines of a text file as people have them: UTF-8 or UTF-16, gzip or not, with any line ends."""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.files import why
from glitbuild.stages.ingest.remote import AnyPath

MAX_LINE = 1 << 27
"""Bytes of a line: an image of 100 MB in base64. A longer one is not kept in memory."""

HEAD = 1 << 16
"""Bytes that tell the encoding and the line ends."""

CHUNK = 1 << 20
BOM = b"\xef\xbb\xbf"

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


class RawLine(NamedTuple):
    """A line of which nothing has been decoded.

    Attributes:
        offset: byte at which it begins; where the file can't be entered in its middle, of no use.
        number: counted from 1.
        data: UTF-8 with its end, or why it can't be read.
    """

    offset: int
    number: int
    data: bytes | Rejected


class TextFile:
    """A text file that is read line by line, as often as needed.

    It is UTF-8, whose invalid bytes become lone surrogates for ``accept`` to find, or UTF-16 with a byte order
    mark. Lines end with a line feed, or in a file that has none at its beginning, with a carriage return.

    Args:
        path: the file; gzip is told by its first bytes, not by its name.

    Attributes:
        can_seek: whether it can be entered at the offset of any line: it is plain UTF-8.

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
        self.can_seek = not self._gzip and self._encoding != "utf-16" and self._end == "\n"

    def lines(self) -> Iterator[Line]:
        """Yield every line; where the file is damaged, a ``Rejected`` stands for the rest of it."""
        for line in self.raw_lines():
            yield line.number, self.decode(line.data)

    def decode(self, data: bytes | Rejected) -> str | Rejected:
        """Return a raw line as text."""
        return data if isinstance(data, Rejected) else data.decode("utf-8", self._errors)

    def raw_lines(self, offset: int = 0, number: int = 1) -> Iterator[RawLine]:
        """Yield lines as ``lines`` does, not decoded yet.

        Args:
            offset: byte at which to begin, where ``can_seek``; that of a line.
            number: of that line.
        """
        if not self.can_seek:
            yield from self._recoded_lines()
            return
        with self._path.open("rb") as file:
            if offset:
                file.seek(offset)
            elif file.read(len(BOM)) != BOM:
                file.seek(0)
            else:
                offset = len(BOM)
            while line := file.readline(MAX_LINE + 1):
                size = len(line)
                if size > MAX_LINE and not line.endswith(b"\n"):
                    while (more := file.readline(CHUNK)) and not more.endswith(b"\n"):
                        size += len(more)
                    yield RawLine(offset, number, _too_long(number))
                    size += len(more)
                else:
                    yield RawLine(offset, number, line)
                offset, number = offset + size, number + 1

    def _recoded_lines(self) -> Iterator[RawLine]:
        with self._open() as data, io.TextIOWrapper(data, self._encoding, self._errors, self._end) as file:
            number = 0
            while True:
                number += 1
                try:
                    line = file.readline(MAX_LINE + 1)
                    too_long = len(line) > MAX_LINE
                    while too_long and line and not line.endswith(self._end):
                        line = file.readline(CHUNK)
                except DAMAGE as error:
                    detail = f"line {number}: from here on the file can't be read: {why(error)}"
                    yield RawLine(0, number, _unreadable(detail))
                    return
                if too_long:
                    yield RawLine(0, number, _too_long(number))
                elif line:
                    yield RawLine(0, number, line.encode("utf-8", self._errors))
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


def _too_long(number: int) -> Rejected:
    return _unreadable(f"line {number}: more than {MAX_LINE} characters")


def _unreadable(detail: str) -> Rejected:
    return Rejected(SkipReason.ROW_UNREADABLE, detail)
