"""Ending a run after the current step, with a checkpoint, when a scheduler asks for it."""

import os
import signal
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

STOP = "stop"
"""Name of the file by which the command asks the processes that Ray started to end."""


class StopRequest(AbstractContextManager["StopRequest"]):
    """Whether a run was asked to end: by SIGTERM in this process, or by a file.

    SLURM, Kubernetes and cloud providers send SIGTERM some time before they end a job. In a ``with`` block the
    first one only sets ``asked``; the second one interrupts at once, as Ctrl-C does. In other threads than the main
    one, where Python handles no signals, only the file counts.

    Args:
        file: file whose existence is a request too; its folder may be missing.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._signalled, self._process = file, False, os.getpid()
        self._before: Any = None

    @property
    def asked(self) -> bool:
        """Whether the run should end."""
        return self._signalled or self._file.exists()

    def __enter__(self) -> "StopRequest":
        ignored = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN  # the user's choice
        if threading.current_thread() is threading.main_thread() and not ignored:
            self._before = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked loader process, which ends with the run
            return
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
