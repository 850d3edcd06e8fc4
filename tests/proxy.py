"""A TCP proxy in front of a server on this machine, which counts what the server sends."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit


class CountingProxy:
    """Passes connections on to a server, and counts the bytes that come back, headers included.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (str(parts.hostname), int(parts.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock, self._bytes = threading.Lock(), 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "CountingProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._listener.close()

    def take(self) -> int:
        """Return the bytes that the server has sent since this was asked last."""
        with self._lock:
            count, self._bytes = self._bytes, 0
        return count

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # it was closed
                return
            server = socket.create_connection(self._server)
            for source, target, counts in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, target, counts), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if counts:
                    with self._lock:
                        self._bytes += len(data)
                target.sendall(data)
        except OSError:  # one side is gone
            pass
        finally:
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
