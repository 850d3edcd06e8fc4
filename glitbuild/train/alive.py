"""Whether Ray's own processes still answer: when one is gone, calls into Ray may never return."""

import atexit
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")

TIMES = 3
"""In a row that nobody answers before a process counts as dead; one refusal may be a full backlog."""

ANSWER_SECONDS = 5.0
GOODBYE_SECONDS = 15.0


@dataclass(slots=True)
class Pulse:
    """Knows where the control service of the cluster and this machine's raylet listen.

    Attributes:
        places: host and port, by name.
    """

    places: dict[str, tuple[str, int]]
    _missed: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of_ray(cls) -> "Pulse":
        """Return that of the cluster that this process is connected to."""
        import ray

        context = ray.get_runtime_context()
        host, _, port = str(context.gcs_address).rpartition(":")
        places = {"Ray's control service (gcs_server)": (host.strip("[]"), int(port))}
        here: str = context.get_node_id()
        for node in ray.nodes():  # type: ignore[no-untyped-call]
            if node["NodeID"] == here:
                places["Ray's raylet"] = (node["NodeManagerAddress"], int(node["NodeManagerPort"]))
        return cls(places)

    def missing(self) -> str | None:
        """Return who hasn't answered several times, if anybody; ask about once a second."""
        for name, place in self.places.items():
            try:
                socket.create_connection(place, ANSWER_SECONDS).close()
                self._missed[name] = 0
            except OSError:
                self._missed[name] = self._missed.get(name, 0) + 1
            if self._missed[name] >= TIMES:
                return name
        return None


def in_background(function: Callable[[], Result]) -> "Future[Result]":
    """Run a function in a thread that nobody has to wait for, at the end of the program either."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def leave_ray() -> None:
    """Disconnect from Ray and end what was started here, also where it doesn't answer any more."""
    import ray

    node: Any = getattr(ray._private.worker, "_global_node", None)  # what Ray started here; None in a cluster
    with suppress(Exception):
        in_background(ray.shutdown).result(GOODBYE_SECONDS)
        return
    atexit.unregister(ray.shutdown)  # it would wait once more
    if node is not None:
        with suppress(Exception):
            node.kill_all_processes(check_alive=False, allow_graceful=False)
