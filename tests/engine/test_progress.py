import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from glitbuild.engine import progress
from glitbuild.engine.progress import Progress


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines that go to the log, however other tests have set logging up."""
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    level = progress.log.level
    progress.log.addHandler(handler)
    progress.log.setLevel(logging.INFO)
    yield found
    progress.log.removeHandler(handler)
    progress.log.setLevel(level)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def left(line: str) -> float | None:
    """The minutes that a line says are left."""
    found = re.search(r", ([\d.]+) (min|h) left$", line)
    return found and float(found[1]) * {"min": 1, "h": 60}[found[2]]


def test_lines_come_now_and_then_with_rate_and_time_left(lines: list[str], clock: Clock) -> None:
    with Progress("match", 3000, plain=True) as shown:
        for _ in range(20):
            clock.now += 3
            shown.advance(100)
    assert lines[-1].startswith("match: 2,000 of 3,000 images, 33.3 images/s")
    assert len(lines) == 10
    assert left(lines[-1]) == 0.5


@pytest.mark.parametrize(
    ("steps", "total", "workers"),
    [
        ([(6, 1)], 10**6, 1),  # the first of a million
        ([(6, 10**5)], 10**6, 1),  # a giant first shard
        ([(6, 0)], 10**6, 1),  # nothing yet
        ([(0.01, 990), (6, 1)], 1000, 1),  # done by an earlier run
        ([(100, 10)], 1000, 8),  # the first of eight workers
        ([(100, 10), *[(0.1, 10)] * 7], 1000, 8),  # all of them, once
        ([(6, 10)], 10, 1),  # done
        ([(6, 10), (6, 10)], 10, 1),  # more than was announced
        ([(6, 10)] * 3, None, 1),  # an unknown total
    ],
)
def test_with_too_little_evidence_no_time_left_is_told(
    steps: list[tuple[float, int]], total: int | None, workers: int, lines: list[str], clock: Clock
) -> None:
    with Progress("match", total, plain=True, workers=workers) as shown:
        for seconds, images in steps:
            clock.now += seconds
            shown.advance(images)
    assert lines
    assert [left(line) for line in lines] == [None] * len(lines)


@pytest.mark.parametrize("first", [(100.0, 10), (0.01, 500)])
def test_what_the_first_report_took_is_not_expected_of_the_rest(
    first: tuple[float, int], lines: list[str], clock: Clock
) -> None:
    with Progress("train", 610, plain=True) as shown:
        for seconds, images in [first, *[(1.0, 10)] * 8]:
            clock.now += seconds
            shown.advance(images)
    remaining = 610 - first[1] - 80
    assert left(lines[-1]) == pytest.approx(remaining / 10 / 60, rel=0.5, abs=0.06)


def test_several_workers_are_counted_from_the_start(lines: list[str], clock: Clock) -> None:
    with Progress("match", 1600, plain=True, workers=4) as shown:
        for _ in range(4):
            clock.now += 100
            for _ in range(4):
                shown.advance(10)
                clock.now += 0.01
    minutes = [left(line) for line in lines]
    assert minutes[0] is None
    assert [shown for shown in minutes if shown is not None][-1] == pytest.approx(60, rel=0.3)


def test_other_things_than_images_are_counted(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with Progress("push", 3, plain=True, unit="files") as shown:
        shown.advance(1)
    (line,) = lines
    assert line.startswith("push: 1 of 3 files, ")
    assert "files/s" in line


def test_no_lines_in_between(lines: list[str]) -> None:
    with Progress("ingest", None, plain=True) as shown:
        for _ in range(100):
            shown.advance(1)
    assert lines == []


def test_a_terminal_gets_a_bar() -> None:
    code = """
from glitbuild.engine.progress import Progress
with Progress("match", 4) as shown:
    shown.advance(3)
"""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True, env=os.environ | {"TERM": "xterm"})
    os.close(theirs)
    printed = b""
    try:
        while chunk := os.read(ours, 4096):
            printed += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert b"3/4" in printed and b"images/s" in printed
