"""Checks rows in threads, once their images are there."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from glitbuild.ingest.accept import Limits, accept
from glitbuild.ingest.download.options import DownloadOptions
from glitbuild.ingest.download.pool import Downloads
from glitbuild.ingest.source import Row
from glitbuild.shards.writer import Outcome


@dataclass(slots=True)
class Waiting:
    """A row that was read; what becomes of it is known once it has been begun and is done."""

    row: Row
    outcome: Future[Outcome] | None = None
    download: Future[bytes] | None = None


class RowChecks:
    """Threads that read and decode images; the downloads they need begin with the first address.

    Args:
        limits: what a sample may be like.
        threads: how many.
        download: how images are downloaded.
    """

    def __init__(self, limits: Limits, threads: int, download: DownloadOptions) -> None:
        self._limits, self._options = limits, download
        self._pool = ThreadPoolExecutor(threads)
        self._downloads: Downloads | None = None
        self._closed = False

    def begin(self, waiting: Waiting, key: str) -> None:
        """Begin to check a row, unless it has been; an address is asked only where nothing else is wrong."""
        row = waiting.row
        if waiting.outcome:
            return
        if not row.url:
            waiting.outcome = self._pool.submit(accept, row, key, self._limits)
            return
        waiting.outcome = Future()
        try:
            waiting.outcome.set_result(accept(replace(row, read_image=_not_yet), key, self._limits))
        except _NotYetError:
            self._downloads = self._downloads or Downloads(self._options)
            waiting.download = self._downloads.submit(row.url)
            waiting.download.add_done_callback(lambda _: self._downloaded(waiting, key))

    def drop(self, waiting: Waiting) -> None:
        """Say that a row was taken or is passed over; it is given up where it is not done."""
        if waiting.download and self._downloads and not waiting.download.cancel():
            waiting.download.add_done_callback(self._downloads.take)
        if waiting.outcome:
            waiting.outcome.cancel()

    def close(self) -> None:
        """Give up what is not done."""
        self._closed = True
        if self._downloads:
            self._downloads.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _downloaded(self, waiting: Waiting, key: str) -> None:
        if not self._closed:
            self._pool.submit(self._check, waiting, key)

    def _check(self, waiting: Waiting, key: str) -> None:
        outcome, download = waiting.outcome, waiting.download
        assert outcome is not None and download is not None
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            outcome.set_result(accept(replace(waiting.row, read_image=download.result), key, self._limits))
        except BaseException as error:  # the one that waits for the outcome has it raised
            outcome.set_exception(error)


class _NotYetError(Exception):
    """The image is asked for, so the rest of the row is well."""


def _not_yet() -> bytes:
    raise _NotYetError
