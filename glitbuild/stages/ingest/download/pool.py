"""Downloads under way at a time, here and from one host, and further tries of those that failed."""

import asyncio
import random
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.download.address import Hosts, guard, parse_url
from glitbuild.stages.ingest.download.fetch import DownloadOptions, Transient, fetch, headers

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from aiohttp.abc import AbstractResolver


HELD_BYTES = 256 << 20
"""Pictures that were downloaded and not yet taken; beyond it no further row is begun."""
MAX_REDIRECTS = 5
MAX_WAIT = 60.0
"""Seconds. A server that asks for more is not asked again in this run."""
RESOLVING_THREADS = 32
DNS_SECONDS = 60
"""For which an answer of the resolver is kept."""


class Downloads:
    """Downloads that run while their results are waited for.

    Rows are begun in the order they come in, at most twice as many as there are connections. So what is in
    memory has a bound: ``HELD_BYTES`` and, at worst, those rows at their size limit.

    Args:
        options: of the command.
        resolver: of names; by default the system's.
    """

    def __init__(self, options: DownloadOptions, resolver: "AbstractResolver | None" = None) -> None:
        self._options, self._resolver = options, resolver
        self._loop = asyncio.new_event_loop()
        self._queue: deque[tuple[str, Future[bytes]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._held = 0
        self._hosts = Hosts(options.connections_per_host)
        self._connections = asyncio.Semaphore(options.connections)
        started: Future[asyncio.Event] = Future()
        self._thread = threading.Thread(target=self._run, args=[started], name="downloads", daemon=True)
        self._thread.start()
        self._stop = started.result()

    def submit(self, url: str) -> "Future[bytes]":
        """Return what will be the picture's bytes, or a Rejected with the reason there are none.

        Unless it is cancelled in time, it is to be given to ``take`` once it is not needed any more.
        """
        download: Future[bytes] = Future()
        self._loop.call_soon_threadsafe(self._enqueue, url, download)
        return download

    def take(self, download: "Future[bytes]") -> None:
        """Say that a download that is done takes no more memory."""
        if not download.cancelled() and download.exception() is None:
            self._loop.call_soon_threadsafe(self._release, len(download.result()))

    def close(self) -> None:
        """Give up what is not done, and end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self, started: "Future[asyncio.Event]") -> None:
        try:
            self._loop.run_until_complete(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            self._loop.close()

    async def _serve(self, started: "Future[asyncio.Event]") -> None:
        stop = asyncio.Event()
        resolving = ThreadPoolExecutor(RESOLVING_THREADS, "resolving")
        self._loop.set_default_executor(resolving)
        async with self._open_session() as self._session:
            started.set_result(stop)
            await stop.wait()
            for _, download in self._queue:
                download.cancel()
            self._queue.clear()
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
        resolving.shutdown(wait=False, cancel_futures=True)  # a look-up can't be stopped; it need not be waited for

    def _open_session(self) -> "ClientSession":
        import aiohttp

        connector = aiohttp.TCPConnector(
            limit=0,  # counted here, where order is kept
            ttl_dns_cache=DNS_SECONDS,
            resolver=self._resolver,
            socket_factory=guard(self._options.allow_private_hosts),
        )
        silence = self._options.timeout
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers(self._options),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=silence, sock_read=silence),
            auto_decompress=False,
            trust_env=False,  # a proxy would connect where the guard can't look
        )

    def _enqueue(self, url: str, download: "Future[bytes]") -> None:
        self._queue.append((url, download))
        self._begin()

    def _release(self, size: int) -> None:
        self._held -= size
        self._begin()

    def _begin(self) -> None:
        """Begin as many rows as there is room for, in order: the one that is waited for is always under way."""
        while self._queue and len(self._running) < 2 * self._options.connections and self._held < HELD_BYTES:
            url, download = self._queue.popleft()
            if download.set_running_or_notify_cancel():
                task = self._loop.create_task(self._row(url, download))
                self._running.add(task)

    async def _row(self, url: str, download: "Future[bytes]") -> None:
        try:
            data = await self._download(url)
        except BaseException as error:  # whatever it is, no one must wait for ever
            download.set_exception(error)
        else:
            self._held += len(data)
            download.set_result(data)
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._running.discard(task)
            self._begin()

    async def _download(self, url: str) -> bytes:
        wait = self._options.retry_wait
        for left in range(self._options.retries, -1, -1):
            try:
                return await self._follow(url)
            except Transient as failed:
                if not left or (failed.wait or 0.0) > MAX_WAIT:
                    raise
                pause = wait * random.uniform(1.0, 1.5) if failed.wait is None else failed.wait
            wait *= 2
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _follow(self, address: str) -> bytes:
        """Ask for a picture, and for what its server redirects to; each host has its turn."""
        url = parse_url(address)
        for _ in range(MAX_REDIRECTS + 1):
            host = str(url.host)
            async with self._hosts.turn(host), self._connections:
                try:
                    answer = await fetch(self._session, url, self._options)
                except Transient as failed:
                    if failed.wait is not None and failed.wait <= MAX_WAIT:
                        self._hosts.pause(host, failed.wait)
                    raise
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise Rejected(SkipReason.DOWNLOAD_FAILED, f"more than {MAX_REDIRECTS} redirects")
