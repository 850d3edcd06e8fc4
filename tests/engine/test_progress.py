import logging
import os
import pty
import subprocess
import sys
import time
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


def test_lines_come_now_and_then_with_rate_and_time_left(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with Progress("match", 3000, plain=True) as shown:
        time.sleep(0.01)
        shown.advance(1000)
    (line,) = lines
    assert line.startswith("match: 1,000 of 3,000 images, ")
    assert "images/s" in line and "min left" in line


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
