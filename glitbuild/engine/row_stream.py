"""The rows of all sources in one numbered stream, checked ahead in threads, handed out in order."""

import hashlib
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from types import TracebackType
from typing import Any

from glitbuild.ingest.accept import Limits, accept
from glitbuild.ingest.duplicates import DIGEST, Mode, Picture, Sieve
from glitbuild.ingest.near import perceptual_hash
from glitbuild.ingest.seen import SeenKeys
from glitbuild.ingest.source import Rejected, Row, RowSource
from glitbuild.records import Skip, SkipReason
from glitbuild.shards.writer import Outcome

Checked = tuple[Outcome, Picture | None]
"""What became of a row, and of a sample the picture where a later one may repeat it."""

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
        mode: which pictures that came before make a row a skipped one; see ``Sieve``.
        distance: likewise.

    Attributes:
        sieve: to exclude pictures by, within the ``with`` block.
    """

    def __init__(
        self,
        sources: Sequence[RowSource],
        limits: Limits,
        threads: int,
        mode: Mode = "keep",
        distance: int = 0,
    ) -> None:
        self._sources, self._limits, self._threads = sources, limits, threads
        self.sieve = Sieve(mode, distance)

    def __enter__(self) -> "RowStream":
        self._pool = ThreadPoolExecutor(self._threads)
        self._seen = SeenKeys()
        self._seen.__enter__()
        self.sieve.__enter__()
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._seen.__exit__(kind, error, traceback)
        self.sieve.__exit__(kind, error, traceback)

    def restart(self) -> None:
        """Go back to the first row."""
        self._seen.__exit__(None, None, None)
        self._seen = SeenKeys()
        self._seen.__enter__()
        self.sieve.restart()
        self._begin()

    def _begin(self) -> None:
        self.position = 0
        self._ahead: deque[tuple[int, Row, Future[Checked] | None]] = deque()
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
            outcome, picture = self._checked()
            if not isinstance(outcome, Skip):
                if samples == size:
                    return
                samples += 1
            self._advance(picture)
            yield outcome

    def replay_shard(self, rows: int, pictures: str = "") -> dict[str, Any]:
        """Pass over so many rows without reading their images.

        Args:
            rows: how many.
            pictures: what ``describe_shard`` said of them.

        Returns:
            Their description, without the pictures.

        Raises:
            ValueError: the pictures are not those of so many rows.
        """
        self._start_shard()
        data, size = b64decode(pictures, validate=True), self.sieve.picture_bytes
        if len(data) != rows * size:
            raise ValueError(f"{len(data)} bytes of pictures for {rows} rows")
        for start in range(0, rows * size, size) if size else repeat(0, rows):
            if not self.has_more():
                break
            number, row, _ = self._ahead[0]
            caption = (row.caption or "").strip() if self._limits.captions else ""
            self._advance(Picture.from_bytes(number, row.picture, caption, data[start : start + size]))
        return self.describe_rows()

    def describe_rows(self) -> dict[str, Any]:
        """Return which rows the shard has that was last taken or replayed, and their hash."""
        return {"rows": [self._first, self.position], "sha256": self._hash.hexdigest()}

    def describe_shard(self) -> dict[str, Any]:
        """Return likewise, with what a later run must know of their pictures, in base64."""
        pictures = {"pictures": b64encode(self._pictures).decode()} if self.sieve.picture_bytes else {}
        return self.describe_rows() | pictures

    def _start_shard(self) -> None:
        self._first, self._hash, self._pictures = self.position, hashlib.sha256(), bytearray()

    def _named_once(self) -> Iterator[tuple[int, Row]]:
        for number, source in enumerate(self._sources):
            for row in source.rows():
                if row.named and not self._seen.add(number, row.source.id):
                    detail = f"{row.source.id} came before in this input"
                    yield number, replace(row, rejected=Rejected(SkipReason.DUPLICATE_KEY, detail))
                else:
                    yield number, row

    def _fill(self, rows: int) -> None:
        while len(self._ahead) < rows and (row := next(self._rows, None)):
            self._ahead.append((*row, None))

    def _checked(self) -> Checked:
        """Return what became of the next row, and have the rows after it checked meanwhile."""
        self._fill(self._threads * AHEAD)
        for index, (number, row, future) in enumerate(self._ahead):
            if future is None:
                key = f"{self.position + index:09d}"
                self._ahead[index] = number, row, self._pool.submit(self._check, number, row, key)
        future = self._ahead[0][2]
        assert future is not None
        outcome, picture = future.result()
        if isinstance(outcome, Skip) or picture is None:
            return outcome, None
        try:
            self.sieve.check(picture)
        except Rejected as repeated:
            sample = outcome[0]
            return Skip(sample.key, sample.source, repeated.reason, repeated.detail), None
        return outcome, picture

    def _check(self, number: int, row: Row, key: str) -> Checked:
        """Check a row by itself; called in the threads."""
        outcome = accept(row, key, self._limits)
        if isinstance(outcome, Skip) or not self.sieve.is_needed:
            return outcome, None
        sample, jpeg = outcome
        hash = perceptual_hash(jpeg) if self.sieve.needs_hash else 0
        digest = bytes.fromhex(sample.image.sha256)[:DIGEST]
        return outcome, Picture(number, row.picture, sample.caption, digest, hash)

    def _advance(self, picture: Picture | None) -> None:
        _, row, future = self._ahead.popleft()
        if future:
            future.cancel()
        if picture:
            self.sieve.add(picture, self.position)
        self._pictures += self.sieve.to_bytes(picture)
        self.position += 1
        parts = (row.source.dataset, row.source.id, "" if row.caption is None else row.caption)
        self._hash.update("\0".join(parts).encode("utf-8", "surrogatepass") + b"\0\0")
