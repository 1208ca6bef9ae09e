"""Rules of the wire that random packets seldom meet, and the checksum arithmetic against published vectors."""

import pytest

from netsim.wire.addr import ip
from netsim.wire.checksum import adjusted, checksum, crc32c, ones_sum
from netsim.wire.packet import ARP, ICMP, TCP, UDP, Flow, IcmpMessage, Packet, TcpSegment, UdpDatagram
from netsim.wire.render import render, template

FLOW = Flow(ip("10.0.0.1"), ip("10.96.0.10"), 40000, 53, UDP)
FLOW6 = Flow(ip("fd00::1"), ip("fd00::a"), 40000, 53, UDP)


def test_rfc_1071_example() -> None:
    """The worked example of RFC 1071, section 3: 0001 f203 f4f5 f6f7 sum to ddf2."""
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert ones_sum(data) == 0xDDF2
    assert checksum(ones_sum(data)) == 0xFFFF ^ 0xDDF2


def test_rfc_1624_example() -> None:
    """The example of RFC 1624, section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285 gives 0x0000, not 0xffff."""
    assert adjusted(0xDD2F, 0x5555, 0x3285) == 0x0000


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_crc32c_vectors(data: bytes, crc: int) -> None:
    """RFC 3720 appendix B.4 and the usual check value."""
    assert crc32c(data) == crc


@pytest.mark.parametrize("flow", [FLOW, FLOW6], ids=["ipv4", "ipv6"])
def test_udp_checksum_zero_is_sent_as_ones(flow: Flow) -> None:
    """RFC 768, RFC 8200 section 8.1: a computed 0 goes out as 0xffff."""
    l4 = 34 if len(flow.src) == 4 else 54
    probe = render(Packet(flow, UdpDatagram(b"\0\0")))
    field = probe[l4 + 6 : l4 + 8]
    assert render(Packet(flow, UdpDatagram(field)))[l4 + 6 : l4 + 8] == b"\xff\xff"


def test_tcp_checksum_zero_stays_zero() -> None:
    flow = FLOW._replace(proto=TCP)
    field = render(Packet(flow, TcpSegment(0, 0, 16, 0, b"", b"\0\0")))[50:52]
    assert render(Packet(flow, TcpSegment(0, 0, 16, 0, b"", field)))[50:52] == b"\0\0"


def test_icmp_message_of_zeros() -> None:
    """Its sum is 0 and not 0xffff, so its checksum is 0xffff and not 0: RFC 1624 section 3 tells of the confusion."""
    nothing = Packet(FLOW._replace(proto=ICMP, sport=0, dport=0), IcmpMessage(0, 0, 0))
    assert render(nothing)[34:] == bytes.fromhex("0000ffff00000000")
    ones = Packet(FLOW._replace(proto=ICMP, sport=0, dport=0), IcmpMessage(0, 0, 0xFFFF))
    assert render(ones)[34:] == bytes.fromhex("000000000000ffff")


@pytest.mark.parametrize("length", [0, 1, 2, 3, 1459, 1460, 65507])
def test_size_is_the_length_of_the_frame(length: int) -> None:
    for packet in (Packet(FLOW, UdpDatagram(bytes(length))), Packet(FLOW6, UdpDatagram(bytes(length)))):
        assert len(render(packet)) == packet.size


def test_shared_body_renders_in_two_envelopes() -> None:
    """The cached payload sum belongs to the body, not to the packet that was rendered first."""
    body = UdpDatagram(b"hello")
    first, second = Packet(FLOW, body), Packet(FLOW6._replace(dport=5353), body)
    fresh = render(Packet(second.flow, UdpDatagram(b"hello")))
    render(first)
    assert render(second) == fresh


def test_template_has_only_constants() -> None:
    """Nothing of this machine and nothing of a packet: no address, port, TTL, identification or payload."""
    kind = template(4, TCP, 12)
    assert kind.frame.hex() == (
        "000000000000000000000000" "0800" "4500003400004000" "0006" "7ac5" "0000000000000000"
        "00000000" "00000000" "00000000" "8000" "0000" "7fd9" "0000" + "00" * 12
    )  # fmt: skip
    assert template(4, ARP).frame[12:20].hex() == "0806000108000604"


BAD = {
    "options not padded": Packet(FLOW._replace(proto=TCP), TcpSegment(0, 0, 2, 0, b"\1\1\1")),
    "options too long": Packet(FLOW._replace(proto=TCP), TcpSegment(0, 0, 2, 0, b"\1" * 44)),
    "sequence": Packet(FLOW._replace(proto=TCP), TcpSegment(1 << 32, 0, 2, 0)),
    "port": Packet(FLOW._replace(sport=-1), UdpDatagram(b"")),
    "too long": Packet(FLOW, UdpDatagram(bytes(65508))),
    "too long for IPv6": Packet(FLOW6, UdpDatagram(bytes(65528))),
    "icmp code": Packet(FLOW, IcmpMessage(3, 256, 0, bytes(28))),
}


@pytest.mark.parametrize("packet", BAD.values(), ids=BAD)
def test_values_that_do_not_fit(packet: Packet) -> None:
    with pytest.raises(ValueError, match=r"does not fit|TCP options"):
        render(packet)


@pytest.mark.parametrize("ttl", [-1, 256])
@pytest.mark.parametrize("flow", [FLOW, FLOW6], ids=["ipv4", "ipv6"])
def test_ttl_that_does_not_fit(flow: Flow, ttl: int) -> None:
    packet = Packet(flow, UdpDatagram(b""))
    packet.ttl = ttl
    with pytest.raises(ValueError, match=r"byte|fit"):
        render(packet)


def test_unknown_protocol_has_no_template() -> None:
    with pytest.raises(ValueError, match="RawBody"):
        template(4, 253)
