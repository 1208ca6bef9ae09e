"""What the sender of a rejected packet is told (net/ipv4/netfilter/ipt_REJECT.c, net/ipv6/netfilter/ip6t_REJECT.c).

Called by `Xtables.filter`. An ICMP error goes the way of all ICMP errors; `tcp-reset` answers a TCP segment with a RST
(RFC 9293, 3.5.2). Both are about the packet as its sender knows it, before this namespace's NAT.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from netsim.kernel import icmp
from netsim.wire.packet import ACK, FIN, RST, SYN, Packet, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

# The codes of an ICMP destination unreachable, by `--reject-with` type (iptables-extensions(8)).
UNREACHABLE_CODES: Final[Mapping[str, int]] = {
    "icmp-net-unreachable": 0,
    "icmp-host-unreachable": 1,
    "icmp-proto-unreachable": 2,
    "icmp-port-unreachable": 3,
    "icmp-net-prohibited": 9,
    "icmp-host-prohibited": 10,
    "icmp-admin-prohibited": 13,
}
# The codes of an ICMPv6 destination unreachable, likewise.
UNREACHABLE_CODES_V6: Final[Mapping[str, int]] = {
    "icmp6-no-route": 0,
    "icmp6-adm-prohibited": 1,
    "icmp6-addr-unreachable": 3,
    "icmp6-port-unreachable": 4,
    "icmp6-policy-fail": 5,
    "icmp6-reject-route": 6,
}
TCP_RESET: Final = "tcp-reset"


def tell_sender(ns: "Namespace", packet: Packet, how: str, now: int) -> None:
    """Send what `-j REJECT --reject-with how` sends. Raises KeyError for an unknown type."""
    if how == TCP_RESET:
        _reset(ns, packet, now)
    elif how in UNREACHABLE_CODES_V6:
        icmp.send_error_v6(ns, packet, icmp.UNREACHABLE_V6, UNREACHABLE_CODES_V6[how], now)
    else:
        ns.icmp_error(packet, icmp.UNREACHABLE, UNREACHABLE_CODES[how], now)


def _reset(ns: "Namespace", packet: Packet, now: int) -> None:
    segment = packet.body
    if not isinstance(segment, TcpSegment) or segment.flags & RST:
        return
    if segment.flags & ACK:
        answer = TcpSegment(segment.ack, 0, RST, 0)
    else:
        length = len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        answer = TcpSegment(0, (segment.seq + length) & 0xFFFF_FFFF, RST | ACK, 0)
    ns.output(Packet(icmp.as_received(ns, packet).reverse(), answer, next(ns.uids)), now)
