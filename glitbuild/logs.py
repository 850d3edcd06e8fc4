"""Logging to standard error, as plain lines or as JSON with one object per event."""

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
from glitbuild.errors import visible

FLUSH_SECONDS = 5.0

BARS = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
"""Environment variables that turn off the progress bars of libraries."""

_filter: subprocess.Popen[bytes] | None = None
_as_json = False


def start_errors(words: Sequence[str]) -> None:
    """Choose the format of error messages before the command line is parsed: JSON if it contains ``--log-json``.

    From then on, everything on standard error is JSON, including warnings, output of C libraries, and crashes.
    """
    global _as_json
    _as_json = "--log-json" in words
    if _as_json and _filter is None and _is_standard_error():
        _start_filter()


def tell_error(line: str) -> None:
    """Print the error message with which a command fails."""
    if _as_json:
        _handler(as_json=True).handle(_record(line))
    elif sys.stderr is not None:
        print(visible(line), file=sys.stderr, flush=True)


def start_logging(as_json: bool, verbose: bool) -> None:
    """Send this package's log, and only the warnings of other libraries, to standard error."""
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
        handler.setFormatter(_Plain("%(message)s"))
    return handler


class _Plain(logging.Formatter):
    """Formats log records as lines that control no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _record(line: str) -> logging.LogRecord:
    return logging.LogRecord("glitbuild", logging.ERROR, __file__, 0, line, None, None)


def _is_standard_error() -> bool:
    """Return whether ``sys.stderr`` is file descriptor 2, which C libraries write to."""
    try:
        return sys.__stderr__ is not None and sys.stderr is sys.__stderr__ and sys.__stderr__.fileno() == 2
    except (OSError, ValueError):
        return False


def _start_filter() -> None:
    """Insert a filter process between file descriptor 2 and its destination.

    A thread would not do: a library that fills the pipe while it holds the interpreter's lock would wait for
    the thread for ever, and the output of a crash would be lost.
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
        start_new_session=True,  # Ctrl-C must not end it before the command's last message
    )
    sys.stderr.flush()
    os.dup2(write, 2)
    for end in (read, write, tell):
        os.close(end)
    atexit.register(_flush, told)


def _flush(told: int) -> None:
    """Wait until everything has been written, so that the log is complete when the command ends."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
        os.write(2, b"\n" + json_lines.FLUSH + b"\n")
        select.select([told], [], [], FLUSH_SECONDS)
