"""Neighbours: real ARP frames, three probes a second apart, and what the senders of waiting packets learn."""

from typing import Any

import pytest
from netlab import Clock, Inbox, Port, arp, flow, namespace, ping, udp

from netsim.kernel.errno import Errno
from netsim.kernel.neighbour import State
from netsim.kernel.routing import Route
from netsim.kernel.sysctl import S
from netsim.wire.addr import BROADCAST_MAC, Prefix, ip
from netsim.wire.packet import ArpMessage, IcmpMessage, Packet

PEER = b"\x02\0\0\0\0\x99"
OTHER = b"\x02\0\0\0\0\x98"


class Host:
    """10.0.0.1 on a segment where nobody is known yet; with `router`, also between it and 10.7.0.0/24."""

    def __init__(self, router: bool = False, **sysctl: Any) -> None:
        self.clock = Clock()
        self.ns = namespace("host", self.clock, ip_forward=router, **sysctl)
        self.eth0 = Port(self.ns, "eth0", self.clock)
        self.mac = self.eth0.device.mac
        self.ns.add_address(ip("10.0.0.1"), self.eth0.device)
        self.ns.add_route(Route(Prefix.parse("10.0.0.0/24"), self.eth0.device))
        self.ns.add_route(Route(Prefix.parse("0.0.0.0/0"), self.eth0.device, ip("10.0.0.254")))
        self.inbox: Inbox = self.ns.sockets  # type: ignore[assignment]
        if router:
            self.inside = Port(self.ns, "inside", self.clock)
            self.ns.add_route(Route(Prefix.parse("10.7.0.0/24"), self.inside.device))
            self.ns.neighbours.fixed(self.inside.device, OTHER)

    def send(self, port: int = 1, to: str = "10.0.0.2", now: int | None = None) -> Errno | None:
        now = self.clock._now if now is None else now
        return self.ns.output(udp("10.0.0.1", port, to, 53), now)

    def arp(self, op: int, mac: bytes = PEER, sender: str = "10.0.0.2", target: str = "10.0.0.1") -> None:
        self.eth0.arrive(arp(op, mac, sender, target, self.mac), self.clock._now)

    @property
    def entry(self) -> Any:
        return self.ns.neighbours._entries[self.eth0.device, ip("10.0.0.2")]

    def run(self, until: int) -> None:
        self.clock.run(until)

    def reach(self) -> None:
        """Get the neighbour known and used, REACHABLE from now on, and forget the frames."""
        self.send()
        self.arp(2)
        self.send()
        self.eth0.take()


def asked(packet: Packet) -> tuple[bytes, bytes, bytes]:
    assert isinstance(packet.body, ArpMessage)
    assert packet.body.op == 1
    return packet.macs[:6], packet.body.sender_ip, packet.body.target_ip


# ---------------------------------------------------------------- the way to an address
def test_the_first_packet_waits_for_an_answer() -> None:
    host = Host()
    assert host.send(port=7) is None
    request = host.eth0.one()
    assert asked(request) == (BROADCAST_MAC, ip("10.0.0.1"), ip("10.0.0.2"))
    assert request.macs[6:] == host.mac
    assert request.to_bytes()[12:14] == b"\x08\x06"
    assert host.ns.neighbours.waiting == 1

    host.arp(2)
    packet = host.eth0.one()
    assert packet.flow == flow("10.0.0.1", 7, "10.0.0.2", 53)
    assert packet.macs == PEER + host.mac
    assert host.ns.neighbours.waiting == 0
    assert host.entry.state is State.REACHABLE


def test_the_next_packet_does_not_ask() -> None:
    host = Host()
    host.reach()
    host.send(port=8)
    assert host.eth0.one().macs == PEER + host.mac


def test_packets_wait_together_and_leave_in_order() -> None:
    host = Host()
    for port in range(1, 6):
        host.send(port=port)
    assert len([p for p in host.eth0.take() if isinstance(p.body, ArpMessage)]) == 1
    host.arp(2)
    assert [packet.flow.sport for packet in host.eth0.take()] == [1, 2, 3, 4, 5]


def test_a_gateway_is_asked_for_in_place_of_the_destination() -> None:
    host = Host()
    host.send(to="8.8.8.8")
    assert asked(host.eth0.one())[2] == ip("10.0.0.254")
    host.send(to="9.9.9.9")  # the same gateway: no further question
    assert host.eth0.take() == []
    host.arp(2, sender="10.0.0.254")
    assert [packet.flow.dst for packet in host.eth0.take()] == [ip("8.8.8.8"), ip("9.9.9.9")]


