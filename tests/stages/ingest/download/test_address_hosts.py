import asyncio

import pytest

from glitbuild.stages.ingest.download import address as hosts
from glitbuild.stages.ingest.download.address import Hosts


class Clock:
    """A time that passes only where someone sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self._sleep = 0.0, asyncio.sleep
        monkeypatch.setattr(hosts, "_now", lambda: self.now)
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        await self._sleep(0)
        self.now = max(self.now, until)


def test_a_host_that_asks_to_wait_is_not_asked_meanwhile_and_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, times = Clock(monkeypatch), dict[str, float]()

    async def ask() -> None:
        known = Hosts(4)
        async with known.turn("busy"):
            known.pause("busy", 30.0)
            known.pause("busy", 10.0)  # does not make it shorter
        async with known.turn("other"):
            times["other"] = clock.now
        async with known.turn("busy"):
            times["busy"] = clock.now

    asyncio.run(ask())
    assert times == {"other": 0.0, "busy": 30.0}


def test_hosts_that_are_not_asked_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)

    async def ask() -> int:
        known = Hosts(1)
        for number in range(100):
            async with known.turn(str(number)):
                pass
        return len(known._hosts)

    assert asyncio.run(ask()) == 0
