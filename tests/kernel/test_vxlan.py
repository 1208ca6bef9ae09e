"""A tunnel device without a simulation: what leaves by it, what comes in, and what netfilter sees of both."""

import pytest
from netlab import Bench, Port, filter, flow, ping, udp

from netsim.kernel.hooks import DropReason, Hook
from netsim.kernel.journey import Step
from netsim.kernel.netns import Device
from netsim.kernel.routing import Route
from netsim.kernel.vxlan import Vxlan
from netsim.wire.addr import BROADCAST_MAC, Prefix, ip
from netsim.wire.packet import UDP, Flow, Packet, UdpDatagram, VxlanFrame
from netsim.wire.vxlan import header, wrapped

MINE, PEER = bytes((2, 0, 0, 0, 9, 1)), bytes((2, 0, 0, 0, 9, 2))
REMOTE = ip("10.2.0.9")


class Tunnel:
    """The bench's router with a tunnel by `right` to the node 10.2.0.9, behind which 10.244.2.0/24 is."""

    def __init__(self, netfilter: bool = True, mtu: int = 1500) -> None:
        self.bench = bench = Bench(netfilter, mtu)
        self.ns, self.left, self.right = bench.ns, bench.left, bench.right
        self.ns.sockets = bench.inbox.below = _sockets(self.ns)
        self.device = Device(self.ns, "flannel.1", MINE, 1450)
        self.ns.add_device(self.device)
        self.vxlan = Vxlan(self.device, 1, ip("10.2.0.1"), 8472, bench.clock)
        self.vxlan.fdb[PEER] = REMOTE
        gateway = ip("10.244.2.0")
        self.ns.neighbours.permanent(self.device, gateway, PEER)
        self.ns.add_route(Route(Prefix(gateway, 24), self.device, gateway, onlink=True))
        self.uplink = self.vxlan.uplink_receiver(self.right.device)

    def comes_in(self, inner: Packet, vni: int = 1, to: bytes = MINE, sport: int = 40000) -> None:
        """A datagram from the other node."""
        inner.macs = to + PEER
        self.uplink(wrapped(inner, vni, Flow(REMOTE, ip("10.2.0.1"), sport, 8472, UDP)))

    def drops(self) -> dict[tuple[str, str], int]:
        return self.bench.drops()


def _sockets(ns: object) -> object:
    from netsim.kernel.sockets import Sockets

    return Sockets(ns)  # type: ignore[arg-type]


def test_what_leaves_by_the_device_is_wrapped() -> None:
    tunnel = Tunnel()
    inner = udp("10.1.0.9", 4000, "10.244.2.7", 53)
    tunnel.left.arrive(inner)
    outer = tunnel.right.one()
    assert isinstance(outer.body, VxlanFrame)
    assert outer.body.inner is inner
    assert (outer.flow.src, outer.flow.dst, outer.flow.dport) == (ip("10.2.0.1"), REMOTE, 8472)
    assert (outer.ttl, inner.ttl) == (64, 63)
    assert inner.macs == PEER + MINE
    assert outer.size == inner.size + 50


def test_the_route_as_ip_route_prints_it() -> None:
    text = Tunnel().ns.routes.render()
    assert "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink\n" in text


def test_a_mac_address_without_a_remote() -> None:
    tunnel = Tunnel()
    tunnel.vxlan.fdb.clear()
    tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53))
    assert tunnel.drops() == {("POSTROUTING", "VXLAN_NO_REMOTE"): 1}


def test_conntrack_sees_both_packets_and_never_an_answer_outside() -> None:
    tunnel = Tunnel()
    for _ in range(2):
        tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53))
        tunnel.comes_in(udp("10.244.2.7", 53, "10.1.0.9", 4000))
    entries = [entry.text(0) for entry in tunnel.ns.conntrack.entries(0)]  # type: ignore[union-attr]
    assert len(entries) == 3
    assert "src=10.1.0.9" in entries[0]
    assert "UNREPLIED" not in entries[0]
    assert all("dport=8472 [UNREPLIED]" in entry for entry in entries[1:])


def test_too_big_for_the_tunnel_is_said_to_the_sender() -> None:
    """1450 bytes fit; a packet of 1451 is answered with the MTU, and the wrapped frame would have had 1501."""
    tunnel = Tunnel()
    tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53, bytes(1450 - 28)))
    assert tunnel.right.one().size == 1514
    tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53, bytes(1451 - 28)))
    error = tunnel.left.one()
    assert (error.body.type, error.body.code, error.body.rest) == (3, 4, 1450)  # type: ignore[union-attr]
    assert tunnel.drops() == {("FORWARD", "PKT_TOO_BIG"): 1}


def test_an_uplink_that_is_too_narrow() -> None:
    tunnel = Tunnel(mtu=1400)
    tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53, bytes(1400)))
    assert tunnel.drops() == {("OUTPUT", "PKT_TOO_BIG"): 1}


def test_what_comes_in_is_unwrapped_and_goes_through_prerouting_again() -> None:
    tunnel = Tunnel()
    tunnel.bench.rules(
        "-A PREROUTING -i flannel.1 -p udp -m udp --dport 53 -j DNAT --to-destination 10.1.0.9:8053"
    )
    tunnel.comes_in(udp("10.244.2.7", 4000, "10.244.1.1", 53))
    assert tunnel.left.one().flow == flow("10.244.2.7", 4000, "10.1.0.9", 8053)


