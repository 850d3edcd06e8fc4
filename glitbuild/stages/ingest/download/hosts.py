"""Being a good neighbour: so many requests to a host at a time, and none while it asks to wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Host:
    turns: asyncio.Semaphore
    users: int = 0
    resumes: float = 0.0  # the loop's time


class Hosts:
    """Hosts that are being asked. Belongs to one event loop.

    Args:
        limit: requests to one host at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait until the host may be asked, and hold its place while the block runs."""
        host = self._hosts.setdefault(name, _Host(asyncio.Semaphore(self._limit)))
        host.users += 1
        try:
            async with host.turns:
                while (wait := host.resumes - _now()) > 0:
                    await asyncio.sleep(wait)
                yield
        finally:
            host.users -= 1
            if not host.users and host.resumes <= _now():
                del self._hosts[name]  # an input may name millions of hosts

    def pause(self, name: str, seconds: float) -> None:
        """Let a host rest. Called while one holds its turn."""
        host = self._hosts[name]
        host.resumes = max(host.resumes, _now() + seconds)


def _now() -> float:
    return asyncio.get_running_loop().time()
