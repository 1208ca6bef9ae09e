"""ICMPv6: what senders are told by routers, hosts and rules, and what sockets make of it."""

from typing import Any

import pytest
from netlab import Clock, Port, namespace, tcp, udp

from netsim.kernel.errno import Errno
from netsim.kernel.routing import Route, RouteKind
from netsim.kernel.sockets import icmp_errno
from netsim.kernel.targets import Dnat, Drop, Masquerade, Reject
from netsim.kernel.xtables import XtablesError
from netsim.kernel.xtables_chain import Rule
from netsim.wire import rewrite
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import ICMPV6, UDP, Flow, IcmpMessage, Packet, RawBody, TcpSegment

LEFT, RIGHT = ip("fd01::1"), ip("fd02::1")


class Router:
    """fd01::1 and fd02::1, with netfilter; every host is a known neighbour."""

    def __init__(self, mtu: int = 1500) -> None:
        self.clock = Clock()
        self.ns = namespace("node", self.clock, netfilter=True, ip_forward=True)
        self.left = self._port("left", LEFT, 1500)
        self.right = self._port("right", RIGHT, mtu)
        for text, kind in (("fd08::/64", RouteKind.BLACKHOLE), ("fd09::/64", RouteKind.UNREACHABLE)):
            self.ns.add_route(Route(Prefix.parse(text), kind=kind))
        self.inbox: Any = self.ns.sockets
        self.rules: Any = self.ns.ip6tables

    def _port(self, name: str, address: bytes, mtu: int) -> Port:
        port = Port(self.ns, name, self.clock, mtu)
        self.ns.add_address(address, port.device)
        self.ns.start_ipv6(port.device)
        self.ns.add_route(Route(Prefix(address[:15] + b"\0", 64), port.device, source=address))
        self.ns.neighbours.fixed(port.device, b"\x02\0\0\0\xff" + name[:1].encode())
        return port

    def error(self) -> tuple[int, int, int, Flow, Flow]:
        """Type, code, rest, the flow of the error and of what it quotes."""
        packet = self.left.one()
        body = packet.body
        assert isinstance(body, IcmpMessage)
        assert packet.flow.proto == ICMPV6
        assert packet.to_scapy().haslayer("IPv6")
        return body.type, body.code, body.rest, packet.flow, rewrite.read_flow(body.payload)


def packet(dst: str = "fd02::9", ttl: int = 64, size: int = 4) -> Packet:
    made = udp("fd01::9", 1, dst, 53, b"x" * size)
    made.ttl = ttl
    return made


@pytest.mark.parametrize(
    ("sent", "kind", "code", "rest"),
    [
        (packet("fd05::1"), 1, 0, 0),
        (packet("fd09::1"), 1, 0, 0),
        (packet(ttl=1), 3, 0, 0),
        (packet(size=1400), 2, 0, 1280),
    ],
    ids=["no route", "unreachable route", "hop limit", "too big"],
)
def test_errors_of_a_router(sent: Packet, kind: int, code: int, rest: int) -> None:
    router = Router(mtu=1280)
    about = sent.flow
    router.left.arrive(sent)
    assert router.error() == (kind, code, rest, Flow(LEFT, about.src, 0, kind << 8 | code, ICMPV6), about)


def test_a_blackhole_says_nothing() -> None:
    router = Router()
    router.left.arrive(packet("fd08::1"))
    assert router.left.take() == []


def test_a_closed_port_and_an_unknown_protocol() -> None:
    router = Router()
    router.inbox.refuse = True
    router.left.arrive(packet("fd01::1"))
    assert router.error()[:3] == (1, 4, 0)
    header = packet("fd01::1").to_bytes()[14:54]
    strange = RawBody(header[:4] + b"\0\x08" + b"\xfd" + header[7:] + bytes(8))
    router.left.arrive(Packet(Flow(ip("fd01::9"), LEFT, 0, 0, 253), strange))
    assert router.error()[:3] == (4, 1, 6)


def test_as_much_is_quoted_as_the_smallest_mtu_carries() -> None:
    router = Router()
    router.left.arrive(packet("fd05::1", size=1400))
    assert router.left.one().size == 14 + 1280


def test_no_error_about_an_error_or_to_a_group() -> None:
    router = Router()
    about = packet("fd05::1").to_bytes()[14:]
    flow = Flow(ip("fd01::9"), ip("fd05::2"), 0, 1 << 8, ICMPV6)
    router.left.arrive(Packet(flow, IcmpMessage(1, 0, 0, about)))
    router.left.arrive(packet("ff05::1"))
    assert router.left.take() == []


def test_echo() -> None:
    router = Router()
    router.left.arrive(
        Packet(Flow(ip("fd01::9"), LEFT, 7, 128 << 8, ICMPV6), IcmpMessage(128, 0, 3, b"hello"))
    )
    answer = router.left.one()
    assert answer.flow == Flow(LEFT, ip("fd01::9"), 7, 129 << 8, ICMPV6)
    assert isinstance(answer.body, IcmpMessage)
    assert (answer.body.type, answer.body.rest, answer.body.payload) == (129, 3, b"hello")


def test_icmp_of_the_other_family_is_an_unknown_protocol() -> None:
    router = Router()
    router.left.arrive(Packet(Flow(ip("fd01::9"), LEFT, 7, 8 << 8, 1), IcmpMessage(8, 0, 3)))
    assert router.left.take() == []
    assert {reason.name for _, reason in router.ns.drops} == {"IP_UNKNOWN_PROTOCOL"}


