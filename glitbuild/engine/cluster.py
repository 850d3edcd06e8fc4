"""Run workers as Ray actors, on this machine or on a cluster; a dead actor costs the shard it held."""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from glitbuild.engine.task import BuildWorker, ShardFailure, ShardReport, ShardTask, Worker
from glitbuild.errors import ConfigError, GlitbuildError

MAX_TRIES = 3
"""A shard that has brought down this many workers is given up; the others go on."""

SMALL_OBJECT_STORE = 100 * 2**20
"""Bytes; only tasks and reports go through Ray, samples never."""

CONNECT_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the workers run.

    Attributes:
        actors: how many.
        gpus_each: GPUs of each actor: 0 or 1.
        cpus_each: CPU cores of each actor.
        address: of a running Ray cluster; None starts Ray on this machine for the length of the run.
    """

    actors: int
    gpus_each: int = 0
    cpus_each: int = 1
    address: str | None = None


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
    """

    def __init__(self, build_worker: BuildWorker, cluster: Cluster) -> None:
        self._build_worker, self._cluster = build_worker, cluster
        self._starting: dict[Any, Any] = {}
        self._busy: dict[Any, tuple[Any, ShardTask]] = {}
        self._idle: list[Any] = []
        self._broken_starts = 0

    def __enter__(self) -> "RayRunner":
        _connect(self._cluster)
        try:
            for _ in range(self._cluster.actors):
                self._start_actor()
            while not self._idle:
                self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import ray

        for actor in [*self._starting.values(), *self._idle, *(actor for actor, _ in self._busy.values())]:
            ray.kill(actor)
        ray.shutdown()

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
        host = remote(num_cpus=self._cluster.cpus_each, num_gpus=self._cluster.gpus_each, max_restarts=0)(_Host)
        actor = host.remote(self._build_worker)
        self._starting[actor.ready.remote()] = actor

    def _wait(self) -> ShardReport | tuple[ShardTask, str] | None:
        """Wait for one actor; return its report, its task with the reason it failed, or None for a start."""
        import ray

        (ref,), _ = ray.wait([*self._starting, *self._busy], num_returns=1)
        if ref in self._starting:
            self._finish_start(ref)
            return None
        actor, task = self._busy.pop(ref)
        try:
            report: ShardReport = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, GlitbuildError):
                self._idle.append(actor)
                return task, str(cause)
            # Unforeseen, a CUDA fault perhaps, after which nothing works in that process: take a new one.
            self._replace(actor)
            return task, f"{type(cause).__name__}: {cause}"
        except ray.exceptions.RayError as error:
            self._replace(actor)
            return task, f"the worker died ({type(error).__name__})"
        self._idle.append(actor)
        return report

    def _finish_start(self, ref: Any) -> None:
        import ray

        actor = self._starting.pop(ref)
        try:
            ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
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


def _connect(cluster: Cluster) -> None:
    import os

    if cluster.address:
        _check_address(cluster.address)
    # No telemetry, and a worker on a machine without GPUs must not lose sight of them for its children.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    try:
        if cluster.address is None:
            ray.init(
                "local",
                num_cpus=cluster.actors * cluster.cpus_each,
                object_store_memory=SMALL_OBJECT_STORE,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        else:
            ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"--ray-address {cluster.address}" if cluster.address else "Ray"
        raise ConfigError(where, str(error), "check the address, or leave it out to run on this machine") from error
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = int(resources.get("GPU", 0))
    if gpus < cluster.actors * cluster.gpus_each:
        ray.shutdown()
        raise no_gpus(cluster.actors, gpus)


def _check_address(address: str) -> None:
    # Ray itself would try for minutes before it says that nobody is there.
    import socket

    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        if address == "auto":
            return
        raise ConfigError(f"--ray-address {address}", "not an address", "give HOST:PORT, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        fix = "check that the cluster runs, or leave it out to run on this machine"
        raise ConfigError(f"--ray-address {address}", f"nobody answers there ({error})", fix) from error


def no_gpus(asked: int, there: int) -> ConfigError:
    """Return the error for more GPUs than there are."""
    return ConfigError(f"--gpus {asked}", f"{there} GPUs are here", "ask for fewer, or use --workers N for the CPU")
