"""What is to be in a repository: its files with their sizes and hashes, and the order they are sent in."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from glitbuild.shards.store import Store

Kind = Literal["dataset", "model"]

CARD = "README.md"

COMMIT_FILES = 200
COMMIT_BYTES = 2 * 10**9
"""What a commit holds at most, if it has more than one file."""

GROUP_BYTES = 256 * 10**6
"""What the Hub's Xet storage gets at once, if it is more than one file. It knows nothing of a group until all of it
has arrived, so this much is sent again after an interruption."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a repository.

    Attributes:
        name: its path there, and where it is read from in the folder that is pushed.
        size: in bytes.
        sha256: of its content, in hex.
        data: its content, where it isn't read from that folder.
    """

    name: str
    size: int
    sha256: str
    data: bytes | None = None

    @classmethod
    def made(cls, name: str, data: bytes) -> "Entry":
        """Return one that was made for the repository and is in no folder."""
        return cls(name, len(data), hashlib.sha256(data).hexdigest(), data)

    @classmethod
    def stored(cls, store: Store, name: str) -> "Entry":
        """Return one of a folder, whose content is read to hash it."""
        file = store.stored(name)
        return cls(name, file.bytes, file.sha256)

    def blob_id(self, store: Store) -> str:
        """Return the id that git gives its content; all of it is read, so it should be small."""
        data = store.read(self.name) if self.data is None else self.data
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Contents:
    """What a repository is to hold.

    Attributes:
        kind: of the repository.
        store: the folder that is pushed.
        first: most of the files, in the order they are sent.
        last: those that say what it is and that it is whole; one commit, when all others are there.
        marks: what an earlier version says that it is whole with, and loses before anything else of it changes.
    """

    kind: Kind
    store: Store
    first: tuple[Entry, ...]
    last: tuple[Entry, ...]
    marks: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        yield from self.first
        yield from self.last

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self)

    @property
    def names(self) -> frozenset[str]:
        """The paths of all files."""
        return frozenset(entry.name for entry in self)


def chunks(entries: Iterable[Entry], most: int) -> Iterator[list[Entry]]:
    """Divide files into lists of at most ``COMMIT_FILES``, in order.

    Args:
        entries: the files.
        most: bytes of a list that has more than one.
    """
    chunk: list[Entry] = []
    for entry in entries:
        size = sum(other.size for other in chunk)
        if chunk and (len(chunk) == COMMIT_FILES or size + entry.size > most):
            yield chunk
            chunk = []
        chunk.append(entry)
    if chunk:
        yield chunk
