"""How far a run is: a bar on a terminal, a plain line now and then otherwise."""

import logging
import sys
import time
from types import TracebackType
from typing import Any

SECONDS_BETWEEN_LINES = 5.0

log = logging.getLogger(__name__)


class Progress:
    """Counts images, or other things, and shows their number, rate and the time left, on standard error.

    Args:
        what: the command, shown in front.
        total: images to do; None where that isn't known.
        plain: lines through the log instead of a bar, also on a terminal.
        unit: what is counted.
    """

    def __init__(self, what: str, total: int | None, plain: bool = False, unit: str = "images") -> None:
        self._what, self._total, self._unit, self._done = what, total, unit, 0
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
        """Count so many more images."""
        self._done += images
        if self._bar:
            self._bar.update(self._bar.task_ids[0], advance=images, rate=self.rate)
            return
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            figures = {self._unit: self._done, f"{self._unit}_per_second": round(self.rate, 2)}
            log.info(self._line(), extra=figures)

    @property
    def rate(self) -> float:
        """Images a second since the start."""
        return self._done / max(time.monotonic() - self._start, 1e-9)

    def _line(self) -> str:
        line = f"{self._what}: {self._done:,}"
        if self._total is None:
            return f"{line} {self._unit}, {self.rate:.1f} {self._unit}/s"
        left = (self._total - self._done) / max(self.rate, 1e-9)
        rate = f"{self.rate:.1f} {self._unit}/s"
        return f"{line} of {self._total:,} {self._unit}, {rate}, {left / 60:.1f} min left"


def _bar(what: str, total: int | None, unit: str) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    rate = TextColumn(f"{{task.fields[rate]:.1f}} {unit}/s")
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        rate,
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    bar.add_task(what, total=total, rate=0.0)
    return bar
