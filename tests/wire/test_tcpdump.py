"""Lines as tcpdump prints them."""

import pytest

from netsim.wire.addr import ip
from netsim.wire.dns import A, Record, Reply, ask
from netsim.wire.dns_codec import DnsCodec
from netsim.wire.packet import (
    ACK,
    FIN,
    ICMP,
    ICMPV6,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    ArpMessage,
    Body,
    Flow,
    IcmpMessage,
    Packet,
    TcpSegment,
    UdpDatagram,
    VxlanFrame,
    arp_packet,
)  # fmt: skip
from netsim.wire.tcpdump import Printer

ONE, TWO = ip("10.0.0.1"), ip("10.0.0.2")
WEB = Flow(ONE, TWO, 4000, 80, TCP)
DNS = Flow(ONE, TWO, 5000, 53, UDP)
OPTIONS = bytes.fromhex("020405b4010104020103 0307".replace(" ", ""))
NAME = "my-nginx.default.svc.cluster.local."


def line(flow: Flow, body: Body) -> str:
    return Printer().line(Packet(flow, body))


def test_a_connection_has_relative_numbers() -> None:
    printer = Printer()
    packets = [
        (WEB, TcpSegment(1000, 0, SYN, 64240, OPTIONS)),
        (WEB.reverse(), TcpSegment(7000, 1001, SYN | ACK, 65160, OPTIONS)),
        (WEB, TcpSegment(1001, 7001, ACK, 502)),
        (WEB, TcpSegment(1001, 7001, PSH | ACK, 502, b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
        (WEB.reverse(), TcpSegment(7001, 1028, PSH | ACK, 509, b"", b"HTTP/1.1 200 OK\r\n\r\n")),
        (WEB, TcpSegment(1028, 7020, FIN | ACK, 502)),
        (WEB.reverse(), TcpSegment(7020, 1029, RST | ACK, 509)),
    ]
    there, back = "IP 10.0.0.1.4000 > 10.0.0.2.80: ", "IP 10.0.0.2.80 > 10.0.0.1.4000: "
    options = "options [mss 1460,nop,nop,sackOK,nop,wscale 7]"
    assert [printer.line(Packet(flow, body)) for flow, body in packets] == [
        there + f"Flags [S], seq 1000, win 64240, {options}, length 0",
        back + f"Flags [S.], seq 7000, ack 1001, win 65160, {options}, length 0",
        there + "Flags [.], ack 1, win 502, length 0",
        there + "Flags [P.], seq 1:28, ack 1, win 502, length 27: HTTP: GET / HTTP/1.1",
        back + "Flags [P.], seq 1:20, ack 28, win 509, length 19: HTTP: HTTP/1.1 200 OK",
        there + "Flags [F.], seq 28, ack 20, win 502, length 0",
        back + "Flags [R.], seq 20, ack 29, win 509, length 0",
    ]


def test_dns() -> None:
    codec = DnsCodec()
    query = b"\x12\x34" + codec.query(NAME, A)
    answer = codec.compressed(
        ask(NAME, A), Reply(answer=(Record(NAME, A, 30, "10.96.44.11"),), authoritative=True), 512
    )
    missing = codec.compressed(
        ask(NAME, A), Reply(rcode=3, authoritative=True, recursion_available=True), 512
    )
    assert line(DNS, UdpDatagram(query)) == f"IP 10.0.0.1.5000 > 10.0.0.2.53: 4660+ A? {NAME} (52)"
    said = line(DNS.reverse(), UdpDatagram(b"\x12\x34" + answer))
    assert said.startswith("IP 10.0.0.2.53 > 10.0.0.1.5000: 4660*- 1/0/0 A 10.96.44.11 (")
    assert " 4660 NXDomain* 0/0/0 (" in line(DNS.reverse(), UdpDatagram(b"\x12\x34" + missing))
    assert line(DNS, UdpDatagram(b"short")) == "IP 10.0.0.1.5000 > 10.0.0.2.53: UDP, length 5"


INNER = bytes.fromhex("4500003c00004000400600000a0000010a000002") + b"\x0f\xa0\x00\x50\0\0\0\0"


@pytest.mark.parametrize(
    ("flow", "body", "text"),
    [
        (
            Flow(ONE, TWO, 7, 8 << 8, ICMP), IcmpMessage(8, 0, 1, b"x" * 56),
            "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 1, length 64",
        ),
        (
            Flow(TWO, ONE, 0, 3 << 8 | 3, ICMP), IcmpMessage(3, 3, 0, INNER),
            "IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 tcp port 80 unreachable, length 36",
        ),
        (
            Flow(TWO, ONE, 0, 3 << 8 | 4, ICMP), IcmpMessage(3, 4, 1450, INNER),
            "IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 unreachable - need to frag (mtu 1450), length 36",
        ),
        (
            Flow(TWO, ONE, 0, 3 << 8 | 1, ICMP), IcmpMessage(3, 1, 0, INNER),
            "IP 10.0.0.2 > 10.0.0.1: ICMP host 10.0.0.2 unreachable, length 36",
        ),
        (
            Flow(ip("fd00::1"), ip("fd00::2"), 7, 128 << 8, ICMPV6), IcmpMessage(128, 0, 1),
            "IP6 fd00::1 > fd00::2: ICMP6, echo request, id 7, seq 1, length 8",
        ),
        (
            Flow(ONE, TWO, 4000, 9999, UDP), UdpDatagram(b"hello"),
            "IP 10.0.0.1.4000 > 10.0.0.2.9999: UDP, length 5",
        ),
        (
            Flow(ONE, TWO, 40000, 8472, UDP), VxlanFrame(1, Packet(WEB, TcpSegment(1, 0, RST, 0))),
            "IP 10.0.0.1.40000 > 10.0.0.2.8472: OTV, flags [I] (0x08), overlay 0, instance 1\n"
            "IP 10.0.0.1.4000 > 10.0.0.2.80: Flags [R], seq 1, win 0, length 0",
        ),
    ],
)  # fmt: skip
def test_other_protocols(flow: Flow, body: Body, text: str) -> None:
    assert line(flow, body) == text


def test_arp() -> None:
    mac = bytes(range(2, 8))
    ask_who = arp_packet(ArpMessage(1, mac, ONE, bytes(6), TWO), bytes(12), 1)
    reply = arp_packet(ArpMessage(2, mac, TWO, mac, ONE), bytes(12), 2)
    assert Printer().line(ask_who) == "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28"
    assert Printer().line(reply) == "ARP, Reply 10.0.0.2 is-at 02:03:04:05:06:07, length 28"


def test_names_instead_of_numbers() -> None:
    printer = Printer(lambda address: "web" if address == TWO else "")
    text = printer.line(Packet(WEB, TcpSegment(1, 0, SYN, 1)))
    assert text == "IP 10.0.0.1.4000 > web.http: Flags [S], seq 1, win 1, length 0"
