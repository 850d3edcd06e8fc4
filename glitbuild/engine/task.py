"""What the engine knows: tasks that name a shard, workers that turn a task into a report, and a run's result."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Protocol, Self, TypeVar

from glitbuild.errors import GlitbuildError, ShardFailedError
from glitbuild.shards.manifest import Manifest

RETRY = "the others are done; run the same command again to retry these"

log = logging.getLogger(__name__)


class Task(Protocol):
    """Anything picklable that says which shard it is about."""

    @property
    def shard(self) -> str:
        """Name of the shard, for messages and for counting tries."""
        ...


TaskT = TypeVar("TaskT", bound=Task)
Report = TypeVar("Report")
TaskIn = TypeVar("TaskIn", bound=Task, contravariant=True)
ReportOut = TypeVar("ReportOut", covariant=True)


class Worker(Protocol[TaskIn, ReportOut]):
    """Does one task after the other, or with several slots, several at a time; all it needs is loaded."""

    def run(self, task: TaskIn) -> ReportOut:
        """Do one task; its files are whole when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class ShardFailure:
    """A shard that was given up.

    Attributes:
        shard: its name.
        reason: why its last try failed.
        error: the same as an exception, where it is one of glitbuild's own.
    """

    shard: str
    reason: str
    error: GlitbuildError | None = None


class Runner(Protocol[TaskIn, ReportOut]):
    """Has a worker in this process, or several in others, while its context lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def run(self, tasks: Iterable[TaskIn]) -> Iterator[ReportOut | ShardFailure]:
        """Yield a report or a failure per task, as they come; tasks are drawn when there is room for them."""
        ...


BuildWorker = Callable[[], Worker[TaskT, Report]]
"""Makes a worker where it is to run; picklable, unless it runs in this process."""


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard to read.

    Attributes:
        shard: its name.
        sha256: of its tar.
    """

    shard: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardReport:
    """A shard that was made.

    Attributes:
        shard: its name.
        samples: number of samples written.
        skipped: number of rows left out.
        seconds: time spent by stage, for the log and for benchmarks.
    """

    shard: str
    samples: int
    skipped: int
    seconds: dict[str, float] = field(default_factory=dict)


def done(reports: Iterable[Report | ShardFailure], at_once: bool = False, fix: str = RETRY) -> Iterator[Report]:
    """Yield the reports of a runner, and fail in the end if a shard was given up.

    Args:
        reports: as a runner yields them.
        at_once: fail with the first failure, where the other shards are worth nothing without it.
        fix: what to do about it.

    Raises:
        ShardFailedError: names the shards.
        GlitbuildError: with ``at_once``, the failure's own error.
    """
    failures: list[ShardFailure] = []
    count = 0
    for report in reports:
        count += 1
        if not isinstance(report, ShardFailure):
            yield report
            continue
        if at_once and report.error:
            raise report.error
        log.error("shard %s given up: %s", report.shard, report.reason)
        failures.append(report)
        if at_once:
            break
    if failures:
        shards = ", ".join(sorted(failure.shard for failure in failures)[:5])
        why = f"{len(failures)} of {count} failed ({shards}); the first: {failures[0].reason}"
        raise ShardFailedError("shards", why, fix)


def usable_cpus() -> int:
    """Return the CPUs this process may run on: its affinity where the system has one, else all there are."""
    affinity = getattr(os, "sched_getaffinity", None)  # missing on macOS
    return (len(affinity(0)) if affinity else os.cpu_count()) or 1


PACKAGES = {
    "caption": ("glitbuild", "openai", "pillow"),
    "eval": ("glitbuild", "numpy", "open_clip_torch", "pillow", "regex", "torch"),
    "ingest": ("glitbuild", "pillow"),
    "match": (
        "glitbuild",
        "numpy",
        "open_clip_torch",
        "pillow",
        "regex",
        "torch",
        "transformers",
        "ultralytics-opencv-headless",
    ),
    "scenes": ("glitbuild", "numpy", "pillow"),
}


def versions_of(stage: str) -> dict[str, str]:
    """Return the installed versions of the packages that take part in a stage."""
    found: dict[str, str] = {}
    for package in PACKAGES[stage]:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to.

    Attributes:
        manifest: of the finished dataset.
        done_before: nothing was left to do.
        images_per_second: over the run, models' loading excluded.
    """

    manifest: Manifest
    done_before: bool
    images_per_second: float = 0.0
