"""Which pictures came before: in this dataset, or in one that is to be kept apart from it."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from glitbuild.ingest.names import same_file
from glitbuild.ingest.near import NearHashes
from glitbuild.ingest.seen import temporary_database
from glitbuild.ingest.source import Rejected
from glitbuild.records import SkipReason

Mode = Literal["keep", "exact", "near"]
MODES: tuple[Mode, ...] = ("keep", "exact", "near")

DIGEST = 16
"""Bytes of a picture's SHA-256 that are remembered."""
HASH = 8
"""Bytes of its perceptual hash."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What of a row decides whether it repeats another.

    Attributes:
        input: the number of its input.
        name: how the input names the picture's file; empty where it gives bytes.
        caption: as it is stored.
        digest: ``DIGEST`` bytes of the stored JPEG's SHA-256.
        hash: its perceptual hash; 0 where none is needed.
    """

    input: int
    name: str
    caption: str
    digest: bytes
    hash: int = 0

    @classmethod
    def from_bytes(cls, input: int, name: str, caption: str, data: bytes) -> "Picture | None":
        """Return the picture of a row from what ``Sieve.to_bytes`` kept of it; None where the row was skipped."""
        if not any(data):
            return None
        return cls(input, name, caption, data[:DIGEST], int.from_bytes(data[DIGEST:], "big"))


class Sieve:
    """Finds the rows whose picture another sample has that came before, or is in a finished shard.

    Rows of one input that name the same file, or that give the same bytes without a name, with different
    captions, are captions of one picture: none of them repeats another. It is all on disk. For one thread.

    Args:
        mode: ``keep`` finds none in the dataset itself, ``exact`` those of the same bytes, ``near`` also
            those that look alike.
        distance: bits of the perceptual hash in which pictures that look alike may differ.
    """

    def __init__(self, mode: Mode = "keep", distance: int = 0) -> None:
        self.mode, self.distance = mode, distance
        self._excluded: list[tuple[str, NearHashes]] = []

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._near = self._stack.enter_context(NearHashes(self.distance))
        self._connection = temporary_database(
            "CREATE TABLE pictures (digest BLOB PRIMARY KEY, place BLOB, key INTEGER) WITHOUT ROWID",
            "CREATE TABLE captions (digest BLOB PRIMARY KEY, key INTEGER) WITHOUT ROWID",
        )
        self._stack.callback(self._connection.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def exclude(self, name: str) -> NearHashes:
        """Find rows, too, whose pictures look like those of the dataset of this name.

        Returns:
            What its pictures' hashes are to be added to, under their keys.
        """
        self._excluded.append((name, self._stack.enter_context(NearHashes(self.distance))))
        return self._excluded[-1][1]

    @property
    def picture_bytes(self) -> int:
        """How many bytes of a row a later run needs to know which pictures came before."""
        return {"keep": 0, "exact": DIGEST, "near": DIGEST + HASH}[self.mode]

    def to_bytes(self, picture: Picture | None) -> bytes:
        """Return these bytes; zeros for a row that was skipped."""
        whole = picture.digest + picture.hash.to_bytes(HASH, "big") if picture else bytes(DIGEST + HASH)
        return whole[: self.picture_bytes]

    @property
    def is_needed(self) -> bool:
        """Whether there is anything that a picture may repeat."""
        return self.mode != "keep" or bool(self._excluded)

    @property
    def needs_hash(self) -> bool:
        """Whether pictures must come with their perceptual hash."""
        return self.mode == "near" or bool(self._excluded)

    def check(self, picture: Picture, key: int) -> None:
        """Pass a picture that repeats none but its own, which may be known already.

        Args:
            picture: of a sample.
            key: the sample's number.

        Raises:
            Rejected: it repeats one.
        """
        for name, hashes in self._excluded:
            if found := hashes.find(picture.hash):
                detail = f"repeats {found[0]:09d} of {name}: {_differ(found[1])}"
                raise Rejected(SkipReason.EXCLUDED_IMAGE, detail)
        if self.mode == "keep":
            return
        query = "SELECT place, key FROM pictures WHERE digest = ?"
        if same := self._connection.execute(query, (picture.digest,)).fetchone():
            place, repeated = same
            if place == _place(picture):
                query = "SELECT key FROM captions WHERE digest = ?"
                (repeated,) = self._connection.execute(query, (_caption(picture),)).fetchone() or (key,)
                if repeated == key:
                    return
            raise Rejected(SkipReason.DUPLICATE_IMAGE, f"repeats {repeated:09d}: the same bytes")
        if self.mode == "near" and (found := self._near.find(picture.hash)):
            detail = f"repeats {found[0]:09d}: {_differ(found[1])}"
            raise Rejected(SkipReason.DUPLICATE_IMAGE, detail)

    def add(self, picture: Picture, key: int) -> None:
        """Remember the picture of a sample; of equal ones the lowest key, in whatever order they come."""
        if self.mode == "keep":
            return
        lowest = "ON CONFLICT DO UPDATE SET key = excluded.key WHERE excluded.key < key"
        row = picture.digest, _place(picture), key
        is_lowest = self._connection.execute(f"INSERT INTO pictures VALUES (?, ?, ?) {lowest}", row).rowcount
        self._connection.execute(f"INSERT INTO captions VALUES (?, ?) {lowest}", (_caption(picture), key))
        if is_lowest and self.mode == "near":
            self._near.add(picture.hash, key)


def _differ(bits: int) -> str:
    return f"{bits} of 64 bits of their perceptual hashes differ"


def _place(picture: Picture) -> bytes:
    return _digest(f"{picture.input}:{same_file(picture.name)}")


def _caption(picture: Picture) -> bytes:
    return _digest(f"{picture.digest.hex()}:{picture.caption}")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()
