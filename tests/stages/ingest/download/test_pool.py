import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.download import address, pool
from glitbuild.stages.ingest.download.address import Hosts
from glitbuild.stages.ingest.download.fetch import DownloadOptions
from glitbuild.stages.ingest.download.pool import Downloads
from tests.factories import jpeg
from tests.stages.ingest.download import server as served
from tests.stages.ingest.download.server import FAULTS, Server

pytestmark = pytest.mark.slow

PICTURES = [jpeg(60, 40, seed=seed) for seed in range(3)]
QUICK: dict[str, Any] = {
    "retries": 1,
    "retry_wait": 0.01,
    "max_download_bytes": 1 << 20,
    "allow_private_hosts": True,
}
SHORT: dict[str, Any] = {"timeout": 1.5, "total_timeout": 2.5}
"""For servers that stall; others have more time than a busy machine ever takes."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(PICTURES) as running:
        yield running


@contextmanager
def downloads(resolver: AbstractResolver | None = None, **options: Any) -> Iterator[Downloads]:
    running = Downloads(DownloadOptions(**(QUICK | options)), resolver)
    try:
        yield running
    finally:
        running.close()


def result(url: str, resolver: AbstractResolver | None = None, **options: Any) -> bytes | SkipReason:
    """Return the picture or the reason that there is none."""
    with downloads(resolver, **options) as running:
        try:
            return running.submit(url).result(60)
        except Rejected as rejected:
            return rejected.reason


# One picture, and what can go wrong with it.


def test_a_picture_comes_as_it_is(server: Server) -> None:
    assert result(server.url("ok/1.jpg")) == PICTURES[1]
    assert result(server.url("redirect/2.jpg")) == PICTURES[2]
    assert result(server.url("gzip/2.jpg")) == PICTURES[2]


def test_what_a_request_says(server: Server) -> None:
    assert (
        result(server.url("ok/1.jpg").replace("http://", "http://me:secret@"), user_agent_token="mine")
        == PICTURES[1]
    )
    assert server.headers["User-Agent"].startswith("glitbuild/")
    assert server.headers["User-Agent"].endswith(" (compatible; mine)")
    assert server.headers["Accept-Encoding"] == "identity"
    assert not {"Authorization", "Cookie", "Referer"} & server.headers.keys()


def test_every_fault_has_its_reason_and_none_hangs(server: Server) -> None:
    from_server = {"image_not_an_image", "image_corrupt", "image_empty", None}  # bytes, whatever they are
    with downloads(**SHORT) as running:
        waiting = {fault: running.submit(server.url(f"{fault}/1.jpg")) for fault in FAULTS}
        for fault, download in waiting.items():
            expected = FAULTS[fault]
            try:
                download.result(60)
            except Rejected as rejected:
                assert str(rejected.reason) in expected, (fault, rejected)
                assert "0x" not in rejected.detail
            else:
                assert expected & from_server, fault


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        ("status-503", 3),
        ("status-429", 3),
        ("closed", 6),  # aiohttp itself asks once more where there was no answer at all
        ("status-503-once", 2),
        ("status-404", 1),
        ("opt-out", 1),
        ("large", 1),
        ("redirect-private", 1),
        ("redirect-loop", pool.MAX_REDIRECTS + 1),
    ],
)
def test_only_what_may_go_better_is_tried_again(server: Server, fault: str, asked: int) -> None:
    result(server.url(f"{fault}/1.jpg"), retries=2)
    assert server.asked[f"/{fault}/1.jpg"] == asked


def test_an_opt_out_can_be_ignored(server: Server) -> None:
    assert result(server.url("opt-out/1.jpg")) == SkipReason.DOWNLOAD_OPT_OUT
    assert result(server.url("opt-out/1.jpg"), ignore_opt_out=True) == PICTURES[1]


def test_a_picture_may_be_as_large_as_the_limit(server: Server) -> None:
    size = len(PICTURES[1])
    for path in ("ok/1.jpg", "gzip/1.jpg"):
        assert result(server.url(path), max_download_bytes=size) == PICTURES[1]
        assert result(server.url(path), max_download_bytes=size - 1) == SkipReason.DOWNLOAD_TOO_LARGE


def test_a_server_that_asks_to_wait_is_left_in_peace(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[tuple[str, float]] = []
    pause = Hosts.pause
    monkeypatch.setattr(Hosts, "pause", lambda self, *what: (paused.append(what), pause(self, *what)))
    monkeypatch.setattr(served, "RETRY_AFTER", "1")
    assert result(server.url("status-429-once/1.jpg")) == PICTURES[1]
    assert paused == [("127.0.0.1", 1.0)]


def test_a_server_that_asks_for_too_long_a_wait_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        served, "answer", lambda body, status="", more="", **_: b"HTTP/1.1 503 X\r\nRetry-After: 99999\r\n\r\n"
    )
    assert result(server.url("status-503/1.jpg"), retries=5) == SkipReason.DOWNLOAD_FAILED
    assert server.asked["/status-503/1.jpg"] == 1


# Many at a time.


def test_so_many_connections_in_all_and_to_a_host(server: Server) -> None:
    server.delay = 0.02
    for options, most in (({"connections": 3}, 3), ({"connections": 9, "connections_per_host": 2}, 2)):
        server.most = 0
        with downloads(**options) as running:
            waiting = [running.submit(server.url(f"ok/{number}.jpg")) for number in range(40)]
            assert [download.result(60) for download in waiting] == [PICTURES[i % 3] for i in range(40)]
        assert 1 < server.most <= most


def test_what_is_not_taken_stops_the_rest(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound, and what is waited for comes all the same."""
    monkeypatch.setattr(pool, "HELD_BYTES", 2 * len(PICTURES[0]))
    with downloads(connections=2) as running:
        waiting = [running.submit(server.url(f"ok/{number}.jpg")) for number in range(60)]
        for number, download in enumerate(waiting):
            assert download.result(60) == PICTURES[number % 3]
            # Beyond what is held, those that had been begun by then: twice as many as there are connections.
            assert sum(server.asked.values()) <= number + 2 + 2 * 2 + 1
            running.take(download)


