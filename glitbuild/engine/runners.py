"""Runners for one process, the choice between them and Ray's, and reading every shard through either."""

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.task import BuildWorker, Report, Runner, ShardFailure, TaskT, done
from glitbuild.errors import GlitbuildError
from glitbuild.shards.manifest import Manifest, ShardEntry
from glitbuild.shards.store import Store

log = logging.getLogger(__name__)


class LocalRunner(Generic[TaskT, Report]):
    """Runs tasks in this process; the same face as ``RayRunner``.

    Args:
        build_worker: makes the worker, when the context is entered.
        slots: tasks in flight; with more than one, ``run`` of the one worker is called from as many threads. A
            worker that has a ``close`` is closed in the end, upon which calls under way should fail.
    """

    def __init__(self, build_worker: BuildWorker[TaskT, Report], slots: int = 1) -> None:
        self._build_worker, self._slots = build_worker, slots
        self._threads: list[threading.Thread] = []
        self._queues: list[SimpleQueue[TaskT | None]] = []

    def __enter__(self) -> Self:
        self._worker = self._build_worker()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # No thread may go on writing once whoever runs this believes that it has ended.
        if close := getattr(self._worker, "close", None):
            close()
        for queue in self._queues:
            for _ in range(self._slots):
                queue.put(None)
        for thread in self._threads:
            thread.join()
        del self._worker

    def run(self, tasks: Iterable[TaskT]) -> Iterator[Report | ShardFailure]:
        """Yield a report per task, as they come. A shard that raises becomes a failure; the others continue."""
        if self._slots == 1:
            return map(self._attempt, tasks)
        return self._in_threads(iter(tasks))

    def _in_threads(self, tasks: Iterator[TaskT]) -> Iterator[Report | ShardFailure]:
        waiting: SimpleQueue[TaskT | None] = SimpleQueue()
        self._queues.append(waiting)
        finished: SimpleQueue[Report | ShardFailure | BaseException] = SimpleQueue()
        attempt = self._attempt

        def work() -> None:
            try:
                while (task := waiting.get()) is not None:
                    finished.put(attempt(task))
            except BaseException as error:  # whoever waits for the report must not wait for ever
                finished.put(error)

        in_flight = 0
        try:
            for task in islice(tasks, self._slots):
                waiting.put(task)
                in_flight += 1
                self._threads.append(threading.Thread(target=work, daemon=True))
                self._threads[-1].start()
            while in_flight:
                report = finished.get()
                if isinstance(report, BaseException):
                    raise report
                in_flight -= 1
                for task in islice(tasks, 1):
                    waiting.put(task)
                    in_flight += 1
                yield report
        finally:
            for _ in range(self._slots):
                waiting.put(None)

    def _attempt(self, task: TaskT) -> Report | ShardFailure:
        try:
            return self._worker.run(task)
        except GlitbuildError as error:
            return ShardFailure(task.shard, str(error), error)
        except Exception as error:
            log.debug("shard %s failed", task.shard, exc_info=True)
            return ShardFailure(task.shard, f"{type(error).__name__}: {error}")


def running(
    build_worker: BuildWorker[TaskT, Report], cluster: Cluster | None, slots: int = 1
) -> Runner[TaskT, Report]:
    """Return a runner: of Ray actors on a cluster, or of one worker in this process.

    Args:
        build_worker: makes a worker where it is to run.
        cluster: as ``choose_cluster`` returned it; None for this process.
        slots: tasks that a worker has in flight. More than one is for workers that mostly wait, for downloads
            say; ``run`` is then called from several threads.
    """
    if cluster is None:
        return LocalRunner(build_worker, slots)
    from glitbuild.engine.ray_runner import RayRunner

    return RayRunner(build_worker, cluster, slots)


Found = TypeVar("Found")

FIX = "see what glitbuild validate says of the dataset"


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A shard to read, as the manifest lists it."""

    entry: ShardEntry

    @property
    def shard(self) -> str:
        """Name of the shard."""
        return self.entry.name


class Reader(Generic[Found]):
    """A worker that applies a function to shards.

    Args:
        url: of the dataset directory.
        read: takes the directory and a shard's entry; picklable, as is what it returns.
    """

    def __init__(self, url: str, read: Callable[[Store, ShardEntry], Found]) -> None:
        self._store, self._read = Store(url), read

    def run(self, task: ReadTask) -> tuple[str, Found]:
        """Return the shard's name and what was found."""
        return task.shard, self._read(self._store, task.entry)


def each_shard(
    store: Store, manifest: Manifest, read: Callable[[Store, ShardEntry], Found], cluster: Cluster | None = None
) -> Generator[tuple[ShardEntry, Found], None, None]:
    """Yield each shard's entry and what a function found in it.

    Close the generator to end its workers before it is exhausted.

    Args:
        store: the dataset directory.
        manifest: of the dataset.
        read: see ``Reader``.
        cluster: where to run; None for this process.

    Raises:
        GlitbuildError: what ``read`` raised at the first shard that could not be read.
    """
    tasks = (ReadTask(entry) for entry in manifest.shards)
    url = store.root if store.is_local else store.url
    with running(partial(Reader, url, read), cluster) as runner:
        reports = done(runner.run(tasks), at_once=True, fix=FIX)
        yield from zip(manifest.shards, in_order((entry.name for entry in manifest.shards), reports), strict=True)


def in_order(names: Iterable[str], reports: Iterator[tuple[str, Found]]) -> Iterator[Found]:
    """Yield what was found in the order of the names; what comes early waits."""
    early: dict[str, Found] = {}
    for name in names:
        while name not in early:
            came, found = next(reports)
            early[came] = found
        yield early.pop(name)
