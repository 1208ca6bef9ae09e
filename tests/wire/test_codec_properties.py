"""For every packet kind and after any chain of rewrites, our bytes are those that Scapy builds from scratch.

Scapy is the oracle: `build` makes the frame from the packet's present envelope and the original values of its body,
with every length and checksum computed by Scapy. It never sees our bytes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP as ScapyICMP
from scapy.layers.inet import IP, IPOption_NOP, IPOption_RR
from scapy.layers.inet import TCP as ScapyTCP
from scapy.layers.inet import UDP as ScapyUDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
)
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP as ScapySCTP
from scapy.layers.sctp import SCTPChunkData
from scapy.packet import Raw

from netsim.wire.addr import ip_text, mac_text
from netsim.wire.codec import from_scapy
from netsim.wire.packet import (
    ICMP,
    ICMPV6,
    SCTP,
    TCP,
    UDP,
    Flow,
    IcmpMessage,
    Packet,
    RawBody,
    TcpSegment,
    UdpDatagram,
)
from netsim.wire.parse import transport

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Case(NamedTuple):
    """A packet and its oracle: `layers(flow)` are Scapy's from layer 4 on, `header` extra fields of the IP layer."""

    packet: Packet
    layers: Callable[[Flow], Any]
    header: dict[str, Any]


def build(case: Case) -> bytes:
    packet, flow = case.packet, case.packet.flow
    ether = {"dst": mac_text(packet.macs[:6]), "src": mac_text(packet.macs[6:])}
    if len(flow.src) == 4:
        header = {"id": 0, "flags": "DF", "tos": packet.tos, "ttl": packet.ttl} | case.header
        network = IP(src=ip_text(flow.src), dst=ip_text(flow.dst), proto=flow.proto, **header)
    else:
        header = {"tc": packet.tos, "hlim": packet.ttl, "nh": flow.proto} | case.header
        network = IPv6(src=ip_text(flow.src), dst=ip_text(flow.dst), **header)
    return bytes(Ether(**ether) / network / case.layers(flow))


ports = st.integers(0, 0xFFFF)
words = st.integers(0, 0xFFFFFFFF)
payloads = st.binary(max_size=64) | st.sampled_from([b"\0", b"\xff\xff", bytes(1460), b"\xff" * 1447])
macs = st.binary(min_size=12, max_size=12)
families = st.sampled_from([4, 16])


def addresses(family: int) -> st.SearchStrategy[bytes]:
    edges = [bytes(family), b"\xff" * family, bytes([10]) + bytes(family - 2) + b"\1"]
    return st.binary(min_size=family, max_size=family) | st.sampled_from(edges)


@st.composite
def flows(draw: st.DrawFn, proto: int, family: int) -> Flow:
    return Flow(draw(addresses(family)), draw(addresses(family)), draw(ports), draw(ports), proto)


tcp_option = st.one_of(
    st.just(("NOP", None)),
    st.just(("SAckOK", b"")),
    st.tuples(st.just("MSS"), st.integers(0, 0xFFFF)),
    st.tuples(st.just("WScale"), st.integers(0, 255)),
    st.tuples(st.just("Timestamp"), st.tuples(words, words)),
    st.tuples(st.just("SAck"), st.tuples(words, words)),
)
tcp_options = st.lists(tcp_option, max_size=6).filter(
    lambda options: len(bytes(ScapyTCP(options=options))) <= 60
)


@st.composite
def tcp_cases(draw: st.DrawFn) -> Case:
    family, options, payload = draw(families), draw(tcp_options), draw(payloads)
    fields = {
        "seq": draw(words),
        "ack": draw(words),
        "flags": draw(st.integers(0, 0x1FF)),
        "window": draw(ports),
    }
    body = TcpSegment(**fields, options=bytes(ScapyTCP(options=options))[20:], payload=payload)
    flow = draw(flows(TCP, family))
    return Case(
        Packet(flow, body),
        lambda flow: ScapyTCP(sport=flow.sport, dport=flow.dport, options=options, **fields) / Raw(payload),
        {},
    )


