"""ICMP and ICMPv6: errors about packets, answers to echo requests (net/ipv4/icmp.c, net/ipv6/icmp.c, RFC 792,
RFC 4443, RFC 1812 section 4.3).

An error carries the packet it is about as bytes, as it was when it came into this namespace: what NAT has done to it
here is undone first, so that its sender recognises it. Errors are named by ICMP's types and codes; for an IPv6 packet
the corresponding ones of ICMPv6 are sent (`_IN_V6`). Not modelled: the rate limit of errors (icmp_msgs_per_sec).
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from netsim.kernel.hooks import DropReason, Stolen
from netsim.wire import rewrite
from netsim.wire.packet import ICMP, ICMPV6, Flow, IcmpMessage, Packet

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

UNREACHABLE_V6: Final = 1
TOO_BIG_V6: Final = 2
TIME_EXCEEDED_V6: Final = 3
PARAMETER_PROBLEM_V6: Final = 4
NO_ROUTE_V6: Final = 0
ADDRESS_V6: Final = 3
PORT_V6: Final = 4
NEXT_HEADER_V6: Final = 1
_NEXT_HEADER_AT: Final = 6  # the field that a parameter problem points to (RFC 4443, 3.4)

# What says the same in ICMPv6: the codes of net/ipv6 where net/ipv4 has these.
_IN_V6: Final = {
    (UNREACHABLE, NET): (UNREACHABLE_V6, NO_ROUTE_V6),
    (UNREACHABLE, HOST): (UNREACHABLE_V6, ADDRESS_V6),
    (UNREACHABLE, PROTOCOL): (PARAMETER_PROBLEM_V6, NEXT_HEADER_V6),
    (UNREACHABLE, PORT): (UNREACHABLE_V6, PORT_V6),
    (UNREACHABLE, TOO_BIG): (TOO_BIG_V6, 0),
    (TIME_EXCEEDED, 0): (TIME_EXCEEDED_V6, 0),
}


class _Kind(NamedTuple):
    """What is different between ICMP and ICMPv6. `quoted_max`: as much of the packet as fits into 576 bytes (RFC
    1812) or the smallest MTU (RFC 4443, 2.4)."""

    protocol: int
    errors: tuple[int, ...]
    echo_request: int
    echo_reply: int
    quoted_max: int


_KINDS: Final = {
    4: _Kind(ICMP, (3, 4, 5, 11, 12), ECHO_REQUEST, ECHO_REPLY, 576 - 20 - 8),
    16: _Kind(ICMPV6, (1, 2, 3, 4), 128, 129, 1280 - 40 - 8),
}
# Errors are internetwork control and keep the four service bits of what they are about (icmp_send: RT_TOS).
_TOS_CONTROL: Final = 0xC0
_TOS_SERVICE: Final = 0x1E


def is_error(packet: Packet) -> bool:
    """Whether a packet is itself an ICMP error."""
    body = packet.body
    if type(body) is not IcmpMessage:
        return False
    kind = _KINDS[len(packet.flow.src)]
    return packet.flow.proto == kind.protocol and body.type in kind.errors


def send_error(ns: "Namespace", packet: Packet, type: int, code: int, now: int, rest: int = 0) -> None:
    """Tell a packet's sender, in the words of its family."""
    if len(packet.flow.src) == 4:
        _tell(ns, packet, type, code, rest, now)
        return
    type_v6, code_v6 = _IN_V6[type, code]
    send_error_v6(ns, packet, type_v6, code_v6, now, rest)


def send_error_v6(ns: "Namespace", packet: Packet, type: int, code: int, now: int, rest: int = 0) -> None:
    """Tell the sender of an IPv6 packet, in ICMPv6's own types and codes; never a group (RFC 4443, 2.4)."""
    if packet.flow.dst[0] == 0xFF:
        return
    _tell(ns, packet, type, code, _NEXT_HEADER_AT if type == PARAMETER_PROBLEM_V6 else rest, now)


def _tell(ns: "Namespace", packet: Packet, type: int, code: int, rest: int, now: int) -> None:
    """Send an error, but never about an error (RFC 1122 3.2.2)."""
    if is_error(packet):
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
    kind = _KINDS[len(source)]
    message = IcmpMessage(type, code, rest, _embedded(packet, flow)[: kind.quoted_max])
    error = Packet(Flow(source, flow.src, 0, type << 8 | code, kind.protocol), message, next(ns.uids))
    if kind.protocol == ICMP:
        error.tos = packet.tos & _TOS_SERVICE | _TOS_CONTROL
    error.ct = half  # so that our own conntrack takes it for RELATED (nf_ct_attach)
    ns.output(error, now)


def send_too_big(ns: "Namespace", packet: Packet, mtu: int, now: int) -> None:
    """Fragmentation needed and DF set, or packet too big: names the MTU (RFC 1191, RFC 8201)."""
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
    return twin.to_bytes()[14:]


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
    kind = _KINDS[len(packet.flow.src)]
    if packet.flow.proto != kind.protocol:
        return DropReason.IP_UNKNOWN_PROTOCOL
    if body.type == kind.echo_request:
        answer = IcmpMessage(kind.echo_reply, 0, body.rest, body.payload)
        ns.output(Packet(packet.flow.reverse(), answer, next(ns.uids)), now)
        return None
    if body.type == kind.echo_reply:
        return ns.sockets.deliver(packet, now)
    flow = embedded_flow(body)
    if flow is None or not ns.is_local(flow.src):
        return DropReason.ICMP_UNMATCHED
    ns.sockets.icmp_error(flow, body.type, body.code, now)
    return None