def test_closing_waits_for_nothing(server: Server) -> None:
    with downloads(timeout=100, total_timeout=100, connections=2) as running:
        waiting = [running.submit(server.url(f"stall/{number}.jpg")) for number in range(50)]
        assert not waiting[0].done()
    assert all(download.done() for download in waiting)


# Addresses that are not public.


class Names(AbstractResolver):
    """Gives the next of some addresses each time a name is looked up."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.addresses.pop(0).split()
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0)
            for one in found
        ]

    async def close(self) -> None:
        pass


def test_this_machine_is_not_asked(server: Server) -> None:
    here = server.url("ok/1.jpg")
    others = [
        here.replace("127.0.0.1", host) for host in ("localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]")
    ]
    assert result(here, allow_private_hosts=False) == SkipReason.DOWNLOAD_REFUSED
    for url in others:  # some of these spellings aiohttp itself does not take
        assert result(url, allow_private_hosts=False) in ("download_refused", "download_failed"), url
    assert not server.asked


def test_a_name_that_leads_elsewhere_the_second_time_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first time 127.0.0.1, which is made to be public here; the second time a private address."""
    monkeypatch.setattr(address, "is_public", lambda ip: ip == "127.0.0.1")
    with Server(PICTURES) as public, Server(PICTURES, "127.0.0.2", public.port) as private:
        names = Names("127.0.0.1", "127.0.0.2")
        # The server closes the connection, so that the name is looked up again for the next try.
        monkeypatch.setattr(pool, "DNS_SECONDS", 0)
        url = f"http://name.example:{public.port}/closed/1.jpg"
        assert result(url, names, allow_private_hosts=False) == SkipReason.DOWNLOAD_REFUSED
        assert (sum(public.asked.values()), sum(private.asked.values())) == (1, 0)
        assert not names.addresses


def test_a_redirection_is_looked_at_like_any_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "is_public", lambda ip: ip == "127.0.0.1")
    with Server(PICTURES) as public, Server(PICTURES, "127.0.0.2") as private:
        for to in (private.url("ok/1.jpg"), f"http://name.example:{private.port}/ok/1.jpg"):
            monkeypatch.setattr(served, "METADATA", to)
            names = Names("127.0.0.2")
            found = result(public.url("redirect-private/1.jpg"), names, allow_private_hosts=False)
            assert found == SkipReason.DOWNLOAD_REFUSED
        assert not private.asked


def test_of_several_addresses_the_public_one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "is_public", lambda ip: ip == "127.0.0.1")
    with Server(PICTURES) as public, Server(PICTURES, "127.0.0.2", public.port) as private:
        names = Names("127.0.0.2 127.0.0.1")
        url = f"http://name.example:{public.port}/ok/1.jpg"
        assert result(url, names, allow_private_hosts=False) == PICTURES[1]
        assert not private.asked


class Nowhere(Names):
    async def resolve(self, *_: Any, **__: Any) -> list[ResolveResult]:
        raise OSError("no such name")


def test_a_name_that_leads_nowhere() -> None:
    assert result("http://nothing.example/1.jpg", Nowhere(), retries=0) == SkipReason.DOWNLOAD_FAILED
    assert result(f"http://{'a' * 80}.org/1.jpg", retries=0) == SkipReason.DOWNLOAD_FAILED
