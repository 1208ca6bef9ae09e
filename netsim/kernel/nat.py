"""Network address translation: turn a rule's target into a change of the entry's answers (net/netfilter/nf_nat_core.c).

NAT rewrites a connection, not a packet: the target of the first packet changes the tuple that the answers will have;
from then on each packet is rewritten from its entry. Tuples stay unique: when a source port is taken, another one is
chosen. Not modelled: a second connection from the same source port keeping its mapping under --random-fully
(find_appropriate_src), ranges of addresses or ports.
"""

import random
from typing import TYPE_CHECKING, Final

from netsim.kernel.conntrack import DST_NAT, SRC_NAT, Conntrack, Entry
from netsim.wire.addr import Address
from netsim.wire.packet import ICMP, ICMPV6, Flow

if TYPE_CHECKING:
    from netsim.kernel.netns import Device, Namespace

# nf_nat_l4proto_unique_tuple: ports below 512 stay below, below 1024 stay between 600 and 1023, others above 1023.
_RANGES: Final = ((512, 1, 511), (1024, 600, 1023), (65536, 1024, 65535))
_IDENTIFIERS: Final = (0, 65535)
# As there, the search begins at a random port and goes upwards: 128 ports, then 64, 32, 16 and 8 from elsewhere.
_ATTEMPTS: Final = 128
_FEWEST_ATTEMPTS: Final = 16


def dnat(entry: Entry, address: Address, port: int) -> None:
    """Send the connection to another destination; port 0 keeps the port, and ICMP has none."""
    _, destination, sport, dport, proto = entry.reply.flow
    if proto in (ICMP, ICMPV6):
        port = 0
    entry.translate(tuple.__new__(Flow, (address, destination, port or sport, dport, proto)), DST_NAT)


def masquerade(ns: "Namespace", entry: Entry, out_device: "Device", fully_random: bool, now: int) -> bool:
    """Source address of the outgoing device; one without borrows the node's (xt_MASQUERADE, inet_select_addr)."""
    address = ns.address_of(out_device, len(entry.reply.flow.dst))
    return address is not None and snat(ns, entry, address, 0, fully_random, now)


def snat(ns: "Namespace", entry: Entry, address: Address, port: int, fully_random: bool, now: int) -> bool:
    """Another source for the connection; port 0 is the same port, or another one if that is taken. False when no port
    is free. A port that was asked for is used even when it is taken: then the entry cannot be confirmed."""
    assert ns.conntrack is not None
    reply = entry.reply.flow._replace(dst=address)
    if port and entry.proto not in (ICMP, ICMPV6):
        entry.translate(reply._replace(dport=port), SRC_NAT)
        return True
    if entry.rival is not None:  # not in the table yet, as its own CPU saw it
        entry.translate(reply, SRC_NAT)
        return True
    chosen = _unique(ns.conntrack, ns.random, reply, fully_random, now)
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
    first, last = _IDENTIFIERS if icmp else _range(reply.dport)
    attempts = _ATTEMPTS
    while True:
        start = rng.getrandbits(16)
        for offset in range(start, start + attempts):
            port = first + offset % (last - first + 1)
            candidate = reply._replace(sport=port) if icmp else reply._replace(dport=port)
            if conntrack.lookup(candidate, now) is None:
                return candidate
        if attempts < _FEWEST_ATTEMPTS:
            return None
        attempts //= 2


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