@pytest.mark.parametrize(
    ("vni", "to", "reason"),
    [
        (1, MINE, None),
        (1, BROADCAST_MAC, None),
        (2, MINE, "VXLAN_VNI_NOT_FOUND"),
        (1, PEER, "OTHERHOST"),
    ],
)
def test_whose_frames_are_taken(vni: int, to: bytes, reason: str | None) -> None:
    tunnel = Tunnel()
    tunnel.comes_in(udp("10.244.2.7", 4000, "10.1.0.9", 53), vni, to)
    assert len(tunnel.left.take()) == (reason is None)
    assert tunnel.drops() == ({} if reason is None else {("INPUT", reason): 1})


def test_datagrams_made_by_hand_are_understood() -> None:
    tunnel = Tunnel()
    inner = ping("10.244.2.7", "10.1.0.9")
    inner.macs = MINE + PEER
    carrier = Flow(REMOTE, ip("10.2.0.1"), 1, 8472, UDP)
    tunnel.uplink(Packet(carrier, UdpDatagram(header(1) + inner.to_bytes()), 5))
    assert tunnel.left.one().flow == inner.flow
    tunnel.uplink(Packet(carrier, UdpDatagram(b"nonsense"), 6))
    assert tunnel.drops() == {("INPUT", "VXLAN_INVALID_HDR"): 1}


def test_unwrapping_leaves_captured_frames_alone() -> None:
    tunnel = Tunnel()
    inner = udp("10.244.2.7", 4000, "10.1.0.9", 53)
    tunnel.comes_in(inner)
    assert tunnel.left.one() is not inner
    assert inner.ttl == 64


@pytest.mark.parametrize("chain", ["INPUT", "OUTPUT"])
def test_a_firewall_can_close_the_tunnel(chain: str) -> None:
    """The well-known trouble: UDP 8472 blocked between the nodes, and only traffic across nodes hangs."""
    tunnel = Tunnel()
    tunnel.bench.rules(filter(f"-A {chain} -p udp -m udp --dport 8472 -j DROP"))
    for _ in range(3):
        tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53))
        tunnel.comes_in(udp("10.244.2.7", 53, "10.1.0.9", 4000))
    assert tunnel.drops() == {(chain, DropReason.NETFILTER_DROP.name): 3}
    assert len(tunnel.right.take()) == (3 if chain == "INPUT" else 0)


def test_known_tunnels_take_the_remembered_way_until_something_changes() -> None:
    tunnel = Tunnel()
    tunnel.bench.rules(filter("-A OUTPUT -p udp -j ACCEPT\n-A INPUT -p udp -j ACCEPT"))
    for _ in range(5):
        tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53))
        tunnel.comes_in(udp("10.244.2.7", 53, "10.1.0.9", 4000))
    conntrack, xtables = tunnel.ns.conntrack, tunnel.ns.xtables
    assert conntrack is not None
    assert xtables is not None
    outer = [half for half in conntrack.table.values() if half.flow.dport == 8472]
    assert [half.path.packets for half in outer if half.path is not None] == [3, 3]
    conntrack.settle()
    counted = [xtables.counters("filter", chain)[0] for chain in ("OUTPUT", "INPUT")]
    # IPv4, UDP and VXLAN headers around a frame of 14 + 20 + 8 + 4 bytes: rules count from the network header on, and
    # packets that took the remembered way count as much as those that did not.
    length = 20 + 8 + 8 + 14 + 20 + 8 + 4
    assert [(counter.packets, counter.bytes) for counter in counted] == [(5, 5 * length), (5, 5 * length)]
    tunnel.bench.rules(filter("-F OUTPUT\n-F INPUT\n-A OUTPUT -p udp -j DROP\n-A INPUT -p udp -j DROP"))
    tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53))
    tunnel.comes_in(udp("10.244.2.7", 53, "10.1.0.9", 4000))
    assert tunnel.drops() == {("OUTPUT", "NETFILTER_DROP"): 1, ("INPUT", "NETFILTER_DROP"): 1}


def test_entries_of_tunnels_live_30_s_after_the_last_packet() -> None:
    tunnel = Tunnel()
    for now in (0, 10**9, 2 * 10**9):
        tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53), now)
    entry = list(tunnel.ns.conntrack.entries(0))[1]  # type: ignore[union-attr]
    assert entry.expires_ns == 32 * 10**9


def test_a_journey_is_one_packets_all_the_way() -> None:
    tunnel = Tunnel()
    steps: list[Step] = []
    tunnel.ns.follow(steps.append)
    packet = udp("10.1.0.9", 4000, "10.244.2.7", 53)
    packet.uid = 42
    tunnel.left.arrive(packet)
    assert {step.uid for step in steps} == {42}
    kinds = [(step.kind, step.where) for step in steps if step.kind in ("receive", "transmit", "encapsulate")]
    assert kinds == [
        ("receive", "left"), ("transmit", "flannel.1"), ("encapsulate", "flannel.1"), ("transmit", "right"),
    ]  # fmt: skip
    hooks = [step.where for step in steps if step.kind == "hook"]
    assert hooks == [hook.name for hook in (Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING, Hook.OUTPUT,
                                            Hook.POSTROUTING)]  # fmt: skip


def test_the_fdb_as_the_bridge_command_prints_it() -> None:
    tunnel = Tunnel()
    tunnel.vxlan.fdb[MINE] = ip("10.2.0.1")
    assert tunnel.vxlan.render_fdb() == "02:00:00:00:09:02 dst 10.2.0.9 self permanent\n"


def test_a_namespace_without_netfilter_has_tunnels_too() -> None:
    tunnel = Tunnel(netfilter=False)
    tunnel.left.arrive(udp("10.1.0.9", 4000, "10.244.2.7", 53))
    assert isinstance(tunnel.right.one().body, VxlanFrame)
    tunnel.comes_in(udp("10.244.2.7", 53, "10.1.0.9", 4000))
    assert len(tunnel.left.take()) == 1
    assert isinstance(tunnel.left, Port)
