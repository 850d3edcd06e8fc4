"""Runner with Ray actors as workers; if an actor dies, its shards are retried and the run continues."""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, cast

from glitbuild.engine.cluster import Cluster, connected
from glitbuild.engine.lifeline import FIX
from glitbuild.engine.task import BuildWorker, Report, ShardFailure, TaskT, Worker
from glitbuild.errors import ClusterError, GlitbuildError

MAX_TRIES = 3
"""Attempts at a shard; if all of them fail, the run continues without it."""

PATIENCE_SECONDS = 60.0

LOOK_SECONDS = 1.0
"""Time to wait for a worker before checking that Ray is still running."""

LOAD_SECONDS = 900.0
"""Time, including downloads, within which a worker of a local Ray must have loaded its models."""

log = logging.getLogger(__name__)


class _Host(Generic[TaskT, Report]):
    """The actor, which holds one worker that is built where the actor runs."""

    def __init__(self, build_worker: BuildWorker[TaskT, Report]) -> None:
        self._build_worker = build_worker
        self._worker: Worker[TaskT, Report] | None = None

    def ready(self) -> None:
        """Load the models; not in the constructor, where Ray would wrap an error in one of its own."""
        self._worker = self._build_worker()

    def run(self, task: TaskT) -> Report:
        assert self._worker is not None
        return self._worker.run(task)


@dataclass(eq=False, slots=True)
class _Actor(Generic[TaskT]):
    """A worker that is ready.

    Attributes:
        handle: Ray's handle of the actor.
        tasks: tasks in flight, by the reference to their report.
        alone: whether it runs a task that has failed before, and gets no other task until that one is finished.
    """

    handle: Any
    tasks: dict[Any, TaskT] = field(default_factory=dict)
    alone: bool = False


@dataclass(frozen=True, slots=True)
class _Failed(Generic[TaskT]):
    """A failed attempt at a task, with the reason and whether it counts against the task."""

    task: TaskT
    reason: str
    error: GlitbuildError | None = None
    counts: bool = True