def test_permanent_neighbours_are_never_asked_for() -> None:
    host = Host()
    host.ns.neighbours.permanent(host.eth0.device, ip("10.0.0.2"), OTHER)
    host.send()
    assert host.eth0.one().macs[:6] == OTHER
    host.arp(2)  # and believe nobody else
    host.arp(1)
    host.eth0.take()
    host.send()
    assert host.eth0.one().macs[:6] == OTHER
    host.run(10**6 * S)
    assert host.eth0.take() == []


# ---------------------------------------------------------------- nobody answers
def test_three_probes_a_second_apart_then_host_unreachable() -> None:
    host = Host()
    host.send(port=1)
    host.send(port=2)
    host.run(int(2.5 * S))
    host.send(port=3)
    host.run(10 * S)
    assert [(at, asked(packet)[0]) for at, packet in host.eth0.sent] == [
        (0, BROADCAST_MAC),
        (S, BROADCAST_MAC),
        (2 * S, BROADCAST_MAC),
    ]
    assert host.inbox.errors == [(3 * S, flow("10.0.0.1", port, "10.0.0.2", 53), 3, 1) for port in (1, 2, 3)]
    assert {(hook, reason.name): n for (hook, reason), n in host.ns.drops.items()} == {
        ("POSTROUTING", "NEIGH_FAILED"): 3
    }
    assert host.entry.state is State.FAILED


def test_after_failing_the_next_packet_tries_again() -> None:
    host = Host()
    host.send()
    host.run(5 * S)
    host.eth0.take()
    host.send(port=9)
    assert asked(host.eth0.one())[2] == ip("10.0.0.2")
    assert host.entry.state is State.INCOMPLETE
    host.arp(2)
    assert host.eth0.one().flow.sport == 9
    host.run(9 * S)
    assert len(host.inbox.errors) == 1


def test_a_forwarded_packets_sender_gets_an_icmp_error() -> None:
    host = Host(router=True)
    host.inside.arrive(udp("10.7.0.5", 1, "10.0.0.2", 53), 0)
    host.run(5 * S)
    ((at, error),) = host.inside.sent
    assert at == 3 * S
    assert isinstance(error.body, IcmpMessage)
    assert (error.body.type, error.body.code) == (3, 1)
    assert error.flow.dst == ip("10.7.0.5")
    assert host.inbox.errors == []


def test_an_answer_in_the_last_moment() -> None:
    host = Host()
    host.send()
    host.run(3 * S - 1)
    host.eth0.take()
    host.arp(2)
    assert host.eth0.one().flow.sport == 1
    host.run(20 * S)
    assert host.inbox.errors == []
    assert host.entry.state is State.REACHABLE


