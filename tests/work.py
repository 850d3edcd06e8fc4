"""How much a call does, without a clock."""

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def lines_run(function: Callable[[], object], folder: str) -> int:
    """Count the lines of Python that a call runs in files whose path holds ``folder`` or in difflib."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        path = frame.f_code.co_filename
        if folder not in path and "difflib" not in path:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
        gc.enable()
    return count
