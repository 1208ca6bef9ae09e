"""Incremental rewriting of bytes: wrong checksums, fragments, quotes in ICMP errors, protocols without checksum."""

import pytest
from scapy.layers.inet import ICMP as ScapyICMP
from scapy.layers.inet import IP, fragment
from scapy.layers.inet import TCP as ScapyTCP
from scapy.layers.inet import UDP as ScapyUDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.sctp import SCTP as ScapySCTP
from scapy.packet import Raw

from netsim.wire.addr import ip, ip_text
from netsim.wire.checksum import ONES
from netsim.wire.codec import from_scapy
from netsim.wire.packet import ICMP, TCP, UDP, Flow, IcmpMessage, Packet, RawBody, TcpSegment
from netsim.wire.parse import transport
from netsim.wire.rewrite import layout, read_flow, requoted, rewritten
from netsim.wire.sctp import SctpPacket

CLIENT, VIP, BACKEND = "10.244.1.5", "10.96.0.10", "10.244.2.7"
DNAT = {"dst": BACKEND, "dport": 8080}


def nat(packet: Packet) -> Packet:
    packet.flow = packet.flow._replace(dst=ip(BACKEND), dport=8080)
    return packet


def word(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 2])


@pytest.mark.parametrize("error", [1, 0x1234, 0xFFFE - 1])
@pytest.mark.parametrize(
    ("layer", "at", "name"), [(ScapyTCP, 50, "chksum"), (ScapyUDP, 40, "chksum"), (None, 24, "chksum")]
)
def test_wrong_checksum_stays_wrong_by_the_same_amount(
    layer: type | None, at: int, name: str, error: int
) -> None:
    l4 = layer or ScapyUDP
    right = IP(bytes(IP(src=CLIENT, dst=VIP, id=0, flags="DF") / l4(sport=1000, dport=80) / Raw(b"data")))
    wrong = right.copy()
    target = wrong[layer] if layer else wrong
    setattr(target, name, (getattr(target, name) + error) % ONES)
    damaged, intact = from_scapy(wrong), from_scapy(right)
    assert isinstance(damaged.body, RawBody)
    assert not isinstance(intact.body, RawBody)
    assert transport(damaged) is None
    for packet in (damaged, intact):
        nat(packet).ttl -= 1
    assert (word(damaged.to_bytes(), at) - word(intact.to_bytes(), at)) % ONES == error
    assert transport(damaged) is None


@pytest.mark.parametrize("transport_layer", [ScapyUDP, ScapyTCP])
def test_fragments_after_nat_are_the_fragments_of_the_translated_packet(transport_layer: type) -> None:
    """The first fragment carries a checksum over bytes that are elsewhere; the later ones have no ports."""

    def fragments(dst: str, dport: int) -> list[IP]:
        whole = (
            IP(src=CLIENT, dst=dst, id=7) / transport_layer(sport=1000, dport=dport) / Raw(bytes(range(100)))
        )
        return list(fragment(IP(bytes(whole)), fragsize=48))

    before, after = fragments(VIP, 80), fragments(BACKEND, 8080)
    assert len(before) == 3
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        packet = from_scapy(old)
        assert (packet.flow.sport, packet.flow.dport) == ((0, 0) if number else (1000, 80))
        packet.flow = packet.flow._replace(dst=ip(BACKEND), dport=0 if number else 8080)
        assert packet.to_bytes()[14:] == bytes(new)
        assert transport(packet) is None


@pytest.mark.parametrize("kept", [28, 32, 40, 60])
def test_quote_in_an_icmp_error(kept: int) -> None:
    """The quoted packet is translated back; a TCP checksum that was cut off is nobody's business."""

    def quote(dst: str, dport: int) -> bytes:
        return bytes(
            IP(src=CLIENT, dst=dst, id=9, ttl=3) / ScapyTCP(sport=1000, dport=dport) / Raw(bytes(40))
        )[:kept]

    sent, translated = quote(VIP, 80), quote(BACKEND, 8080)
    assert read_flow(translated) == Flow(ip(CLIENT), ip(BACKEND), 1000, 8080, TCP)
    back = requoted(translated, Flow(ip(CLIENT), ip(VIP), 1000, 80, TCP))
    assert back == sent


def test_quote_of_ipv6() -> None:
    def quote(dst: str, dport: int) -> bytes:
        return bytes(IPv6(src="fd00::5", dst=dst, tc=5, fl=77) / ScapyUDP(sport=1, dport=dport) / Raw(b"x"))

    flow = Flow(ip("fd00::5"), ip("fd00::10"), 1, 53, UDP)
    assert requoted(quote("fd00::7", 5353), flow) == quote("fd00::10", 53)


def test_udp_without_checksum_stays_without() -> None:
    packet = from_scapy(IP(src=CLIENT, dst=VIP) / ScapyUDP(sport=1000, dport=80, chksum=0) / Raw(b"data"))
    assert isinstance(packet.body, RawBody)
    assert word(nat(packet).to_bytes(), 40) == 0
    assert transport(packet) is not None


def test_udp_over_ipv6_without_checksum_is_dropped() -> None:
    """RFC 8200 section 8.1; also where the sum happens to be right, so that only the 0 gives it away."""
    network = IPv6(src="fd00::1", dst="fd00::2")
    probe = IPv6(bytes(network / ScapyUDP(sport=1, dport=2) / Raw(b"\0\0")))
    for payload in (b"data", probe[ScapyUDP].chksum.to_bytes(2)):
        packet = from_scapy(network / ScapyUDP(sport=1, dport=2, chksum=0) / Raw(payload))
        assert isinstance(packet.body, RawBody)
        assert transport(packet) is None


