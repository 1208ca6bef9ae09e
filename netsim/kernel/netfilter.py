"""Netfilter's functions at the hooks: conntrack, NAT, filter, confirm; and how they are enabled in a namespace.

Called by `path.run` in the order of `hooks.py`. Rules are evaluated by `xtables`; what they decide is carried out
here and in `nat.py`. Sources: net/netfilter/nf_conntrack_core.c (nf_conntrack_in, __nf_conntrack_confirm),
nf_nat_core.c (nf_nat_inet_fn, nf_nat_packet), nf_nat_proto.c for errors about translated packets. The raw table is
asked only when it has rules. Not modelled: the mangle and security tables.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from netsim.kernel import clash, icmp, nat, nft_hooks
from netsim.kernel.conntrack import DST_NAT, ORIGINAL, SRC_NAT, Conntrack, Entry, Half
from netsim.kernel.hooks import (
    ACCEPT,
    ESTABLISHED,
    INVALID,
    NEW,
    RELATED,
    UNTRACKED,
    DropReason,
    HookFunction,
    Traversal,
    Verdict,
)
from netsim.kernel.journey import Rewritten
from netsim.kernel.matches import OutInterface
from netsim.kernel.targets import Dnat, Drop, Masquerade, NoTrack, Snat, Target
from netsim.kernel.xtables import Xtables
from netsim.kernel.xtables_chain import Rule
from netsim.wire import parse
from netsim.wire.packet import ICMP, ICMPV6, Flow, IcmpMessage, Packet, RawBody

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace


def enable_netfilter(ns: "Namespace") -> None:
    """Register conntrack, nat and filter in a namespace, as loading the first rule does in Linux.

    To be called before the namespace's devices are connected: `fastpath.receiver` looks whether there is conntrack."""
    ns.conntrack = Conntrack(ns.sysctl)
    ns.xtables, ns.ip6tables = Xtables(), Xtables(ipv6=True)
    ns.engines = (ns.xtables, ns.ip6tables)
    ns.nat_rules = [(nft_hooks.iptables_nat,)] * 5
    ns.hooks = [
        (conntrack_in, nat_destination),  # PREROUTING
        (filter_table, nat_source, confirm),  # INPUT
        (filter_table,),  # FORWARD
        (conntrack_in, nat_destination, filter_table),  # OUTPUT
        (nat_source, confirm),  # POSTROUTING
    ]
    nft_hooks.enable(ns, PRIORITIES)
    assert ns.nft is not None
    ns.nft.registered = partial(_base_chains_changed, ns, ns.nft.registered)
    ns.xtables.changed = ns.ip6tables.changed = partial(_rules_changed, ns)
    ns.changed()


def _base_chains_changed(ns: "Namespace", arrange: Callable[[], None]) -> None:
    arrange()
    _choose_tracker(ns)


def _rules_changed(ns: "Namespace") -> None:
    _choose_tracker(ns)
    ns.changed()


def _choose_tracker(ns: "Namespace") -> None:
    """The raw table costs nothing while it has no rules: then its function is not at the hooks."""
    assert ns.xtables is not None
    assert ns.ip6tables is not None
    raw = ns.xtables.raw_rules or ns.ip6tables.raw_rules
    track, other = (raw_table, conntrack_in) if raw else (conntrack_in, raw_table)
    for hook, functions in enumerate(ns.hooks):
        if other in functions:
            ns.hooks[hook] = tuple(track if function is other else function for function in functions)


def masquerade_all(ns: "Namespace", device: str) -> None:
    """`iptables -t nat -A POSTROUTING -o DEVICE -j MASQUERADE`: what a home router or an office's gateway does."""
    assert ns.xtables is not None
    ns.xtables.ensure_rule("nat", "POSTROUTING", Rule((OutInterface(device),), Masquerade()), append=True)
    ns.changed()


def raw_table(t: Traversal) -> Verdict:
    """PREROUTING, OUTPUT: the raw table, then conntrack unless that says NOTRACK (the packet stays UNTRACKED)."""
    xtables = t.ns.iptables_for(t.packet.flow.src)
    assert xtables is not None
    verdict = xtables.raw(t)
    if type(verdict) is NoTrack:
        if t.ns.journeys:
            t.ns.tell(t.packet, t.now, "conntrack", "UNTRACKED", t.hook.name)
        return ACCEPT
    return DropReason.NETFILTER_DROP if type(verdict) is Drop else conntrack_in(t)


