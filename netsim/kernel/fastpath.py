"""What a device calls with each frame: the remembered way for established flows, `path.receive` for the rest.

A router's receiver looks the packet's tuple up in conntrack. If its half remembers a `Path` that is still valid, the
packet is rewritten and sent on by replacing references. This gives the same result as the full path (tests/properties
holds them together); what differs is wall time, about 0.4 against 4 microseconds. A pod's receiver hands TCP and UDP
to the sockets.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from netsim.kernel.conntrack import _UDP_STREAM_AGE_NS
from netsim.kernel.conntrack_tcp import IGNORE, KIND, TcpState
from netsim.kernel.firstpath import take
from netsim.kernel.hooks import STOLEN, Hook
from netsim.kernel.path import receive
from netsim.wire.packet import SYN, TCP, UDP, Packet, TcpSegment, UdpDatagram

if TYPE_CHECKING:
    from netsim.kernel.conntrack import Conntrack, Entry, Half
    from netsim.kernel.netns import Device

# As plain numbers: looking a member up on its Enum class is slow.
SYN_SENT: Final = int(TcpState.SYN_SENT)
ESTABLISHED: Final = int(TcpState.ESTABLISHED)
CLOSE: Final = int(TcpState.CLOSE)

Receiver = Callable[[Packet], None]


class Clock(Protocol):
    """SimPy's environment, as far as the kernel needs it (the attribute, not the property, for speed)."""

    _now: int


def receiver(device: "Device", clock: Clock) -> Receiver:
    """The function to call with each packet that arrives at a device."""
    conntrack = device.ns.conntrack
    return _host_receiver(device, clock) if conntrack is None else _router_receiver(device, clock, conntrack)


def _host_receiver(device: "Device", clock: Clock) -> Receiver:
    ns = device.ns
    addresses = ns.addresses

    def arrived(packet: Packet) -> None:
        flow = packet.flow
        plain = type(packet.body) in (TcpSegment, UdpDatagram)
        if flow.dst in addresses and plain and not ns.journeys and device.up:
            reason = ns.sockets.deliver(packet, clock._now)
            if reason is None:
                ns.delivered += 1
            elif reason is not STOLEN:
                ns.drop(packet, Hook.INPUT, reason, clock._now, device)
        else:
            receive(device, packet, clock._now)

    return arrived


def _router_receiver(device: "Device", clock: Clock, conntrack: "Conntrack") -> Receiver:
    ns = device.ns
    find = conntrack.table.get

    def arrived(packet: Packet) -> None:
        now = clock._now
        half = find(packet.flow)
        if half is not None:
            path = half.path
            if path is not None and path.generation == ns.generation and path.in_device is device:
                entry = half.entry
                if entry.expires_ns > now and packet.ttl > 1 and packet.size <= path.max_size:
                    if entry.proto == TCP:
                        state = entry.state
                        new = half.rows[KIND[packet.body.flags & 63]][state]  # type: ignore[union-attr]
                        if new != state:
                            if new >= IGNORE or new == SYN_SENT or (new == CLOSE and not entry.seen_reply):
                                receive(device, packet, now)
                                return
                            if new == ESTABLISHED:
                                entry.assured = True
                            entry.state = state = new
                        entry.expires_ns = now + conntrack.tcp_timeouts[state]
                    else:
                        entry.expires_ns = now + _stream_timeout(conntrack, entry, now)
                    if not entry.seen_reply:  # the first answer: from now on the flow is established
                        entry.seen_reply = True
                        entry.original.path, entry.foreseen = entry.foreseen, None
                    packet.flow = half.rewritten
                    packet.ttl -= 1
                    packet.macs = path.macs
                    path.packets += 1
                    path.bytes += packet.size
                    path.transmit(packet, now + path.cost_ns)
                    return
        else:
            src, dst, _, dport, proto = packet.flow
            first = ns.firsts.get((src, dst, dport, proto, device))
            if first is not None and first.ready and packet.ttl > 1 and packet.size <= first.max_size:
                begins = type(packet.body) is UdpDatagram or getattr(packet.body, "flags", 0) & 63 == SYN
                if begins and not packet.mark and not conntrack.full(now):
                    take(ns, conntrack, first, packet, now)
                    return
        receive(device, packet, now)

    return arrived


def still_established(conntrack: "Conntrack", half: "Half", packet: Packet, now: int) -> bool:
    """Note one more packet of a flow with a remembered path, as the router's receiver does in line; False, and nothing
    is noted, if it needs the full path."""
    entry = half.entry
    if entry.expires_ns <= now:
        return False
    if entry.proto == TCP:
        state = entry.state
        new = half.rows[KIND[packet.body.flags & 63]][state]  # type: ignore[union-attr]
        if new != state:
            if new >= IGNORE or new == SYN_SENT or (new == CLOSE and not entry.seen_reply):
                return False
            if new == ESTABLISHED:
                entry.assured = True
            entry.state = state = new
        entry.expires_ns = now + conntrack.tcp_timeouts[state]
    else:
        entry.expires_ns = now + _stream_timeout(conntrack, entry, now)
    if not entry.seen_reply:
        entry.seen_reply = True
        entry.original.path, entry.foreseen = entry.foreseen, None
    return True


def _stream_timeout(conntrack: "Conntrack", entry: "Entry", now: int) -> int:
    if entry.proto != UDP or not entry.seen_reply or entry.rival is not None:
        return conntrack._timeout(entry, now)
    if now - entry.created_ns > _UDP_STREAM_AGE_NS:
        entry.assured = True
        return conntrack.sysctl.nf_conntrack_udp_timeout_stream_ns
    return conntrack.sysctl.nf_conntrack_udp_timeout_ns
