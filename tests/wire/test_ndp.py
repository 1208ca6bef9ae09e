"""Neighbour discovery on the wire: bytes are those that Scapy builds, and what is read is what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    in6_getnsma,
    in6_getnsmac,
)
from scapy.layers.l2 import Ether

from netsim.wire import ndp
from netsim.wire.addr import ip, ip_text, mac_text
from netsim.wire.describe import describe
from netsim.wire.packet import IcmpMessage

ADDRESSES = st.binary(min_size=16, max_size=16).filter(lambda a: a[0] != 0xFF)
MACS = st.binary(min_size=6, max_size=6)


@given(ADDRESSES, ADDRESSES, MACS)
def test_solicitation_as_scapy_builds_it(src: bytes, target: bytes, mac: bytes) -> None:
    group = ndp.solicited_node(target)
    assert group == in6_getnsma(target)
    macs = ndp.multicast_mac(group) + mac
    packet = ndp.discovery_packet(ndp.solicitation(target, mac), src, group, macs, 1)
    option = ICMPv6NDOptSrcLLAddr(lladdr=mac_text(mac))
    ether = Ether(src=mac_text(mac), dst=in6_getnsmac(group), type=0x86DD)
    network = IPv6(src=ip_text(src), dst=ip_text(group), hlim=255, fl=0)
    assert packet.to_bytes() == bytes(ether / network / ICMPv6ND_NS(tgt=ip_text(target)) / option)


@given(ADDRESSES, ADDRESSES, MACS, st.booleans(), st.booleans(), st.booleans())
def test_advertisement_as_scapy_builds_it(
    dst: bytes, target: bytes, mac: bytes, router: bool, solicited: bool, override: bool
) -> None:
    flags = ndp.ROUTER_FLAG * router | ndp.SOLICITED_FLAG * solicited | ndp.OVERRIDE_FLAG * override
    message = ndp.advertisement(target, mac, flags)
    packet = ndp.discovery_packet(message, target, dst, mac + mac, 1)
    wanted = ICMPv6ND_NA(tgt=ip_text(target), R=router, S=solicited, O=override)
    ether = Ether(src=mac_text(mac), dst=mac_text(mac), type=0x86DD)
    network = IPv6(src=ip_text(target), dst=ip_text(dst), hlim=255, fl=0)
    assert packet.to_bytes() == bytes(ether / network / wanted / ICMPv6NDOptDstLLAddr(lladdr=mac_text(mac)))
    assert ndp.read(message) == ndp.Discovery(ndp.ADVERTISEMENT, flags, target, mac)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (ip("fd00::1")[:15], 0),
        (ip("ff02::1"), 0),
        (ip("fd00::1"), 1),
        (ip("fd00::1") + b"\x01\x00" + bytes(6), 0),
        (ip("fd00::1") + b"\x01\x02" + bytes(6), 0),
        (ip("fd00::1") + b"\x01", 0),
    ],
    ids=[
        "short target",
        "group as target",
        "code",
        "option of length 0",
        "option cut short",
        "half an option",
    ],
)
def test_malformed_messages_say_nothing(payload: bytes, code: int) -> None:
    assert ndp.read(IcmpMessage(ndp.SOLICITATION, code, 0, payload)) is None


def test_unknown_options_are_passed_over() -> None:
    nonce = b"\x0e\x01" + bytes(6)
    message = IcmpMessage(ndp.SOLICITATION, 0, 0, ip("fd00::1") + nonce + b"\x01\x01" + b"\x02" * 6)
    assert ndp.read(message) == ndp.Discovery(ndp.SOLICITATION, 0, ip("fd00::1"), b"\x02" * 6)
    assert ndp.read(IcmpMessage(ndp.SOLICITATION, 0, 0, ip("fd00::1") + nonce)).mac is None


def test_addresses_by_the_book() -> None:
    """RFC 4291: appendix A and 2.7.1; Calico's gateway is made of ee:ee:ee:ee:ee:ee."""
    assert ndp.link_local(b"\xee" * 6) == ip("fe80::ecee:eeff:feee:eeee")
    assert ndp.link_local(bytes.fromhex("34567890abcd")) == ip("fe80::3656:78ff:fe90:abcd")
    assert ndp.solicited_node(ip("4037::1:800:200e:8c6c")) == ip("ff02::1:ff0e:8c6c")
    assert ndp.multicast_mac(ip("ff02::1:ff0e:8c6c")) == bytes.fromhex("3333ff0e8c6c")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (ndp.solicitation(ip("fd00::1"), b"\x02" * 6), "ICMP6 neighbor solicitation, who has fd00::1"),
        (ndp.advertisement(ip("fd00::1"), b"\x02" * 6, 0), "ICMP6 neighbor advertisement, tgt is fd00::1"),
        (IcmpMessage(ndp.SOLICITATION, 0, 0, b""), "ICMP6 neighbor discovery, malformed"),
        (IcmpMessage(128, 0, 3), "ICMP6 echo request, seq 3"),
        (IcmpMessage(1, 4, 0), "ICMP6 port unreachable"),
        (IcmpMessage(1, 6, 0), "ICMP6 type 1 code 6"),
    ],
)
def test_words(message: IcmpMessage, words: str) -> None:
    packet = ndp.discovery_packet(message, ip("fd00::2"), ip("fd00::3"), bytes(12), 1)
    flow = packet.flow._replace(dport=message.type << 8 | message.code)
    assert describe(flow, message) == words
    assert ndp.is_discovery(flow) is (message.type == ndp.SOLICITATION or message.type == ndp.ADVERTISEMENT)