def conntrack_in(t: Traversal) -> Verdict:
    """Find the packet's entry, or begin one."""
    ns, packet, now = t.ns, t.packet, t.now
    conntrack = ns.conntrack
    assert conntrack is not None
    if t.ipvs is not None and t.ctstate is UNTRACKED:
        return ACCEPT  # ip_vs_notrack
    half: Half | None = packet.ct
    if half is None:
        half = conntrack.lookup(packet.flow, now)
        if half is None or conntrack.reopens(half, packet):
            return _first_packet(t, conntrack, half)
        if half.direction == ORIGINAL and clash.is_race(conntrack, half.entry, now):
            half = clash.begin(conntrack, half.entry, packet, now)
            t.ct, packet.ct, t.ctstate = half, half, NEW
            if ns.journeys:
                _tell_entry(t, "NEW, in a race with ", half.entry)
            return ACCEPT
        if not conntrack.update(half, packet, now):
            return _invalid(t)
    elif icmp.is_error(
        packet
    ):  # made here, about a packet of that connection, and addressed as its sender knows it
        t.ctstate, packet.ct = RELATED, None
        return ACCEPT
    t.ct = packet.ct = half
    entry = half.entry
    t.ctstate = ESTABLISHED if entry.seen_reply or half.direction != ORIGINAL else NEW
    if ns.journeys:
        _tell_entry(t, f"{t.ctstate} ", entry)
    return ACCEPT


def _first_packet(t: Traversal, conntrack: Conntrack, old: Half | None) -> Verdict:
    if old is not None:
        conntrack.remove(old.entry)
    if type(t.packet.body) is RawBody:
        _understand(t.packet)
    if icmp.is_error(t.packet):
        return _related(t, conntrack)
    if conntrack.full(t.now):
        return DropReason.CONNTRACK_TABLE_FULL
    half = conntrack.begin(t.packet, t.now)
    if half is None:
        return _invalid(t)
    t.ct = t.packet.ct = half
    t.ctstate = NEW
    if t.ns.journeys:
        _tell_entry(t, "NEW ", half.entry)
    return ACCEPT


def _tell_entry(t: Traversal, said: str, entry: Entry) -> None:
    text = entry.text(t.now)
    t.ns.tell(t.packet, t.now, "conntrack", f"{said}{text}", t.hook.name, entry=text)


def _understand(packet: Packet) -> None:
    """A user's own packet, kept as bytes: an ICMP error among them belongs to the connection that it is about."""
    if packet.flow.proto in (ICMP, ICMPV6):
        body = parse.transport(packet)
        if isinstance(body, IcmpMessage):
            packet.body = body


def _invalid(t: Traversal) -> Verdict:
    """Conntrack does not drop it, but leaves it alone: no entry and no NAT, as it came."""
    t.ctstate = INVALID
    if t.ns.journeys:
        t.ns.tell(t.packet, t.now, "conntrack", "packet is INVALID", t.hook.name)
    return ACCEPT


def _related(t: Traversal, conntrack: Conntrack) -> Verdict:
    """An ICMP error about a tracked flow: undo that flow's translation outside and inside the error
    (nf_conntrack_inet_error, nf_nat_icmp_reply_translation). A translated destination is named as the error's source,
    whoever sent it: a traceroute through DNAT shows the Service's address for the hops behind."""
    packet, message = t.packet, t.packet.body
    assert isinstance(message, IcmpMessage)
    inner = icmp.embedded_flow(message)
    answers = conntrack.lookup(inner.reverse(), t.now) if inner is not None else None
    if inner is None or answers is None or packet.flow.dst != inner.src:
        return _invalid(t)
    t.ctstate = RELATED
    entry = answers.entry
    sent = entry.original.flow if answers is entry.reply else entry.reply.flow
    if sent != inner:
        source = sent.dst if sent.dst != inner.dst else packet.flow.src
        packet.body = icmp.with_embedded_flow(message, sent)
        _rewrite(t, packet.flow._replace(src=source, dst=sent.src), "related")
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
                nat.dnat(entry, target.address, target.port)
                if t.ns.rewrite_subscribers:
                    after = nat.with_destination(t.packet.flow, entry.original.rewritten)
                    tell_rewritten(t, "dnat", after)
            elif type(target) is Drop:
                return DropReason.NETFILTER_DROP
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
            reason = _choose_source(t, entry)
            if reason is not None:
                return reason
        if entry.nat & SRC_NAT:
            _rewrite(t, nat.with_source(t.packet.flow, entry.original.rewritten), "snat")
    elif entry.nat & DST_NAT:
        _rewrite(t, nat.with_source(t.packet.flow, half.rewritten), "snat")
    return ACCEPT


