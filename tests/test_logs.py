"""Under --log-json every line on standard error is a JSON object, whoever wrote it."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from glitbuild.errors import visible
from glitbuild.logs import start_logging
from tests.factories import jpeg
from tests.run import GLITBUILD, here

BEGIN = """
import os, subprocess, sys, threading, warnings, logging
from glitbuild.logs import start_errors, start_logging
start_errors(["ingest", "--log-json"])
start_logging(True, False)
"""


def events(stderr: bytes | str) -> list[dict[str, str]]:
    found = [json.loads(line) for line in stderr.splitlines()]
    assert all(isinstance(event, dict) and {"time", "level", "name", "message"} <= event.keys() for event in found)
    return found


def messages(code: str, returns: int = 0) -> list[str]:
    result = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, timeout=60, check=False)
    assert result.returncode == returns, result.stderr
    return [event["message"] for event in events(result.stderr)]


def test_whoever_writes_the_line_is_json() -> None:
    found = messages(
        r"""
os.write(2, b"TIFFReadDirectory: Warning, unknown field\n")
print("without an end of line", file=sys.stderr, end="")
print("\r 10%|#     |\r 20%|##    |\x1b[31m red \x1b[0m\n\n", file=sys.stderr)
os.write(2, b"\xff\xfe not UTF-8\n")
os.write(2, b'{"not": "closed"\n[1, 2]\n')
subprocess.run(["sh", "-c", "echo a child >&2"])
warnings.warn("a warning")
logging.getLogger("ray").warning("of another library")
logging.getLogger("glitbuild").info("ours\nin two lines")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
import atexit
atexit.register(lambda: os.write(2, b"at the very end\n"))
"""
    )
    for part in (
        "TIFFReadDirectory: Warning, unknown field",
        "without an end of line",
        "10%|#     |",
        "20%|##    | red",
        '{"not": "closed"',
        "[1, 2]",
        "a child",
        "of another library",
        "ours\nin two lines",
        "ZeroDivisionError: division by zero",
        "at the very end",
    ):
        assert part in found
    assert any("a warning" in message for message in found)
    assert any("not UTF-8" in message for message in found)


def test_what_a_crash_prints_is_json() -> None:
    found = messages("import faulthandler; faulthandler.enable(); os.abort()", -signal.SIGABRT)
    assert any("Fatal Python error: Aborted" in message for message in found)


def test_a_flood_from_a_library_that_holds_the_lock_is_no_deadlock() -> None:
    found = messages("os.write(2, b'x' * 99 + b'\\n')\n" * 3 + "libc_write = os.write\nos.write(2, b'y' * 300_000)")
    assert found[:3] == ["x" * 99] * 3
    assert "".join(found[3:]) == "y" * 300_000


@pytest.mark.slow
def test_all_of_it_is_there_when_the_command_has_ended(tmp_path: Path) -> None:
    code = BEGIN + "os.write(2, b'line\\n' * 20_000)"
    with (tmp_path / "log").open("wb") as file:
        subprocess.run([sys.executable, "-c", code], stderr=file, check=True, timeout=60)
    assert len(events((tmp_path / "log").read_bytes())) == 20_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["ingest", "nowhere", "--out", "out", "--log-json"], 2),
        (["ingest", "--log-json", "--colour", "red"], 2),
        (["paint", "--log-json"], 2),
        (["stats", "nowhere", "--log-json"], 2),
    ],
)
def test_the_line_that_says_why_it_failed_is_json(words: list[str], code: int, tmp_path: Path) -> None:
    result = subprocess.run([GLITBUILD, *words], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert result.returncode == code
    (event,) = events(result.stderr)
    assert event["level"] == "ERROR" and event["message"].startswith("glitbuild: error: ")
    within = here(*words, cwd=tmp_path)
    assert [event["message"]] == [told["message"] for told in events(within.stderr)]


def test_without_it_lines_are_plain(tmp_path: Path) -> None:
    result = here("ingest", "nowhere", "--out", "out", cwd=tmp_path)
    assert result.stderr.startswith("glitbuild: error: ")


def test_it_ends_with_the_command_that_was_killed(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    code = BEGIN + "os.write(2, b'before\\n'); import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs)
    os.close(theirs)
    assert events(os.read(ours, 4096))[0]["message"] == "before"
    process.kill()
    process.wait()
    assert os.read(ours, 4096) == b""  # nobody holds the other end any more
    os.close(ours)


HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj"
SHOWN = r"\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj"


def test_a_strangers_text_controls_no_terminal(tmp_path: Path) -> None:
    row = {"image": "a.jpg", "caption": "A photo.", "tag": HOSTILE}
    (tmp_path / "a.jpg").write_bytes(jpeg(64, 48))
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    runs = [
        here("ingest", f"none{HOSTILE}", "--out", "out", cwd=tmp_path),
        here("ingest", "rows.jsonl", "--keep-columns", "tag", "--out", "out", cwd=tmp_path),
        here("stats", "out", cwd=tmp_path),
    ]
    assert [run.returncode for run in runs] == [2, 0, 0]
    assert SHOWN in runs[0].stderr and SHOWN[:12] in runs[2].stdout
    unseen = {letter for letter in HOSTILE if not letter.isprintable()}
    assert len(unseen) == 4
    assert not unseen & set("".join(run.stdout + run.stderr for run in runs))


def test_log_lines_control_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("glitbuild")
    before = log.handlers, log.propagate, log.level
    try:
        start_logging(as_json=False, verbose=False)
        log.warning("row %s\nsecond line", HOSTILE)
    finally:
        log.handlers, log.propagate = before[:2]
        log.setLevel(before[2])
    assert capsys.readouterr().err == f"row {SHOWN}\nsecond line\n"


def test_text_of_any_language_is_left_as_it_is() -> None:
    for text in ("Grüße, 你好。", "שלום", "a\tb\nc", "👩\u200d🚀", "a\xa0b\u3000c"):
        assert visible(text) == text
