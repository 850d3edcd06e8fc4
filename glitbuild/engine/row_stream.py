"""The rows of all sources in one numbered stream, checked ahead in threads, handed out in order."""

import hashlib
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from glitbuild.engine.row_checks import Checked, RowChecks, check_row
from glitbuild.engine.rows_ahead import IsWanted, RowsAhead
from glitbuild.engine.shard_pictures import describe_pictures
from glitbuild.ingest.accept import Limits
from glitbuild.ingest.download.options import DownloadOptions
from glitbuild.ingest.duplicates import Mode, Picture, Sieve
from glitbuild.ingest.source import Rejected, RowSource
from glitbuild.records import Skip
from glitbuild.shards.writer import Outcome

AHEAD = 4
"""Rows a thread that may be read ahead: bounds the images in memory."""


class RowStream:
    """Numbers the rows of the sources, checks them in threads, and cuts them into shards.

    A row's key is its number over all sources. The stream remembers a hash of each shard's rows (names, captions,
    addresses, kept columns and boxes), by which a later run knows whether its input is the same.

    Args:
        sources: the inputs, in order.
        limits: what a sample may be like.
        threads: that read and decode images.
        mode: which pictures that came before make a row a skipped one; see ``Sieve``.
        distance: likewise.
        download: how images are downloaded whose rows give an address.

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
        download: DownloadOptions | None = None,
    ) -> None:
        self._sources, self._limits, self._threads = sources, limits, threads
        self.sieve = Sieve(mode, distance)
        self._download = download or DownloadOptions()

    def __enter__(self) -> "RowStream":
        checks = RowChecks(partial(check_row, self._limits, self.sieve), self._threads, self._download)
        self._rows = RowsAhead(self._sources, checks, self._threads * AHEAD)
        self._rows.__enter__()
        self.sieve.__enter__()
        self._start_shard()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rows.__exit__(kind, error, traceback)
        self.sieve.__exit__(kind, error, traceback)

    def restart(self) -> None:
        """Go back to the first row. The sieve goes on to know the pictures of samples that came so far."""
        self._rows.restart()
        self._start_shard()

    @property
    def position(self) -> int:
        """The number of the next row."""
        return self._rows.position

    def has_more(self) -> bool:
        """Return whether there is another row."""
        return self._rows.has_more()

    def take_shard(
        self, size: int, without: Container[int] = (), end: int | None = None, last: bool = False
    ) -> Iterator[Outcome]:
        """Yield the outcomes of the rows up to the sample after the next ``size`` ones.

        Args:
            size: samples.
            without: rows that are passed over, as other shards have them.
            end: the row that the next finished shard begins with. Downloads may end otherwise than they did,
                so where there are any, a shard that is made again ends there, whatever its size.
            last: no other shard has to be made before that one.
        """
        self._start_shard()
        samples = 0
        while self.has_more():
            if self._rows.has_urls and end is not None and self.position >= end:
                return
            if self.position in without:
                self._advance(None)
                continue
            outcome, picture = self._checked(lambda row: row not in without, end)
            if not isinstance(outcome, Skip):
                if samples >= size and not (last and self._rows.has_urls):
                    return
                samples += 1
            self._advance(picture)
            yield outcome

    def take_rows(self, size: int, rows: Container[int]) -> Iterator[Outcome]:
        """Yield the outcomes of these rows alone, up to the sample after the next ``size`` ones."""
        self._start_shard()
        samples = 0
        while self.has_more():
            if self.position not in rows:
                self._rows.pass_over()
                continue
            outcome, picture = self._checked(rows.__contains__)
            if not isinstance(outcome, Skip):
                if samples >= size:
                    return
                samples += 1
            self._taken.append(self.position)
            self._advance(picture)
            yield outcome

    def replay_shard(self, pictures: Iterable[bytes]) -> dict[str, Any]:
        """Pass over as many rows as there are pictures, without reading their images.

        Args:
            pictures: what a sidecar keeps of each row's.

        Returns:
            The description of the rows, without the pictures.
        """
        self._start_shard()
        for data in pictures:
            if not self.has_more():
                break
            self._advance(self._known(data))
        return self.describe_rows()

    def learn(self, pictures: Iterable[tuple[int, bytes]]) -> None:
        """Have the sieve know the pictures of rows, wherever they come; then go back to the first row.

        Args:
            pictures: the numbers of the rows, rising, each with what a sidecar keeps of its picture.
        """
        self.restart()
        for number, data in pictures:
            while self.position < number and self.has_more():
                self._rows.pass_over()
            if self.has_more() and (picture := self._known(data)):
                self.sieve.add(picture, number)
        self.restart()

    def describe_rows(self) -> dict[str, Any]:
        """Return which rows the shard has that was last taken or replayed, and their hash."""
        return {"rows": [self._first, self.position], "sha256": self._hash.hexdigest()}

    def describe_shard(self) -> dict[str, Any]:
        """Return likewise, with what a later run must know of their pictures, in base64."""
        return self.describe_rows() | self._describe_pictures()

    def describe_taken(self) -> dict[str, Any]:
        """Return which rows ``take_rows`` gave, and what a later run must know of their pictures."""
        return {"retried": self._taken} | self._describe_pictures()

    def _describe_pictures(self) -> dict[str, Any]:
        return describe_pictures(bytes(self._pictures)) if self.sieve.picture_bytes else {}

    def _start_shard(self) -> None:
        self._first, self._hash, self._pictures = self.position, hashlib.sha256(), bytearray()
        self._taken: list[int] = []
        self._rows.look_again()

    def _checked(self, is_wanted: IsWanted, end: int | None = None) -> Checked:
        """Return what became of the next row, and have the wanted ones before ``end`` checked meanwhile."""
        outcome, picture = self._rows.check_next(is_wanted, end)
        if isinstance(outcome, Skip) or picture is None:
            return outcome, None
        try:
            self.sieve.check(picture, self.position)
        except Rejected as repeated:
            sample = outcome[0]
            return Skip(sample.key, sample.source, repeated.reason, repeated.detail), None
        return outcome, picture

    def _known(self, data: bytes) -> Picture | None:
        """Return the next row's picture from what a sidecar keeps of it."""
        number, row = self._rows.next_row
        caption = (row.caption or "").strip() if self._limits.captions else ""
        return Picture.from_bytes(number, row.picture, caption, data)

    def _advance(self, picture: Picture | None) -> None:
        if picture:
            self.sieve.add(picture, self.position)
        self._pictures += self.sieve.to_bytes(picture)
        row = self._rows.pass_over()
        parts = [row.source.dataset, row.source.id, "" if row.caption is None else row.caption]
        if row.url:
            parts.append(row.url)
        if row.extra or row.boxes:
            parts.append(repr((sorted(row.extra.items()), row.boxes)))
        self._hash.update("\0".join(parts).encode("utf-8", "surrogatepass") + b"\0\0")
