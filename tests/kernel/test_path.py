"""A packet's life in a namespace: the ordinary way, where it ends and why, and what a journey tells of it."""

from typing import Any

import pytest
from netlab import (
    Bench,
    Clock,
    Port,
    error,
    filter,
    flow,
    namespace,
    quoted,
    tcp,
    udp,
)
from scapy.layers.inet import IP as ScapyIP

from netsim.kernel.errno import Errno
from netsim.kernel.hooks import STOLEN, DropReason, Hook
from netsim.kernel.journey import Dropped
from netsim.kernel.routing import Route, RouteKind
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import Packet, RawBody

CLIENT, SERVER, VIP = "10.1.0.5", "10.2.0.5", "10.96.0.10"
NODE_LEFT, NODE_RIGHT = "10.1.0.1", "10.2.0.1"


def to_nowhere(kind: RouteKind) -> Route:
    return Route(Prefix.parse("10.9.0.0/16"), kind=kind)


# ---------------------------------------------------------------- the ordinary way
def test_forwarding_takes_one_hop_off_and_changes_the_macs() -> None:
    bench = Bench()
    packet = udp(CLIENT, 1, SERVER, 53)
    before = packet.to_bytes()
    bench.left.arrive(packet, 17)
    ((at, out),) = bench.right.sent
    assert out is packet
    assert (at, out.ttl, out.macs[6:]) == (17, 63, bench.right.device.mac)
    assert out.to_bytes()[26:] == before[26:]
    assert (out.ct, out.mark) == (None, 0)


def test_local_delivery() -> None:
    bench = Bench()
    bench.left.arrive(udp(CLIENT, 1, NODE_RIGHT, 53), 17)
    ((at, packet),) = bench.inbox.got
    assert (at, packet.ttl, packet.ct) == (17, 64, None)
    assert bench.ns.delivered == 1


def test_a_namespace_without_netfilter_forwards_too() -> None:
    bench = Bench(netfilter=False)
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    bench.right.arrive(udp(SERVER, 53, CLIENT, 1))
    assert bench.right.one().flow == flow(CLIENT, 1, SERVER, 53)
    assert bench.left.one().ttl == 63


def test_a_mark_stays_in_its_namespace() -> None:
    """Linux scrubs it when a packet changes namespaces, and a cable does not carry it."""
    bench = Bench()
    bench.rules(filter("-A FORWARD -j MARK --set-mark 0x4000"))
    for _ in range(3):
        bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
        bench.right.arrive(udp(SERVER, 53, CLIENT, 1))
    assert [packet.mark for packet in bench.right.take() + bench.left.take()] == [0] * 6


def test_loopback() -> None:
    bench = Bench()
    for address in ("127.0.0.1", "127.3.2.1", NODE_LEFT, NODE_RIGHT):
        assert bench.ns.output(udp(address, 1, address, 53), 5) is None
    assert len(bench.inbox.got) == 4
    assert bench.left.take() == bench.right.take() == []
    assert bench.ns.sent == bench.ns.delivered == 4


def test_loopback_without_netfilter() -> None:
    ns = namespace()
    ns.output(udp("127.0.0.1", 1, "127.0.0.1", 53), 0)
    assert [packet.flow.dport for _, packet in ns.sockets.got] == [53]  # type: ignore[attr-defined]


# ---------------------------------------------------------------- where packets end
@pytest.mark.parametrize(
    ("hook", "rule"),
    [
        ("FORWARD", "-A FORWARD -p udp -j DROP"),
        ("INPUT", "-A INPUT -p udp -j DROP"),
        ("OUTPUT", "-A OUTPUT -p udp -j DROP"),
    ],
)
def test_dropped_by_a_rule(hook: str, rule: str) -> None:
    bench = Bench()
    bench.rules(filter(rule))
    if hook == "OUTPUT":
        bench.ns.output(udp(NODE_RIGHT, 1, SERVER, 53), 0)
    else:
        bench.left.arrive(udp(CLIENT, 1, SERVER if hook == "FORWARD" else NODE_LEFT, 53))
    bench.ended(hook, "NETFILTER_DROP")
    assert bench.left.take() == []
    assert bench.inbox.got == bench.inbox.errors == []


def test_ttl_expires() -> None:
    bench = Bench()
    packet = udp(CLIENT, 1, SERVER, 53)
    packet.ttl = 1
    bench.left.arrive(packet)
    bench.ended("FORWARD", "IP_TTL_EXPIRED")
    answer = bench.left.one()
    assert error(answer) == (11, 0, NODE_LEFT, CLIENT)
    assert quoted(answer).ttl == 1


def test_ttl_does_not_matter_on_arrival() -> None:
    bench = Bench()
    packet = udp(CLIENT, 1, NODE_LEFT, 53)
    packet.ttl = 1
    bench.left.arrive(packet)
    assert len(bench.inbox.got) == 1


