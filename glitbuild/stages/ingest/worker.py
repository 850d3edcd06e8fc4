"""Makes a shard of a range of rows. A plain class; it knows nothing of Ray."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from glitbuild.engine.task import ShardReport
from glitbuild.errors import DatasetError
from glitbuild.records import Rejected, Sample, Skip, SkipReason
from glitbuild.shards.layout import skipped_path, tar_path
from glitbuild.shards.reader import read_listed, read_shard
from glitbuild.shards.sidecar import Config, Sidecar
from glitbuild.shards.store import Store
from glitbuild.shards.writer import Outcome, write_shard
from glitbuild.stages.ingest.accept import Limits, accept
from glitbuild.stages.ingest.download.fetch import DownloadOptions
from glitbuild.stages.ingest.download.pool import Downloads
from glitbuild.stages.ingest.duplicates import Facts, describe_facts, name_hash, read_facts, same_name
from glitbuild.stages.ingest.near import perceptual_hash
from glitbuild.stages.ingest.plan import IngestTask
from glitbuild.stages.ingest.source import Row, RowSource, changed_meanwhile
from glitbuild.stages.ingest.values import cut_detail

if TYPE_CHECKING:
    from PIL.Image import Image

AHEAD = 4
"""Rows per thread that may be read ahead: bounds the pictures in memory."""

FAR = 4096
"""Rows that may be read ahead where their pictures are downloaded: a slow one must not stop the others."""

LOOK_SECONDS = 1.0
"""How long to wait for a row before looking whether the worker was closed."""

log = logging.getLogger(__name__)

Checked = tuple[Outcome, Facts]
"""What became of a row, and what is kept of it to tell whether it repeats another."""


@dataclass(frozen=True, slots=True)
class IngestPlan:
    """All a worker needs to know; picklable.

    Attributes:
        out: URL of the dataset to write.
        sources: the inputs that are given.
        first_source: number of the first of them among all of the dataset.
        limits: what a sample may be like.
        config: the options as the sidecars record them.
        download: how pictures are downloaded.
        keeps_pictures: whether pictures may repeat others, so that facts of them are kept.
        needs_hash: whether those that look alike do.
        threads: that read and decode pictures.
    """

    out: str
    sources: tuple[RowSource, ...]
    first_source: int
    limits: Limits
    config: Config
    download: DownloadOptions
    keeps_pictures: bool
    needs_hash: bool
    threads: int


class IngestWorker:
    """Reads, checks and writes the rows of a range; may be called from several threads at a time.

    Args:
        plan: see there.
        passed: called with 1 for each row that is done.
    """

    def __init__(self, plan: IngestPlan, passed: Callable[[int], None] = lambda rows: None) -> None:
        self._plan, self._passed = plan, passed
        self._out = Store(plan.out)
        self._pool = ThreadPoolExecutor(plan.threads)
        self._downloads: Downloads | None = None
        self._lock = Lock()
        self._closed = False

    def close(self) -> None:
        """Give up what is not done, and end the threads; calls of ``run`` under way fail."""
        self._closed = True
        if self._downloads:
            self._downloads.close()
        self._pool.shutdown(cancel_futures=True)

    def run(self, task: IngestTask) -> ShardReport:
        """Make the shard; its files are whole when this returns.

        Raises:
            SourceError: the input is not what it was when it was cut.
            DatasetError: the shard whose outcomes are copied is damaged.
        """
        facts: list[Facts] = []

        def outcomes() -> Iterator[Outcome]:
            for row, (outcome, found) in zip(task.rows, self._merged(task), strict=True):
                facts.append(found)
                if repeated := task.repeats.get(row):
                    outcome = _skipped(outcome, repeated)
                if isinstance(outcome, Skip):
                    log.debug("skipped %s: %s (%s)", outcome.source.id, outcome.reason, outcome.detail)
                yield outcome
                with self._lock:
                    self._passed(1)

        described = task.described
        sidecar = write_shard(
            self._out, task.shard, outcomes(), self._plan.config, lambda: described | describe_facts(facts)
        )
        return ShardReport(task.shard, sidecar.samples, sum(sidecar.skipped.values()))

    def _merged(self, task: IngestTask) -> Iterator[Checked]:
        """Yield what becomes of each row: read anew, or copied."""
        read = self._read(task)
        if task.again is None:
            yield from read
            return
        copied = self._copied(task)
        for row in task.rows:
            yield next(read if row in task.again else copied)
        next(copied, None)  # the end, where the shard's hash is compared

    def _copied(self, task: IngestTask) -> Iterator[Checked]:
        """Yield the outcomes of a finished shard, without those of rows that are read anew."""
        sidecar = Sidecar.read(self._out, task.shard)
        if sidecar is None:
            raise DatasetError(self._out.path(tar_path(task.shard)), "it isn't finished", "run the command again")
        lines = read_listed(self._out, task.shard, skipped_path(task.shard)).splitlines()
        skips = {skip.key: skip for skip in map(Skip.from_json, lines)}
        samples = read_shard(self._out, task.shard, sidecar.files[tar_path(task.shard)].sha256)
        for row, facts in zip(range(*sidecar.input["rows"]), read_facts(self._out, sidecar), strict=True):
            outcome = skips.get(f"{row:09d}") or next(samples)
            if row not in (task.again or ()):
                yield outcome, facts
        next(samples, None)  # its end is where its hash is compared

    def _read(self, task: IngestTask) -> Iterator[Checked]:
        """Yield the outcomes of the rows that are read, in order, of which some are checked ahead.

        A row whose picture is downloaded doesn't keep others of its range waiting.
        """
        if task.cut is None or task.again == frozenset():
            return
        near, seen = self._plan.threads * AHEAD, dict[bytes, int]()
        source = task.described["source"] - self._plan.first_source
        rows = self._plan.sources[source].read(task.cut, task.described["offset"])
        numbers, waiting = iter(task.rows), deque[_Begun]()
        try:
            for row in rows:
                if (number := next(numbers, None)) is None:
                    raise changed_meanwhile(task.described["name"])
                name = name_hash(row, task.described["source"])
                if any(name) and seen.setdefault(name, number) != number:
                    row = replace(row, rejected=Rejected(SkipReason.DUPLICATE_KEY, same_name(seen[name])))
                if task.again is not None and number not in task.again:
                    continue
                while len(waiting) >= (FAR if row.url else near):
                    yield self._finish(waiting.popleft())
                waiting.append(self._begin(row, task.described["source"], f"{number:09d}"))
            if next(numbers, None) is not None:
                raise changed_meanwhile(task.described["name"])
            while waiting:
                yield self._finish(waiting.popleft())
        finally:
            for begun in waiting:
                self._give_up(begun)

    def _begin(self, row: Row, source: int, key: str) -> "_Begun":
        """Begin to check a row; an address is asked only where nothing else is wrong."""
        if not row.url:
            return _Begun(self._pool.submit(self._check, row, source, key))
        checked: Future[Checked] = Future()
        try:
            checked.set_result(self._check(replace(row, read_image=_not_yet), source, key))
            return _Begun(checked)
        except _NotYetError:
            with self._lock:
                self._downloads = self._downloads or Downloads(self._plan.download)
            download = self._downloads.submit(row.url)

        def check() -> None:
            if not checked.set_running_or_notify_cancel():
                return
            try:
                checked.set_result(self._check(replace(row, read_image=download.result), source, key))
            except BaseException as error:  # the one that waits for it has it raised
                checked.set_exception(error)

        def downloaded(_: Future[bytes]) -> None:
            try:
                self._pool.submit(check)
            except RuntimeError as error:  # the worker was closed
                checked.set_exception(error)

        download.add_done_callback(downloaded)
        return _Begun(checked, download)

    def _finish(self, begun: "_Begun") -> Checked:
        while not begun.checked.done():
            wait([begun.checked], LOOK_SECONDS)
            # What was being downloaded, or stood in the pool's queue, when the worker was closed never ends.
            if self._closed and not begun.checked.done():
                raise CancelledError
        checked = begun.checked.result()
        if begun.download and self._downloads:
            self._downloads.take(begun.download)
        return checked

    def _give_up(self, begun: "_Begun") -> None:
        if begun.download and self._downloads and not begun.download.cancel():
            begun.download.add_done_callback(self._downloads.take)
        begun.checked.cancel()

    def _check(self, row: Row, source: int, key: str) -> Checked:
        """Check a row by itself."""
        plan, hashes = self._plan, list[int]()

        def look(image: "Image") -> None:
            hashes.append(perceptual_hash(image))

        outcome = accept(row, key, plan.limits, look if plan.needs_hash else None)
        if isinstance(outcome, Skip):
            return outcome, Facts.of(row, source)
        has_facts = plan.keeps_pictures or row.named
        return outcome, Facts.of(row, source, outcome[0] if has_facts else None, hashes[0] if hashes else 0)


@dataclass(slots=True)
class _Begun:
    """A row that is being checked, once its picture is downloaded where it is given by an address."""

    checked: Future[Checked]
    download: Future[bytes] | None = None


def _skipped(outcome: Outcome, repeated: Rejected) -> Skip:
    if isinstance(outcome, Skip):
        return replace(outcome, reason=repeated.reason, detail=repeated.detail)
    sample: Sample = outcome[0]
    return Skip(sample.key, sample.source, repeated.reason, cut_detail(repeated.detail))


class _NotYetError(Exception):
    """The image is asked for, so the rest of the row is well."""


def _not_yet() -> bytes:
    raise _NotYetError