def test_the_number_of_probes_is_a_sysctl() -> None:
    host = Host(neigh_mcast_solicit=1, neigh_retrans_ns=S // 10)
    host.send()
    host.run(S)
    assert len(host.eth0.take()) == 1
    assert [error[0] for error in host.inbox.errors] == [S // 10]


# ---------------------------------------------------------------- in doubt
def test_reachable_goes_stale_after_30_seconds_without_a_frame() -> None:
    host = Host()
    host.reach()
    host.run(30 * S - 1)
    assert host.entry.state is State.REACHABLE
    host.run(1000 * S)
    assert host.entry.state is State.STALE
    assert host.eth0.take() == []


def test_use_of_a_stale_address_leads_to_a_unicast_probe_5_seconds_later() -> None:
    host = Host()
    host.reach()
    host.run(40 * S)
    host.send(port=2)
    host.send(port=3)
    assert [packet.macs[:6] for packet in host.eth0.take()] == [PEER, PEER]
    assert host.entry.state is State.DELAY
    host.run(45 * S - 1)
    assert host.eth0.take() == []
    host.run(45 * S)
    assert host.entry.state is State.PROBE
    assert asked(host.eth0.one())[0] == PEER
    host.arp(2)
    assert host.entry.state is State.REACHABLE
    host.run(75 * S - 1)
    assert host.entry.state is State.REACHABLE
    host.run(75 * S)
    assert host.entry.state is State.STALE


def test_a_peer_that_died_while_stale() -> None:
    """Packets go nowhere for 8 s; then the address is FAILED, and 3 s after the next packet its sender is told."""
    host = Host()
    host.reach()
    host.run(40 * S)
    for second in range(40, 48):
        host.run(second * S)
        host.send(port=second)
    sent = [(at, packet) for at, packet in host.eth0.sent if not isinstance(packet.body, ArpMessage)]
    assert [packet.flow.sport for _, packet in sent] == list(range(40, 48))
    probes = [(at, asked(packet)[0]) for at, packet in host.eth0.sent if isinstance(packet.body, ArpMessage)]
    assert probes == [(45 * S, PEER), (46 * S, PEER), (47 * S, PEER)]
    host.run(48 * S)
    assert host.entry.state is State.FAILED
    assert host.inbox.errors == []
    host.send(port=48)
    host.run(60 * S)
    assert host.inbox.errors == [(51 * S, flow("10.0.0.1", 48, "10.0.0.2", 53), 3, 1)]


def test_a_moved_address_is_used_at_once() -> None:
    host = Host()
    host.reach()
    host.send()
    host.eth0.take()
    host.arp(2, mac=OTHER)
    host.send()
    assert host.eth0.one().macs[:6] == OTHER


# ---------------------------------------------------------------- the other side
def test_a_question_for_us_is_answered_and_remembered() -> None:
    host = Host()
    host.arp(1)
    reply = host.eth0.one()
    assert reply.macs == PEER + host.mac
    assert isinstance(reply.body, ArpMessage)
    assert (reply.body.op, reply.body.sender_ip, reply.body.target_ip) == (2, ip("10.0.0.1"), ip("10.0.0.2"))
    assert (reply.body.sender_mac, reply.body.target_mac) == (host.mac, PEER)
    assert host.entry.state is State.STALE
    host.send()
    assert host.eth0.one().macs == PEER + host.mac
    assert host.entry.state is State.DELAY


def test_a_question_tells_us_where_to_send_what_waits() -> None:
    host = Host()
    host.send(port=3)
    host.eth0.take()
    host.arp(1)
    packet, reply = host.eth0.take()
    assert packet.flow.sport == 3
    assert isinstance(reply.body, ArpMessage)
    assert host.entry.state is State.DELAY
    host.run(5 * S)
    assert asked(host.eth0.one())[0] == PEER
    host.arp(2)
    assert host.inbox.errors == []


def test_a_question_does_not_confirm_a_known_address() -> None:
    host = Host()
    host.reach()
    host.arp(1)
    assert host.entry.state is State.REACHABLE
    host.run(30 * S)
    host.arp(1)
    assert host.entry.state is State.STALE


@pytest.mark.parametrize("op", [1, 2])
def test_what_concerns_others_is_neither_answered_nor_learnt(op: int) -> None:
    host = Host()
    host.arp(op, target="10.0.0.77")
    assert host.eth0.take() == []
    assert host.ns.neighbours.render() == ""


def test_a_broadcast_from_a_known_peer_updates_it() -> None:
    """A gratuitous request: the address has moved."""
    host = Host()
    host.reach()
    host.arp(1, mac=OTHER, target="10.0.0.2")
    host.send()
    assert host.eth0.one().macs[:6] == OTHER


def test_arp_frames_are_in_the_books() -> None:
    host = Host()
    host.arp(1)
    assert (host.ns.delivered, host.ns.sent) == (1, 1)


# ---------------------------------------------------------------- limits and ends
def test_the_oldest_go_when_too_many_wait() -> None:
    size = ping("10.0.0.1", "10.0.0.2").size
    host = Host(neigh_unres_qlen_bytes=3 * size)
    for sequence in range(5):
        host.ns.output(ping("10.0.0.1", "10.0.0.2", sequence=sequence), 0)
    assert host.ns.neighbours.waiting == 3
    assert sum(host.ns.drops.values()) == 2
    host.eth0.take()
    host.arp(2)
    assert [packet.body.rest for packet in host.eth0.take()] == [2, 3, 4]  # type: ignore[union-attr]


def test_a_device_that_goes_takes_the_waiting_along() -> None:
    host = Host()
    host.send()
    dropped = []
    host.ns.drop_subscribers.append(dropped.append)
    host.ns.remove_device("eth0", 2 * S)
    assert [(drop.at_ns, drop.reason.name) for drop in dropped] == [(2 * S, "DEVICE_DOWN")]
    host.eth0.take()
    host.run(20 * S)
    assert host.eth0.take() == []
    assert host.ns.neighbours.waiting == 0


def test_no_answer_without_an_address() -> None:
    """A question for a host that has no route back."""
    host = Host()
    host.ns.remove_route(Prefix.parse("10.0.0.0/24"))
    host.ns.remove_route(Prefix.parse("0.0.0.0/0"))
    host.arp(1)
    assert host.eth0.take() == []


def test_text_as_ip_neigh_prints_it() -> None:
    host = Host()
    host.reach()
    host.send(to="10.0.0.3")
    host.ns.neighbours.permanent(host.eth0.device, ip("10.0.0.4"), OTHER)
    assert host.ns.neighbours.render() == (
        "10.0.0.2 dev eth0 lladdr 02:00:00:00:00:99 REACHABLE\n"
        "10.0.0.3 dev eth0 INCOMPLETE\n"
        "10.0.0.4 dev eth0 lladdr 02:00:00:00:00:98 PERMANENT\n"
    )
