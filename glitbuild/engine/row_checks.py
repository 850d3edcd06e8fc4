"""Checks rows in threads, once their images are there."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from glitbuild.ingest.accept import Limits, accept
from glitbuild.ingest.download.options import DownloadOptions
from glitbuild.ingest.download.pool import Downloads
from glitbuild.ingest.duplicates import DIGEST, Picture, Sieve
from glitbuild.ingest.near import perceptual_hash
from glitbuild.ingest.source import Row
from glitbuild.records import Skip
from glitbuild.shards.writer import Outcome

Checked = tuple[Outcome, Picture | None]
"""What became of a row, and of a sample the picture where a later one may repeat it."""

Check = Callable[[int, Row, str], Checked]
"""Checks a row by itself: the number of its input, the row, and its key. Called in threads."""


@dataclass(slots=True)
class Waiting:
    """A row that was read, and the number of its input; it is checked once it has been begun and is done."""

    input: int
    row: Row
    checked: Future[Checked] | None = None
    download: Future[bytes] | None = None


class RowChecks:
    """Threads that read and decode images; downloads start with the first address.

    Args:
        check: what is done with each row.
        threads: how many.
        download: how images are downloaded.
    """

    def __init__(self, check: Check, threads: int, download: DownloadOptions) -> None:
        self._check, self._options = check, download
        self._pool = ThreadPoolExecutor(threads)
        self._downloads: Downloads | None = None
        self._closed = False

    def begin(self, waiting: Waiting, key: str) -> None:
        """Begin to check a row, unless it has been; an address is asked only where nothing else is wrong."""
        if waiting.checked:
            return
        if not waiting.row.url:
            waiting.checked = self._pool.submit(self._check, waiting.input, waiting.row, key)
            return
        waiting.checked = Future()
        try:
            waiting.checked.set_result(self._check(waiting.input, replace(waiting.row, read_image=_not_yet), key))
        except _NotYetError:
            self._downloads = self._downloads or Downloads(self._options)
            waiting.download = self._downloads.submit(waiting.row.url)
            waiting.download.add_done_callback(lambda _: self._downloaded(waiting, key))

    def drop(self, waiting: Waiting) -> None:
        """Say that a row was taken or is passed over; it is given up where it is not done."""
        if waiting.download and self._downloads and not waiting.download.cancel():
            waiting.download.add_done_callback(self._downloads.take)
        if waiting.checked:
            waiting.checked.cancel()

    def close(self) -> None:
        """Give up what is not done."""
        self._closed = True
        if self._downloads:
            self._downloads.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _downloaded(self, waiting: Waiting, key: str) -> None:
        if not self._closed:
            self._pool.submit(self._check_download, waiting, key)

    def _check_download(self, waiting: Waiting, key: str) -> None:
        checked, download = waiting.checked, waiting.download
        assert checked is not None and download is not None
        if not checked.set_running_or_notify_cancel():
            return
        try:
            row = replace(waiting.row, read_image=download.result)
            checked.set_result(self._check(waiting.input, row, key))
        except BaseException as error:  # the one that waits for it has it raised
            checked.set_exception(error)


def check_row(limits: Limits, sieve: Sieve, input: int, row: Row, key: str) -> Checked:
    """Check a row by itself.

    Args:
        limits: what a sample may be like.
        sieve: tells what must be known of a picture; whether it came before is not asked here.
        input: the number of its input.
        row: to be checked.
        key: the sample's.
    """
    outcome = accept(row, key, limits)
    if isinstance(outcome, Skip) or not sieve.is_needed:
        return outcome, None
    sample, jpeg = outcome
    hash = perceptual_hash(jpeg) if sieve.needs_hash else 0
    digest = bytes.fromhex(sample.image.sha256)[:DIGEST]
    return outcome, Picture(input, row.picture, sample.caption, digest, hash)


class _NotYetError(Exception):
    """The image is asked for, so the rest of the row is well."""


def _not_yet() -> bytes:
    raise _NotYetError
