"""Runner for a single process, choice between it and Ray, and reading all shards of a dataset with either."""

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
    """Runs tasks in this process, with the same interface as ``RayRunner``.

    Args:
        build_worker: function that builds the worker when the context is entered.
        slots: number of tasks in flight; with more than one, the worker's ``run`` is called from as many threads.
            If the worker has a ``close`` method, it is called at the end and should make pending calls fail.
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
        # No thread may still be writing when the caller takes the run to be over.
        if close := getattr(self._worker, "close", None):
            close()
        for queue in self._queues:
            for _ in range(self._slots):
                queue.put(None)
        for thread in self._threads:
            thread.join()
        del self._worker

    def run(self, tasks: Iterable[TaskT]) -> Iterator[Report | ShardFailure]:
        """Yield a report or a failure per task, as they arrive; a shard that raises doesn't stop the others."""
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
            except BaseException as error:  # otherwise the caller would wait for the report for ever
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
    """Return a runner with Ray actors on a cluster, or with one worker in this process.

    Args:
        build_worker: function that builds a worker where it is to run.
        cluster: result of ``choose_cluster``; None for this process.
        slots: number of tasks in flight per worker. More than one is for workers that mostly wait, for example for
            downloads; ``run`` is then called from several threads.
    """
    if cluster is None:
        return LocalRunner(build_worker, slots)
    from glitbuild.engine.ray_runner import RayRunner

    return RayRunner(build_worker, cluster, slots)


Found = TypeVar("Found")

FIX = "run glitbuild validate on the dataset"


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A shard to read, given by its entry in the manifest."""

    entry: ShardEntry

    @property
    def shard(self) -> str:
        """Name of the shard."""
        return self.entry.name


class Reader(Generic[Found]):
    """A worker that applies a function to shards.

    Args:
        url: path or URL of the dataset directory.
        read: function of the directory and a shard's entry; it and its result must be picklable.
    """

    def __init__(self, url: str, read: Callable[[Store, ShardEntry], Found]) -> None:
        self._store, self._read = Store(url), read

    def run(self, task: ReadTask) -> tuple[str, Found]:
        """Return the shard's name and the function's result."""
        return task.shard, self._read(self._store, task.entry)


def each_shard(
    store: Store, manifest: Manifest, read: Callable[[Store, ShardEntry], Found], cluster: Cluster | None = None
) -> Generator[tuple[ShardEntry, Found], None, None]:
    """Apply a function to every shard, and yield each shard's entry with the result.

    Close the generator to end its workers before it is exhausted.

    Args:
        store: dataset directory.
        manifest: manifest of the dataset.
        read: function to apply; see ``Reader``.
        cluster: cluster to run on; None for this process.

    Raises:
        GlitbuildError: the error that ``read`` raised for the first shard that could not be read.
    """
    tasks = (ReadTask(entry) for entry in manifest.shards)
    url = store.root if store.is_local else store.url
    with running(partial(Reader, url, read), cluster) as runner:
        reports = done(runner.run(tasks), at_once=True, fix=FIX)
        yield from zip(manifest.shards, in_order((entry.name for entry in manifest.shards), reports), strict=True)


def in_order(names: Iterable[str], reports: Iterator[tuple[str, Found]]) -> Iterator[Found]:
    """Yield the results in the order of the names; results that arrive early are held back."""
    early: dict[str, Found] = {}
    for name in names:
        while name not in early:
            came, found = next(reports)
            early[came] = found
        yield early.pop(name)
