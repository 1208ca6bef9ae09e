"""Connection tracking of one namespace (net/netfilter/nf_conntrack_core.c).

Theory of operation. The first packet of a flow makes an *unconfirmed* entry that only this packet knows. NAT may still
change the answers' tuple. When the packet leaves (POSTROUTING) or is delivered (INPUT), the entry is *confirmed*: both
tuples go into the table, unless another entry got there first, in which case the packet is lost. Every later packet
finds its `Half` of the entry by its tuple.

A `Half` also remembers the `Path` that its packets take through this namespace, valid as long as the namespace's
rules, routes, neighbours and devices stay as they are (`generation`): netfilter's verdict for an established flow is
a function of these. That is our flow table (compare nf_flow_table).

Entries expire lazily: a lookup ignores a dead entry, and a sweep, whose cost is spread over the inserts, removes the
rest. UDP entries live 30 s, those that have been answered and still talk after 2 s live 120 s; for TCP see
`conntrack_tcp.py`, for SCTP `conntrack_sctp.py`.

Two packets of one UDP socket can be in the race for one entry when CPUs work in parallel: see `clash.py`.

Not modelled: early drop of entries that are not ASSURED from a full table, helpers and expectations.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from netsim.kernel.conntrack_sctp import TIMEOUTS_NS, Fit, SctpState, Track
from netsim.kernel.conntrack_tcp import (
    IGNORE,
    INVALID,
    KIND,
    TRANSITIONS,
    UNACKNOWLEDGED_NS,
    TcpState,
    timeouts,
)
from netsim.kernel.sysctl import S, Sysctl
from netsim.wire import parse
from netsim.wire.packet import ICMP, ICMPV6, RST, SCTP, TCP, UDP, Flow, Packet
from netsim.wire.sctp import SctpPacket

if TYPE_CHECKING:
    from netsim.kernel.netns import Device

ORIGINAL: Final = 0
REPLY: Final = 1

# Bits of Entry.nat: which addresses of the original direction are rewritten (IPS_SRC_NAT, IPS_DST_NAT).
SRC_NAT: Final = 1
DST_NAT: Final = 2

# Linux counts a UDP flow as a stream when it lives longer than this (nf_conntrack_proto_udp.c).
_UDP_STREAM_AGE_NS: Final = 2 * S
_ICMP_TIMEOUT_NS: Final = 30 * S
_GENERIC_TIMEOUT_NS: Final = 600 * S
_SWEEP_EVERY: Final = 4096
# A full table is searched for dead entries at most this often (GC_SCAN_INTERVAL_MIN is of this order).
_SWEEP_FULL_NS: Final = S


class Path:
    """The remembered way of established packets through a namespace: next hop, cost, rules hit. Flows between the same
    two hosts may share one; the rewrite is the half's own (`Half.rewritten`)."""

    __slots__ = (
        "bytes",
        "cost_ns",
        "generation",
        "hits",
        "in_device",
        "macs",
        "max_size",
        "out_device",
        "packets",
        "transmit",
    )

    def __init__(
        self, generation: int, in_device: "Device | None", out_device: "Device", macs: bytes
    ) -> None:
        self.generation = generation
        self.in_device = in_device
        self.out_device = out_device
        self.macs = macs
        self.transmit = out_device.transmit
        self.max_size = out_device.mtu + 14
        self.cost_ns = 0
        self.hits: Callable[[int, int], None] | None = None
        self.packets = 0
        self.bytes = 0

    def settle(self) -> None:
        """Hand the packets counted here to the counters of the rules they would have visited."""
        if self.hits is not None and self.packets:
            self.hits(self.packets, self.bytes)
        self.packets = self.bytes = 0


class Half:
    """One direction of an entry (struct nf_conntrack_tuple_hash)."""

    __slots__ = ("direction", "entry", "flow", "path", "rewritten", "rows")

    def __init__(self, entry: "Entry", direction: int, flow: Flow, rewritten: Flow) -> None:
        self.entry = entry
        self.direction = direction
        self.flow = flow
        self.rewritten = rewritten
        self.rows = TRANSITIONS[direction]
        self.path: Path | None = None


