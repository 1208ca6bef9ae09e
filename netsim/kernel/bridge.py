"""A Linux bridge: ports, a forwarding database that learns, and br_netfilter (net/bridge/, Linux 6.8).

Made by `netsim.cni.bridge`. The bridge is a device of its namespace with an address (`cni0`); its ports are the nodes'
ends of the pods' veths. ::

    frame by a port --> learn --> (PREROUTING) --> for the bridge's own MAC? -- yes --> IP: INPUT or FORWARD, route
                                       |                                  no
                                       |                                   v
                                       +- DNAT to a host on the bridge --> port of the destination --> (FORWARD,
                                                                                          POSTROUTING) --> veth

With `bridge-nf-call-iptables` (the hooks in brackets) IPv4 packets that are only bridged pass iptables too, the bridge
being both devices: so the answers of a pod to another on the same node are un-NATed. Switched off, they go past
conntrack, and a client that asked a Service gets its answer from a stranger. PREROUTING is passed only once
(ip_sabotage_in).

Sources: br_input.c (br_handle_frame_finish), br_forward.c (should_deliver, br_flood), br_fdb.c, br_device.c
(br_dev_xmit), br_netfilter_hooks.c (br_nf_pre_routing_finish and its long comment on bridged DNAT).
Simplified: no spanning tree, VLANs, multicast snooping or ebtables; a flooded packet passes the hooks once; the frame
of a neighbour that does not answer ends as a routed one does; no ICMP redirects.
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import path
from netsim.kernel.conntrack import Path
from netsim.kernel.hooks import ESTABLISHED, NEW, DropReason, Hook, Traversal
from netsim.wire.addr import BROADCAST_MAC, mac_text
from netsim.wire.packet import ArpMessage, Packet

if TYPE_CHECKING:
    from netsim.kernel.netns import Device

# BR_DEFAULT_AGEING_TIME (include/uapi/linux/if_bridge.h): 300 s.
AGEING_NS: Final = 300 * 1_000_000_000


class Port:
    """A device that is a port. `hairpin`: frames may leave where they came in (BR_HAIRPIN_MODE)."""

    __slots__ = ("device", "hairpin")

    def __init__(self, device: "Device", hairpin: bool) -> None:
        self.device = device
        self.hairpin = hairpin


class FdbEntry:
    """Behind which port a MAC address was seen last, and when."""

    __slots__ = ("port", "updated_ns")

    def __init__(self, port: Port, updated_ns: int) -> None:
        self.port = port
        self.updated_ns = updated_ns


class BridgedPath(Path):
    """The remembered way of established packets that are bridged: valid for frames between the same two MAC addresses
    while the destination's entry is fresh. Nothing is routed, so the time to live stays."""

    __slots__ = ("entry", "in_macs")

    def __init__(self, t: Traversal, port: Port, in_macs: bytes, entry: FdbEntry) -> None:
        super().__init__(t.ns.generation, t.in_device, port.device, t.packet.macs)
        self.in_macs = in_macs
        self.entry = entry


class _Waiting:
    """A packet that DNAT sent to a host on the bridge whose MAC address is being asked for."""

    __slots__ = ("macs", "packet", "port", "t")

    def __init__(self, packet: Packet, port: Port, t: Traversal) -> None:
        self.packet, self.port, self.t, self.macs = packet, port, t, packet.macs


