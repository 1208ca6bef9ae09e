"""Tunnels on the wire: for any inner packet, our bytes are those that Scapy builds from scratch, header by header."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netlab import arp, ping, tcp, udp
from scapy.layers.inet import ICMP as ScapyICMP
from scapy.layers.inet import IP
from scapy.layers.inet import TCP as ScapyTCP
from scapy.layers.inet import UDP as ScapyUDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from netsim.wire.addr import ip, ip_text, mac_text
from netsim.wire.codec import to_scapy
from netsim.wire.describe import describe
from netsim.wire.packet import UDP, Flow, Packet, RawBody, UdpDatagram, VxlanFrame
from netsim.wire.vxlan import flow_hash, header, source_port, unwrapped, wrapped

macs = st.binary(min_size=12, max_size=12)
addresses = st.binary(min_size=4, max_size=4)
ports = st.integers(1, 65535)
payloads = st.binary(max_size=300)
VTEPS = bytes(range(12))


@st.composite
def inners(draw: Any) -> tuple[Packet, Any]:
    """A packet and what Scapy makes of the same values."""
    src, dst, sport, dport = draw(addresses), draw(addresses), draw(ports), draw(ports)
    payload, kind = draw(payloads), draw(st.sampled_from(["udp", "tcp", "ping"]))
    a, b = ip_text(src), ip_text(dst)
    if kind == "udp":
        packet, layers = udp(a, sport, b, dport, payload), ScapyUDP(sport=sport, dport=dport) / payload
    elif kind == "tcp":
        packet = tcp(a, sport, b, dport, "S.", payload)
        layers = ScapyTCP(sport=sport, dport=dport, seq=1, ack=1, flags="SA", window=1000) / payload
    else:
        packet, layers = ping(a, b, sport, 5), ScapyICMP(type=8, id=sport, seq=5) / b"payload."
    packet.macs, packet.ttl, packet.tos = draw(macs), draw(st.integers(1, 255)), draw(st.integers(0, 255))
    header = IP(src=a, dst=b, id=0, flags="DF", ttl=packet.ttl, tos=packet.tos)
    return packet, ether(packet) / header / layers


def ether(packet: Packet) -> Ether:
    return Ether(dst=mac_text(packet.macs[:6]), src=mac_text(packet.macs[6:]), type=0x0800)


@given(inners(), st.integers(0, 2**24 - 1), ports, macs, addresses, addresses)
def test_bytes_are_those_of_scapy(
    inner: tuple[Packet, Any], vni: int, sport: int, outer_macs: bytes, src: bytes, dst: bytes
) -> None:
    packet, expected_inner = inner
    outer = wrapped(packet, vni, Flow(src, dst, sport, 8472, UDP))
    outer.macs = outer_macs
    network = IP(src=ip_text(src), dst=ip_text(dst), id=0, flags=0, ttl=64, tos=packet.tos & 3)
    tunnel = ScapyUDP(sport=sport, dport=8472, chksum=0) / VXLAN(vni=vni, flags="Instance")
    assert outer.to_bytes() == bytes(ether(outer) / network / tunnel / expected_inner)
    assert len(outer.to_bytes()) == outer.size == packet.size + 50
    assert bytes(to_scapy(outer)) == outer.to_bytes()


def test_scapy_dissects_down_to_the_inner_packet() -> None:
    inner = udp("10.244.1.5", 4000, "10.244.2.7", 5353, b"hello")
    inner.macs = VTEPS
    found = wrapped(inner, 1, Flow(ip("172.18.0.2"), ip("172.18.0.3"), 40000, 8472, UDP)).to_scapy()
    names = [layer.__name__ for layer in found.layers()]
    assert names == ["Ether", "IP", "UDP", "VXLAN", "Ether", "IP", "UDP", "Raw"]
    assert found[VXLAN].vni == 1
    assert found[VXLAN][IP].dst == "10.244.2.7"
    assert found[Raw].load == b"hello"
    assert [found[name].time for name in ("Ether", "VXLAN", "Raw")] == [0.0] * 3


def test_looking_at_a_tunnel_changes_no_other_dissection() -> None:
    to_scapy(wrapped(udp("10.0.0.1", 1, "10.0.0.2", 2), 1, Flow(ip("1.1.1.1"), ip("2.2.2.2"), 3, 8472, UDP)))
    plain = Packet(Flow(ip("1.1.1.1"), ip("2.2.2.2"), 4000, 9999, UDP), UdpDatagram(bytes(40)))
    assert [layer.__name__ for layer in to_scapy(plain).layers()] == ["Ether", "IP", "UDP", "Raw"]


def test_arp_in_a_tunnel() -> None:
    message = arp(1, VTEPS[6:], "10.244.1.5", "10.244.1.6")
    found = wrapped(message, 1, Flow(ip("1.1.1.1"), ip("2.2.2.2"), 3, 8472, UDP)).to_scapy()
    assert found[ARP].pdst == "10.244.1.6"


@given(inners(), st.integers(0, 2**24 - 1))
def test_what_was_wrapped_comes_out(inner: tuple[Packet, Any], vni: int) -> None:
    """As a value, and as read from bytes that a user has put into a datagram by hand."""
    packet, expected = inner
    outer = wrapped(packet, vni, Flow(ip("1.1.1.1"), ip("2.2.2.2"), 3, 8472, UDP))
    by_hand = Packet(outer.flow, UdpDatagram(outer.body.payload), 77)  # type: ignore[union-attr]
    for carrier in (outer, by_hand):
        found = unwrapped(carrier)
        assert found is not None
        assert found[0] == vni
        assert found[1] is not packet
        assert found[1].uid == carrier.uid
        assert found[1].to_bytes() == packet.to_bytes() == bytes(expected)


FRAME = arp(1, VTEPS[6:], "10.244.1.5", "10.244.1.6").to_bytes()


@pytest.mark.parametrize(
    ("payload", "fits"),
    [
        (header(1) + FRAME, True),
        (header(1) + FRAME[:20], False),
        (bytes(8) + FRAME, False),  # without the I flag
        (header(1), False),
        (b"", False),
        (header(1) + bytes(12) + b"\x88\xcc" + bytes(40), False),  # LLDP
        (header(1) + bytes(12) + b"\x08\x00" + bytes(40), False),  # no IP header
    ],
)
def test_datagrams_that_are_no_vxlan(payload: bytes, fits: bool) -> None:
    datagram = Packet(Flow(ip("1.1.1.1"), ip("2.2.2.2"), 3, 8472, UDP), UdpDatagram(payload))
    assert (unwrapped(datagram) is not None) is fits


def test_other_protocols_are_no_vxlan() -> None:
    body = RawBody(bytes(IP(src="1.1.1.1", dst="2.2.2.2", proto=253) / (header(1) + FRAME)))
    assert unwrapped(Packet(Flow(ip("1.1.1.1"), ip("2.2.2.2"), 0, 0, 253), body)) is None


@given(addresses, addresses, ports, ports, st.integers(0, 2**32 - 1))
def test_source_ports(src: bytes, dst: bytes, sport: int, dport: int, secret: int) -> None:
    """Within the range, and the same for both directions of a flow."""
    flow = Flow(src, dst, sport, dport, UDP)
    assert 32768 <= source_port(flow_hash(flow, secret), 32768, 60999) < 60999
    assert flow_hash(flow, secret) == flow_hash(flow.reverse(), secret)


def test_source_ports_spread() -> None:
    flows = [Flow(ip("10.244.1.5"), ip("10.244.2.7"), port, 80, UDP) for port in range(1000)]
    assert len({source_port(flow_hash(flow, 1), 32768, 60999) for flow in flows}) > 900
    assert flow_hash(flows[0], 1) != flow_hash(flows[0], 2)


def test_a_capture_says_what_is_inside() -> None:
    inner = ping("10.244.1.5", "10.244.2.7")
    body = VxlanFrame(1, inner)
    flow = Flow(ip("1.1.1.1"), ip("2.2.2.2"), 3, 8472, UDP)
    assert describe(flow, body) == "VXLAN, vni 1: icmp 10.244.1.5 > 10.244.2.7 ICMP echo request, seq 1"