names = st.lists(st.text("abcdefgh-0123", min_size=1, max_size=12), min_size=1, max_size=5).map(".".join)


@st.composite
def dns_payloads(draw: st.DrawFn) -> bytes:
    name = draw(names)
    answer = DNSRR(rrname=name, ttl=draw(st.integers(0, 60)), rdata=ip_text(draw(addresses(4))))
    query = DNS(id=draw(ports), qd=[DNSQR(qname=name)], qr=1, an=[answer] * draw(st.integers(0, 3)))
    return bytes(query)


@st.composite
def udp_cases(draw: st.DrawFn) -> Case:
    payload = draw(payloads | dns_payloads())
    flow = draw(flows(UDP, draw(families)))
    if draw(st.booleans()):
        flow = flow._replace(dport=53)
    return Case(
        Packet(flow, UdpDatagram(payload)),
        lambda flow: ScapyUDP(sport=flow.sport, dport=flow.dport) / Raw(payload),
        {},
    )


@st.composite
def echo_cases(draw: st.DrawFn) -> Case:
    family, payload, sequence = draw(families), draw(payloads), draw(ports)
    kind = draw(st.sampled_from([8, 0] if family == 4 else [128, 129]))
    flow = draw(flows(ICMP if family == 4 else ICMPV6, family))._replace(dport=kind << 8)
    scapy = {8: ScapyICMP, 0: ScapyICMP, 128: ICMPv6EchoRequest, 129: ICMPv6EchoReply}[kind]
    return Case(
        Packet(flow, IcmpMessage(kind, 0, sequence, payload)),
        lambda flow: scapy(type=kind, id=flow.sport, seq=sequence) / Raw(payload),
        {},
    )


@st.composite
def quotes(draw: st.DrawFn, family: int) -> bytes:
    """The packet in an ICMP error: the start of another case's bytes, an IP header and at least 8 bytes."""
    case = draw(tcp_cases().filter(lambda case: len(case.packet.flow.src) == family))
    least = 28 if family == 4 else 48
    # Scapy takes the length of a long quote for that of an RFC 4884 extension, hence fewer than 128 bytes.
    return build(case)[14 : 14 + draw(st.integers(least, 120))]


@st.composite
def error_cases(draw: st.DrawFn) -> Case:
    if draw(st.booleans()):
        quote, kind, code = draw(quotes(4)), draw(st.sampled_from([3, 11])), draw(st.integers(0, 15))
        mtu = draw(ports) if kind == 3 else 0
        extra = {"nexthopmtu": mtu} if kind == 3 else {}
        flow = draw(flows(ICMP, 4))._replace(sport=0, dport=kind << 8 | code)
        packet = Packet(flow, IcmpMessage(kind, code, mtu, quote))
        return Case(packet, lambda flow: ScapyICMP(type=kind, code=code, **extra) / Raw(quote), {})
    quote, mtu, code = draw(quotes(16)), draw(words), draw(st.integers(0, 6))
    layer, kind, rest = draw(
        st.sampled_from([(ICMPv6DestUnreach, 1, 0), (ICMPv6PacketTooBig, 2, mtu), (ICMPv6TimeExceeded, 3, 0)])
    )
    flow = draw(flows(ICMPV6, 16))._replace(sport=0, dport=kind << 8 | code)
    extra = {"mtu": mtu} if kind == 2 else {}
    packet = Packet(flow, IcmpMessage(kind, code, rest, quote))
    return Case(packet, lambda flow: layer(code=code, **extra) / Raw(quote), {})


@st.composite
def sctp_cases(draw: st.DrawFn) -> Case:
    """SCTP: its CRC32c covers the ports, so NAT changes it."""
    family, tag = draw(families), draw(words)
    flow = draw(flows(SCTP, family))
    data = draw(st.binary(min_size=1, max_size=40))

    def layers(flow: Flow) -> Any:
        return ScapySCTP(sport=flow.sport, dport=flow.dport, tag=tag) / SCTPChunkData(data=data, tsn=1)

    return _raw(Case(Packet(flow, UdpDatagram(b"")), layers, {}))


