"""Filter that turns every line of standard input into a JSON object; runs as its own process, see ``logs.py``.

It imports only the standard library, so that it starts within milliseconds.
"""

import contextlib
import json
import os
import re
import signal
import sys
import time

FLUSH = b"\x00glitbuild-flush"
"""Line that requests a byte on the file descriptor given as the argument, once all earlier lines are written."""

LONGEST = 2**16
"""Most bytes of a line that are buffered; longer lines are split."""

_END_OF_LINE = re.compile(rb"[\r\n]+")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def as_object(line: bytes) -> bytes | None:
    """Return a line unchanged if it is a JSON object, else an object that contains it; None if it is blank."""
    with contextlib.suppress(ValueError):
        if line.startswith(b"{") and isinstance(json.loads(line), dict):
            return line
    text = _COLOURS.sub("", line.decode("utf-8", "replace")).strip()
    if not text:
        return None
    now = time.time()
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)) + f",{int(now * 1000) % 1000:03d}"
    found = {"time": when, "level": "WARNING", "name": "stderr", "message": text}
    return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")


def main() -> None:
    """Copy until every writer has closed its end of the pipe, however the parent process ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    rest = b""
    while chunk := os.read(0, LONGEST):
        *lines, rest = _END_OF_LINE.split(rest + chunk)
        if len(rest) > LONGEST:
            lines, rest = [*lines, rest], b""
        for line in lines:
            _put(line)
    _put(rest)


def _put(line: bytes) -> None:
    # If the reader of the output is gone, keep reading the input; otherwise its writers would block for ever.
    with contextlib.suppress(OSError):
        if line == FLUSH:
            os.write(int(sys.argv[1]), b".")
        elif (found := as_object(line)) is not None:
            view = memoryview(found + b"\n")
            while view:
                view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