def test_sctp_crc_follows_ports_but_not_addresses() -> None:
    before = IP(src=CLIENT, dst=VIP) / ScapySCTP(sport=1, dport=80, tag=5)
    packet = from_scapy(before)
    packet.flow = packet.flow._replace(dst=ip(BACKEND))
    assert packet.to_bytes()[34:] == bytes(before)[20:]
    packet.flow = packet.flow._replace(dport=8080)
    assert packet.to_bytes()[34:] == bytes(ScapySCTP(sport=1, dport=8080, tag=5))
    understood = transport(packet)
    assert isinstance(understood, SctpPacket)
    assert (understood.tag, understood.chunks) == (5, ())


def test_echo_identifier_is_translated() -> None:
    packet = from_scapy(IP(src=CLIENT, dst=VIP, id=3) / ScapyICMP(id=7, seq=1) / Raw(b"ping"))
    assert (packet.flow.sport, packet.flow.dport, packet.flow.proto) == (7, 8 << 8, ICMP)
    packet.flow = packet.flow._replace(src=ip(BACKEND), sport=4711)
    expected = IP(src=BACKEND, dst=VIP, id=3) / ScapyICMP(id=4711, seq=1) / Raw(b"ping")
    assert packet.to_bytes()[14:] == bytes(expected)


def test_echo_that_becomes_zeros() -> None:
    """The incremental update alone would give a checksum of 0, which a receiver refuses."""
    packet = from_scapy(IP(src=CLIENT, dst=VIP, id=3) / ScapyICMP(type=0, id=7, seq=0))
    packet.flow = packet.flow._replace(sport=0)
    assert (
        packet.to_bytes()[34:] == bytes(ScapyICMP(type=0, id=0, seq=0)) == bytes.fromhex("0000ffff00000000")
    )
    assert isinstance(transport(packet), IcmpMessage)
    refused = from_scapy(IP(src=CLIENT, dst=VIP, id=3) / ScapyICMP(type=0, id=0, seq=0, chksum=0))
    assert transport(refused) is None


def test_nothing_changes_without_a_rewrite() -> None:
    """Also a checksum field of 0xffff, which is another way to write 0, is not touched."""
    data = bytes(IP(src=CLIENT, dst=VIP, id=1) / ScapyTCP(sport=1, dport=2, chksum=0xFFFF))
    assert rewritten(data, read_flow(data), data[8], data[1]) == data


def test_flow_without_icmp_type_changes_nothing() -> None:
    """Whoever makes a flow for an ICMP error need not know its type and code; a checksum of 0xffff stays."""
    data = bytes(IP(src=CLIENT, dst=VIP, id=1) / ScapyICMP(type=3, code=1, chksum=0xFFFF) / Raw(bytes(28)))
    assert rewritten(data, read_flow(data)._replace(dport=0), data[8], data[1]) == data


def test_first_ipv6_fragment() -> None:
    """It has ports and a checksum, both are translated; but its receiver would have to wait for the rest."""

    def first(dst: str, dport: int) -> bytes:
        whole = bytes(IPv6(src="fd00::5", dst=dst) / ScapyUDP(sport=9, dport=dport) / Raw(bytes(range(64))))
        network = IPv6(src="fd00::5", dst=dst, nh=44)
        return bytes(network / IPv6ExtHdrFragment(nh=UDP, offset=0, m=1, id=7) / Raw(whole[40:80]))

    packet = from_scapy(first("fd00::10", 53))
    assert packet.flow == Flow(ip("fd00::5"), ip("fd00::10"), 9, 53, UDP)
    assert layout(first("fd00::10", 53)).fragment
    packet.flow = packet.flow._replace(dst=ip("fd00::7"), dport=5353)
    assert packet.to_bytes()[14:] == first("fd00::7", 5353)
    assert transport(packet) is None


def test_authentication_header_is_stepped_over() -> None:
    """Its length field counts in 4 bytes minus 2, unlike those of the other extension headers (RFC 4302)."""
    header = bytes([TCP, 4]) + bytes(22)
    segment = bytes(ScapyTCP(sport=1000, dport=80))
    data = bytes(IPv6(src="fd00::1", dst="fd00::2", nh=51) / Raw(header + segment))
    assert read_flow(data) == Flow(ip("fd00::1"), ip("fd00::2"), 1000, 80, TCP)


def test_sctp_quote_keeps_its_crc() -> None:
    """The CRC covers bytes that the quote does not have."""
    data = bytes(IP(src=CLIENT, dst=VIP) / ScapySCTP(sport=1, dport=80, tag=5) / Raw(bytes(40)))[:40]
    translated = requoted(data, read_flow(data)._replace(dport=8080))
    assert read_flow(translated).dport == 8080
    assert translated[24:] == data[24:]


def test_urgent_data_and_reserved_bits_are_kept() -> None:
    layers = IP(src=CLIENT, dst=VIP, id=0, flags="DF") / ScapyTCP(
        sport=1, dport=80, flags="AU", urgptr=9, reserved=2
    )
    packet = from_scapy(layers)
    assert packet.to_bytes()[14:] == bytes(layers)
    assert isinstance(transport(packet), TcpSegment)


def test_other_family_or_value_out_of_range() -> None:
    data = bytes(IP(src=CLIENT, dst=VIP) / ScapyUDP())
    flow = read_flow(data)
    with pytest.raises(ValueError, match="IPv4"):
        rewritten(data, flow._replace(dst=ip("fd00::1")), 64, 0)
    with pytest.raises(ValueError, match="TTL -1"):
        rewritten(data, flow, -1, 0)
    assert ip_text(flow.src) == CLIENT