def _choose_source(t: Traversal, entry: Entry) -> DropReason | None:
    """Evaluate the nat rules for the source; without one, keep it, but make the answers' tuple unique."""
    ns, found = t.ns, True
    assert ns.conntrack is not None
    target = _nat_rules(t)
    if type(target) is Masquerade:
        assert t.out_device is not None  # POSTROUTING only, as iptables sees to
        found = nat.masquerade(ns, entry, t.out_device, target.random_fully, t.now)
    elif type(target) is Snat:
        found = nat.snat(ns, entry, target.address, target.port, False, t.now)
    elif type(target) is Drop:
        return DropReason.NETFILTER_DROP
    elif ns.conntrack.lookup(entry.reply.flow, t.now) is not None and entry.rival is None:
        found = nat.snat(ns, entry, entry.reply.flow.dst, 0, False, t.now)
    if ns.rewrite_subscribers and entry.nat & SRC_NAT:
        tell_rewritten(t, "snat", nat.with_source(t.packet.flow, entry.original.rewritten))
    return None if found else DropReason.NAT_NO_PORT


def tell_rewritten(t: Traversal, kind: str, after: Flow, rule: str = "") -> None:
    """A flow's first packet is to become `after`, by the rule that matched last."""
    ns, before = t.ns, t.packet.flow
    decided = rule or (str(t.trace[-1]) if t.trace else "")
    for subscriber in ns.rewrite_subscribers:
        subscriber(Rewritten(t.now, ns.name, t.hook.name, kind, before, after, decided))


def _rewrite(t: Traversal, flow: Flow, kind: str) -> None:
    if flow != t.packet.flow:
        t.packet.flow = flow
        if t.ns.journeys:
            entry = t.ct.entry.text(t.now) if t.ct is not None else ""
            t.ns.tell(t.packet, t.now, kind, str(flow), t.hook.name, entry=entry)


def _nat_rules(t: Traversal) -> Target | None:
    """What the first engine says that has something to say (nf_nat_inet_fn)."""
    for ask in t.ns.nat_rules[t.hook]:
        target = ask(t)
        if target is not None:
            return target
    return None


def filter_table(t: Traversal) -> Verdict:
    """INPUT, FORWARD, OUTPUT: the filter table."""
    ns = t.ns
    xtables = (
        ns.xtables if len(t.packet.flow.src) == 4 else ns.ip6tables
    )  # `iptables_for`, on the packet path
    return xtables.filter(t) if xtables is not None else ACCEPT


def confirm(t: Traversal) -> Verdict:
    """POSTROUTING, INPUT: the entry of a first packet becomes known to others."""
    half: Half | None = t.ct
    if half is None or half.entry.confirmed:
        return ACCEPT
    assert t.ns.conntrack is not None
    if half.entry.rival is not None:
        return _clash(t, t.ns.conntrack, half.entry)
    if not t.ns.conntrack.confirm(half.entry, t.now):
        return DropReason.CONNTRACK_INSERT_FAILED
    if t.ns.journeys:
        _tell_entry(t, "confirmed ", half.entry)
    return ACCEPT


def _clash(t: Traversal, conntrack: Conntrack, loser: Entry) -> Verdict:
    """The entry of another CPU's packet is in the table already."""
    survives = clash.resolve(conntrack, loser, t.now)
    if t.ns.journeys:
        _tell_entry(t, f"clash, {'resolved' if survives else 'insert_failed'}: ", loser)
    if not survives:
        return DropReason.CONNTRACK_INSERT_FAILED
    t.ct = None  # nothing about this packet is to be remembered for the flow
    return ACCEPT


# include/uapi/linux/netfilter_ipv4.h; between them come the chains of nftables. What asks the raw table first stands
# where conntrack does.
PRIORITIES: Final[Mapping[HookFunction, int]] = {
    conntrack_in: -200, nat_destination: -100, filter_table: 0, nat_source: 100, confirm: (1 << 31) - 1,
}  # fmt: skip