class RayRunner(Generic[TaskT, Report]):
    """Runs tasks on a pool of actors, each with a limited number of tasks in flight.

    The driver holds only the tasks in flight and a reference for each, so its memory does not grow with the
    dataset. Entering the context connects to Ray, starts the actors and waits until the first one has loaded its
    models, so that an unavailable model is reported before any work is done. Actors for which the cluster has no
    room yet start when a node joins.

    Args:
        build_worker: function that builds a worker inside an actor.
        cluster: number, resources and location of the actors.
        slots: number of tasks in flight per actor.

    Raises:
        ConfigError: there are fewer GPUs than requested, or no cluster at the address.
        ClusterError: Ray doesn't start, or dies during the run.
    """

    def __init__(self, build_worker: BuildWorker[TaskT, Report], cluster: Cluster, slots: int = 1) -> None:
        self._build_worker, self._cluster, self._slots = build_worker, cluster, slots
        self._starting: dict[Any, Any] = {}
        self._ready: list[_Actor[TaskT]] = []
        self._broken_starts = 0

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            self._lifeline = entered.enter_context(connected(self._cluster))
            for _ in range(self._cluster.actors):
                self._start_actor()
            while not self._ready:
                self._finish_start(self._wait())
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import ray

        if self._cluster.address:  # a local Ray ends its actors itself
            with suppress(ClusterError, ray.exceptions.RayError):
                self._lifeline.look()
                for handle in [*self._starting.values(), *(actor.handle for actor in self._ready)]:
                    ray.kill(handle)
        self._entered.close()

    def run(self, tasks: Iterable[TaskT]) -> Iterator[Report | ShardFailure]:
        """Yield a report or a failure per task, as they arrive."""
        fresh, again = iter(tasks), deque[TaskT]()
        tries: Counter[str] = Counter()
        exhausted = False
        while True:
            # A task that has failed before gets an actor to itself: if that dies too, the task is to blame.
            while again and (idle := next((actor for actor in self._ready if not actor.tasks), None)):
                self._submit(idle, again.popleft(), alone=True)
            while not (again or exhausted) and (free := self._with_room()):
                task = next(fresh, None)
                exhausted = task is None
                if task is not None:
                    self._submit(free, task)
            if exhausted and not again and not any(actor.tasks for actor in self._ready):
                return
            ref = self._wait()
            if ref in self._starting:
                self._finish_start(ref)
                continue
            for outcome in self._collect(ref):
                if not isinstance(outcome, _Failed):
                    yield outcome
                    continue
                task = outcome.task
                tries[task.shard] += outcome.counts
                if tries[task.shard] < MAX_TRIES:
                    log.warning("shard %s: attempt %d failed (%s)", task.shard, tries[task.shard], outcome.reason)
                    again.append(task)
                else:
                    yield ShardFailure(task.shard, outcome.reason, outcome.error)

    def _start_actor(self) -> None:
        import ray

        remote: Any = ray.remote  # its overloads don't cover classes with options given at run time
        options = {"num_cpus": 1, "num_gpus": self._cluster.gpus_each, "max_concurrency": self._slots}
        handle = remote(max_restarts=0, **options)(_Host).remote(self._build_worker)
        self._starting[handle.ready.remote()] = handle

    def _with_room(self) -> "_Actor[TaskT] | None":
        """Return the least busy actor that can take another task, if any."""
        free = [actor for actor in self._ready if not actor.alone and len(actor.tasks) < self._slots]
        return min(free, key=lambda actor: len(actor.tasks), default=None)

    def _submit(self, actor: _Actor[TaskT], task: TaskT, alone: bool = False) -> None:
        actor.tasks[actor.handle.run.remote(task)] = task
        actor.alone = alone

    def _collect(self, ref: Any) -> Iterator[Report | _Failed[TaskT]]:
        """Yield the outcome of a task and, if its actor died, of the actor's other tasks."""
        import ray

        actor = next(actor for actor in self._ready if ref in actor.tasks)
        task = actor.tasks.pop(ref)
        actor.alone = False
        try:
            report = cast(Report, ray.get(ref, timeout=PATIENCE_SECONDS))
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, GlitbuildError):
                yield _Failed(task, str(cause), cause)
                return
            # An unexpected error, such as a CUDA fault, may leave the process unusable: start a new one.
            yield _Failed(task, f"{type(cause).__name__}: {cause}")
            yield from self._replace(actor)
        except ray.exceptions.RayError as error:
            self._lifeline.look()
            # Of several tasks, it is unknown which one is to blame; it will fail again when it runs alone.
            yield _Failed(task, f"the worker died ({type(error).__name__})", counts=not actor.tasks)
            yield from self._replace(actor)
        else:
            yield report

    def _replace(self, actor: _Actor[TaskT]) -> Iterator[Report | _Failed[TaskT]]:
        """Replace an actor by a new one, and yield the outcomes of the tasks that it held."""
        import ray

        self._ready.remove(actor)
        ray.kill(actor.handle)
        self._start_actor()
        if not actor.tasks:
            return
        whole, _ = ray.wait(list(actor.tasks), num_returns=len(actor.tasks), timeout=0)
        for ref, task in actor.tasks.items():
            try:
                if ref in whole:
                    yield cast(Report, ray.get(ref, timeout=PATIENCE_SECONDS))
                    continue
            except ray.exceptions.RayError:
                log.debug("shard %s was lost with its worker", task.shard)
            yield _Failed(task, "its worker was lost", counts=False)

    def _wait(self) -> Any:
        """Return the reference of the next actor start or task that completes."""
        import ray

        refs = [*self._starting, *(ref for actor in self._ready for ref in actor.tasks)]
        start, warned = time.monotonic(), 0.0
        while True:
            self._lifeline.check()
            done: list[Any] = ray.wait(refs, num_returns=1, timeout=LOOK_SECONDS)[0]
            if done:
                return done[0]
            waited = time.monotonic() - start
            if len(refs) > len(self._starting):
                continue
            if self._cluster.address is None and waited > LOAD_SECONDS:
                raise ClusterError("workers", f"none has loaded its models within {waited / 60:.0f} minutes", FIX)
            if self._cluster.address and waited - warned >= PATIENCE_SECONDS:
                warned = waited
                log.warning(
                    "no worker has started yet: the cluster is busy or lacks the resources (%s)", self._cluster
                )

    def _finish_start(self, ref: Any) -> None:
        import ray

        handle = self._starting.pop(ref)
        try:
            ray.get(ref, timeout=PATIENCE_SECONDS)
        except ray.exceptions.RayTaskError as error:
            if not self._ready:
                raise error.cause from None
            log.warning("a worker could not start (%s); the others continue without it", error.cause)
        except ray.exceptions.RayError as error:
            self._lifeline.look()
            self._broken_starts += 1
            if self._broken_starts >= MAX_TRIES * self._cluster.actors:
                fix = "check whether memory runs out, or use fewer workers"
                raise GlitbuildError("workers", f"they die while loading their models ({error})", fix) from error
            self._start_actor()
        else:
            self._broken_starts = 0
            self._ready.append(_Actor(handle))
