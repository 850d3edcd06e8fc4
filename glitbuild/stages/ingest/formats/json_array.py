"""The elements of a JSON array one by one: lists of captions have gigabytes, and memory must not."""

import json
from collections.abc import Iterator
from typing import Any

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.files import unique_keys, why
from glitbuild.stages.ingest.remote import AnyPath

CHUNK = 1 << 20
"""Characters read at a time; what an element needs beyond is read as it is found to be missing."""


def read_array(path: AnyPath, key: str | None = None) -> Iterator[Any]:
    """Yield the elements of an array, and where it is damaged, a ``Rejected`` for the rest of it.

    Several arrays, or objects, one behind the other as ``cat`` joins them, are read one after another.

    Args:
        path: a UTF-8 file that holds an array, or an object with an array in it.
        key: the array's key in the object; None where the file is the array.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = _Reader(file.read)
        behind = ""
        try:
            while not behind or reader.has_more():
                yield from reader.elements() if key is None else reader.elements_of(key)
                behind = f", behind the end of the {'list' if key is None else 'object'},"
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else why(error)
            detail = f"{path.name}: from character {reader.position}{behind} on it can't be read: {reason}"
            yield Rejected(SkipReason.ROW_UNREADABLE, detail)


class _Reader:
    """Decodes values from a text of which only a window is in memory."""

    def __init__(self, read: Any) -> None:
        self._read, self._window, self._start, self._at = read, "", 0, 0
        self._decode = json.JSONDecoder(object_pairs_hook=unique_keys).raw_decode

    @property
    def position(self) -> int:
        """Characters of the file that are done with."""
        return self._start + self._at

    def has_more(self) -> bool:
        """Return whether there is more than white space and byte order marks."""
        while (found := self._next()) == "\ufeff":
            self._at += 1
        return bool(found)

    def elements_of(self, key: str) -> Iterator[Any]:
        """Yield the elements of the array that an object has under a key, and read the object to its end."""
        self._expect("{")
        is_there = False
        while True:
            name = self._value()
            self._expect(":")
            if name == key:
                yield from self.elements()
                is_there = True
            else:
                self._value()
            if self._expect(",}") == "}":
                break
        if not is_there:
            raise ValueError(f'the object has no "{key}"')

    def elements(self) -> Iterator[Any]:
        """Yield the elements of the array that comes next."""
        self._expect("[")
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            yield self._value()
            if self._expect(",]") == "]":
                return

    def _peek(self) -> str:
        """Return the next character that is no white space."""
        if not (found := self._next()):
            raise ValueError("it ends too early")
        return found

    def _next(self) -> str:
        """Return likewise, or ``""`` at the end."""
        while True:
            while self._at < len(self._window):
                if not self._window[self._at].isspace():
                    return self._window[self._at]
                self._at += 1
            if not self._fill():
                return ""

    def _expect(self, characters: str) -> str:
        found = self._peek()
        if found not in characters:
            raise ValueError(f"{found!r} where there should be {' or '.join(characters)}")
        self._at += 1
        return found

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decode(self._window, self._at)
                if end < len(self._window):  # a number at the window's end may go on behind it
                    self._at = end
                    return value
            except json.JSONDecodeError:
                if not self._fill():
                    raise
                continue
            if not self._fill():
                raise ValueError("it ends too early")

    def _fill(self) -> bool:
        """Read as much again as the window has, so that a long element is not decoded too many times."""
        more = self._read(max(CHUNK, len(self._window) - self._at))
        self._window, self._start, self._at = self._window[self._at :] + more, self.position, 0
        return bool(more)
