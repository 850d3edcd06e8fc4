"""Monitoring of Ray during a run: notices when it has died, and removes everything that is left of it."""

import atexit
import contextlib
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from glitbuild.errors import ClusterError
from glitbuild.logs import tell_error

SECONDS_BETWEEN_LOOKS = 1.0

GRACE_SECONDS = 15.0
"""Time after Ray has died until a driver that still hangs in a call to Ray is ended."""

SHUTDOWN_SECONDS = 15.0

UNREACHABLE_SECONDS = 30.0
"""Time after which an unreachable cluster is considered dead; one that restarts its head may recover earlier."""

NEEDED = ("raylet", "gcs_server")
"""Processes that Ray can't run without; Ray itself ends them when one of its agents dies."""

FIX = "run the same command again to continue"

log = logging.getLogger(__name__)


class Lifeline:
    """Monitors Ray from before it starts until all of its processes have ended.

    Enter it before Ray is started or joined. SIGTERM and SIGHUP end the ``with`` block as Ctrl-C does, so that the
    processes of a local Ray end with the run.

    Args:
        local: whether Ray runs on this machine for this run only, as children of this process.
    """

    def __init__(self, local: bool) -> None:
        self._local = local
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._family: dict[int, Any] = {}
        self._needed: dict[str, Any] = {}
        self._unreachable_since: float | None = None
        self._question: threading.Thread | None = None
        self._lost: str | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._there = False
        self._thread = threading.Thread(target=self._watch, name="glitbuild-lifeline", daemon=True)

    def __enter__(self) -> "Lifeline":
        import psutil

        self._others = {child.pid for child in psutil.Process().children(recursive=True)}
        self._catch_signals()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with _undisturbed():
                self._end()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def watch(self) -> None:
        """Start monitoring; call it once Ray is running."""
        self._catch_signals()  # Ray has installed its own handler for SIGTERM
        with self._lock:
            if self._local:
                self._meet_children()
            self._there = True

    def clear(self) -> None:
        """Remove the remains of a local Ray that failed to start."""
        _shutdown_quietly()
        with self._lock:
            self._kill_family()
            self._family.clear()
            self._needed.clear()

    def look(self) -> None:
        """Check the state of Ray now.

        Raises:
            ClusterError: Ray has died.
        """
        with self._lock:
            if self._lost is None:
                self._lost = self._look_at_children() if self._local else self._look_at_cluster()
        self.check()

    def check(self) -> None:
        """Report the result of the last look, at no cost.

        Raises:
            ClusterError: Ray has died.
        """
        if self._lost is not None:
            raise ClusterError("Ray", self._lost, FIX)

    def _look_at_children(self) -> str | None:
        self._meet_children()
        for name, process in self._needed.items():
            if not _lives(process):
                return f"its {name} died"
        return None

    def _meet_children(self) -> None:
        """Record Ray's processes while they are children of this one, because orphans could not be found later."""
        import psutil

        for child in psutil.Process().children(recursive=True):
            if child.pid in self._others or child.pid in self._family:
                continue
            with contextlib.suppress(psutil.Error):
                if not self._there or _is_of_ray(child):
                    self._family[child.pid] = child
                    if child.name() in NEEDED:
                        self._needed.setdefault(child.name(), child)

    def _ask_the_head(self) -> None:
        """Ask the head, in a thread because it may never answer, whether this node counts as alive."""
        if self._question is None or not self._question.is_alive():
            self._question = threading.Thread(target=self._look_at_node_table, daemon=True)
            self._question.start()

    def _look_at_node_table(self) -> None:
        """Notice that the head has declared this node dead, although its raylet runs: nothing is scheduled then."""
        import ray

        if not ray.is_initialized() or ray._private.worker._global_node is None:  # Ray Client has its own timeouts
            return
        with contextlib.suppress(Exception):  # a head that doesn't answer is noticed elsewhere
            here = ray.get_runtime_context().get_node_id()
            dead = [node["NodeID"] for node in ray.nodes() if not node["Alive"]]
            if here in dead and self._lost is None:
                self._lost = "its head has declared this node dead, because it didn't answer in time"

    def _look_at_cluster(self) -> str | None:
        import ray

        node = ray._private.worker._global_node
        if node is None:  # joined through Ray Client, which has its own timeouts
            return None
        if not _answers(socket.AF_UNIX, node.raylet_socket_name):
            return "the raylet of this node died"
        host, _, port = node.gcs_address.rpartition(":")
        if _answers(socket.AF_INET6 if ":" in host else socket.AF_INET, (host.strip("[]"), int(port))):
            self._unreachable_since = None
            return None
        now = time.monotonic()
        self._unreachable_since = self._unreachable_since or now
        return (
            f"{node.gcs_address} can't be reached" if now - self._unreachable_since > UNREACHABLE_SECONDS else None
        )

    def _watch(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_LOOKS):
            try:
                if self._there:
                    self._ask_the_head()
                    self.look()
                elif self._local:
                    with self._lock:
                        self._meet_children()
            except ClusterError as error:
                # The main thread notices within a second, unless it hangs in a call to Ray.
                if not self._stop.wait(GRACE_SECONDS):
                    self._kill_family()
                    tell_error(f"glitbuild: error: {error}")
                    _leave_now()
            except Exception:
                log.debug("could not monitor Ray", exc_info=True)

    def _end(self) -> None:
        import ray

        self._stop.set()
        self._thread.join()
        with contextlib.suppress(ClusterError):
            self.look()
        if self._lost:
            self._kill_family()  # first, because calls to a half-dead Ray hang
        elif self._question:
            # If this thread still waits for a dead head, Ray ends the whole process 20 s later.
            self._question.join(SHUTDOWN_SECONDS)
        shutdown = threading.Thread(target=_shutdown_quietly, name="glitbuild-ray-shutdown", daemon=True)
        shutdown.start()
        shutdown.join(SHUTDOWN_SECONDS)
        self._kill_family()
        if shutdown.is_alive():
            # Otherwise it would be called, and hang, once more when Python exits.
            atexit.unregister(ray.shutdown)
            faulthandler.dump_traceback_later(GRACE_SECONDS, exit=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115

    def _kill_family(self) -> None:
        import psutil

        if not self._local:
            return
        self._meet_children()
        for process in self._family.values():
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(list(self._family.values()), timeout=5)

    def _catch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                handler = signal.signal(number, _interrupt)
                self._handlers.setdefault(number, handler)


def _lives(process: Any) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _is_of_ray(process: Any) -> bool:
    line = " ".join(process.cmdline())
    return process.name() in NEEDED or line.startswith("ray::") or "/ray/" in line


def _answers(family: socket.AddressFamily, address: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as asked:
        asked.settimeout(5)
        try:
            asked.connect(address)
        except OSError:
            return False
        return True


def _shutdown_quietly() -> None:
    import ray

    try:
        ray.shutdown()
    except BaseException:
        log.debug("Ray did not shut down", exc_info=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Block signals during the cleanup, which takes a limited time."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_now() -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(1)
