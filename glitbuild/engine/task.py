"""Interfaces of the engine: tasks that name a shard, workers that turn tasks into reports, runners and results."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Protocol, Self, TypeVar

from glitbuild.errors import GlitbuildError, ShardFailedError
from glitbuild.shards.manifest import Manifest

RETRY = "the others are finished; run the same command again to retry these"

log = logging.getLogger(__name__)


class Task(Protocol):
    """Any picklable object that names its shard."""

    @property
    def shard(self) -> str:
        """Name of the shard, for messages and for counting attempts."""
        ...


TaskT = TypeVar("TaskT", bound=Task)
Report = TypeVar("Report")
TaskIn = TypeVar("TaskIn", bound=Task, contravariant=True)
ReportOut = TypeVar("ReportOut", covariant=True)


class Worker(Protocol[TaskIn, ReportOut]):
    """Runs tasks one after another or, with several slots, several at a time, with its models already loaded."""

    def run(self, task: TaskIn) -> ReportOut:
        """Run one task; its files are complete when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class ShardFailure:
    """A shard that failed for good.

    Attributes:
        shard: name of the shard.
        reason: reason why the last attempt failed.
        error: the exception itself, if it is one of glitbuild's own.
    """

    shard: str
    reason: str
    error: GlitbuildError | None = None


class Runner(Protocol[TaskIn, ReportOut]):
    """Owns a worker in this process, or several in other processes, while its context is active."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def run(self, tasks: Iterable[TaskIn]) -> Iterator[ReportOut | ShardFailure]:
        """Yield a report or a failure per task, as they arrive; tasks are drawn when there is room for them."""
        ...


BuildWorker = Callable[[], Worker[TaskT, Report]]
"""Function that builds a worker where it is to run; picklable, unless that is this process."""


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard to read.

    Attributes:
        shard: name of the shard.
        sha256: SHA-256 of its tar.
    """

    shard: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardReport:
    """A shard that was made.

    Attributes:
        shard: name of the shard.
        samples: number of samples written.
        skipped: number of rows skipped.
        seconds: time spent by stage, for the log and for benchmarks.
    """

    shard: str
    samples: int
    skipped: int
    seconds: dict[str, float] = field(default_factory=dict)


def done(reports: Iterable[Report | ShardFailure], at_once: bool = False, fix: str = RETRY) -> Iterator[Report]:
    """Yield the reports of a runner, and raise at the end if a shard failed.

    Args:
        reports: reports and failures that a runner yields.
        at_once: whether to raise at the first failure, for when the other shards are useless without it.
        fix: what to do about failures.

    Raises:
        ShardFailedError: shards failed; the message names them.
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
        log.error("shard %s failed: %s", report.shard, report.reason)
        failures.append(report)
        if at_once:
            break
    if failures:
        shards = ", ".join(sorted(failure.shard for failure in failures)[:5])
        why = f"{len(failures)} of {count} failed ({shards}); the first: {failures[0].reason}"
        raise ShardFailedError("shards", why, fix)


def usable_cpus() -> int:
    """Return the number of CPUs this process may use: its affinity if the system has one, else all CPUs."""
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
    """Return the installed versions of the packages that a stage uses."""
    found: dict[str, str] = {}
    for package in PACKAGES[stage]:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a run.

    Attributes:
        manifest: manifest of the finished dataset.
        done_before: whether the dataset was already finished, so that there was nothing to do.
        images_per_second: rate over the run, excluding the time to load models.
    """

    manifest: Manifest
    done_before: bool
    images_per_second: float = 0.0