def test_too_big_for_the_next_link() -> None:
    bench = Bench(mtu=1000)
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53, b"x" * (1000 - 28)))
    assert bench.right.one()
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53, b"x" * (1000 - 27)))
    bench.ended("FORWARD", "PKT_TOO_BIG")
    answer = bench.left.one()
    assert error(answer) == (3, 4, NODE_LEFT, CLIENT)
    assert answer.body.rest == 1000  # type: ignore[union-attr]
    assert quoted(answer).ttl == 64  # as it came in
    assert quoted(answer).len == 1001


@pytest.mark.parametrize(
    ("kind", "reason", "answered"),
    [
        (None, "IP_NO_ROUTE", (3, 0)),
        (RouteKind.UNREACHABLE, "IP_UNREACHABLE", (3, 1)),
        (RouteKind.BLACKHOLE, "IP_BLACKHOLE", None),
    ],
)
def test_no_way_on(kind: RouteKind | None, reason: str, answered: tuple[int, int] | None) -> None:
    bench = Bench()
    if kind is not None:
        bench.ns.add_route(to_nowhere(kind))
    bench.left.arrive(udp(CLIENT, 1, "10.9.0.1", 53))
    bench.ended("FORWARD", reason)
    answers = [error(packet) for packet in bench.left.take()]
    assert answers == ([] if answered is None else [(*answered, NODE_LEFT, CLIENT)])


@pytest.mark.parametrize(
    ("kind", "reason", "errno"),
    [
        (None, "IP_NO_ROUTE", Errno.ENETUNREACH),
        (RouteKind.UNREACHABLE, "IP_UNREACHABLE", Errno.EHOSTUNREACH),
        (RouteKind.BLACKHOLE, "IP_BLACKHOLE", Errno.EINVAL),
    ],
)
def test_no_way_out(kind: RouteKind | None, reason: str, errno: Errno) -> None:
    bench = Bench()
    if kind is not None:
        bench.ns.add_route(to_nowhere(kind))
    assert bench.ns.output(udp(NODE_LEFT, 1, "10.9.0.1", 53), 0) is errno
    bench.ended("OUTPUT", reason)
    assert bench.inbox.errors == []


@pytest.mark.parametrize("netfilter", [True, False])
def test_too_big_to_send(netfilter: bool) -> None:
    bench = Bench(netfilter, mtu=1000)
    assert bench.ns.output(udp(NODE_RIGHT, 1, SERVER, 53, b"x" * 972), 0) is None
    assert bench.right.one()
    assert bench.ns.output(udp(NODE_RIGHT, 1, SERVER, 53, b"x" * 973), 0) is Errno.EMSGSIZE
    bench.ended("OUTPUT", "PKT_TOO_BIG")


def test_a_host_does_not_forward() -> None:
    bench = Bench(ip_forward=False)
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    bench.ended("FORWARD", "IP_NOT_FORWARDING")
    assert bench.left.take() == []


def test_a_device_that_is_down_receives_nothing() -> None:
    bench = Bench()
    bench.left.device.up = False
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    bench.ended("PREROUTING", "DEVICE_DOWN")


def test_a_device_without_a_cable_sends_nothing() -> None:
    ns = namespace()
    clock = Clock()
    eth0 = Port(ns, "eth0", clock).device
    eth0.transmit = eth0._unplugged
    ns.add_address(ip("10.0.0.1"), eth0)
    ns.add_route(Route(Prefix.parse("10.0.0.0/24"), eth0))
    ns.neighbours.fixed(eth0, b"\2\0\0\0\0\1")
    ns.output(udp("10.0.0.1", 1, "10.0.0.2", 53), 0)
    assert ns.drops == {("POSTROUTING", DropReason.DEVICE_DOWN): 1}


def test_a_protocol_that_nobody_speaks() -> None:
    bench = Bench()
    raw = ScapyIP(src=CLIENT, dst=NODE_LEFT, proto=253) / (b"\0\1\0\2" + bytes(20))
    bench.left.arrive(Packet(flow(CLIENT, 0, NODE_LEFT, 0, 253), RawBody(bytes(raw))))
    bench.ended("INPUT", "IP_UNKNOWN_PROTOCOL")
    assert error(bench.left.one()) == (3, 2, NODE_LEFT, CLIENT)


def test_a_malformed_packet() -> None:
    bench = Bench()
    raw = bytes(ScapyIP(src=CLIENT, dst=NODE_LEFT, proto=17) / b"\0\1\0")
    bench.left.arrive(Packet(flow(CLIENT, 0, NODE_LEFT, 0), RawBody(raw)))
    bench.ended("INPUT", "IP_MALFORMED")
    assert bench.left.take() == []


def test_closed_port() -> None:
    bench = Bench()
    bench.inbox.refuse = True
    bench.left.arrive(udp(CLIENT, 1, NODE_LEFT, 53))
    bench.ended("INPUT", "NO_SOCKET")
    assert error(bench.left.one()) == (3, 3, NODE_LEFT, CLIENT)
    assert bench.ns.delivered == 0


