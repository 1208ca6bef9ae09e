"""The remembered way of first packets: what the rules did with new flows between the same ends, ready to be done again.

Called by the router's receiver (`fastpath.py`); filled by `path.leave`. As with established flows, the result
is that of the full path, draws of lots included: `xtables_memo` knows how the rules branch, and this knows
what lies behind every branch: rewrite, next hop, cost, and the paths of the packets to come. Only flows that
are neither marked nor masqueraded are remembered, and only once every branch has been seen. Everything is
forgotten when the namespace's `generation` changes.
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import nat
from netsim.kernel.conntrack import DST_NAT, SRC_NAT, Conntrack, Entry, Path
from netsim.kernel.conntrack_tcp import TcpState
from netsim.kernel.hooks import DropReason, Hook
from netsim.kernel.rule_engine import first_packets, spread
from netsim.kernel.targets import Dnat
from netsim.kernel.xtables_memo import Fork, Leaf, Node, Spread
from netsim.wire.packet import TCP, UDP, Packet

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal
    from netsim.kernel.neighbour import NextHop
    from netsim.kernel.netns import Device, Namespace

_SYN_SENT: Final = int(TcpState.SYN_SENT)
_BOTH: Final = SRC_NAT | DST_NAT


class Onward:
    """What lies behind one branch."""

    __slots__ = ("answers", "cost_ns", "dnat", "leaves", "macs", "max_size", "there", "transmit")

    def __init__(
        self,
        dnat: Dnat | None,
        leaves: tuple[Leaf, ...],
        hop: "NextHop",
        cost_ns: int,
        there: Path | None,
        answers: Path,
    ) -> None:
        self.dnat = dnat
        self.leaves = leaves
        self.transmit = hop.transmit
        self.macs = hop.macs
        self.max_size = hop.max_size
        self.cost_ns = cost_ns
        self.there = there
        self.answers = answers


class First:
    """First packets from one address by one device to one address, port and protocol. `root` None: PREROUTING
    has no rules."""

    __slots__ = ("max_size", "ready", "root", "ways")

    def __init__(self, root: Node | None) -> None:
        self.root = root
        self.ways: dict[Leaf | None, Onward] = {}
        self.ready = False
        self.max_size = 1 << 62

    def add(self, leaf: Leaf | None, onward: Onward) -> None:
        """One more branch is known."""
        self.ways[leaf] = onward
        self.max_size = min(self.max_size, onward.max_size)
        self.ready = _complete(self.root, self.ways)


def _complete(node: Node | None, ways: dict[Leaf | None, Onward]) -> bool:
    if isinstance(node, Fork | Spread):
        return all(child is not None and _complete(child, ways) for child in node.children)
    return node in ways


def remember(t: "Traversal", device: "Device", hop: "NextHop", cost_ns: int) -> None:
    """A first packet has passed, and the paths of those to come are known: keep what was done."""
    ns, entry, in_device = t.ns, t.ct.entry, t.in_device
    if in_device is None or entry.proto not in (TCP, UDP) or entry.nat & SRC_NAT:
        return
    if entry.reply.path is None or (entry.foreseen is None and entry.proto == TCP):
        return
    before, after = entry.original.flow, entry.original.rewritten
    known = first_packets(ns.engines, before, after, in_device, device)
    if known is None:
        return
    root, leaf, rest = known
    key = (before.src, before.dst, before.dport, before.proto, in_device)
    first = ns.firsts.get(key)
    if first is None:
        first = ns.firsts[key] = First(root)
    if leaf not in first.ways and first.root is root:
        dnat = leaf.verdict if leaf is not None else None
        assert dnat is None or isinstance(dnat, Dnat)
        ends = (leaf, *rest) if leaf is not None else rest
        leaves = tuple(end for end in ends if end.hits)  # others have nothing to count
        first.add(leaf, Onward(dnat, leaves, hop, cost_ns, entry.foreseen, entry.reply.path))


def take(ns: "Namespace", conntrack: Conntrack, first: First, packet: Packet, now: int) -> None:
    """Do it again for the first packet of another flow."""
    node = first.root
    while type(node) is Fork:
        node = node.yes if ns.random.getrandbits(31) < node.threshold else node.no
    if type(node) is Spread:
        node = spread(node, ns.random)
    onward = first.ways[node]  # type: ignore[index]
    size = packet.size
    for leaf in onward.leaves:
        leaf.packets += 1
        leaf.bytes += size
    flow = packet.flow
    entry = Entry(flow, now)
    if flow.proto == TCP:
        entry.state = _SYN_SENT
        entry.expires_ns = now + conntrack.tcp_timeouts[_SYN_SENT]
    else:
        entry.expires_ns = now + conntrack.sysctl.nf_conntrack_udp_timeout_ns
    entry.nat_done = _BOTH
    if onward.dnat is not None:
        nat.dnat(entry, onward.dnat.address, onward.dnat.port)
    answers = entry.reply.flow
    if conntrack.lookup(answers, now) is not None and not nat.snat(ns, entry, answers.dst, 0, False, now):
        ns.drop(packet, Hook.POSTROUTING, DropReason.NAT_NO_PORT, now)
    elif not conntrack.confirm(entry, now):
        ns.drop(packet, Hook.POSTROUTING, DropReason.CONNTRACK_INSERT_FAILED, now)
    else:
        entry.foreseen, entry.reply.path = onward.there, onward.answers
        packet.flow = entry.original.rewritten
        packet.ttl -= 1
        packet.macs = onward.macs
        onward.transmit(packet, now + onward.cost_ns)