class Bridge:
    """A bridge and what it knows."""

    __slots__ = ("_waiting", "device", "fdb", "ports")

    def __init__(self, device: "Device") -> None:
        self.device = device
        self.ports: dict[Device, Port] = {}
        self.fdb: dict[bytes, FdbEntry] = {}
        self._waiting: list[_Waiting] = []
        device.transmit = self.xmit

    def add_port(self, device: "Device", hairpin: bool) -> Port:
        """`ip link set DEVICE master BRIDGE`; whoever plugged it in hands its frames to `handle_frame`."""
        port = self.ports[device] = Port(device, hairpin)
        self.device.ns.changed()
        return port

    def remove_port(self, device: "Device") -> None:
        """The device goes, and what was learnt of it."""
        port = self.ports.pop(device)
        for mac in [mac for mac, entry in self.fdb.items() if entry.port is port]:
            del self.fdb[mac]
        self.device.ns.changed()

    def render_fdb(self) -> str:
        """The text of `bridge fdb show br BRIDGE`, entries learnt only."""
        lines = (f"{mac_text(mac)} dev {entry.port.device.name} master {self.device.name}\n"
                 for mac, entry in self.fdb.items())  # fmt: skip
        return "".join(lines)

    # ------------------------------------------------------------------ frames that come in by a port
    def handle_frame(self, port: Port, packet: Packet, now: int) -> None:
        """br_handle_frame: the full way."""
        ns, device = self.device.ns, port.device
        if ns.journeys:
            ns.tell(packet, now, "receive", repr(packet.body), device.name)
        if not (device.up and self.device.up):
            ns.drop(packet, Hook.PREROUTING, DropReason.DEVICE_DOWN, now, device)
            return
        self._learn(packet.macs[6:], port, now)
        t = None
        if ns.sysctl.bridge_nf_call_iptables and _is_ipv4(packet):
            destination = packet.flow.dst
            t = Traversal(ns, packet, self.device, now)
            in_macs = packet.macs
            if not path.run(t, Hook.PREROUTING):
                return
            if packet.flow.dst != destination and not self._redirect(port, t):
                return
            self._finish(port, packet, t, in_macs, now)
        else:
            self._finish(port, packet, None, packet.macs, now)

    def _learn(self, mac: bytes, port: Port, now: int) -> None:
        entry = self.fdb.get(mac)
        if entry is None:
            self.fdb[mac] = FdbEntry(port, now)
        else:
            if entry.port is not port:  # it has moved: remembered ways lead to the wrong port
                entry.port = port
                self.device.ns.changed()
            entry.updated_ns = now

    def _redirect(self, port: Port, t: Traversal) -> bool:
        """NAT has changed the destination, and the frame's MAC address has to follow (br_nf_pre_routing_finish): to the
        host itself if it is on this bridge, else to us. False: the packet waits for a neighbour."""
        ns, packet = self.device.ns, t.packet
        destination = packet.flow.dst
        source = packet.macs[6:]
        route = None if ns.is_local(destination) else ns.routes.lookup(destination)
        if route is None or route.device is not self.device:
            packet.macs = self.device.mac + source
            return True
        if ns.journeys:
            ns.tell(packet, t.now, "route", f"{route}: stays on the bridge", Hook.PREROUTING.name)
        waiting = _Waiting(packet, port, t)
        mac = ns.neighbours.mac_of(self.device, route.gateway or destination, packet, t.now)
        if mac is None:
            # One that was given up in the meantime has lost its entry.
            self._waiting = [kept for kept in self._waiting if kept.packet.ct is not None] + [waiting]
            if ns.journeys:
                ns.tell(packet, t.now, "neighbour", "waits for ARP", self.device.name)
            return False
        packet.macs = mac + source
        return True

    def _finish(self, port: Port, packet: Packet, t: Traversal | None, in_macs: bytes, now: int) -> None:
        """br_handle_frame_finish: up, out by a port, or both."""
        destination = packet.macs[:6]
        if destination == self.device.mac:
            self._up(packet, t, now)
        elif destination == BROADCAST_MAC:
            self.device.ns.copied += 1
            self._up(packet.copy(packet.uid), None, now)
            self._flood(packet, port, now)
        else:
            self._forward(port, packet, t, in_macs, now)

    def _up(self, packet: Packet, t: Traversal | None, now: int) -> None:
        """br_pass_frame_up: the bridge has received it."""
        if t is None:
            path.receive(self.device, packet, now)
        else:
            path.onward(t)

    # ------------------------------------------------------------------ frames that go out by a port
    def _forward(self, port: Port, packet: Packet, t: Traversal | None, in_macs: bytes, now: int) -> None:
        ns = self.device.ns
        entry = self._find(packet.macs[:6], now)
        if entry is not None and entry.port is port and not port.hairpin:
            ns.drop(packet, "BRIDGE", DropReason.BRIDGE_NO_EGRESS_PORT, now, port.device)
            return
        cost_ns = ns.cost.forward_ns(False, 0)
        if t is not None:
            t.out_device = self.device
            if not path.run(t, Hook.FORWARD) or not path.run(t, Hook.POSTROUTING):
                return
            packet.ct, packet.mark = None, 0
            cost_ns = ns.cost.forward_ns(t.ctstate is NEW, t.visited)
        if entry is None:
            self._flood(packet, port, now + cost_ns)
            return
        if ns.journeys:
            detail = f"fdb: {mac_text(packet.macs[:6])} is behind {entry.port.device.name}"
            ns.tell(packet, now, "bridge", detail, self.device.name)
            ns.tell(packet, now + cost_ns, "transmit", "", entry.port.device.name)
        elif t is not None and t.ct is not None and t.ctstate is ESTABLISHED:
            path.keep(t, BridgedPath(t, entry.port, in_macs, entry), cost_ns)
        entry.port.device.transmit(packet, now + cost_ns)

    def _find(self, mac: bytes, now: int) -> FdbEntry | None:
        entry = self.fdb.get(mac)
        return entry if entry is not None and now - entry.updated_ns < AGEING_NS else None

    def xmit(self, packet: Packet, at_ns: int) -> None:
        """br_dev_xmit: the namespace itself sends by the bridge; or a redirected packet knows its neighbour now."""
        if packet.ct is not None:
            waiting = next(kept for kept in self._waiting if kept.packet is packet)
            self._waiting.remove(waiting)
            packet.macs = packet.macs[:6] + waiting.macs[6:]
            waiting.t.now = at_ns
            self._forward(waiting.port, packet, waiting.t, waiting.macs, at_ns)
            return
        entry = self._find(packet.macs[:6], at_ns)
        if entry is None:
            self._flood(packet, None, at_ns)
            return
        ns = self.device.ns
        if ns.journeys:
            detail = f"fdb: {mac_text(packet.macs[:6])} is behind {entry.port.device.name}"
            ns.tell(packet, at_ns, "bridge", detail, self.device.name)
        entry.port.device.transmit(packet, at_ns)

    def _flood(self, packet: Packet, ingress: Port | None, at_ns: int) -> None:
        """By every port; by the one it came in only in hairpin mode (should_deliver)."""
        ns = self.device.ns
        targets = [port for port in self.ports.values() if port is not ingress or port.hairpin]
        if ns.journeys:
            ns.tell(packet, at_ns, "bridge", f"floods {len(targets)} ports", self.device.name)
        if not targets:
            ns.drop(packet, "BRIDGE", DropReason.BRIDGE_NO_EGRESS_PORT, at_ns, self.device)
            return
        ns.copied += len(targets) - 1
        for port in targets[1:]:
            port.device.transmit(packet.copy(packet.uid), at_ns)
        targets[0].device.transmit(packet, at_ns)


def _is_ipv4(packet: Packet) -> bool:
    return type(packet.body) is not ArpMessage and len(packet.flow.src) == 4
