"""Failures of requests to the Hub: which are transient, and error messages without secrets."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import TypeVar

from glitbuild.errors import ConfigError, GlitbuildError, PushError

T = TypeVar("T")

TRIES = 6
"""Number of consecutive failures without progress after which a push gives up."""

PASSING = (408, 409, 412, 429, 500, 502, 503, 504)
"""Statuses that may change a moment later; 409 and 412 mean a concurrent commit by somebody else."""

log = logging.getLogger("glitbuild.push")


def patiently(call: Callable[[], T], progress: Callable[[], int] = lambda: 0, reached: bool = True) -> T:
    """Retry after transient failures: rate limits, an overloaded Hub, dropped connections.

    The client itself retries most requests, but not those that change a repository, because they might be applied
    twice. ``call`` must therefore first check what has already been done.

    Args:
        call: function to call.
        progress: function whose value grows when something was done, which resets the count of failures.
        reached: whether the Hub has answered before; if not, an unreachable Hub is not retried.
    """
    failures, before = 0, progress()
    while True:
        try:
            return call()
        except Exception as error:
            failures = failures + 1 if progress() == before else 1
            before = progress()
            if not passes(error, reached) or failures == TRIES:
                raise
            pause = _pause(error, failures)
            log.warning("push: %s; retrying in %d s", _first_line(error), pause)
            time.sleep(pause)


def passes(error: BaseException, reached: bool = True) -> bool:
    """Return whether an error is transient, so that a retry may succeed."""
    from huggingface_hub.errors import HTTPError  # whichever version of httpx is installed

    for cause in _causes(error):
        if status := _status(cause):
            return status in PASSING
        if isinstance(cause, HTTPError | ConnectionError | TimeoutError) and not _offline(cause):
            return reached or type(cause).__name__ != "ConnectError"
        if isinstance(cause, JSONDecodeError):  # a gateway's page instead of the Hub's answer
            return True
    return False


def explained(error: Exception, repo: str) -> GlitbuildError | None:
    """Return an error that says what to do; None if it isn't an error of the Hub."""
    if isinstance(error, ValueError) and not passes(error):  # the client's wording of the Hub's answer
        return PushError(
            repo, f"the Hub refused it ({error})", "fix what the message names, then run the same command again"
        )
    for cause in _causes(error):
        if _offline(cause):
            return PushError(
                repo, "HF_HUB_OFFLINE is set", "unset it, or use --dry-run to see what would be uploaded"
            )
        status, said = _status(cause), _said(cause)
        if status == 401:
            return ConfigError(
                repo, f"the Hub doesn't accept the token ({said})", "log in again with hf auth login"
            )
        if status == 403:
            fix = "use a namespace of yours and a token with write access"
            return ConfigError(repo, f"the token may not do this ({said})", fix)
        if status == 404:
            return ConfigError(repo, f"the Hub doesn't find it ({said})", "check the name and the token's access")
        if status in PASSING:
            return PushError(repo, f"the Hub is busy ({said})", "run the same command later to resume")
        if status:
            return PushError(
                repo, f"the Hub refused it ({said})", "fix what the message names, then run the same command again"
            )
    if passes(error):
        fix = "check the network (and HF_ENDPOINT), then run the same command again to resume"
        return PushError(repo, f"the Hub can't be reached ({_first_line(error)})", fix)
    if isinstance(error, RuntimeError | OSError):  # raised by hf_xet, or for the local disk
        return PushError(
            repo, f"the upload failed ({error})", "fix what the message names, then run the same command again"
        )
    return None


@contextmanager
def client_through_our_log(token: str) -> Iterator[None]:
    """Route the client's messages through this package's log, and silence its progress bars.

    Its messages and errors contain URLs with signatures that allow uploads; these, and the token, are removed.
    """
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    class Through(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.log(min(record.levelno, logging.WARNING), "push: %s", record.getMessage())

    def hide(record: logging.LogRecord) -> bool:
        record.msg, record.args = without_secrets(record.getMessage(), token), ()
        return True

    client = logging.getLogger("huggingface_hub")
    before = client.handlers, client.propagate, are_progress_bars_disabled()
    client.handlers, client.propagate = [Through()], False
    disable_progress_bars()
    log.addFilter(hide)
    try:
        yield
    finally:
        log.removeFilter(hide)
        client.handlers, client.propagate, disabled = before
        if not disabled:
            enable_progress_bars()


def without_secrets(text: str, token: str) -> str:
    """Return a text without the token, and with the query strings of its URLs removed."""
    text = re.sub(r"(https?://[^\s?'\"]*)\?[^\s'\"]*", r"\1?...", text)
    return text.replace(token, "<token>") if token else text


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause:
        yield cause
        cause = cause.__cause__


def _status(error: BaseException) -> int:
    """Return the HTTP status that caused an error; 0 if there was none."""
    if isinstance(error, ConnectionError) and (said := re.search(r"HTTP status \w+ error \((\d{3}) ", str(error))):
        return int(said[1])  # hf_xet has the status only in its message
    return int(getattr(getattr(error, "response", None), "status_code", 0))


def _offline(error: BaseException) -> bool:
    return type(error).__name__ == "OfflineModeIsEnabled"


def _said(error: BaseException) -> str:
    return getattr(error, "server_message", None) or _first_line(error)


def _first_line(error: BaseException) -> str:
    *_, cause = _causes(error)
    return str(cause).strip().partition("\n")[0] or type(cause).__name__


def _pause(error: Exception, failures: int) -> int:
    """Return the seconds to wait: as long as the Hub says, otherwise twice as long as the last time."""
    from huggingface_hub.utils import parse_ratelimit_headers

    for cause in _causes(error):
        headers = getattr(getattr(cause, "response", None), "headers", {})
        if (limit := parse_ratelimit_headers(headers)) and limit.remaining == 0:
            return limit.reset_in_seconds + 1
        if headers.get("Retry-After", "").isdigit():
            return int(headers["Retry-After"]) + 1
    return int(2 ** (failures - 1))
