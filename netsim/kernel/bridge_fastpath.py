"""What a bridge's port calls with each frame: the remembered way for established flows, `Bridge.handle_frame` else.

The counterpart of `fastpath.py`'s router for frames that come from a pod. Frames for the bridge's own MAC address are
routed, and may take what `path.leave` has remembered of packets that came in by the bridge; frames between two pods
take a `BridgedPath`. The result is that of the full way (tests/properties).
"""

from typing import TYPE_CHECKING

from netsim.kernel.bridge import AGEING_NS, Bridge, BridgedPath, Port
from netsim.kernel.fastpath import Clock, Receiver, still_established
from netsim.kernel.firstpath import take
from netsim.wire.packet import SYN, Packet, TcpSegment, UdpDatagram

if TYPE_CHECKING:
    from netsim.kernel.conntrack import Conntrack, Path


def port_receiver(bridge: Bridge, port: Port, clock: Clock) -> Receiver:
    """The function to call with each frame that arrives at a port."""
    fdb, conntrack = bridge.fdb, bridge.device.ns.conntrack

    def arrived(packet: Packet) -> None:
        now = clock._now
        entry = fdb.get(packet.macs[6:])
        if conntrack is not None and entry is not None and entry.port is port:
            half = conntrack.table.get(packet.flow)
            if half is None:
                if _first(bridge, conntrack, packet, now):
                    entry.updated_ns = now
                    return
            elif half.path is not None and _usable(bridge, half.path, packet, now):
                remembered = half.path
                if still_established(conntrack, half, packet, now):
                    entry.updated_ns = now
                    packet.flow = half.rewritten
                    if type(remembered) is not BridgedPath:
                        packet.ttl -= 1
                    packet.macs = remembered.macs
                    remembered.packets += 1
                    remembered.bytes += packet.size
                    remembered.transmit(packet, now + remembered.cost_ns)
                    return
        bridge.handle_frame(port, packet, now)

    return arrived


def _usable(bridge: Bridge, path: "Path", packet: Packet, now: int) -> bool:
    """Whether a remembered way is one for this frame."""
    device = bridge.device
    if path.generation != device.ns.generation or path.in_device is not device:
        return False
    if packet.ttl <= 1 or packet.size > path.max_size:
        return False
    if isinstance(path, BridgedPath):
        return path.in_macs == packet.macs and now - path.entry.updated_ns < AGEING_NS
    return packet.macs[:6] == device.mac


def _first(bridge: Bridge, conntrack: "Conntrack", packet: Packet, now: int) -> bool:
    """Treat a flow's first packet as others like it were, if that is known (`firstpath.py`)."""
    device = bridge.device
    src, dst, _, dport, proto = packet.flow
    first = device.ns.firsts.get((src, dst, dport, proto, device))
    if first is None or not first.ready or packet.macs[:6] != device.mac:
        return False
    body = packet.body
    begins = type(body) is UdpDatagram or (type(body) is TcpSegment and body.flags & 63 == SYN)
    if not begins or packet.ttl <= 1 or packet.size > first.max_size or conntrack.full(now):
        return False
    take(device.ns, conntrack, first, packet, now)
    return True
