"""Progress of a run: a bar on a terminal, otherwise a plain log line every few seconds."""

import logging
import sys
import time
from types import TracebackType
from typing import Any

SECONDS_BETWEEN_LINES = 5.0

SECONDS_OF_EVIDENCE = 5.0
REPORTS_OF_EVIDENCE = 2
"""Reports per worker, and seconds, that are needed before the time left is estimated."""

log = logging.getLogger(__name__)


class Progress:
    """Counts images, or other things, and shows their number, the rate and the time left on standard error.

    Args:
        what: name of the command, shown first.
        total: number of images to process; None if it isn't known.
        plain: whether to write log lines instead of a bar even on a terminal.
        unit: what is counted, in the plural.
        workers: number of workers; the rate is unknown until each of them has reported.
    """

    def __init__(
        self, what: str, total: int | None, plain: bool = False, unit: str = "images", workers: int = 1
    ) -> None:
        self._what, self._total, self._unit, self._done = what, total, unit, 0
        self._workers, self._reports = workers, 0
        self._before: tuple[float, int] | None = None
        self._start = self._last = time.monotonic()
        self._bar = _bar(what, total, unit) if sys.stderr.isatty() and not plain else None

    def __enter__(self) -> "Progress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, images: int) -> None:
        """Add a number of finished images."""
        self._done += images
        self._reports += 1
        if self._before is None:
            # A single worker's first report includes startup costs or the work of an earlier run, so the rate is
            # measured from then on. With several workers, the first reports arrive together: count from the start.
            self._before = (time.monotonic(), self._done) if self._workers == 1 else (self._start, 0)
        if self._bar:
            left = "" if (seconds := self.seconds_left) is None else f"{_duration(seconds)} left"
            self._bar.update(self._bar.task_ids[0], advance=images, rate=self.rate, left=left)
            return
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            figures = {self._unit: self._done, f"{self._unit}_per_second": round(self.rate, 2)}
            log.info(self._line(), extra=figures)

    @property
    def rate(self) -> float:
        """Images per second since the start."""
        return self._done / max(time.monotonic() - self._start, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Estimated time left; None if nothing is left, or too little is known."""
        if self._before is None or self._total is None or self._done >= self._total:
            return None
        since, before = self._before
        seconds, done = time.monotonic() - since, self._done - before
        if seconds < SECONDS_OF_EVIDENCE or self._reports < REPORTS_OF_EVIDENCE * self._workers + 1 or done <= 0:
            return None
        return (self._total - self._done) * seconds / done

    def _line(self) -> str:
        line = f"{self._what}: {self._done:,}"
        rate = f"{self.rate:.1f} {self._unit}/s"
        if self._total is None:
            return f"{line} {self._unit}, {rate}"
        line = f"{line} of {self._total:,} {self._unit}, {rate}"
        return line if (left := self.seconds_left) is None else f"{line}, {_duration(left)} left"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 3 * 3600 else f"{seconds / 3600:.1f} h"


def _bar(what: str, total: int | None, unit: str) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    rate = TextColumn(f"{{task.fields[rate]:.1f}} {unit}/s")
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        rate,
        TextColumn("{task.fields[left]}"),
        console=Console(stderr=True),
    )
    bar.add_task(what, total=total, rate=0.0, left="")
    return bar
