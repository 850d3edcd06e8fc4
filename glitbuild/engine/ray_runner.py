"""Run workers as Ray actors; a dead actor costs the shard it held, never the run."""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any

from glitbuild.engine.cluster import Cluster, connected
from glitbuild.engine.lifeline import FIX
from glitbuild.engine.task import BuildWorker, ShardFailure, ShardReport, ShardTask, Worker
from glitbuild.errors import ClusterError, GlitbuildError

MAX_TRIES = 3
"""A shard that has brought down this many workers is given up; the others go on."""

PATIENCE_SECONDS = 60.0

LOOK_SECONDS = 1.0
"""How long to wait for a worker before looking whether Ray is still there."""

LOAD_SECONDS = 900.0
"""A local Ray none of whose workers has loaded its models for so long, downloads included, has a fault."""

log = logging.getLogger(__name__)


class _Host:
    """The actor: holds one worker, built where the actor runs."""

    def __init__(self, build_worker: BuildWorker) -> None:
        self._build_worker = build_worker
        self._worker: Worker | None = None

    def ready(self) -> None:
        """Load the models; not in the constructor, so that an error arrives as itself."""
        self._worker = self._build_worker()

    def run(self, task: ShardTask) -> ShardReport:
        assert self._worker is not None
        return self._worker.run(task)


class RayRunner:
    """Runs tasks on a pool of actors, one task an actor at a time.

    The driver holds one task and one reference an actor, whatever the number of tasks: its memory does
    not grow with the dataset. Entering the context connects, starts the actors and waits until the
    first has loaded its models, so that a model that can't be had is known before any work is done.

    Args:
        build_worker: makes a worker inside an actor.
        cluster: how many actors, with what, where.

    Raises:
        ConfigError: there are fewer GPUs than asked for, or no cluster at the address.
        ClusterError: Ray doesn't start, or is gone in the middle.
    """

    def __init__(self, build_worker: BuildWorker, cluster: Cluster) -> None:
        self._build_worker, self._cluster = build_worker, cluster
        self._starting: dict[Any, Any] = {}
        self._busy: dict[Any, tuple[Any, ShardTask]] = {}
        self._idle: list[Any] = []
        self._broken_starts = 0

    def __enter__(self) -> "RayRunner":
        with ExitStack() as entered:
            self._lifeline = entered.enter_context(connected(self._cluster))
            for _ in range(self._cluster.actors):
                self._start_actor()
            while not self._idle:
                self._wait()
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import ray

        if self._cluster.address:  # on this machine they end with Ray
            with suppress(ClusterError, ray.exceptions.RayError):
                self._lifeline.look()
                for actor in [*self._starting.values(), *self._idle, *(actor for actor, _ in self._busy.values())]:
                    ray.kill(actor)
        self._entered.close()

    def run(self, tasks: Iterable[ShardTask]) -> Iterator[ShardReport | ShardFailure]:
        """Yield a report or a failure a task, as they come."""
        waiting, again = iter(tasks), deque[ShardTask]()
        tries: Counter[str] = Counter()
        exhausted = False
        while True:
            while self._idle and not (exhausted and not again):
                task = again.popleft() if again else next(waiting, None)
                if task is None:
                    exhausted = True
                    continue
                actor = self._idle.pop()
                self._busy[actor.run.remote(task)] = (actor, task)
            if exhausted and not again and not self._busy:
                return
            done = self._wait()
            if isinstance(done, ShardReport):
                yield done
            elif done is not None:
                task, reason = done
                tries[task.shard] += 1
                if tries[task.shard] < MAX_TRIES:
                    log.warning("shard %s: try %d failed (%s)", task.shard, tries[task.shard], reason)
                    again.append(task)
                else:
                    yield ShardFailure(task.shard, reason)

    def _start_actor(self) -> None:
        import ray

        remote: Any = ray.remote  # its overloads don't know a class whose options come at run time
        host = remote(num_cpus=1, num_gpus=self._cluster.gpus_each, max_restarts=0)(_Host)
        actor = host.remote(self._build_worker)
        self._starting[actor.ready.remote()] = actor

    def _wait(self) -> ShardReport | tuple[ShardTask, str] | None:
        """Wait for one actor; return its report, its task with the reason it failed, or None for a start."""
        import ray

        (ref,) = self._wait_for_one()
        if ref in self._starting:
            self._finish_start(ref)
            return None
        actor, task = self._busy.pop(ref)
        try:
            report: ShardReport = ray.get(ref, timeout=PATIENCE_SECONDS)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, GlitbuildError):
                self._idle.append(actor)
                return task, str(cause)
            # Unforeseen, a CUDA fault perhaps, after which nothing works in that process: take a new one.
            self._replace(actor)
            return task, f"{type(cause).__name__}: {cause}"
        except ray.exceptions.RayError as error:
            self._lifeline.look()
            self._replace(actor)
            return task, f"the worker died ({type(error).__name__})"
        self._idle.append(actor)
        return report

    def _wait_for_one(self) -> list[Any]:
        import ray

        refs, start, warned = [*self._starting, *self._busy], time.monotonic(), 0.0
        while True:
            self._lifeline.check()
            done: list[Any] = ray.wait(refs, num_returns=1, timeout=LOOK_SECONDS)[0]
            if done:
                return done
            waited = time.monotonic() - start
            if self._busy:
                continue
            if self._cluster.address is None and waited > LOAD_SECONDS:
                raise ClusterError("workers", f"none has loaded its models in {waited / 60:.0f} minutes", FIX)
            if self._cluster.address and waited - warned >= PATIENCE_SECONDS:
                warned = waited
                log.warning(
                    "no worker has started yet: the cluster is busy, or lacks what they need (%s)", self._cluster
                )

    def _finish_start(self, ref: Any) -> None:
        import ray

        actor = self._starting.pop(ref)
        try:
            ray.get(ref, timeout=PATIENCE_SECONDS)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            self._lifeline.look()
            self._broken_starts += 1
            if self._broken_starts >= MAX_TRIES * self._cluster.actors:
                fix = "look for memory shortage, or use fewer workers"
                raise GlitbuildError("workers", f"they die while they load their models ({error})", fix) from error
            self._start_actor()
        else:
            self._broken_starts = 0
            self._idle.append(actor)

    def _replace(self, actor: Any) -> None:
        import ray

        ray.kill(actor)
        self._start_actor()
