import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.stages.ingest.download.address import AddressRefusedError, guard, is_metadata, is_public

REFUSED = [
    *(
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.0.1",
        "168.63.129.16",
        "169.254.169.254",
    ),
    *(
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.7",
    ),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *(
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::169.254.169.254",
    ),
    *(
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
    ),
    *(
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "fe80::1%eth0",
        "2a00:1450::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ),
    *("localhost", "1.2.3", "0x7f.1", "2130706433", "127.1"),
]
PUBLIC = [
    *(
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.0",
        "223.255.255.255",
    ),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:4860:4860::8888", "2606:4700::1111", "2a00:1450:4001::200e"),
]


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)
    assert not is_metadata(address)


@given(st.ip_addresses())
def test_what_is_public_is_global_and_no_group_of_hosts(ip: IPv4Address | IPv6Address) -> None:
    assert not is_public(str(ip)) or (ip.is_global and not ip.is_multicast) or str(ip).startswith("64:ff9b::")


PRIVATE = st.sampled_from([address for address in REFUSED if address.count(".") == 3 and ":" not in address])
FORMS = {
    "mapped": lambda value: 0xFFFF << 32 | value,
    "compatible": lambda value: value,
    "nat64": lambda value: 0x64FF9B << 96 | value,
    "local nat64": lambda value: 0x64FF9B0001 << 80 | value,
    "6to4": lambda value: 0x2002 << 112 | value << 80,
    "teredo": lambda value: 0x20010000 << 96 | 0x08080808 << 64 | value ^ 0xFFFFFFFF,
    "teredo's server": lambda value: 0x20010000 << 96 | value << 64,
}


@pytest.mark.parametrize("form", FORMS)
@given(PRIVATE, st.integers(0, 2**16 - 1))
def test_a_private_address_is_seen_in_an_ipv6_one(form: str, address: str, low: int) -> None:
    for inside in (ip_address(address), ip_address("10.0.0.0") + low, ip_address("169.254.0.0") + low):
        assert not is_public(str(IPv6Address(FORMS[form](int(inside)))))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_counts_as_itself_where_it_is_only_translated(ip: IPv4Address) -> None:
    for form in ("mapped", "nat64"):
        assert is_public(str(IPv6Address(FORMS[form](int(ip))))) == is_public(str(ip))


@given(st.ip_addresses())
def test_metadata_is_never_public(ip: IPv4Address | IPv6Address) -> None:
    assert not (is_metadata(str(ip)) and is_public(str(ip)))


@pytest.mark.parametrize(
    ("address", "public_only", "private_too"),
    [
        ("127.0.0.1", False, True),
        ("10.0.0.1", False, True),
        ("8.8.8.8", True, True),
        ("169.254.169.254", False, False),
        ("100.100.100.200", False, False),
        ("fd00:ec2::254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("::1", False, True),
        ("fe80::1%lo", False, False),
    ],
)
def test_a_socket_is_made_only_for_an_address_that_may_be_asked(
    address: str, public_only: bool, private_too: bool
) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    info = (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 80))
    for allow_private, expected in ((False, public_only), (True, private_too)):
        if expected:
            guard(allow_private)(info).close()
        else:
            with pytest.raises(AddressRefusedError):
                guard(allow_private)(info)