def _raw(case: Case) -> Case:
    """The same packet as a RawBody of the bytes that Scapy builds."""
    return case._replace(packet=from_scapy(build(case)))


@st.composite
def odd_ipv4_cases(draw: st.DrawFn) -> Case:
    """What the templates cannot express in the IP header: identification, no DF, options."""
    case = draw(
        st.one_of(tcp_cases(), udp_cases(), echo_cases()).filter(lambda case: len(case.packet.flow.src) == 4)
    )
    options = draw(st.sampled_from([[], [IPOption_NOP()] * 4, [IPOption_RR(length=7, routers=["10.1.2.3"])]]))
    header = {
        "id": draw(st.integers(1, 0xFFFF)),
        "flags": draw(st.sampled_from([0, "DF"])),
        "options": options,
    }
    return _raw(case._replace(header=header))


@st.composite
def fragment_cases(draw: st.DrawFn) -> Case:
    """Fragments of a protocol that we do not look into: nothing but the IP header changes."""
    payload = draw(st.binary(min_size=8, max_size=32))
    header = {"id": draw(ports), "flags": draw(st.sampled_from(["MF", 0])), "frag": draw(st.integers(1, 100))}
    flow = draw(flows(draw(st.sampled_from([TCP, UDP, 50])), 4))._replace(sport=0, dport=0)
    return _raw(Case(Packet(flow, UdpDatagram(b"")), lambda flow: Raw(payload), header))


@st.composite
def extension_cases(draw: st.DrawFn) -> Case:
    """IPv6 extension headers in front of TCP, UDP or ICMPv6."""
    case = draw(st.one_of(tcp_cases(), udp_cases()).filter(lambda case: len(case.packet.flow.src) == 16))
    inner, proto = case.layers, case.packet.flow.proto
    hop = draw(st.booleans())

    def layers(flow: Flow) -> Any:
        options = IPv6ExtHdrDestOpt(nh=proto, options=[PadN(optdata=b"\0" * 12)]) / inner(flow)
        return IPv6ExtHdrHopByHop(nh=60) / options if hop else options

    return _raw(case._replace(layers=layers, header={"nh": 0 if hop else 60}))


@st.composite
def fragment6_cases(draw: st.DrawFn) -> Case:
    payload = draw(st.binary(min_size=8, max_size=32))
    header = IPv6ExtHdrFragment(
        nh=UDP, offset=draw(st.integers(1, 50)), m=draw(st.integers(0, 1)), id=draw(words)
    )
    flow = draw(flows(UDP, 16))._replace(sport=0, dport=0)
    return _raw(Case(Packet(flow, UdpDatagram(b"")), lambda flow: header / Raw(payload), {"nh": 44}))


MODELLED = {
    "tcp": tcp_cases(),
    "udp": udp_cases(),
    "echo": echo_cases(),
    "error": error_cases(),
    "sctp": sctp_cases(),
}
KEPT = {
    "odd-ipv4": odd_ipv4_cases(),
    "fragment": fragment_cases(),
    "extension": extension_cases(),
    "fragment6": fragment6_cases(),
}

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def rewrite(draw: Draw, packet: Packet) -> None:
    """One hop's work: source or destination NAT, TTL, MACs or type of service."""
    flow, family = packet.flow, len(packet.flow.src)
    has_ports = flow.proto in (TCP, UDP, SCTP) and (flow.sport or flow.dport)
    is_echo = flow.proto in (ICMP, ICMPV6) and flow.dport in (8 << 8, 0, 128 << 8, 129 << 8)
    match draw(st.sampled_from(["snat", "dnat", "ttl", "macs", "tos"])):
        case "snat":
            sport = draw(ports) if has_ports or is_echo else flow.sport
            packet.flow = flow._replace(src=draw(addresses(family)), sport=sport)
        case "dnat":
            dport = draw(ports) if has_ports else flow.dport
            packet.flow = flow._replace(dst=draw(addresses(family)), dport=dport)
        case "ttl":
            packet.ttl = max(packet.ttl - draw(st.integers(1, 3)), 0)
        case "macs":
            packet.macs = draw(macs)
        case "tos":
            packet.tos = draw(st.integers(0, 255))


