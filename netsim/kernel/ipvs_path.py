"""The remembered way of packets of an established IPVS connection.

As with other flows (`fastpath.py`), the conntrack half of such a packet keeps a `Path`, and the half's own `rewritten`
flow is what both NAT and IPVS make of it. What is left to do per packet is what `Connection.saw` does: the state, the
timer, the counters. That is done by the path's `transmit`, so that paths without IPVS pay nothing for it; the counters
are settled with those of the rules. A property test holds this and the full path together.
"""

from typing import TYPE_CHECKING

from netsim.kernel.conntrack import Path
from netsim.kernel.conntrack_tcp import TcpState
from netsim.kernel.hooks import ESTABLISHED, Traversal
from netsim.kernel.ipvs_states import BY_FLAGS, INPUT, OUTPUT
from netsim.kernel.rule_engine import counting
from netsim.wire.packet import TCP, Packet

__all__ = ["INPUT", "OUTPUT", "attach", "remember"]

if TYPE_CHECKING:
    from netsim.kernel.ipvs_conn import Connection
    from netsim.kernel.netns import Device, Transmit


def remember(t: Traversal, arrived_by: "Device | None") -> None:
    """A client's packet has left for the real server: keep its way, as `path.leave` does for forwarded packets."""
    ns, half, device = t.ns, t.ct, t.out_device
    if arrived_by is None or device is None or half is None or t.ctstate is not ESTABLISHED or ns.journeys:
        return
    hop = ns.next_hops.get(t.packet.flow.dst)
    if hop is None or t.packet.macs is not hop.macs:
        return  # dropped in POSTROUTING, or waiting for the neighbour
    entry, engines = half.entry, ns.engines
    if half.path is not None:
        half.path.settle()
    if entry.state == TcpState.ESTABLISHED and not entry.assured:
        return
    if not all(engine.lasts(t) for engine in engines):
        return
    path = half.path = Path(ns.generation, arrived_by, device, hop.macs)
    path.cost_ns = ns.cost.forward_ns(False, t.visited)
    path.hits = counting(engines, t)
    attach(path, t, INPUT)


def attach(path: Path, t: Traversal, direction: int) -> None:
    """Let a path take care of the traversal's IPVS connection."""
    connection: Connection = t.ipvs
    rules = path.hits

    def count(packets: int, size: int) -> None:
        if rules is not None:
            rules(packets, size)
        connection.count(direction, packets, size - 14 * packets)

    path.hits = count
    make = _tcp if connection.proto == TCP else _other
    path.transmit = make(connection, direction, path)


def _tcp(connection: "Connection", direction: int, path: Path) -> "Transmit":
    rows, transmit, cost_ns = BY_FLAGS[direction], path.transmit, path.cost_ns

    def send(packet: Packet, at_ns: int) -> None:
        flags = packet.body.flags & 63  # type: ignore[union-attr]  # a TCP segment
        if rows[flags][connection.state] != connection.state:
            connection.advance(direction, flags, at_ns - cost_ns)
        else:  # as `advance`, without moving the timer in the queue
            connection.deadline_ns = at_ns - cost_ns + connection.timeout_ns
        transmit(packet, at_ns)

    return send


def _other(connection: "Connection", direction: int, path: Path) -> "Transmit":
    transmit, cost_ns = path.transmit, path.cost_ns

    def send(packet: Packet, at_ns: int) -> None:
        connection.deadline_ns = at_ns - cost_ns + connection.timeout_ns
        transmit(packet, at_ns)

    return send
