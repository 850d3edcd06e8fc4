import logging
import os
import pty
import subprocess
import sys
import time

import pytest

from glitbuild.engine import progress
from glitbuild.engine.progress import Progress


def test_lines_come_now_and_then_with_rate_and_time_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(logging.getLogger("glitbuild"), "propagate", True)
    with caplog.at_level(logging.INFO, "glitbuild"), Progress("match", 3000, plain=True) as shown:
        time.sleep(0.01)
        shown.advance(1000)
    (record,) = [record for record in caplog.records if record.name == "glitbuild.engine.progress"]
    assert record.getMessage().startswith("match: 1,000 of 3,000 images, ")
    assert "images/s" in record.getMessage() and "min left" in record.getMessage()


def test_no_lines_in_between(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "glitbuild"), Progress("ingest", None, plain=True) as shown:
        for _ in range(100):
            shown.advance(1)
    assert caplog.records == []


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
