"""Network address translation: turn a rule's target into a change of the entry's answers (net/netfilter/nf_nat_core.c).

NAT rewrites a connection, not a packet: the target of the first packet changes the tuple that the answers will have; from then on
each packet is rewritten from its entry. Tuples stay unique: when a source port is taken, another one is chosen.
"""

import random
from typing import TYPE_CHECKING, Final

from netsim.kernel.conntrack import DST_NAT, SRC_NAT, Conntrack, Entry
from netsim.wire.addr import Address
from netsim.wire.packet import ICMP, ICMPV6, Flow

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

# nf_nat_l4proto_unique_tuple: ports below 512 stay below, below 1024 stay between 600 and 1023, others above 1023.
_RANGES: Final = ((512, 1, 511), (1024, 600, 1023), (65536, 1024, 65535))
_ATTEMPTS: Final = 128


def dnat(entry: Entry, address: Address, port: int | None) -> None:
    """Send the connection to another destination."""
    reply = entry.reply.flow
    entry.translate(reply._replace(src=address, sport=reply.sport if port is None else port), DST_NAT)


def masquerade(ns: "Namespace", entry: Entry, out_device: str, fully_random: bool, now: int) -> bool:
    """Source address of the outgoing device (xt_MASQUERADE)."""
    device = ns.devices[out_device]
    address = next(a for a, owner in ns.addresses.items() if owner is device and len(a) == len(entry.reply.flow.dst))
    return snat(ns, entry, address, None, fully_random, now)


def snat(
    ns: "Namespace", entry: Entry, address: Address, port: int | None, fully_random: bool, now: int
) -> bool:
    """Another source for the connection; False when no port is free."""
    assert ns.conntrack is not None
    reply = entry.reply.flow
    wanted = reply._replace(dst=address, dport=reply.dport if port is None else port)
    if entry.proto in (ICMP, ICMPV6):
        wanted = reply._replace(dst=address)
    chosen = _unique(ns.conntrack, ns.random, wanted, fully_random, now)
    if chosen is None:
        return False
    entry.translate(chosen, SRC_NAT)
    return True


def _unique(
    conntrack: Conntrack, rng: random.Random, reply: Flow, fully_random: bool, now: int
) -> Flow | None:
    """`reply` itself if no other connection has it, else with another port (ICMP: another identifier)."""
    if not fully_random and conntrack.lookup(reply, now) is None:
        return reply
    icmp = reply.proto in (ICMP, ICMPV6)
    first, last = (0, 65535) if icmp else _range(reply.dport)
    for _ in range(_ATTEMPTS):
        port = rng.randint(first, last)
        candidate = reply._replace(sport=port) if icmp else reply._replace(dport=port)
        if conntrack.lookup(candidate, now) is None:
            return candidate
    return None


def _range(port: int) -> tuple[int, int]:
    return next((first, last) for below, first, last in _RANGES if port < below)


def with_destination(flow: Flow, like: Flow) -> Flow:
    """`flow` sent to where `like` is sent (of an ICMP echo: with its identifier)."""
    if flow.proto in (ICMP, ICMPV6):
        return Flow(flow.src, like.dst, like.sport, flow.dport, flow.proto)
    return Flow(flow.src, like.dst, flow.sport, like.dport, flow.proto)


def with_source(flow: Flow, like: Flow) -> Flow:
    """`flow` coming from where `like` comes from (of an ICMP echo: with its identifier)."""
    return Flow(like.src, flow.dst, like.sport, flow.dport, flow.proto)
