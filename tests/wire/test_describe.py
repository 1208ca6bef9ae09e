"""What packets say, in tcpdump's words."""

import dns.message
import pytest

from netsim.wire.addr import ip
from netsim.wire.describe import describe
from netsim.wire.packet import (
    ACK,
    PSH,
    SYN,
    TCP,
    UDP,
    ArpMessage,
    Body,
    Flow,
    IcmpMessage,
    RawBody,
    TcpSegment,
    UdpDatagram,
)

A, B = ip("10.0.0.1"), ip("10.0.0.2")
WEB = Flow(A, B, 40000, 80, TCP)
DNS = Flow(A, B, 40000, 53, UDP)


@pytest.mark.parametrize(
    ("flow", "body", "text"),
    [
        (WEB, TcpSegment(1, 0, SYN, 64240), "Flags [S]"),
        (WEB, TcpSegment(1, 1, ACK, 64240), "Flags [.]"),
        (
            WEB,
            TcpSegment(1, 1, PSH | ACK, 1, b"", b"GET / HTTP/1.1\r\n\r\n"),
            "Flags [P.], length 18: GET / HTTP/1.1",
        ),
        (DNS, UdpDatagram(dns.message.make_query("web.", "A").to_wire()), "DNS A? web."),
        (DNS, UdpDatagram(b"??"), "DNS, malformed query"),
        (DNS.reverse(), UdpDatagram(b"??"), "DNS, malformed answer"),
        (Flow(A, B, 1, 2, UDP), UdpDatagram(b"abc"), "UDP, length 3"),
        (Flow(A, B, 7, 8 << 8, 1), IcmpMessage(8, 0, 3, b""), "ICMP echo request, seq 3"),
        (Flow(A, B, 0, 3 << 8 | 1, 1), IcmpMessage(3, 1, 0, b""), "ICMP host unreachable"),
        (Flow(A, B, 0, 0, 0), ArpMessage(1, b"\2" * 6, A, bytes(6), B), "ARP who-has 10.0.0.2 tell 10.0.0.1"),
        (Flow(A, B, 0, 0, 132), RawBody(bytes([0x45]) + bytes(39)), "IP protocol 132, length 20"),
    ],
)
def test_descriptions(flow: Flow, body: Body, text: str) -> None:
    assert describe(flow, body) == text