class Entry:
    """One tracked connection (struct nf_conn)."""

    __slots__ = (
        "assured",
        "confirmed",
        "created_ns",
        "expires_ns",
        "foreseen",
        "mark",
        "nat",
        "nat_done",
        "original",
        "proto",
        "reply",
        "rival",
        "seen_reply",
        "since_last_ns",
        "state",
    )

    def __init__(self, flow: Flow, now: int) -> None:
        reverse = flow.reverse()
        self.proto = flow.proto
        self.original = Half(self, ORIGINAL, flow, flow)
        self.reply = Half(self, REPLY, reverse, reverse)
        self.state = 0
        self.nat = 0
        self.nat_done = 0
        self.created_ns = now
        self.expires_ns = now
        self.mark = 0
        self.confirmed = False
        self.seen_reply = False
        self.foreseen: Path | None = None  # the original direction's path, from the first answer on
        self.assured = False
        self.since_last_ns = 1 << 62  # how long before this one another first packet passed (`clash.py`)
        self.rival: Entry | None = None  # the entry that got there first, if this one is in the race with it

    @property
    def state_name(self) -> str:
        """The state as conntrack(8) prints it; "" for protocols without."""
        return TcpState(self.state).name if self.proto == TCP else ""

    def translate(self, reply: Flow, manip: int) -> None:
        """NAT: the answers will come as `reply`; `manip` says which side of the original direction changes."""
        self.nat |= manip
        self.reply.flow = reply
        self.original.rewritten = reply.reverse()  # `self.reply.rewritten` is what it always was

    def settle(self) -> None:
        """Give remembered paths' counts to the rules' counters."""
        for half in (self.original, self.reply):
            if half.path is not None:
                half.path.settle()

    def text(self, now: int) -> str:
        """One line of `conntrack -L`."""
        return _render(self, now)


class SctpEntry(Entry):
    """A tracked SCTP association."""

    __slots__ = ("track",)

    def __init__(self, flow: Flow, now: int) -> None:
        super().__init__(flow, now)
        self.track = Track()

    @property
    def state_name(self) -> str:
        """The state as conntrack(8) prints it."""
        return SctpState(self.track.state).name

    def followed(self, fit: Fit, now: int) -> bool:
        """A packet was `fit` for it; False: it is INVALID."""
        if fit is Fit.ACCEPT:
            self.expires_ns = now + TIMEOUTS_NS[self.track.state]
            self.assured = self.assured or self.track.state == SctpState.ESTABLISHED
        return fit is not Fit.INVALID