@pytest.mark.parametrize("kind", [*MODELLED, *KEPT])
@quick
@given(data=st.data())
def test_bytes_equal_scapy_after_every_rewrite(kind: str, data: st.DataObject) -> None:
    case = data.draw((MODELLED | KEPT)[kind])
    assert case.packet.to_bytes() == build(case)
    for _ in range(data.draw(st.integers(1, 6))):
        rewrite(data.draw, case.packet)
        assert case.packet.to_bytes() == build(case)


@pytest.mark.parametrize("kind", [*MODELLED, *KEPT])
@quick
@given(data=st.data())
def test_scapy_and_back_is_identity(kind: str, data: st.DataObject) -> None:
    packet = data.draw((MODELLED | KEPT)[kind]).packet
    for _ in range(data.draw(st.integers(0, 3))):
        rewrite(data.draw, packet)
    dissected = packet.to_scapy()
    assert dissected.time == 0
    back = from_scapy(dissected)
    assert back.to_bytes() == packet.to_bytes() == from_scapy(bytes(dissected)).to_bytes()
    assert (back.flow, back.ttl, back.tos, back.macs) == (packet.flow, packet.ttl, packet.tos, packet.macs)
    assert back.size == packet.size == len(packet.to_bytes())
    assert type(back.body) is type(packet.body)
    if kind in MODELLED:
        assert slots(back.body) == slots(packet.body)
    else:
        assert isinstance(back.body, RawBody)


def slots(body: Any) -> dict[str, Any]:
    return {name: getattr(body, name) for name in body.__slots__ if name != "payload_sum"}


@quick
@given(case=st.one_of(odd_ipv4_cases(), extension_cases()), data=st.data())
def test_receiver_reads_raw_transport(case: Case, data: st.DataObject) -> None:
    """A RawBody with intact checksums gives its receiver the values that Scapy was built with."""
    rewrite(data.draw, case.packet)
    body = transport(case.packet)
    scapy = case.layers(case.packet.flow)
    if isinstance(body, TcpSegment):
        segment = scapy[ScapyTCP]
        assert (body.seq, body.ack, body.flags) == (segment.seq, segment.ack, int(segment.flags))
        assert body.payload == bytes(segment.payload)
    elif isinstance(body, UdpDatagram):
        assert body.payload == bytes(scapy[ScapyUDP].payload)
    else:
        assert isinstance(body, IcmpMessage)
        assert (body.type, body.rest, body.payload) == (scapy.type, scapy.seq, bytes(scapy.payload))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=st.one_of(*MODELLED.values(), *KEPT.values()), data=st.data())
def test_damaged_bytes_give_a_packet_or_value_error(case: Case, data: st.DataObject) -> None:
    """Cut, extended or flipped bytes: ValueError, or a packet that keeps the bytes and survives any rewrite."""
    damaged = bytearray(case.packet.to_bytes()[14:])
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))] + data.draw(st.binary(max_size=8))
    survives(bytes(damaged), data.draw)


@settings(max_examples=300, deadline=None)
@given(
    start=st.sampled_from([b"", b"\x45", b"\x60", b"\x4f", b"\x41"]),
    rest=st.binary(max_size=100),
    data=st.data(),
)
def test_random_bytes_give_a_packet_or_value_error(start: bytes, rest: bytes, data: st.DataObject) -> None:
    survives(start + rest, data.draw)
    survives(data.draw(macs) + data.draw(st.sampled_from([b"\x08\0", b"\x86\xdd"])) + start + rest, data.draw)


def survives(damaged: bytes, draw: Draw) -> None:
    try:
        packet = from_scapy(damaged)
    except ValueError:
        return
    frame = packet.to_bytes()
    assert frame[14:] in damaged
    transport(packet)
    packet.to_scapy()
    for _ in range(2):
        rewrite(draw, packet)
        assert len(packet.to_bytes()) == len(frame)
    transport(packet)
