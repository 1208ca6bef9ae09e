"""Netfilter's functions at the hooks: conntrack, NAT, filter, confirm; and how they are enabled in a namespace.

Called by `path.run` in the order of `hooks.py`. Rules are evaluated by `xtables`; what they decide is carried out here and in
`nat.py`. Sources: net/netfilter/nf_conntrack_core.c (nf_conntrack_in, __nf_conntrack_confirm), nf_nat_core.c (nf_nat_inet_fn,
nf_nat_packet), net/ipv4/netfilter/nf_nat_... for errors about translated packets.
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import icmp, nat
from netsim.kernel.conntrack import DST_NAT, ORIGINAL, SRC_NAT, Conntrack, Entry, Half
from netsim.kernel.hooks import (
    ACCEPT,
    ESTABLISHED,
    HOOK_NAMES,
    INVALID,
    NEW,
    RELATED,
    DropReason,
    Traversal,
    Verdict,
)
from netsim.kernel.targets import Dnat, Masquerade, Reject, Snat, Target
from netsim.kernel.xtables import Xtables
from netsim.wire.packet import Flow, IcmpMessage

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

_REJECT_CODES: Final = {
    "icmp-net-unreachable": icmp.NET,
    "icmp-host-unreachable": icmp.HOST,
    "icmp-proto-unreachable": icmp.PROTOCOL,
    "icmp-port-unreachable": icmp.PORT,
    "icmp-admin-prohibited": icmp.ADMIN_PROHIBITED,
}


def enable_netfilter(ns: "Namespace") -> None:
    """Register conntrack, nat and filter in a namespace, as loading the first rule does in Linux."""
    ns.conntrack = Conntrack(ns.sysctl)
    ns.xtables = Xtables()
    ns.hooks = [
        (conntrack_in, nat_destination),  # PREROUTING
        (filter_table, nat_source, confirm),  # INPUT
        (filter_table,),  # FORWARD
        (conntrack_in, nat_destination, filter_table),  # OUTPUT
        (nat_source, confirm),  # POSTROUTING
    ]
    ns.changed()


def conntrack_in(t: Traversal) -> Verdict:
    """Find the packet's entry, or begin one."""
    ns, packet, now = t.ns, t.packet, t.now
    conntrack = ns.conntrack
    assert conntrack is not None
    half: Half | None = packet.ct
    if half is None:
        half = conntrack.lookup(packet.flow, now)
        if half is None or conntrack.reopens(half, packet):
            return _first_packet(t, conntrack, half)
        if not conntrack.update(half, packet, now):
            t.ctstate = INVALID
            return ACCEPT
        if conntrack.kills(half, packet):
            conntrack.remove(half.entry)
    t.ct = packet.ct = half
    entry = half.entry
    t.ctstate = ESTABLISHED if entry.seen_reply or half.direction != ORIGINAL else NEW
    if ns.journeys:
        ns.tell(packet, now, "conntrack", f"{t.ctstate} {entry.text(now)}", t.hook.name)
    return ACCEPT


def _first_packet(t: Traversal, conntrack: Conntrack, old: Half | None) -> Verdict:
    if old is not None:
        conntrack.remove(old.entry)
    if icmp.is_error(t.packet):
        return _related(t, conntrack)
    if conntrack.full(t.now):
        return DropReason.CONNTRACK_TABLE_FULL
    half = conntrack.begin(t.packet, t.now)
    t.ctstate = INVALID if half is None else NEW
    t.ct = t.packet.ct = half
    if t.ns.journeys:
        detail = "no entry, packet is INVALID" if half is None else f"NEW {half.entry.text(t.now)}"
        t.ns.tell(t.packet, t.now, "conntrack", detail, t.hook.name)
    return ACCEPT


def _related(t: Traversal, conntrack: Conntrack) -> Verdict:
    """An ICMP error about a tracked flow: undo that flow's translation outside and inside the error."""
    message = t.packet.body
    assert isinstance(message, IcmpMessage)
    inner = icmp.embedded_flow(message)
    answers = conntrack.lookup(inner.reverse(), t.now) if inner is not None else None
    if inner is None or answers is None:
        t.ctstate = INVALID
        return ACCEPT
    t.ctstate = RELATED
    entry = answers.entry
    sent = entry.original.flow if answers is entry.reply else entry.reply.flow
    if sent != inner:
        packet = t.packet
        source = sent.dst if packet.flow.src == inner.dst else packet.flow.src
        packet.flow = Flow(source, sent.src, packet.flow.sport, packet.flow.dport, packet.flow.proto)
        packet.body = icmp.with_embedded_flow(message, sent)
    return ACCEPT


