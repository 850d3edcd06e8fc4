"""The rows of all sources in one numbered stream, checked ahead in threads, handed out in order."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from glitbuild.engine.row_checks import RowChecks, Waiting
from glitbuild.ingest.accept import Limits
from glitbuild.ingest.download.options import DownloadOptions
from glitbuild.ingest.seen import SeenKeys
from glitbuild.ingest.source import Rejected, Row, RowSource
from glitbuild.records import Skip, SkipReason
from glitbuild.shards.writer import Outcome

AHEAD = 4
"""Rows a thread that may be read ahead: bounds the images in memory."""
DOWNLOADS_AHEAD = 4096
"""Rows that may be read ahead where their images are addresses: a slow one shall not stop the others."""

Wanted = Callable[[int], bool]
"""Whether the row of this number is to be taken."""


class RowStream:
    """Numbers the rows of the sources, checks them in threads, and cuts them into shards.

    A row's key is its number over all sources. The stream remembers a hash of each shard's rows (names,
    captions and addresses), by which a later run knows whether its input is the same.

    Args:
        sources: the inputs, in order.
        limits: what a sample may be like.
        threads: that read and decode images.
        download: how images are downloaded whose rows give an address.
    """

    def __init__(
        self,
        sources: Sequence[RowSource],
        limits: Limits,
        threads: int,
        download: DownloadOptions | None = None,
    ) -> None:
        self._sources, self._limits, self._threads = sources, limits, threads
        self._download = download or DownloadOptions()

    def __enter__(self) -> "RowStream":
        self._checks = RowChecks(self._limits, self._threads, self._download)
        self._seen = SeenKeys()
        self._seen.__enter__()
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._checks.close()
        self._seen.__exit__(kind, error, traceback)

    def restart(self) -> None:
        """Go back to the first row."""
        while self._ahead:
            self._checks.drop(self._ahead.popleft())
        self._seen.__exit__(None, None, None)
        self._seen = SeenKeys()
        self._seen.__enter__()
        self._begin()

    def _begin(self) -> None:
        self.position = 0
        self._has_urls = False
        self._ahead: deque[Waiting] = deque()
        self._rows = self._named_once()
        self._start_shard()

    def has_more(self) -> bool:
        """Return whether there is another row."""
        return bool(self._ahead) or self._read()

    def take_shard(
        self, size: int, wanted: Wanted = lambda number: True, end: int | None = None, last: bool = False
    ) -> Iterator[Outcome]:
        """Yield the outcomes of the wanted rows up to the sample after the next ``size`` ones.

        Args:
            size: samples.
            wanted: the rows that aren't are passed over.
            end: the row that the next finished shard begins with. Downloads may end otherwise than they did,
                so where there are any, a shard that is made again ends there, whatever its size.
            last: no other shard has to be made before that one.
        """
        self._start_shard()
        samples = 0
        while self.has_more():
            exact = last and self._has_urls
            if self._has_urls and end is not None and self.position >= end:
                return
            if not wanted(self.position):
                self._advance()
                continue
            outcome = self._checked(wanted, end)
            if not isinstance(outcome, Skip):
                if samples >= size and not exact:
                    return
                samples += 1
            self._advance()
            yield outcome

    def replay_shard(self, rows: int) -> dict[str, Any]:
        """Pass over so many rows without reading their images, and describe them."""
        self._start_shard()
        for _ in range(rows):
            if not self.has_more():
                break
            self._advance()
        return self.describe_shard()

    def describe_shard(self) -> dict[str, Any]:
        """Return which rows the shard has that was last taken or replayed, and their hash."""
        return {"rows": [self._first, self.position], "sha256": self._hash.hexdigest()}

    def _start_shard(self) -> None:
        self._first, self._hash = self.position, hashlib.sha256()
        self._looked_at = 0  # rows ahead that have been begun, or that this shard does not want

    def _named_once(self) -> Iterator[Row]:
        for number, source in enumerate(self._sources):
            for row in source.rows():
                if row.named and not self._seen.add(number, row.source.id):
                    detail = f"{row.source.id} came before in this input"
                    yield replace(row, rejected=Rejected(SkipReason.DUPLICATE_KEY, detail))
                else:
                    yield row

    def _read(self) -> bool:
        """Read one more row; return whether there was one."""
        row = next(self._rows, None)
        if row is None:
            return False
        self._has_urls = self._has_urls or bool(row.url)
        self._ahead.append(Waiting(row))
        return True

    def _fill(self) -> None:
        near = self._threads * AHEAD
        while len(self._ahead) < near or (len(self._ahead) < DOWNLOADS_AHEAD and self._ahead[-1].row.url):
            if not self._read():
                return

    def _checked(self, wanted: Wanted, end: int | None) -> Outcome:
        """Return the next row's outcome, and have the wanted ones before ``end`` checked meanwhile."""
        self._fill()
        while self._looked_at < len(self._ahead):
            number = self.position + self._looked_at
            if wanted(number) and (end is None or number < end):
                self._checks.begin(self._ahead[self._looked_at], f"{number:09d}")
            self._looked_at += 1
        if self._ahead[0].outcome is None:  # it was thought to belong to the next shard
            self._checks.begin(self._ahead[0], f"{self.position:09d}")
        outcome = self._ahead[0].outcome
        assert outcome is not None
        return outcome.result()

    def _advance(self) -> None:
        waiting = self._ahead.popleft()
        self._looked_at = max(0, self._looked_at - 1)
        self._checks.drop(waiting)
        self.position += 1
        row = waiting.row
        parts = [row.source.dataset, row.source.id, "" if row.caption is None else row.caption]
        if row.url:
            parts.append(row.url)
        self._hash.update("\0".join(parts).encode("utf-8", "surrogatepass") + b"\0\0")
