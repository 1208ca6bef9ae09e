"""ICMP: errors about packets, answers to echo requests (net/ipv4/icmp.c, RFC 792, RFC 1812 section 4.3).

An error carries the packet it is about as bytes, as it was when it came into this namespace: what NAT has done to it here is
undone first, so that its sender recognises it. Not modelled: the rate limit of errors (icmp_msgs_per_sec).
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel.hooks import DropReason
from netsim.wire.packet import ICMP, Flow, IcmpMessage, Packet, RawBody

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

ECHO_REPLY: Final = 0
UNREACHABLE: Final = 3
ECHO_REQUEST: Final = 8
TIME_EXCEEDED: Final = 11

NET: Final = 0
HOST: Final = 1
PROTOCOL: Final = 2
PORT: Final = 3
TOO_BIG: Final = 4
ADMIN_PROHIBITED: Final = 13

_ERRORS: Final = (3, 4, 5, 11, 12)
# RFC 1812: as much of the original as fits into 576 bytes.
_EMBEDDED_MAX: Final = 576 - 20 - 8


def is_error(packet: Packet) -> bool:
    """Whether a packet is itself an ICMP error."""
    body = packet.body
    return type(body) is IcmpMessage and packet.flow.proto == ICMP and body.type in _ERRORS


def send_error(ns: "Namespace", packet: Packet, type: int, code: int, now: int, rest: int = 0) -> None:  # noqa: A002
    """Tell a packet's sender; never about an ICMP error (RFC 1122 3.2.2)."""
    if is_error(packet) or len(packet.flow.src) != 4:
        return
    flow = as_received(ns, packet)
    if ns.is_local(flow.src):
        ns.sockets.icmp_error(flow, type, code, now)
        return
    source = ns.source_for(flow.src)
    if source is None:
        return
    message = IcmpMessage(type, code, rest, _embedded(packet, flow))
    error = Packet(Flow(source, flow.src, 0, type << 8 | code, ICMP), message, next(ns.uids))
    ns.output(error, now)


def send_too_big(ns: "Namespace", packet: Packet, mtu: int, now: int) -> None:
    """Fragmentation needed and DF set: names the MTU (RFC 1191)."""
    send_error(ns, packet, UNREACHABLE, TOO_BIG, now, rest=mtu)


def as_received(ns: "Namespace", packet: Packet) -> Flow:
    """The packet's flow as it was before this namespace's NAT."""
    if packet.ct is not None:
        flow: Flow = packet.ct.flow
        return flow
    if ns.conntrack is not None:
        answers = ns.conntrack.table.get(packet.flow.reverse())
        if answers is not None:
            entry = answers.entry
            return entry.original.flow if answers is entry.reply else entry.reply.flow
    return packet.flow


def _embedded(packet: Packet, flow: Flow) -> bytes:
    twin = packet.copy(0)
    twin.flow = flow
    return twin.to_bytes()[14 : 14 + _EMBEDDED_MAX]


def embedded_flow(message: IcmpMessage) -> Flow | None:
    """Whom the packet inside an error was between; None if it cannot be read."""
    data = message.payload
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    header = (data[0] & 15) * 4
    if len(data) < header + 8:
        return None
    proto = data[9]
    if proto == ICMP:
        sport, dport = int.from_bytes(data[header + 4 : header + 6]), data[header] << 8 | data[header + 1]
    else:
        sport = int.from_bytes(data[header : header + 2])
        dport = int.from_bytes(data[header + 2 : header + 4])
    return Flow(data[12:16], data[16:20], sport, dport, proto)


def with_embedded_flow(message: IcmpMessage, flow: Flow) -> IcmpMessage:
    """The same error about a packet of another flow (what NAT does to the inside of an error)."""
    data = bytearray(message.payload)
    header = (data[0] & 15) * 4
    data[12:16], data[16:20] = flow.src, flow.dst
    if flow.proto != ICMP:
        data[header : header + 2] = flow.sport.to_bytes(2)
        data[header + 2 : header + 4] = flow.dport.to_bytes(2)
    data[10:12] = b"\0\0"
    data[10:12] = _checksum(bytes(data[:header]))
    return IcmpMessage(message.type, message.code, message.rest, bytes(data))


def _checksum(data: bytes) -> bytes:
    total = sum(int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2)


def deliver(ns: "Namespace", packet: Packet, now: int) -> DropReason | None:
    """An ICMP packet arrived: answer an echo, or pass an answer or an error on to the socket it concerns."""
    body = packet.body
    if isinstance(body, RawBody) or not isinstance(body, IcmpMessage):
        return DropReason.IP_UNKNOWN_PROTOCOL
    if body.type == ECHO_REQUEST:
        reply = Packet(packet.flow.reverse(), IcmpMessage(ECHO_REPLY, 0, body.rest, body.payload), next(ns.uids))
        ns.output(reply, now)
        return None
    if body.type == ECHO_REPLY:
        return ns.sockets.deliver(packet, now)
    flow = embedded_flow(body)
    if flow is None or not ns.is_local(flow.src):
        return DropReason.ICMP_UNMATCHED
    ns.sockets.icmp_error(flow, body.type, body.code, now)
    return None
