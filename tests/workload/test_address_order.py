"""getaddrinfo's order: RFC 6724's own examples where the rules are modelled, and where glibc and musl differ."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.wire.addr import ip, ip_text
from netsim.workload.address_order import GLIBC, MUSL, in_order


def ordered(addresses: list[str], sources: dict[str, str], table: Any = GLIBC) -> list[str]:
    """`sources` says which source address each destination would get; those not listed are unreachable."""
    known = {ip(destination): ip(source) for destination, source in sources.items()}
    return [ip_text(address) for address in in_order(tuple(map(ip, addresses)), known.get, table)]


V4, ULA, GUA, LL = "198.51.100.121", "fd00:10:96::5", "2001:db8:1::1", "fe80::1"
FROM = {V4: "10.244.1.2", ULA: "fd00:10:244:1::2", GUA: "2001:db8:1::2", LL: "fe80::2", "127.0.0.1": "127.0.0.1",
        "::1": "::1"}  # fmt: skip


@pytest.mark.parametrize(
    ("addresses", "sources", "table", "first"),
    [
        ([V4, ULA], FROM, GLIBC, ULA),
        ([V4, ULA], FROM, MUSL, V4),
        ([V4, GUA], FROM, GLIBC, GUA),
        ([V4, GUA], FROM, MUSL, GUA),
        ([V4, GUA], {V4: "10.244.1.2"}, GLIBC, V4),
        ([V4, GUA], {V4: "10.244.1.2", GUA: "fe80::2"}, GLIBC, V4),
        ([V4, GUA], {V4: "10.244.1.2", GUA: "fd00::2"}, GLIBC, V4),
        ([GUA, LL], FROM, GLIBC, LL),
        (["127.0.0.1", "::1"], FROM, GLIBC, "::1"),
        (["2002:c633:6401::1", GUA], {GUA: "2002:c633:6401::2", "2002:c633:6401::1": "2002:c633:6401::2"}, MUSL,
         "2002:c633:6401::1"),
    ],
    ids=["ULA before IPv4 in glibc", "ULA after IPv4 in musl", "IPv6 first in glibc", "IPv6 first in musl",
         "unreachable last", "matching scope", "matching label", "smaller scope", "loopback", "6to4 to 6to4"],
)  # fmt: skip
def test_rules(addresses: list[str], sources: dict[str, str], table: Any, first: str) -> None:
    for given_ in (addresses, addresses[::-1]):
        assert ordered(given_, sources, table)[0] == first


def test_the_longest_common_prefix_decides_among_ipv6() -> None:
    """Rule 9: pods of the client's own node come first, whatever the server shuffles."""
    pods = ["fd00:10:244:3::2", "fd00:10:244:1::7", "fd00:10:244:2::2"]
    sources = dict.fromkeys(pods, "fd00:10:244:1::2")
    assert ordered(pods, sources)[0] == "fd00:10:244:1::7"


@given(st.lists(st.binary(min_size=4, max_size=4), max_size=6))
def test_ipv4_alone_stays_as_it_came(addresses: list[bytes]) -> None:
    assert in_order(tuple(addresses), lambda _: None) == tuple(addresses)


@given(
    st.lists(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)), unique=True)
)
def test_nothing_is_lost_and_sorting_again_changes_nothing(addresses: list[bytes]) -> None:
    found = in_order(tuple(addresses), lambda a: a)
    assert sorted(found) == sorted(addresses)
    assert in_order(found, lambda a: a) == found