# ---------------------------------------------------------------- ip6tables
@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("", 4),
        (" --reject-with icmp6-no-route", 0),
        (" --reject-with icmp6-adm-prohibited", 1),
        (" --reject-with icmp6-addr-unreachable", 3),
        (" --reject-with icmp6-policy-fail", 5),
        (" --reject-with icmp6-reject-route", 6),
    ],
)
def test_reject(how: str, code: int) -> None:
    router = Router()
    router.rules.restore(f"*filter\n-A FORWARD -d fd02::/64 -j REJECT{how}\nCOMMIT\n")
    router.left.arrive(packet())
    assert router.error()[:2] == (1, code)
    assert router.right.take() == []


def test_tcp_reset() -> None:
    router = Router()
    router.rules.restore("*filter\n-A FORWARD -p tcp -j REJECT --reject-with tcp-reset\nCOMMIT\n")
    router.left.arrive(tcp("fd01::9", 1, "fd02::9", 80, "S"))
    answer = router.left.one()
    assert isinstance(answer.body, TcpSegment)
    assert (answer.flow.src, answer.body.ack) == (ip("fd02::9"), 2)


@pytest.mark.parametrize(
    "rule",
    ["-s 10.0.0.0/8 -j DROP", "-j REJECT --reject-with icmp-port-unreachable"],
)
def test_ip6tables_takes_no_rules_of_ipv4(rule: str) -> None:
    with pytest.raises(XtablesError):
        Router().rules.restore(f"*filter\n-A FORWARD {rule}\nCOMMIT\n")


def test_saved_text_names_the_default_reject() -> None:
    router = Router()
    router.rules.restore("*filter\n-A FORWARD -j REJECT\nCOMMIT\n")
    assert "-A FORWARD -j REJECT --reject-with icmp6-port-unreachable\n" in router.rules.save(tool=True)
    assert str(Reject(ipv6=True)) == "-j REJECT"


def test_each_family_has_rules_of_its_own() -> None:
    router = Router()
    assert router.ns.xtables is not None
    router.ns.xtables.ensure_rule("filter", "FORWARD", Rule((), Drop()))
    router.left.arrive(packet())
    assert len(router.right.take()) == 1
    assert router.ns.xtables.counters("filter", "FORWARD")[0].packets == 0
    router.rules.ensure_rule("filter", "FORWARD", Rule((), Drop()))
    router.left.arrive(packet())
    assert router.right.take() == []
    assert router.rules.counters("filter", "FORWARD")[0].packets == 1


def test_nat_and_the_way_back() -> None:
    router = Router()
    router.rules.ensure_rule("nat", "PREROUTING", Rule((), Dnat(ip("fd02::9"), 8080)))
    router.rules.ensure_rule("nat", "POSTROUTING", Rule((), Masquerade()))
    router.left.arrive(udp("fd01::9", 1000, "fd10::1", 80))
    sent = router.right.one()
    assert sent.flow == Flow(RIGHT, ip("fd02::9"), 1000, 8080, UDP)
    router.right.arrive(Packet(sent.flow.reverse(), sent.body))
    assert router.left.one().flow == Flow(ip("fd10::1"), ip("fd01::9"), 80, 1000, UDP)
    assert router.ns.conntrack is not None
    assert router.ns.conntrack.render(0) == (
        "udp      17 30 src=fd01::9 dst=fd10::1 sport=1000 dport=80 src=fd02::9 dst=fd02::1 sport=8080 dport=1000"
        " mark=0 use=1\n"
    )


def test_an_error_from_behind_nat_is_translated() -> None:
    router = Router()
    router.rules.ensure_rule("nat", "PREROUTING", Rule((), Dnat(ip("fd02::9"), 8080)))
    router.left.arrive(udp("fd01::9", 1000, "fd10::1", 80))
    sent = router.right.one()
    message = IcmpMessage(1, 4, 0, sent.to_bytes()[14:])
    router.right.arrive(Packet(Flow(ip("fd02::9"), sent.flow.src, 0, 1 << 8 | 4, ICMPV6), message))
    kind, code, _, flow, about = router.error()
    assert (kind, code) == (1, 4)
    assert (flow.src, flow.dst) == (ip("fd10::1"), ip("fd01::9"))
    assert about == Flow(ip("fd01::9"), ip("fd10::1"), 1000, 80, UDP)


@pytest.mark.parametrize(
    ("kind", "code", "errno"),
    [
        (1, 0, Errno.ENETUNREACH),
        (1, 1, Errno.EACCES),
        (1, 2, Errno.EHOSTUNREACH),
        (1, 3, Errno.EHOSTUNREACH),
        (1, 4, Errno.ECONNREFUSED),
        (1, 5, Errno.EACCES),
        (1, 6, Errno.EACCES),
        (2, 0, Errno.EMSGSIZE),
        (3, 0, Errno.EHOSTUNREACH),
        (4, 1, Errno.EPROTO),
        (128, 0, None),
    ],
)
def test_what_sockets_are_told(kind: int, code: int, errno: Errno | None) -> None:
    """icmpv6_err_convert."""
    assert icmp_errno(kind, code, 16) is errno