class Conntrack:
    """The table of one namespace."""

    __slots__ = (
        "_last_ns",
        "_sweep_at",
        "_sweep_full_ns",
        "clash_resolve",
        "destroyed",
        "insert_failed",
        "max_entries",
        "sysctl",
        "table",
        "tcp_timeouts",
    )

    def __init__(self, sysctl: Sysctl) -> None:
        self.sysctl = sysctl
        self.table: dict[Flow, Half] = {}
        self.tcp_timeouts = timeouts(sysctl)
        self.max_entries = sysctl.nf_conntrack_max
        self.insert_failed = 0
        self.clash_resolve = 0
        # Told of entries that go (`conntrack -E -e DESTROY`).
        self.destroyed: list[Callable[[Entry], None]] = []
        self._sweep_at = _SWEEP_EVERY
        self._sweep_full_ns = 0
        self._last_ns = -(1 << 62)  # when the last first packet passed

    def lookup(self, flow: Flow, now: int) -> Half | None:
        """The half whose packets look like `flow`, unless its entry has expired."""
        half = self.table.get(flow)
        if half is not None and half.entry.expires_ns <= now:
            self.remove(half.entry)
            return None
        return half

    def begin(self, packet: Packet, now: int) -> Half | None:
        """A new, unconfirmed entry for a packet that belongs to none; None if the packet is INVALID."""
        flow = packet.flow
        if flow.proto == SCTP:
            association = SctpEntry(flow, now)
            fit = association.track.begin(_association(packet))
            return association.original if association.followed(fit, now) else None
        entry = Entry(flow, now)
        if flow.proto == TCP:
            state = TRANSITIONS[ORIGINAL][KIND[_flags(packet) & 63]][TcpState.NONE]
            if state == INVALID or (state != TcpState.SYN_SENT and not self.sysctl.nf_conntrack_tcp_loose):
                return None
            entry.state = state
        elif flow.proto in (ICMP, ICMPV6) and flow.dport not in (8 << 8, 128 << 8):
            return None
        entry.expires_ns = now + self._timeout(entry, now)
        return entry.original

    def update(self, half: Half, packet: Packet, now: int) -> bool:
        """Note a packet of a known flow. False: it is INVALID for the entry's state."""
        entry = half.entry
        if entry.proto == TCP:
            if not self._update_tcp(half, packet, now):
                return False
        elif isinstance(entry, SctpEntry):
            if not entry.followed(entry.track.follow(half.direction, _association(packet)), now):
                return False
        else:
            entry.expires_ns = now + self._timeout(entry, now)
        if half.direction == REPLY:
            entry.seen_reply = (
                True  # last: what the first answer does, it does to an entry that has seen none
            )
        return True

    def _update_tcp(self, half: Half, packet: Packet, now: int) -> bool:
        entry, flags = half.entry, _flags(packet)
        old, new = entry.state, half.rows[KIND[flags & 63]][entry.state]
        if new == INVALID:
            return False
        if new == IGNORE:
            return True
        entry.state = new
        if entry.seen_reply:
            if new == TcpState.ESTABLISHED and old in (TcpState.SYN_RECV, TcpState.ESTABLISHED):
                entry.assured = True
        elif flags & RST:
            self.remove(entry)  # refused: forgotten at once
        entry.expires_ns = now + self._timeout(entry, now)
        return True

    def reopens(self, half: Half, packet: Packet) -> bool:
        """Whether a SYN starts a new connection over a closed one (TIME_WAIT or CLOSE: the entry is replaced)."""
        entry = half.entry
        if entry.proto != TCP or entry.state < TcpState.TIME_WAIT:
            return False
        return half.rows[KIND[_flags(packet) & 63]][entry.state] == TcpState.SYN_SENT

    def _timeout(self, entry: Entry, now: int) -> int:
        if entry.proto == TCP:
            if entry.state == TcpState.ESTABLISHED and not entry.seen_reply:
                return min(self.tcp_timeouts[TcpState.ESTABLISHED], UNACKNOWLEDGED_NS)
            return self.tcp_timeouts[entry.state]
        if entry.proto == UDP:
            if entry.rival is not None:
                return max(0, entry.expires_ns - now)  # IPS_FIXED_TIMEOUT
            if not entry.seen_reply:
                return self.sysctl.nf_conntrack_udp_timeout_ns
            if now - entry.created_ns > _UDP_STREAM_AGE_NS:
                entry.assured = True
                return self.sysctl.nf_conntrack_udp_timeout_stream_ns
            return self.sysctl.nf_conntrack_udp_timeout_ns
        return _ICMP_TIMEOUT_NS if entry.proto in (ICMP, ICMPV6) else _GENERIC_TIMEOUT_NS

    def confirm(self, entry: Entry, now: int) -> bool:
        """Put an entry into the table. False: another entry holds one of its tuples (insert_failed)."""
        original, reply = entry.original, entry.reply
        if self.lookup(original.flow, now) is not None or self.lookup(reply.flow, now) is not None:
            self.insert_failed += 1
            return False
        entry.confirmed = True
        entry.since_last_ns = now - self._last_ns
        self._last_ns = now
        table = self.table
        table[original.flow] = original
        table[reply.flow] = reply
        if len(table) >= self._sweep_at:
            self.sweep(now)
        return True

    def full(self, now: int) -> bool:
        """Whether no further entry fits (nf_conntrack: table full, dropping packet)."""
        if len(self.table) < 2 * self.max_entries:
            return False
        if now >= self._sweep_full_ns:
            self._sweep_full_ns = now + _SWEEP_FULL_NS
            self.sweep(now)
        return len(self.table) >= 2 * self.max_entries

    def remove(self, entry: Entry) -> None:
        """Take an entry out of the table."""
        table = self.table
        for half in (entry.original, entry.reply):
            if table.get(half.flow) is half:
                del table[half.flow]
            if half.path is not None and half.path.packets:
                half.path.settle()
        if self.destroyed:
            for listener in self.destroyed:
                listener(entry)

    def sweep(self, now: int) -> None:
        """Remove what has expired (gc_worker)."""
        for entry in [half.entry for half in self.table.values() if half.entry.expires_ns <= now]:
            self.remove(entry)
        self._sweep_at = max(_SWEEP_EVERY, 2 * len(self.table))

    def entries(self, now: int) -> Iterator[Entry]:
        """Living entries in the order of their making."""
        for half in self.table.values():
            if half.direction == ORIGINAL and half.entry.expires_ns > now:
                yield half.entry

    def delete(self, unwanted: Callable[[Entry], bool], now: int) -> int:
        """`conntrack -D`: remove the entries that a predicate picks; how many there were."""
        doomed = [entry for entry in self.entries(now) if unwanted(entry)]
        for entry in doomed:
            self.remove(entry)
        return len(doomed)

    def settle(self) -> None:
        """Bring all counters up to date."""
        for half in self.table.values():
            if half.direction == ORIGINAL:
                half.entry.settle()

    def render(self, now: int) -> str:
        """The text of `conntrack -L`."""
        return "".join(f"{entry.text(now)}\n" for entry in self.entries(now))


def _association(packet: Packet) -> SctpPacket | None:
    body = parse.transport(packet)
    return body if isinstance(body, SctpPacket) else None


def _flags(packet: Packet) -> int:
    return getattr(packet.body, "flags", 0)


def _render(entry: Entry, now: int) -> str:
    from netsim.kernel.conntrack_text import render

    return render(entry, now)
