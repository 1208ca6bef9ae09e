"""The underlay switch: unicast to the one port, broadcasts to all others, nothing to nobody."""

from typing import Any

import pytest
from netlab import Clock, Port, arp, namespace, udp

from netsim.engine import US, Engine, S
from netsim.fabric.link import Link, LinkSpec
from netsim.fabric.switch import Switch
from netsim.kernel.hooks import DropReason
from netsim.wire.addr import BROADCAST_MAC
from netsim.wire.packet import Packet


class Segment:
    """A switch with some ports, and what comes out of each."""

    def __init__(self, ports: int) -> None:
        self.engine = Engine()
        self.switch = Switch(self.engine)
        self.macs = [b"\2\0\0\0\0" + bytes([index]) for index in range(ports)]
        self.out: list[list[tuple[int, Packet]]] = [[] for _ in range(ports)]
        for index, mac in enumerate(self.macs):
            link = Link(self.engine, f"switch:{index}", LinkSpec(delay_ns=10 * US, rate_bps=10**9))
            link.connect(lambda packet, out=self.out[index]: out.append((self.engine.now, packet)))
            device = Port(namespace(), "eth0", Clock()).device
            device.mac = mac
            self.switch.plug(device, link)

    def send(self, packet: Packet, source: int, to: bytes) -> None:
        packet.macs = to + self.macs[source]
        self.switch.arrived(packet)
        self.engine.run(self.engine.now + S)

    def counts(self) -> list[int]:
        return [len(out) for out in self.out]


@pytest.fixture
def segment() -> Segment:
    return Segment(4)


def datagram() -> Packet:
    return udp("10.0.0.1", 1, "10.0.0.2", 2, b"x" * 58)  # 100 bytes


def test_unicast_goes_to_its_port_only(segment: Segment) -> None:
    for _ in range(3):
        segment.send(datagram(), 0, segment.macs[2])
    assert segment.counts() == [0, 0, 3, 0]
    assert segment.switch.copied == 0


def test_store_and_forward(segment: Segment) -> None:
    segment.send(datagram(), 0, segment.macs[2])
    assert segment.out[2][0][0] == 10 * US + 800


def test_broadcast_goes_to_all_others_as_packets_of_their_own(segment: Segment) -> None:
    packet = arp(1, segment.macs[1], "10.0.0.1", "10.0.0.2")
    packet.uid = 9
    segment.send(packet, 1, BROADCAST_MAC)
    assert segment.counts() == [1, 0, 1, 1]
    copies = [out[0][1] for out in segment.out if out]
    assert len({id(copy) for copy in copies}) == 3
    assert {(copy.uid, copy.macs, copy.to_bytes()) for copy in copies} == {
        (9, BROADCAST_MAC + segment.macs[1], packet.to_bytes())
    }
    assert segment.switch.copied == 2


def test_a_broadcast_without_anybody_else_is_a_drop() -> None:
    alone = Segment(1)
    alone.send(arp(1, alone.macs[0], "10.0.0.1", "10.0.0.2"), 0, BROADCAST_MAC)
    assert alone.switch.drops == {DropReason.LINK_UNKNOWN_MAC: 1}
    assert alone.switch.copied == 0


def test_an_unknown_address_is_a_drop(segment: Segment) -> None:
    for _ in range(2):
        segment.send(datagram(), 0, b"\2\0\0\0\0\x77")
    assert segment.counts() == [0, 0, 0, 0]
    assert segment.switch.drops == {DropReason.LINK_UNKNOWN_MAC: 2}


def test_a_device_plugged_in_elsewhere_is_found_there(segment: Segment) -> None:
    segment.send(datagram(), 0, segment.macs[2])
    moved: Any = segment.switch.ports[segment.macs[3]]
    device = Port(namespace(), "eth0", Clock()).device
    device.mac = segment.macs[2]
    segment.switch.plug(device, moved)
    segment.send(datagram(), 0, segment.macs[2])
    assert segment.counts() == [0, 0, 1, 1]
