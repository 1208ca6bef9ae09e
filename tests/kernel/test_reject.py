"""What the sender of a rejected packet is told."""

from types import SimpleNamespace

import pytest

from netsim.kernel.reject import tell_sender
from netsim.wire.addr import ip
from netsim.wire.packet import ACK, RST, SYN, TCP, UDP, Flow, Packet, TcpSegment, UdpDatagram

FLOW = Flow(ip("10.0.0.2"), ip("172.30.0.41"), 40000, 80, TCP)


@pytest.fixture
def ns():
    ns = SimpleNamespace(errors=[], sent=[], uids=iter(range(9)), conntrack=None)
    ns.icmp_error = lambda packet, type, code, now: ns.errors.append((type, code))
    ns.output = lambda packet, now: ns.sent.append(packet)
    return ns


@pytest.mark.parametrize(("how", "code"), [("icmp-port-unreachable", 3), ("icmp-host-prohibited", 10)])
def test_icmp(ns, how, code):
    tell_sender(ns, Packet(FLOW, TcpSegment(1, 0, SYN, 0)), how, 0)
    assert ns.errors == [(3, code)]


@pytest.mark.parametrize(
    ("segment", "answer"),
    [
        (TcpSegment(100, 0, SYN, 0), (0, 101, RST | ACK)),
        (TcpSegment(100, 7, ACK, 0, payload=b"abc"), (7, 0, RST)),
    ],
)
def test_tcp_reset(ns, segment, answer):
    tell_sender(ns, Packet(FLOW, segment), "tcp-reset", 0)
    (reset,) = ns.sent
    assert (reset.body.seq, reset.body.ack, reset.body.flags) == answer
    assert reset.flow == FLOW.reverse()


@pytest.mark.parametrize("body", [TcpSegment(1, 0, RST, 0), UdpDatagram(b"")])
def test_no_answer(ns, body):
    flow = FLOW if isinstance(body, TcpSegment) else FLOW._replace(proto=UDP)
    tell_sender(ns, Packet(flow, body), "tcp-reset", 0)
    assert ns.sent == []
