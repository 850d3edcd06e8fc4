"""Where the log goes: plain lines on standard error, or JSON, a line an event."""

import atexit
import contextlib
import logging
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from glitbuild import json_lines

FLUSH_SECONDS = 5.0

BARS = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
"""What keeps the progress bars of libraries out of a log."""

_filter: subprocess.Popen[bytes] | None = None
_as_json = False


def start_errors(words: Sequence[str]) -> None:
    """Decide how errors are told, before the command line is read: as JSON if it asks for that.

    Then everything that comes to standard error is JSON from here on: warnings, libraries written in C, crashes.
    """
    global _as_json
    _as_json = "--log-json" in words
    if _as_json and _filter is None and _is_standard_error():
        _start_filter()


def tell_error(line: str) -> None:
    """Print the line that says why the command failed."""
    if _as_json:
        _handler(as_json=True).handle(_record(line))
    elif sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


def start_logging(as_json: bool, verbose: bool) -> None:
    """Send this package's log to standard error, and only warnings of the libraries below."""
    package = logging.getLogger("glitbuild")
    package.handlers = [_handler(as_json)]
    package.propagate = False
    package.setLevel(logging.DEBUG if verbose else logging.INFO)
    if as_json and _filter is not None:
        logging.captureWarnings(True)
        logging.getLogger().handlers = package.handlers


def _handler(as_json: bool) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    if as_json:
        from pythonjsonlogger.json import JsonFormatter

        fields = "%(asctime)s %(levelname)s %(name)s %(message)s"
        handler.setFormatter(JsonFormatter(fields, rename_fields={"asctime": "time", "levelname": "level"}))
    else:
        handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def _record(line: str) -> logging.LogRecord:
    return logging.LogRecord("glitbuild", logging.ERROR, __file__, 0, line, None, None)


def _is_standard_error() -> bool:
    """Whether what is written to ``sys.stderr`` is what libraries write to file descriptor 2."""
    try:
        return sys.__stderr__ is not None and sys.stderr is sys.__stderr__ and sys.__stderr__.fileno() == 2
    except (OSError, ValueError):
        return False


def _start_filter() -> None:
    """Put a process between file descriptor 2 and where it went.

    A thread would not do: a library that fills the pipe while it holds the interpreter's lock would wait for
    the thread for ever, and what a crash prints would be lost.
    """
    global _filter
    os.environ |= {name: value for name, value in BARS.items() if name not in os.environ}
    read, write = os.pipe()
    told, tell = os.pipe()
    _filter = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(json_lines.__file__)), str(tell)],
        stdin=read,
        stdout=2,
        stderr=subprocess.DEVNULL,
        pass_fds=[tell],
        start_new_session=True,  # Ctrl-C is for the command, whose last words are still to come
    )
    sys.stderr.flush()
    os.dup2(write, 2)
    for end in (read, write, tell):
        os.close(end)
    atexit.register(_flush, told)


def _flush(told: int) -> None:
    """Wait until what was written is out: who reads the log reads it once the command has ended."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
        os.write(2, b"\n" + json_lines.FLUSH + b"\n")
        select.select([told], [], [], FLUSH_SECONDS)
