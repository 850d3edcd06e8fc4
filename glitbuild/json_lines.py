"""Make every line of standard input a JSON object on standard output: a process of its own, see ``logs.py``.

It imports the standard library only, so that it is there within milliseconds.
"""

import contextlib
import json
import os
import re
import signal
import sys
import time

FLUSH = b"\x00glitbuild-flush"
"""A line that asks for a byte on the file descriptor that was given as argument, once all before it is out."""

LONGEST = 2**16
"""Bytes of a line that are waited for; a longer one becomes several."""

_END_OF_LINE = re.compile(rb"[\r\n]+")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def as_object(line: bytes) -> bytes | None:
    """Return a line as it is if it is a JSON object, else an object that holds it; None for a blank one."""
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
    """Copy until nobody holds the other end any more, however the process that began it ends."""
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
    # Whoever reads may be gone; go on reading all the same, or those who write would wait for ever.
    with contextlib.suppress(OSError):
        if line == FLUSH:
            os.write(int(sys.argv[1]), b".")
        elif (found := as_object(line)) is not None:
            view = memoryview(found + b"\n")
            while view:
                view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
