"""The rows of all sources in one numbered stream, checked ahead in threads, handed out in order."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any

from glitbuild.ingest.accept import Limits, accept
from glitbuild.ingest.seen import SeenKeys
from glitbuild.ingest.source import Rejected, Row, RowSource
from glitbuild.records import Skip, SkipReason
from glitbuild.shards.writer import Outcome

AHEAD = 4
"""Rows a thread that may be read ahead: bounds the images in memory."""


class RowStream:
    """Numbers the rows of the sources, checks them in threads, and cuts them into shards.

    A row's key is its number over all sources. The stream remembers a hash of each shard's rows (names
    and captions), by which a later run knows whether its input is the same.

    Args:
        sources: the inputs, in order.
        limits: what a sample may be like.
        threads: that read and decode images.
    """

    def __init__(self, sources: Sequence[RowSource], limits: Limits, threads: int) -> None:
        self._sources, self._limits, self._threads = sources, limits, threads

    def __enter__(self) -> "RowStream":
        self._pool = ThreadPoolExecutor(self._threads)
        self._seen = SeenKeys()
        self._seen.__enter__()
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._seen.__exit__(kind, error, traceback)

    def restart(self) -> None:
        """Go back to the first row."""
        self._seen.__exit__(None, None, None)
        self._seen = SeenKeys()
        self._seen.__enter__()
        self._begin()

    def _begin(self) -> None:
        self.position = 0
        self._ahead: deque[tuple[Row, Future[Outcome] | None]] = deque()
        self._rows = self._named_once()
        self._start_shard()

    def has_more(self) -> bool:
        """Return whether there is another row."""
        self._fill(1)
        return bool(self._ahead)

    def take_shard(self, size: int) -> Iterator[Outcome]:
        """Yield the outcomes of the rows up to the sample after the next ``size`` ones."""
        self._start_shard()
        samples = 0
        while self.has_more():
            outcome = self._checked()
            if not isinstance(outcome, Skip):
                if samples == size:
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

    def _named_once(self) -> Iterator[Row]:
        for number, source in enumerate(self._sources):
            for row in source.rows():
                if row.named and not self._seen.add(number, row.source.id):
                    detail = f"{row.source.id} came before in this input"
                    yield replace(row, rejected=Rejected(SkipReason.DUPLICATE_KEY, detail))
                else:
                    yield row

    def _fill(self, rows: int) -> None:
        while len(self._ahead) < rows and (row := next(self._rows, None)):
            self._ahead.append((row, None))

    def _checked(self) -> Outcome:
        """Return the next row's outcome, and have the rows after it checked meanwhile."""
        self._fill(self._threads * AHEAD)
        for index, (row, future) in enumerate(self._ahead):
            if future is None:
                key = f"{self.position + index:09d}"
                self._ahead[index] = row, self._pool.submit(accept, row, key, self._limits)
        future = self._ahead[0][1]
        assert future is not None
        return future.result()

    def _advance(self) -> None:
        row, future = self._ahead.popleft()
        if future:
            future.cancel()
        self.position += 1
        parts = (row.source.dataset, row.source.id, "" if row.caption is None else row.caption)
        self._hash.update("\0".join(parts).encode("utf-8", "surrogatepass") + b"\0\0")
