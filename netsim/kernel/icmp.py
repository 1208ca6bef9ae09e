"""ICMP: errors about packets, answers to echo requests (net/ipv4/icmp.c, RFC 792, RFC 1812 section 4.3).

An error carries the packet it is about as bytes, as it was when it came into this namespace: what NAT has done to it
here is undone first, so that its sender recognises it. Not modelled: the rate limit of errors (icmp_msgs_per_sec).
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel.hooks import DropReason, Stolen
from netsim.wire import rewrite
from netsim.wire.packet import ICMP, Flow, IcmpMessage, Packet

if TYPE_CHECKING:
    from netsim.kernel.conntrack import Half
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

_ERRORS: Final = (3, 4, 5, 11, 12)
# RFC 1812: as much of the original as fits into 576 bytes.
_EMBEDDED_MAX: Final = 576 - 20 - 8
# Errors are internetwork control and keep the four service bits of what they are about (icmp_send: RT_TOS).
_TOS_CONTROL: Final = 0xC0
_TOS_SERVICE: Final = 0x1E


def is_error(packet: Packet) -> bool:
    """Whether a packet is itself an ICMP error."""
    body = packet.body
    return type(body) is IcmpMessage and packet.flow.proto == ICMP and body.type in _ERRORS


def send_error(ns: "Namespace", packet: Packet, type: int, code: int, now: int, rest: int = 0) -> None:
    """Tell a packet's sender; never about an ICMP error (RFC 1122 3.2.2)."""
    if is_error(packet) or len(packet.flow.src) != 4:
        return
    half = _half(ns, packet)
    flow = packet.flow if half is None else half.flow
    if ns.is_local(flow.src):
        ns.sockets.icmp_error(flow, type, code, now)
        return
    # Whoever was addressed answers, also where NAT led elsewhere; a router on the way speaks for itself.
    addressed = flow.dst != packet.flow.dst or ns.is_local(flow.dst)
    source = flow.dst if addressed else ns.source_for(flow.src)
    if source is None:
        return
    message = IcmpMessage(type, code, rest, _embedded(packet, flow))
    error = Packet(Flow(source, flow.src, 0, type << 8 | code, ICMP), message, next(ns.uids))
    error.tos = packet.tos & _TOS_SERVICE | _TOS_CONTROL
    error.ct = half  # so that our own conntrack takes it for RELATED (nf_ct_attach)
    ns.output(error, now)


def send_too_big(ns: "Namespace", packet: Packet, mtu: int, now: int) -> None:
    """Fragmentation needed and DF set: names the MTU (RFC 1191)."""
    send_error(ns, packet, UNREACHABLE, TOO_BIG, now, rest=mtu)


def as_received(ns: "Namespace", packet: Packet) -> Flow:
    """The packet's flow as it was before this namespace's NAT."""
    half = _half(ns, packet)
    return packet.flow if half is None else half.flow


def _half(ns: "Namespace", packet: Packet) -> "Half | None":
    """The half of a connection that a packet belongs to: by its entry or, when that has been taken off, its answers."""
    if packet.ct is not None or ns.conntrack is None:
        half: Half | None = packet.ct
        return half
    answers = ns.conntrack.table.get(packet.flow.reverse())
    if answers is None:
        return None
    entry = answers.entry
    return entry.original if answers is entry.reply else entry.reply


def _embedded(packet: Packet, flow: Flow) -> bytes:
    twin = packet.copy(0)
    twin.flow = flow
    return twin.to_bytes()[14 : 14 + _EMBEDDED_MAX]


def embedded_flow(message: IcmpMessage) -> Flow | None:
    """Whom the packet inside an error was between; None if it cannot be read."""
    try:
        return rewrite.read_flow(message.payload)
    except (ValueError, IndexError):
        return None


def with_embedded_flow(message: IcmpMessage, flow: Flow) -> IcmpMessage:
    """The same error about a packet of another flow (what NAT does to the inside of an error)."""
    return IcmpMessage(message.type, message.code, message.rest, rewrite.requoted(message.payload, flow))


def deliver(ns: "Namespace", packet: Packet, now: int) -> DropReason | Stolen | None:
    """An ICMP packet arrived: answer an echo, or pass an answer or an error on to the socket it concerns."""
    body = packet.body
    if not isinstance(body, IcmpMessage):
        return DropReason.IP_UNKNOWN_PROTOCOL
    if body.type == ECHO_REQUEST:
        answer = IcmpMessage(ECHO_REPLY, 0, body.rest, body.payload)
        ns.output(Packet(packet.flow.reverse(), answer, next(ns.uids)), now)
        return None
    if body.type == ECHO_REPLY:
        return ns.sockets.deliver(packet, now)
    flow = embedded_flow(body)
    if flow is None or not ns.is_local(flow.src):
        return DropReason.ICMP_UNMATCHED
    ns.sockets.icmp_error(flow, body.type, body.code, now)
    return None
