"""Which addresses may be asked: those of the public internet, checked where a connection is made.

A name is not an address: it may lead to another one the next time it is looked up. So what is checked is the
address that the socket is about to be connected to, of each request, redirected ones included.
"""

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

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