def test_a_closed_port_of_another_of_our_addresses_answers_itself() -> None:
    """Who was addressed is the error's source, not the address towards the sender (icmp_send)."""
    bench = Bench()
    bench.inbox.refuse = True
    bench.left.arrive(udp(CLIENT, 1, NODE_RIGHT, 53))
    assert error(bench.left.one()) == (3, 3, NODE_RIGHT, CLIENT)


def test_a_hook_may_steal_a_packet() -> None:
    bench = Bench()
    kept = []
    bench.ns.hooks[Hook.FORWARD] = (lambda t: kept.append(t.packet) or STOLEN,)
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    assert len(kept) == 1
    assert bench.drops() == {}
    assert bench.right.take() == []


def test_drops_are_told_to_subscribers() -> None:
    bench = Bench(ip_forward=False)
    told: list[Dropped] = []
    bench.ns.drop_subscribers.append(told.append)
    packet = udp(CLIENT, 1, SERVER, 53)
    packet.uid = 77
    bench.left.arrive(packet, 5)
    assert told == [
        Dropped(5, "node", "FORWARD", DropReason.IP_NOT_FORWARDING, flow(CLIENT, 1, SERVER, 53), 77, "left")
    ]


def test_rules_see_whether_a_flow_is_translated() -> None:
    """Two flows that look alike after DNAT."""
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -j DNAT --to-destination {SERVER}")
    bench.rules(filter("-A FORWARD -m conntrack --ctstate DNAT -j DROP"))
    for target in (VIP, SERVER, VIP, SERVER):
        bench.left.arrive(udp(CLIENT, 4000, target, 53))
    assert len(bench.right.take()) == 2
    assert bench.drops() == {("FORWARD", "NETFILTER_DROP"): 2}


# ---------------------------------------------------------------- journeys
def story(bench: Bench, packet: Packet) -> list[tuple[str, str]]:
    steps: list[Any] = []
    bench.ns.follow(steps.append)
    packet.uid = 5
    bench.left.arrive(packet)
    return [(step.kind, step.where) for step in steps if step.uid == 5]


def test_a_journey_tells_every_step_once() -> None:
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353")
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    bench.rules(filter("-A FORWARD -d 10.2.0.0/16 -j ACCEPT"))
    assert story(bench, udp(CLIENT, 4000, VIP, 53)) == [
        ("receive", "left"),
        ("hook", "PREROUTING"),
        ("conntrack", "PREROUTING"),
        ("rule", "PREROUTING"),
        ("dnat", "PREROUTING"),
        ("route", "FORWARD"),
        ("hook", "FORWARD"),
        ("rule", "FORWARD"),
        ("hook", "POSTROUTING"),
        ("rule", "POSTROUTING"),
        ("snat", "POSTROUTING"),
        ("conntrack", "POSTROUTING"),
        ("transmit", "right"),
    ]


def test_a_journey_that_ends_here() -> None:
    bench = Bench()
    assert story(bench, udp(CLIENT, 4000, NODE_LEFT, 53))[-3:] == [
        ("hook", "INPUT"),
        ("conntrack", "INPUT"),
        ("deliver", ""),
    ]


def test_a_journey_of_a_drop_and_of_an_invalid_packet() -> None:
    bench = Bench()
    bench.rules(filter("-A FORWARD -m conntrack --ctstate INVALID -j DROP"))
    steps = story(bench, tcp(CLIENT, 4000, SERVER, 80, "S."))
    assert steps == [
        ("receive", "left"),
        ("hook", "PREROUTING"),
        ("conntrack", "PREROUTING"),
        ("route", "FORWARD"),
        ("hook", "FORWARD"),
        ("rule", "FORWARD"),
        ("drop", "FORWARD"),
    ]


def test_following_changes_nothing_else() -> None:
    plain, followed = Bench(), Bench()
    followed.ns.follow(lambda step: None)
    for bench in (plain, followed):
        bench.rules("-A POSTROUTING -o right -j MASQUERADE")
        for port in (1, 2, 1):
            bench.left.arrive(udp(CLIENT, port, SERVER, 53))
    assert [(at, p.flow, p.ttl) for at, p in plain.right.sent] == [
        (at, p.flow, p.ttl) for at, p in followed.right.sent
    ]


def test_hooks_are_called_in_the_order_of_the_diagram() -> None:
    bench = Bench()
    seen: list[str] = []

    def watch(hook: Hook) -> Any:
        return lambda t: seen.append(f"{t.hook.name}:{t.in_dev}>{t.out_dev}")

    bench.ns.hooks = [(watch(hook),) for hook in Hook]
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    assert seen == ["PREROUTING:left>", "FORWARD:left>right", "POSTROUTING:left>right"]
    seen.clear()
    bench.left.arrive(udp(CLIENT, 1, NODE_LEFT, 53))
    assert seen == ["PREROUTING:left>", "INPUT:left>"]
    seen.clear()
    bench.ns.output(udp(NODE_RIGHT, 1, SERVER, 53), 0)
    assert seen == ["OUTPUT:>right", "POSTROUTING:>right"]
