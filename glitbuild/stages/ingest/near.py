"""Pictures that look alike: perceptual hashes, and the search for those that differ in a few bits."""

import sqlite3
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from PIL.Image import Image

BITS = 64
CACHE_KIB = 8192

MAX_DISTANCE = 16
"""Bits; unrelated pictures differ in about 32, and beyond 16 they begin to be taken for one another."""

SMALL = 256
"""Pixels of the shorter side that a picture is first made smaller to, by averaging: the hash looks at 32 x 32."""


def perceptual_hash(image: "Image") -> int:
    """Return imagehash's ``phash`` of a decoded picture, 64 bits.

    May be called from several threads at a time.
    """
    import imagehash
    import numpy as np

    grey = image.convert("L")
    hash = imagehash.phash(grey.reduce(max(1, min(grey.size) // SMALL))).hash
    return int.from_bytes(np.packbits(hash).tobytes(), "big")


def temporary_database(*tables: str) -> sqlite3.Connection:
    """Open a database on disk that is gone when it is closed; its cache is all the memory it takes.

    It is SQLite's own temporary file (in ``$SQLITE_TMPDIR``, ``$TMPDIR`` or ``/var/tmp``), which has no
    name, so that not even a killed process leaves it behind. For one thread.

    Args:
        tables: the statements that create them.
    """
    connection = sqlite3.connect("", isolation_level=None)
    settings = ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}")
    for statement in (*(f"PRAGMA {setting}" for setting in settings), *tables, "BEGIN"):
        connection.execute(statement)
    return connection


class NearHashes:
    """Hashes on disk, found again by those that differ in at most ``distance`` bits.

    The bits are cut into ``distance + 1`` bands: of two such hashes one band is equal, so that looking up
    each band finds them all without a look at the rest. About 40 bytes a band and hash. For one thread.

    Args:
        distance: bits, at most ``MAX_DISTANCE``.
    """

    def __init__(self, distance: int) -> None:
        edges = [BITS * band // (distance + 1) for band in range(distance + 2)]
        self._bands = [(low, (1 << (high - low)) - 1) for low, high in pairwise(edges)]
        self._distance = distance

    def __enter__(self) -> Self:
        columns = "band INTEGER, bits INTEGER, key INTEGER, hash INTEGER, PRIMARY KEY (band, bits, key)"
        self._connection = temporary_database(f"CREATE TABLE near ({columns}) WITHOUT ROWID")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def add(self, hash: int, key: int) -> None:
        """Add a hash under a number that no other has."""
        rows = [(band, bits, key, _signed(hash)) for band, bits in enumerate(self._cut(hash))]
        self._connection.executemany("INSERT INTO near VALUES (?, ?, ?, ?)", rows)

    def find(self, hash: int) -> tuple[int, int] | None:
        """Return the lowest key of a hash that is near to this one, and in how many bits they differ."""
        query = "SELECT key, hash FROM near WHERE band = ? AND bits = ?"
        found: tuple[int, int] | None = None
        for band in enumerate(self._cut(hash)):
            for key, other in self._connection.execute(query, band):
                differ = ((other ^ _signed(hash)) & ((1 << BITS) - 1)).bit_count()
                if differ <= self._distance and (found is None or key < found[0]):
                    found = key, differ
        return found

    def _cut(self, hash: int) -> list[int]:
        return [_signed((hash >> shift) & mask) for shift, mask in self._bands]


def _signed(bits: int) -> int:
    """Return 64 bits as the number that SQLite stores."""
    return bits - (1 << BITS) if bits >> (BITS - 1) else bits
