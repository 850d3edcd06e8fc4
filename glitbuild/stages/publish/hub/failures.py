"""What can go wrong between here and the Hub: what is transient, what isn't, and how it is said without secrets."""

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
"""Failures in a row, without progress between them, after which a push gives up."""

PASSING = (408, 409, 412, 429, 500, 502, 503, 504)
"""Answers that may be others a moment later; 409 and 412 are a commit of somebody else at the same time."""

log = logging.getLogger("glitbuild.push")


def patiently(call: Callable[[], T], progress: Callable[[], int] = lambda: 0, reached: bool = True) -> T:
    """Call again after failures that pass: limits of rate, an overloaded Hub, dropped connections.

    The client itself repeats most requests, but not those that change a repository, lest they happen twice. So
    ``call`` has to look first what is already done.

    Args:
        call: what to do.
        progress: grows when something was done; failures are then counted anew.
        reached: whether the Hub has answered before; otherwise it isn't waited for.
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
            log.warning("push: %s; trying again in %d s", _first_line(error), pause)
            time.sleep(pause)


def passes(error: BaseException, reached: bool = True) -> bool:
    """Whether it may go well when it is tried again."""
    from huggingface_hub.errors import HTTPError  # httpx's, of whichever version

    for cause in _causes(error):
        if status := _status(cause):
            return status in PASSING
        if isinstance(cause, HTTPError | ConnectionError | TimeoutError) and not _offline(cause):
            return reached or type(cause).__name__ != "ConnectError"
        if isinstance(cause, JSONDecodeError):  # the page of a gateway, which the client took for the Hub's answer
            return True
    return False


def explained(error: Exception, repo: str) -> GlitbuildError | None:
    """Return an error that says what to do; None for one that isn't the Hub's."""
    if isinstance(error, ValueError) and not passes(error):  # the client's own words for what the Hub answered
        return PushError(repo, f"the Hub refused it ({error})", "see what it says")
    for cause in _causes(error):
        if _offline(cause):
            return PushError(repo, "HF_HUB_OFFLINE is set", "unset it, or see what would be sent with --dry-run")
        status, said = _status(cause), _said(cause)
        if status == 401:
            return ConfigError(repo, f"the Hub doesn't accept the token ({said})", "log in anew with hf auth login")
        if status == 403:
            fix = "take a namespace that is yours and a token that may write"
            return ConfigError(repo, f"the token may not do this ({said})", fix)
        if status == 404:
            return ConfigError(repo, f"the Hub doesn't find it ({said})", "check the name")
        if status in PASSING:
            return PushError(repo, f"the Hub is busy ({said})", "run the same command later to resume")
        if status:
            return PushError(repo, f"the Hub refused it ({said})", "see what it says")
    if passes(error):
        fix = "check the network (and HF_ENDPOINT), then run the same command again to resume"
        return PushError(repo, f"the Hub can't be reached ({_first_line(error)})", fix)
    if isinstance(error, RuntimeError | OSError):  # what hf_xet raises, and the disk
        return PushError(repo, f"sending failed ({error})", "see what it says, then run the same command again")
    return None


@contextmanager
def client_through_our_log(token: str) -> Iterator[None]:
    """Let what the client says of waiting go through this package's log, and its bars be silent.

    Its lines and errors have addresses with signatures that allow an upload; these, and the token, are left out.
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
    """Return a text without the token, and addresses in it without what follows their question mark."""
    text = re.sub(r"(https?://[^\s?'\"]*)\?[^\s'\"]*", r"\1?...", text)
    return text.replace(token, "<token>") if token else text


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause:
        yield cause
        cause = cause.__cause__


def _status(error: BaseException) -> int:
    """Return the status of the answer that is to blame; 0 where there was none."""
    if isinstance(error, ConnectionError) and (said := re.search(r"HTTP status \w+ error \((\d{3}) ", str(error))):
        return int(said[1])  # hf_xet keeps it in its text alone
    return int(getattr(getattr(error, "response", None), "status_code", 0))


def _offline(error: BaseException) -> bool:
    return type(error).__name__ == "OfflineModeIsEnabled"


def _said(error: BaseException) -> str:
    return getattr(error, "server_message", None) or _first_line(error)


def _first_line(error: BaseException) -> str:
    *_, cause = _causes(error)
    return str(cause).strip().partition("\n")[0] or type(cause).__name__


def _pause(error: Exception, failures: int) -> int:
    """Return the seconds to wait: as long as the Hub says, or twice as long as the last time."""
    from huggingface_hub.utils import parse_ratelimit_headers

    for cause in _causes(error):
        headers = getattr(getattr(cause, "response", None), "headers", {})
        if (limit := parse_ratelimit_headers(headers)) and limit.remaining == 0:
            return limit.reset_in_seconds + 1
        if headers.get("Retry-After", "").isdigit():
            return int(headers["Retry-After"]) + 1
    return int(2 ** (failures - 1))
