"""Neighbours of IPv6: the states are ARP's, the questions are solicitations to groups."""

from typing import Any

import pytest
from netlab import Clock, Inbox, Port, namespace, udp

from netsim.kernel.neighbour import State
from netsim.kernel.routing import Route
from netsim.kernel.sysctl import S
from netsim.wire import ndp
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import IcmpMessage, Packet

PEER = b"\x02\0\0\0\0\x99"
OTHER = b"\x02\0\0\0\0\x98"
ME, THEM, AFAR = ip("fd00::1"), ip("fd00::2"), ip("fd01::5")
GROUP_MAC = b"\x33\x33\xff\0\0\x02"


class Host:
    """fd00::1 on a segment where nobody is known yet; with `router`, also between it and fd07::/64."""

    def __init__(self, router: bool = False, **sysctl: Any) -> None:
        self.clock = Clock()
        self.ns = namespace("host", self.clock, ip_forward=router, **sysctl)
        self.eth0 = Port(self.ns, "eth0", self.clock)
        self.mac = self.eth0.device.mac
        self.ns.add_address(ME, self.eth0.device)
        self.ns.start_ipv6(self.eth0.device)
        self.ns.add_route(Route(Prefix.parse("fd00::/64"), self.eth0.device, source=ME))
        self.ns.add_route(Route(Prefix.parse("::/0"), self.eth0.device, ip("fd00::ff"), ME))
        self.inbox: Inbox = self.ns.sockets  # type: ignore[assignment]
        if router:
            self.inside = Port(self.ns, "inside", self.clock)
            self.ns.add_route(Route(Prefix.parse("fd07::/64"), self.inside.device))
            self.ns.neighbours.fixed(self.inside.device, OTHER)

    @property
    def link_local(self) -> bytes:
        return ndp.link_local(self.mac)

    def send(self, to: str = "fd00::2") -> Any:
        return self.ns.output(udp("fd00::1", 1, to, 53), self.clock._now)

    def hear(self, message: IcmpMessage, src: bytes = THEM, dst: bytes = ME, ttl: int = 255) -> None:
        packet = ndp.discovery_packet(message, src, dst, self.mac + PEER, 0)
        packet.ttl = ttl
        self.eth0.arrive(packet, self.clock._now)

    def answer(self, mac: bytes = PEER, flags: int = ndp.SOLICITED_FLAG | ndp.OVERRIDE_FLAG) -> None:
        self.hear(ndp.advertisement(THEM, mac, flags))

    @property
    def entry(self) -> Any:
        return self.ns.neighbours._entries[self.eth0.device, THEM]


def asked(packet: Packet) -> tuple[bytes, bytes, bytes, bytes]:
    """To whom by MAC and address, from whom, and about whom."""
    assert isinstance(packet.body, IcmpMessage)
    assert packet.body.type == ndp.SOLICITATION
    assert packet.ttl == 255
    found = ndp.read(packet.body)
    assert found is not None
    return packet.macs[:6], packet.flow.dst, packet.flow.src, found.target


def test_the_first_packet_waits_for_an_advertisement() -> None:
    host = Host()
    assert host.send() is None
    assert asked(host.eth0.one()) == (GROUP_MAC, ip("ff02::1:ff00:2"), ME, THEM)
    assert host.ns.neighbours.waiting == 1
    host.answer()
    assert host.eth0.one().macs == PEER + host.mac
    assert host.entry.state is State.REACHABLE
    assert host.ns.neighbours.waiting == 0


def test_a_gateway_is_asked_for_in_place_of_the_destination() -> None:
    host = Host()
    host.send("fd01::5")
    assert asked(host.eth0.one())[3] == ip("fd00::ff")


def test_a_router_asks_from_its_link_local_address() -> None:
    host = Host(router=True)
    host.inside.arrive(udp("fd07::9", 1, "fd00::2", 53))
    assert asked(host.eth0.one())[2] == host.link_local


