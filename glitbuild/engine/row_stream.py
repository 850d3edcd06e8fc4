"""The rows of all sources in one numbered stream, checked ahead in threads, handed out in order."""

import hashlib
from base64 import b64encode
from collections.abc import Container, Iterator, Sequence
from itertools import repeat
from types import TracebackType
from typing import Any

from glitbuild.engine.row_checks import Checked, RowChecks
from glitbuild.engine.rows_ahead import IsWanted, RowsAhead
from glitbuild.ingest.accept import Limits, accept
from glitbuild.ingest.download.options import DownloadOptions
from glitbuild.ingest.duplicates import DIGEST, Mode, Picture, Sieve
from glitbuild.ingest.near import perceptual_hash
from glitbuild.ingest.source import Rejected, Row, RowSource
from glitbuild.records import Skip
from glitbuild.shards.writer import Outcome

AHEAD = 4
"""Rows a thread that may be read ahead: bounds the images in memory."""


class RowStream:
    """Numbers the rows of the sources, checks them in threads, and cuts them into shards.

    A row's key is its number over all sources. The stream remembers a hash of each shard's rows (names,
    captions and addresses), by which a later run knows whether its input is the same.

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
        checks = RowChecks(self._check, self._threads, self._download)
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

    def restart(self, keep_pictures: bool = False) -> None:
        """Go back to the first row.

        Args:
            keep_pictures: of the rows so far, behind which those that are taken from now on come.
        """
        self._rows.restart()
        if not keep_pictures:
            self.sieve.restart()
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

    def replay_shard(self, rows: int, pictures: bytes = b"") -> dict[str, Any]:
        """Pass over so many rows without reading their images.

        Args:
            rows: how many.
            pictures: what ``describe_shard`` said of them, not in base64.

        Returns:
            Their description, without the pictures.

        Raises:
            ValueError: the pictures are not those of so many rows.
        """
        self._start_shard()
        size = self.sieve.picture_bytes
        if len(pictures) != rows * size:
            raise ValueError(f"{len(pictures)} bytes of pictures for {rows} rows")
        for start in range(0, rows * size, size) if size else repeat(0, rows):
            if not self.has_more():
                break
            number, row = self._rows.next_row
            caption = (row.caption or "").strip() if self._limits.captions else ""
            self._advance(Picture.from_bytes(number, row.picture, caption, pictures[start : start + size]))
        return self.describe_rows()

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
        return {"pictures": b64encode(self._pictures).decode()} if self.sieve.picture_bytes else {}

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
        if picture:
            self.sieve.add(picture, self.position)
        self._pictures += self.sieve.to_bytes(picture)
        row = self._rows.pass_over()
        parts = [row.source.dataset, row.source.id, "" if row.caption is None else row.caption]
        if row.url:
            parts.append(row.url)
        self._hash.update("\0".join(parts).encode("utf-8", "surrogatepass") + b"\0\0")
