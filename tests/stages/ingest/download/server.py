"""A web server on 127.0.0.1 that gives pictures and fails in every way a server can; also for benchmarks.

It writes its answers byte by byte itself, as no HTTP library would write most of them. ``/FAULT/NUMBER.jpg``
fails as FAULT says; ``/ok/NUMBER.jpg`` is the picture of that number.
"""

import asyncio
import gzip
import socket
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType

METADATA = "http://169.254.169.254/latest/meta-data/"
"""An address that is refused even with ``--allow-private-hosts``, so that it can be redirected to here."""

RETRY_AFTER = "0"
"""What 429 asks for, in seconds."""

FAULTS = {
    "reset": {"download_failed"},
    "reset-inside": {"download_failed"},
    "closed": {"download_failed"},
    "stall": {"download_timeout"},
    "stall-inside": {"download_timeout"},
    "drip": {"download_timeout"},
    "length-too-long": {"download_failed"},
    "length-too-short": {"image_corrupt", "download_failed"},
    "chunks-cut-off": {"download_failed"},
    "status-404": {"download_failed"},
    "status-503": {"download_failed"},
    "status-503-once": {None},
    "status-429": {"download_failed"},
    "status-429-once": {None},
    "not-http": {"download_failed"},
    "html": {"image_not_an_image"},
    "empty": {"image_empty"},
    "redirect-private": {"download_refused"},
    "redirect-file": {"download_refused"},
    "redirect-loop": {"download_failed"},
    "redirect": {None},
    "endless": {"download_too_large"},
    "large": {"download_too_large"},
    "bomb": {"download_too_large"},
    "gzip": {None},
    "opt-out": {"download_opt_out"},
}
"""The faults, and the reasons a row may be skipped for; None: it becomes a sample."""


class Server:
    """Serves while the ``with`` block runs.

    Args:
        pictures: the number of a request, modulo their count, says which is served.
        address: to listen at, with a port of the system's choice unless one is given.

    Attributes:
        asked: how often each path was asked for.
        headers: of the last request.
        most: the most requests that were under way at a time.
    """

    def __init__(self, pictures: Sequence[bytes], address: str = "127.0.0.1", port: int = 0) -> None:
        self._pictures = pictures
        self._address, self.port = address, port
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, str] = {}
        self.most = self._under_way = 0
        self.delay = 0.0

    def __enter__(self) -> "Server":
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=[started], daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def url(self, path: str) -> str:
        return f"http://{self._address}:{self.port}/{path}"

    def _run(self, started: threading.Event) -> None:
        self._loop.run_until_complete(self._serve(started))
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, self._address, self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *rest = head.decode().split("\r\n")
                self.headers = dict(line.split(": ", 1) for line in rest if line)
                path = first.split()[1]
                self.asked[path] += 1
                self._under_way += 1
                self.most = max(self.most, self._under_way)
                try:
                    await asyncio.sleep(self.delay)
                    await self._answer(path, writer)
                    await writer.drain()
                finally:
                    self._under_way -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        _, fault, name = path.split("?")[0].split("/", 2)
        picture = self._pictures[int(name.split(".")[0]) % len(self._pictures)]
        if fault.startswith("status-"):
            self._answer_status(fault, path, picture, writer)
        elif fault in PLAIN:
            writer.write(PLAIN[fault](picture, path))
        else:
            await BROKEN[fault](picture, writer)

    def _answer_status(self, fault: str, path: str, picture: bytes, writer: asyncio.StreamWriter) -> None:
        _, status, *once = fault.split("-")
        if once and self.asked[path] > 1:
            writer.write(answer(picture))
        else:
            more = f"Retry-After: {RETRY_AFTER}\r\n" if status == "429" else ""
            writer.write(answer(b"no", f"{status} Some Words", more))


def answer(body: bytes, status: str = "200 OK", more: str = "", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n".encode() + body


def redirect(to: str) -> bytes:
    return answer(b"", "302 Found", f"Location: {to}\r\n")


PLAIN: dict[str, Callable[[bytes, str], bytes]] = {
    "ok": lambda picture, path: answer(picture),
    "html": lambda picture, path: answer(
        b"<html><body>Not found</body></html>", more="Content-Type: image/jpeg\r\n"
    ),
    "empty": lambda picture, path: answer(b""),
    "length-too-short": lambda picture, path: answer(picture, length=len(picture) // 2),
    "redirect": lambda picture, path: redirect(path.replace("/redirect/", "/ok/")),
    "redirect-loop": lambda picture, path: redirect(path),
    "redirect-private": lambda picture, path: redirect(METADATA),
    "redirect-file": lambda picture, path: redirect("file:///etc/passwd"),
    "opt-out": lambda picture, path: answer(picture, more="X-Robots-Tag: noai, noimageai\r\n"),
    "large": lambda picture, path: answer(b"", length=1 << 40),
    "bomb": lambda picture, path: answer(BOMB, more="Content-Encoding: gzip\r\n"),
    "gzip": lambda picture, path: answer(gzip.compress(picture), more="Content-Encoding: gzip\r\n"),
}
"""Answers that are written at once."""

BOMB = gzip.compress(bytes(50 << 20))


async def _reset(picture: bytes, writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)  # closing then sends a reset
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    raise ConnectionAbortedError


async def _reset_inside(picture: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(picture)[: len(picture) // 2])
    await writer.drain()
    await asyncio.sleep(0.02)
    await _reset(picture, writer)


async def _closed(picture: bytes, writer: asyncio.StreamWriter) -> None:
    raise ConnectionAbortedError


async def _stall(picture: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _stall_inside(picture: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(picture)[: len(picture) // 2])
    await asyncio.sleep(3600)


async def _drip(picture: bytes, writer: asyncio.StreamWriter) -> None:
    for byte in answer(picture):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def _length_too_long(picture: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(picture, length=2 * len(picture)))
    await writer.drain()
    raise ConnectionAbortedError


async def _chunks_cut_off(picture: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(f"{len(picture):x}\r\n".encode() + picture + b"\r\n")
    await writer.drain()
    raise ConnectionAbortedError


async def _not_http(picture: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff SSH-2.0 hello\r\n\r\n")
    await writer.drain()
    raise ConnectionAbortedError


async def _endless(picture: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + picture)
    while True:
        writer.write(bytes(1 << 16))
        await writer.drain()


BROKEN: dict[str, Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]] = {
    "reset": _reset,
    "reset-inside": _reset_inside,
    "closed": _closed,
    "stall": _stall,
    "stall-inside": _stall_inside,
    "drip": _drip,
    "length-too-long": _length_too_long,
    "chunks-cut-off": _chunks_cut_off,
    "not-http": _not_http,
    "endless": _endless,
}
"""Those of which the end, or the time, is what is wrong with them."""
