"""Where the log goes: plain lines on standard error, or JSON, a line an event."""

import logging
import sys


def start_logging(as_json: bool, verbose: bool) -> None:
    """Send this package's log to standard error, and only warnings of the libraries below."""
    handler = logging.StreamHandler(sys.stderr)
    if as_json:
        from pythonjsonlogger.json import JsonFormatter

        fields = "%(asctime)s %(levelname)s %(name)s %(message)s"
        handler.setFormatter(JsonFormatter(fields, rename_fields={"asctime": "time", "levelname": "level"}))
    else:
        handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("glitbuild")
    package.handlers = [handler]
    package.propagate = False
    package.setLevel(logging.DEBUG if verbose else logging.INFO)