def nat_destination(t: Traversal) -> Verdict:
    """PREROUTING, OUTPUT: DNAT, and the undoing of SNAT for answers."""
    half: Half | None = t.ct
    if half is None:
        return ACCEPT
    entry = half.entry
    if half.direction == ORIGINAL:
        if not entry.nat_done & DST_NAT:
            entry.nat_done |= DST_NAT
            target = _nat_rules(t)
            if type(target) is Dnat:
                nat.dnat(entry, target.address, target.port or None)
        if entry.nat & DST_NAT:
            _rewrite(t, nat.with_destination(t.packet.flow, entry.original.rewritten), "dnat")
    elif entry.nat & SRC_NAT:
        _rewrite(t, nat.with_destination(t.packet.flow, half.rewritten), "dnat")
    return ACCEPT


def nat_source(t: Traversal) -> Verdict:
    """POSTROUTING, INPUT: SNAT, and the undoing of DNAT for answers."""
    half: Half | None = t.ct
    if half is None:
        return ACCEPT
    entry = half.entry
    if half.direction == ORIGINAL:
        if not entry.nat_done & SRC_NAT:
            entry.nat_done |= SRC_NAT
            if not _choose_source(t, entry):
                return DropReason.NAT_NO_PORT
        if entry.nat & SRC_NAT:
            _rewrite(t, nat.with_source(t.packet.flow, entry.original.rewritten), "snat")
    elif entry.nat & DST_NAT:
        _rewrite(t, nat.with_source(t.packet.flow, half.rewritten), "snat")
    return ACCEPT


def _choose_source(t: Traversal, entry: Entry) -> bool:
    """Evaluate the nat rules for the source; without one, keep it, but make the answers' tuple unique."""
    ns = t.ns
    assert ns.conntrack is not None
    target = _nat_rules(t)
    if type(target) is Masquerade:
        return nat.masquerade(ns, entry, t.out_dev, target.random_fully, t.now)
    if type(target) is Snat:
        return nat.snat(ns, entry, target.address, target.port or None, False, t.now)
    if entry.nat and ns.conntrack.lookup(entry.reply.flow, t.now) is not None:
        return nat.snat(ns, entry, entry.reply.flow.dst, None, False, t.now)
    return True


def _rewrite(t: Traversal, flow: Flow, kind: str) -> None:
    if flow != t.packet.flow:
        if t.ns.journeys:
            t.ns.tell(t.packet, t.now, kind, str(flow), t.hook.name)
        t.packet.flow = flow


def _nat_rules(t: Traversal) -> Target | None:
    assert t.ns.xtables is not None
    target = t.ns.xtables.evaluate("nat", HOOK_NAMES[t.hook], t)
    if t.trace:
        _tell_rules(t)
    return target


def filter_table(t: Traversal) -> Verdict:
    """INPUT, FORWARD, OUTPUT: the filter table."""
    assert t.ns.xtables is not None
    verdict = t.ns.xtables.evaluate("filter", HOOK_NAMES[t.hook], t)
    if t.trace:
        _tell_rules(t)
    if verdict is None:
        return ACCEPT
    if type(verdict) is Reject:
        icmp.send_error(t.ns, t.packet, icmp.UNREACHABLE, _REJECT_CODES.get(verdict.type, icmp.PORT), t.now)
        return DropReason.NETFILTER_REJECT
    return DropReason.NETFILTER_DROP


def _tell_rules(t: Traversal) -> None:
    """For a journey: the rules that matched."""
    while t.trace:
        hit = t.trace.pop(0)
        t.ns.tell(t.packet, t.now, "rule", f"{hit.table}: -A {hit.chain} {hit.text}", t.hook.name)


def confirm(t: Traversal) -> Verdict:
    """POSTROUTING, INPUT: the entry of a first packet becomes known to others."""
    half: Half | None = t.ct
    if half is None or half.entry.confirmed:
        return ACCEPT
    assert t.ns.conntrack is not None
    if not t.ns.conntrack.confirm(half.entry, t.now):
        return DropReason.CONNTRACK_INSERT_FAILED
    if t.ns.journeys:
        t.ns.tell(t.packet, t.now, "conntrack", f"confirmed {half.entry.text(t.now)}", t.hook.name)
    return ACCEPT

