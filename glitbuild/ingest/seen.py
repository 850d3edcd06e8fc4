"""Which names came before, in memory that does not grow with the dataset."""

import hashlib
import sqlite3
from types import TracebackType
from typing import Self

CACHE_KIB = 16_384


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


class SeenKeys:
    """A set of row names on disk, for as long as the ``with`` block lasts.

    It holds 16 bytes of hash a name: two of a billion names agree by chance once in 10**20 runs. For one
    thread.
    """

    def __enter__(self) -> Self:
        self._connection = temporary_database("CREATE TABLE seen (name BLOB PRIMARY KEY) WITHOUT ROWID")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def add(self, input_index: int, id: str) -> bool:
        """Add a row's name.

        Args:
            input_index: which input, counted from 0; names of different inputs may agree.
            id: the row's name in it.

        Returns:
            False if this input had the name before.
        """
        name = f"{input_index}:{id}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, digest_size=16).digest()
        return self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1
