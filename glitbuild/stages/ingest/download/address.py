"""Which addresses may be asked: URLs as written, hosts as resolved."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from glitbuild.records import Rejected, SkipReason

if TYPE_CHECKING:
    from yarl import URL


def parse_url(text: str) -> "URL":
    """Return an address without the credentials and the fragment it may have.

    Raises:
        Rejected: it is not one of http or https.
    """
    from yarl import URL

    text = text.strip()
    # What a server signed must reach it letter by letter.
    plain = text.isascii() and text.isprintable() and " " not in text
    try:
        url = URL(text, encoded=plain).with_fragment(None)
        if url.scheme not in ("http", "https") or not url.host:
            raise Rejected(SkipReason.DOWNLOAD_REFUSED, f"{text}: not an address of http or https")
        return url.with_user(None)
    except ValueError as error:
        raise Rejected(SkipReason.DOWNLOAD_REFUSED, f"{text}: not a valid address") from error


METADATA = tuple(
    map(
        ip_network,
        (
            *("169.254.0.0/16", "fe80::/10"),  # link-local: AWS, Google, Azure, Oracle, OpenStack
            *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),  # Alibaba, Azure, Oracle
            *("fd00:ec2::/32", "fd20:ce::254/128"),  # AWS, Google
            *("224.0.0.0/4", "ff00::/8"),  # multicast: no host at all
        ),
    )
)
"""Where clouds hand out a machine's credentials; never asked, whatever the options."""

SPECIAL = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
            # Within IPv6's global unicast: Teredo and other protocols, documentation, 6to4.
            *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
        ),
    )
)
"""Not public, by IANA's registries of special addresses; ``is_global`` of ``ipaddress`` differs by Python."""

GLOBAL_UNICAST = ip_network("2000::/3")
NAT64 = ip_network("64:ff9b::/96")

AddressInfo = tuple[Any, ...]
"""As ``getaddrinfo`` returns it: family, type, protocol, canonical name, socket address."""


class AddressRefusedError(OSError):
    """The address is none that may be asked."""


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet; what is no address is not.

    An IPv4 address inside an IPv6 one (IPv4-mapped, NAT64) counts as itself. Those of 6to4 and Teredo, long out
    of use for servers, are refused as a whole, whatever they hold.
    """
    ip = _parse(address)
    if ip is None or _is_in(ip, METADATA) or _is_in(ip, SPECIAL):
        return False
    return isinstance(ip, IPv4Address) or ip in GLOBAL_UNICAST


def is_metadata(address: str) -> bool:
    """Return whether an IP address is link-local, a cloud's metadata service or multicast."""
    ip = _parse(address)
    return ip is None or _is_in(ip, METADATA)


def guard(allow_private: bool) -> Callable[[AddressInfo], socket.socket]:
    """Return what makes the sockets of an HTTP client, and refuses to for addresses that may not be asked.

    Args:
        allow_private: refuse metadata services only.
    """

    def make_socket(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, where = info
        if is_metadata(where[0]) if allow_private else not is_public(where[0]):
            raise AddressRefusedError("not a public address")
        return socket.socket(family, kind, protocol)

    return make_socket


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    """Return an address, that of IPv4 where one is embedded; None for one with a zone, which is never public."""
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    if isinstance(ip, IPv4Address):
        return ip
    if ip.scope_id is not None:
        return None
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip


def _is_in(ip: IPv4Address | IPv6Address, networks: tuple[Any, ...]) -> bool:
    return any(ip in network for network in networks)


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