def test_nobody_answers_three_probes() -> None:
    host = Host(router=True)
    host.inside.arrive(udp("fd07::9", 1, "fd00::2", 53))
    host.clock.run(3 * S)
    assert len(host.eth0.take()) == 3
    error = host.inside.one()
    assert isinstance(error.body, IcmpMessage)
    assert (error.body.type, error.body.code) == (1, 3)  # address unreachable
    assert host.entry.state is State.FAILED


def test_verification_is_unicast_and_from_the_link_local_address() -> None:
    host = Host()
    host.send()
    host.answer()
    host.clock.run(30 * S)
    assert host.entry.state is State.STALE
    host.send()
    host.eth0.take()
    host.clock.run(35 * S)
    assert asked(host.eth0.one()) == (PEER, THEM, host.link_local, THEM)
    assert host.entry.state is State.PROBE
    host.answer()
    assert host.entry.state is State.REACHABLE


@pytest.mark.parametrize(("router", "flags"), [(False, 0x6000_0000), (True, 0xE000_0000)])
def test_who_asks_for_us_gets_an_answer_and_is_known(router: bool, flags: int) -> None:
    host = Host(router)
    host.hear(ndp.solicitation(ME, PEER), dst=ip("ff02::1:ff00:1"))
    packet = host.eth0.one()
    assert packet.macs == PEER + host.mac
    assert (packet.flow.src, packet.flow.dst) == (ME, THEM)
    assert ndp.read(packet.body) == ndp.Discovery(ndp.ADVERTISEMENT, flags, ME, host.mac)  # type: ignore[arg-type]
    assert host.entry.state is State.STALE
    assert host.entry.mac == PEER


def test_the_link_local_address_is_answered_for_too() -> None:
    host = Host()
    host.hear(ndp.solicitation(host.link_local, PEER))
    assert host.eth0.one().flow.src == host.link_local


@pytest.mark.parametrize(
    ("target", "src", "ttl", "mac"),
    [
        ("fd00::7", "fd00::2", 255, PEER),
        ("fd00::1", "::", 255, PEER),
        ("fd00::1", "fd00::2", 254, PEER),
        ("::1", "fd00::2", 255, PEER),
        ("fd00::1", "fd00::2", 255, b""),
    ],
    ids=["not ours", "duplicate detection", "from beyond a router", "loopback", "without a MAC address"],
)
def test_other_questions_are_left_alone(target: str, src: str, ttl: int, mac: bytes) -> None:
    host = Host()
    message = ndp.solicitation(ip(target), mac) if mac else IcmpMessage(135, 0, 0, ip(target))
    host.hear(message, ip(src), ttl=ttl)
    assert host.eth0.take() == []
    assert host.ns.neighbours.render() == ""
    assert host.ns.delivered == 1  # heard, and of no interest


def test_an_unsolicited_advertisement_moves_a_neighbour() -> None:
    host = Host()
    host.send()
    host.answer()
    host.answer(OTHER, ndp.OVERRIDE_FLAG)
    assert (host.entry.mac, host.entry.state) == (OTHER, State.STALE)


def test_an_advertisement_of_a_stranger_is_not_remembered() -> None:
    host = Host()
    host.answer()
    assert host.ns.neighbours.render() == ""


def test_text() -> None:
    host = Host()
    host.send()
    host.answer()
    assert host.ns.neighbours.render() == "fd00::2 dev eth0 lladdr 02:00:00:00:00:99 REACHABLE\n"
    assert host.ns.routes.render(16) == (
        "fd00::/64 dev eth0 src fd00::1 metric 1024 pref medium\n"
        "fe80::/64 dev eth0 proto kernel metric 256 pref medium\n"
        "default via fd00::ff dev eth0 src fd00::1 metric 1024 pref medium\n"
    )
    assert host.ns.routes.render() == ""


def test_addresses_of_the_host_or_link_are_no_sources_elsewhere() -> None:
    host = Host(router=True)
    assert host.ns.address_of(host.inside.device, 16) == ME
    assert host.ns.address_of(host.eth0.device, 16) == ME
    assert host.ns.is_local(ip("::1"))
    assert host.ns.is_local(host.link_local)
