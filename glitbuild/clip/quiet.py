"""open_clip tells of its loading step by step, on the root logger and as warnings."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_open_clip() -> Iterator[None]:
    """Let only errors through."""
    root = logging.getLogger()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        root.addFilter(_is_error)
        try:
            yield
        finally:
            root.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
