"""A VXLAN device: what leaves by it goes to another node inside UDP (drivers/net/vxlan/vxlan_core.c, Linux 6.8).

Made by `netsim.cni.vxlan`. The device is an ordinary one for routing and the neighbour table. `xmit` looks the frame's
destination MAC up in the forwarding database, puts the frame into a datagram, and lets that go through this namespace's
OUTPUT and POSTROUTING: so a packet crosses netfilter twice, as itself and as what carries it. At the other end the
datagram passes PREROUTING and INPUT to the tunnel's UDP socket (`encap_rcv`), and the frame comes in by the device.

It is the same packet all the way (its number stays), as in Linux, where one skb gets a header more. Both directions
have the tunnel's port as destination, so conntrack never sees an answer: its entries stay UNREPLIED and are refreshed
by every packet. Packets after the first are remembered as for established flows; only the price of evaluating nat rules
is paid once.

Simplified: IPv4 outside, no learning and no flooding to remotes (flannel programs both tables), no fragments of the
outer packet, and marks do not go outside with it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netsim.kernel import path
from netsim.kernel.conntrack import ORIGINAL, Half, Path
from netsim.kernel.fastpath import Clock, Receiver, receiver
from netsim.kernel.hooks import ESTABLISHED, STOLEN, DropReason, Hook, Stolen, Traversal
from netsim.wire import vxlan
from netsim.wire.addr import BROADCAST_MAC, Address, ip_text, mac_text
from netsim.wire.packet import UDP, Flow, Packet, VxlanFrame

if TYPE_CHECKING:
    from netsim.kernel.netns import Device

# Ethernet, IPv4, UDP and VXLAN headers (VXLAN_HEADROOM in include/net/vxlan.h).
OVERHEAD: Final = 50
_FRAME_HEADER: Final = 14
_MOST_FLOWS: Final = 1 << 14


class Vxlan:
    """One tunnel device of a namespace. `fdb` is where each MAC address lives: `bridge fdb ... dst ADDRESS self`."""

    __slots__ = ("_arrived", "_clock", "_flows", "_secret", "device", "fdb", "local", "port", "vni")

    def __init__(self, device: "Device", vni: int, local: Address, port: int, clock: Clock) -> None:
        self.device = device
        self.vni = vni
        self.local = local
        self.port = port
        self.fdb: dict[bytes, Address] = {}
        self._clock = clock
        self._secret = device.ns.random.getrandbits(32)
        self._flows: dict[tuple[Flow, Address], Flow] = {}
        self._arrived = receiver(device, clock)
        device.transmit = self.xmit
        device.ns.sockets.open_udp(lambda *_: None, port, owner=self).encap_rcv = self.encap_rcv

    def render_fdb(self) -> str:
        """The text of `bridge fdb show dev DEVICE`."""
        remote = [(mac, at) for mac, at in self.fdb.items() if at != self.local]
        return "".join(f"{mac_text(mac)} dst {ip_text(at)} self permanent\n" for mac, at in remote)

    def on_arrival(self, tap: Receiver) -> Callable[[], None]:
        """Tell of each frame that comes out of the tunnel, before the device gets it, until what this returns is
        called."""
        plain = self._arrived

        def arrived(packet: Packet) -> None:
            tap(packet)
            plain(packet)

        self._arrived = arrived

        def stop() -> None:
            self._arrived = plain

        return stop

    # ------------------------------------------------------------------ out
    def xmit(self, packet: Packet, at_ns: int) -> None:
        """A frame leaves by the device: wrap it and send it to the node that has its destination."""
        ns = self.device.ns
        remote = self.fdb.get(packet.macs[:6])
        if remote is None:
            ns.drop(packet, Hook.POSTROUTING, DropReason.VXLAN_NO_REMOTE, at_ns, self.device)
            return
        outer = vxlan.wrapped(packet, self.vni, self._outer_flow(packet.flow, remote))
        half = ns.conntrack.table.get(outer.flow) if ns.conntrack is not None else None
        if half is not None and self._goes_on(half, None, outer, at_ns):
            outer.flow, remembered = half.rewritten, half.path
            assert remembered is not None
            outer.macs = remembered.macs
            remembered.transmit(outer, at_ns + remembered.cost_ns)
            return
        if ns.journeys:
            ns.tell(outer, at_ns, "encapsulate", f"vni {self.vni} in {outer.flow}", self.device.name)
        self._local_out(outer, at_ns)

    def _outer_flow(self, inner: Flow, remote: Address) -> Flow:
        """The source port spreads the flows inside over equal paths outside."""
        found = self._flows.get((inner, remote))
        if found is None:
            if len(self._flows) >= _MOST_FLOWS:
                self._flows.clear()
            low, high = self.device.ns.sysctl.ip_local_port_range
            port = vxlan.source_port(vxlan.flow_hash(inner, self._secret), low, high)
            found = self._flows[inner, remote] = Flow(self.local, remote, port, self.port, UDP)
        return found

    def _local_out(self, outer: Packet, now: int) -> None:
        """iptunnel_xmit, ip_local_out: as any packet that is made here."""
        ns = self.device.ns
        t = Traversal(ns, outer, None, now)
        destination = outer.flow.dst
        if not path.choose_device(t, Hook.OUTPUT) or not path.run(t, Hook.OUTPUT):
            return
        if outer.flow.dst != destination and not path.choose_device(t, Hook.OUTPUT):
            return
        assert t.out_device is not None
        if outer.size > t.out_device.mtu + _FRAME_HEADER:
            ns.drop(outer, Hook.OUTPUT, DropReason.PKT_TOO_BIG, now, t.out_device)
            return
        known = _is_known(t)
        if known:
            t.ctstate = (
                ESTABLISHED  # the nat rules are not asked again, which is what a first packet pays for
            )
        path.leave(t)
        hop = ns.next_hops.get(outer.flow.dst)
        if known and hop is not None and _may_be_remembered(t):
            path.keep(t, Path(ns.generation, None, hop.device, hop.macs), ns.cost.forward_ns(False, 0))

    # ------------------------------------------------------------------ in
    def uplink_receiver(self, uplink: "Device") -> Receiver:
        """What to call with each packet that comes by the device to the other nodes: the remembered way for tunnels
        that are known, else whatever the device would have done."""
        plain, ns, clock = receiver(uplink, self._clock), self.device.ns, self._clock

        def arrived(packet: Packet) -> None:
            if type(packet.body) is not VxlanFrame or ns.journeys or not uplink.up:
                plain(packet)
                return
            now = clock._now
            half = ns.conntrack.table.get(packet.flow) if ns.conntrack is not None else None
            if half is None or not self._goes_on(half, self.device, packet, now):
                self._local_in(uplink, packet, now)
                return
            reason = self.encap_rcv(packet, now)
            if reason is not STOLEN:
                ns.drop(packet, Hook.INPUT, reason, now, uplink)

        return arrived

    def _local_in(self, uplink: "Device", outer: Packet, now: int) -> None:
        """`path.receive`, and remember that this datagram was for the tunnel."""
        ns = self.device.ns
        t = Traversal(ns, outer, uplink, now)
        if not path.run(t, Hook.PREROUTING):
            return
        if not ns.is_local(outer.flow.dst):
            path.forward(t)
            return
        known = _is_known(t)
        if path.run(t, Hook.INPUT):
            if known and outer.flow.dport == self.port and _may_be_remembered(t):
                path.keep(t, Path(ns.generation, self.device, self.device, b""), 0)
            path.deliver(t)

    def encap_rcv(self, outer: Packet, now: int) -> DropReason | Stolen:
        """The tunnel's socket got a datagram: the frame inside comes in by the device (vxlan_rcv)."""
        found = vxlan.unwrapped(outer)
        if found is None:
            return DropReason.VXLAN_INVALID_HDR
        vni, inner = found
        if vni != self.vni:
            return DropReason.VXLAN_VNI_NOT_FOUND
        if inner.macs[:6] not in (self.device.mac, BROADCAST_MAC):
            return DropReason.OTHERHOST
        if self.device.ns.journeys:
            self.device.ns.tell(inner, now, "decapsulate", f"vni {vni} from {outer.flow}", self.device.name)
        self._arrived(inner)
        return STOLEN

    # ------------------------------------------------------------------ remembered ways
    def _goes_on(self, half: Half, in_device: "Device | None", outer: Packet, now: int) -> bool:
        """Whether a remembered way is good for one more datagram, which is then counted. `in_device` tells the ways
        into the tunnel (None) from those out of it."""
        remembered, entry, ns = half.path, half.entry, self.device.ns
        if (
            remembered is None
            or remembered.generation != ns.generation
            or remembered.in_device is not in_device
        ):
            return False
        fits = in_device is not None or outer.size <= remembered.max_size
        if not fits or entry.expires_ns <= now or entry.seen_reply:
            return False
        entry.expires_ns = now + ns.sysctl.nf_conntrack_udp_timeout_ns
        remembered.packets += 1
        remembered.bytes += outer.size
        return True


def _is_known(t: Traversal) -> bool:
    """Whether conntrack had the outer flow before this datagram."""
    return t.ct is not None and t.ct.entry.confirmed


def _may_be_remembered(t: Traversal) -> bool:
    """Whether this is a datagram of a tunnel as long as nobody answers outside of it."""
    half = t.ct
    return not t.ns.journeys and not half.entry.seen_reply and half.direction == ORIGINAL
