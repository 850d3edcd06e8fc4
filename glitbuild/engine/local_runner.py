"""Run a worker in this process, without Ray: for tests, profiling, and machines that lack it."""

import logging
from collections.abc import Iterable, Iterator
from types import TracebackType

from glitbuild.engine.task import BuildWorker, ShardFailure, ShardReport, ShardTask
from glitbuild.errors import GlitbuildError

log = logging.getLogger(__name__)


class LocalRunner:
    """Runs tasks one after the other; the same face as ``RayRunner``.

    Args:
        build_worker: makes the worker, when the context is entered.
    """

    def __init__(self, build_worker: BuildWorker) -> None:
        self._build_worker = build_worker

    def __enter__(self) -> "LocalRunner":
        self._worker = self._build_worker()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del self._worker

    def run(self, tasks: Iterable[ShardTask]) -> Iterator[ShardReport | ShardFailure]:
        """Yield a report a shard, in order. A shard that raises becomes a failure; the others go on."""
        for task in tasks:
            try:
                yield self._worker.run(task)
            except GlitbuildError as error:
                yield ShardFailure(task.shard, str(error))
            except Exception as error:
                log.debug("shard %s failed", task.shard, exc_info=True)
                yield ShardFailure(task.shard, f"{type(error).__name__}: {error}")
