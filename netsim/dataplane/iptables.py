"""The iptables dataplane: kube-proxy's default mode.

`IptablesDataplane` is made once per cluster and holds what nodes can share; `on_node` gives each kube-proxy its
`IptablesProxier`, whose `sync` writes rules into the node's namespace. A full sync writes everything and deletes chains
that nobody needs; a partial sync writes the common chains and those of the Services that changed (KEP-3453).

Source: pkg/proxy/iptables/proxier.go (`syncProxyRules`) of Kubernetes v1.33. Simplified: stale chains are deleted in
the same sync also in large clusters, where upstream does it once per syncPeriod.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from netsim.dataplane import iptables_fixed as fixed
from netsim.dataplane.base import Prepared, SyncReport
from netsim.dataplane.fragment_store import FragmentStore
from netsim.dataplane.iptables_config import IptablesConfig
from netsim.dataplane.iptables_entries import TABLE_AND_NAME, EntryChains, EntryStore
from netsim.dataplane.iptables_names import is_service_chain
from netsim.dataplane.iptables_rules import Entry, Fragment, RuleContext, build
from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import ServicePort, ServicePortName, ServiceTable
from netsim.kernel.xtables import Xtables
from netsim.kernel.xtables_chain import Table
from netsim.kernel.xtables_text import render

_Changes = dict[ServicePortName, tuple[Fragment | None, Fragment | None]]


class Namespace(Protocol):
    """What the dataplane needs of a network namespace."""

    @property
    def xtables(self) -> Xtables | None:
        """Its iptables; None where netfilter is not enabled."""
        ...

    @property
    def ip6tables(self) -> Xtables | None:
        """Its ip6tables, likewise."""
        ...


class IptablesDataplane:
    """What all nodes share: settings, and the rules of each Service port that several nodes have in common."""

    name = "iptables"

    def __init__(self, config: IptablesConfig | None = None, remembered: int = 1 << 16) -> None:
        self.config = config or IptablesConfig()
        self.fragments: FragmentStore[Fragment, RuleContext] = FragmentStore(build, remembered)
        self.entries = EntryStore()
        self.nat_chains = fixed.nat_chains(self.config)

    def on_node(self, node: NodeView) -> "IptablesProxier":
        """The dataplane of one kube-proxy process."""
        return IptablesProxier(self, node)


@dataclass(frozen=True, slots=True)
class _Restore:
    """The input of one `iptables-restore`."""

    filter: Table
    nat: Table

    def text(self) -> str:
        return "".join(f"{line}\n" for table in (self.filter, self.nat) for line in render(table))

    @property
    def chains(self) -> int:
        return len(self.filter.chains) + len(self.nat.chains)

    @property
    def rules(self) -> int:
        return sum(len(c.rules) for table in (self.filter, self.nat) for c in table.chains.values())


class IptablesProxier:
    """kube-proxy's hand on one node. Remembers which rules it wrote; the rules themselves are in the namespace."""

    name = "iptables"

    def __init__(self, shared: IptablesDataplane, node: NodeView) -> None:
        self._shared = shared
        self._fragments: dict[ServicePortName, Fragment] = {}
        self._entries = shared.entries.empty
        self._own_rules = 0
        self.update_node(node)

    def update_node(self, node: NodeView) -> None:
        """The node's labels or addresses changed: the next sync will be full."""
        self._node = node
        self._last = fixed.last_service_rules(node)
        self._filter_chains = fixed.filter_chains(self._shared.config, node)
        self._needs_full_sync = True

    def sync(self, ns: Namespace, old: ServiceTable | None, new: ServiceTable) -> SyncReport:
        """Write the rules for `new` at once; see `prepare`."""
        prepared = self.prepare(ns, old, new)
        prepared.commit()
        return prepared.report

    def prepare(self, ns: Namespace, old: ServiceTable | None, new: ServiceTable) -> Prepared:
        """Work out the rules for `new`; `old` is the table of the last sync, or None for a full sync.

        Raises ValueError if the namespace has no netfilter."""
        xtables = ns.ip6tables if self._node.is_ipv6 else ns.xtables
        if xtables is None:
            raise ValueError("kube-proxy needs netfilter in the node's namespace (enable_netfilter)")
        full = old is None or self._needs_full_sync
        changes = self._all_changes(new) if full or old is None else self._changes_of(new.diff(old), new)
        entries = self._shared.entries.derive(self._entries, changes)
        restore = self._restore(changes, entries, xtables if full else None)
        own_rules = self._own_rules
        for before, after in changes.values():
            own_rules += (after.rules if after is not None else 0) - (
                before.rules if before is not None else 0
            )
        standing = own_rules + entries.rules() + self._fixed_rules()
        report = self._report(restore, full, changes, standing, len(new))

        def commit() -> None:
            self._entries, self._own_rules = entries, own_rules
            self._remember(changes)
            if full:
                fixed.ensure_jumps(xtables)
            for table in (restore.filter, restore.nat):
                xtables.commit(table.name, table.chains.values(), table.deleted)
            self._needs_full_sync = False

        return Prepared(report, commit)

    # ------------------------------------------------------------------ what to write
    def _all_changes(self, new: ServiceTable) -> _Changes:
        changes: _Changes = {name: (fragment, None) for name, fragment in self._fragments.items()}
        return changes | self._built(new.values(), new)

    def _changes_of(self, names: tuple[ServicePortName, ...], new: ServiceTable) -> _Changes:
        """All ports of the Services that the names belong to: upstream rewrites a Service as a whole."""
        changes: _Changes = {name: (self._fragments.get(name), None) for name in names if name not in new}
        services = {name.service: None for name in names}
        return changes | self._built([port for service in services for port in new.ports_of(service)], new)

    def _built(self, ports: Iterable[ServicePort], new: ServiceTable) -> _Changes:
        store, context, written = self._shared.fragments, self._context(new), self._fragments
        number = store.number(context)
        return {p.name: (written.get(p.name), store.get(p, self._node, context, number)) for p in ports}

    def _context(self, new: ServiceTable) -> RuleContext:
        config, node = self._shared.config, self._node
        return RuleContext(
            node.local_detector,
            node.masquerade_all,
            config.nfacct and fixed.localhost_node_ports(node),
            new.endpoint_count <= config.large_cluster_endpoints,
        )

    def _remember(self, changes: _Changes) -> None:
        for name, (_, after) in changes.items():
            if after is None:
                self._fragments.pop(name, None)
            else:
                self._fragments[name] = after

    def _restore(self, changes: _Changes, entries: EntryChains, xtables: Xtables | None) -> _Restore:
        """The chains to write and to delete; with `xtables` (a full sync) also what others have left behind."""
        nat = {
            chain.name: chain for _, after in changes.values() if after is not None for chain in after.chains
        }
        gone = {
            chain.name: None
            for before, _ in changes.values()
            if before is not None
            for chain in before.chains
        }
        if xtables is not None:
            gone |= {name: None for name in xtables.tables["nat"] if is_service_chain(name)}
        deleted = tuple(name for name in gone if name not in nat)
        nat |= {chain.name: chain for chain in self._shared.nat_chains}
        filters = {chain.name: chain for chain in self._filter_chains}
        for entry, (table, name) in TABLE_AND_NAME.items():
            last = self._last if entry is Entry.NAT_SERVICES else ()
            (nat if table == "nat" else filters)[name] = entries.chain(entry, last)
        return _Restore(Table("filter", filters), Table("nat", nat, deleted))

    def _fixed_rules(self) -> int:
        chains = (*self._shared.nat_chains, *self._filter_chains)
        return len(self._last) + sum(len(chain.rules) for chain in chains)

    def _report(
        self, restore: _Restore, full: bool, changes: _Changes, standing: int, ports: int
    ) -> SyncReport:
        written, cost = restore.rules, self._shared.config.cost
        # A chain line and the rules of each chain; a chain line and `-X` for each that is deleted.
        lines = restore.chains + written + 2 * len(restore.nat.deleted)
        return SyncReport(
            full=full,
            services_changed=len({name.service for name in changes}),
            rules_written=written,
            chains_written=restore.chains,
            chains_deleted=len(restore.nat.deleted),
            lines_written=lines,
            rules_total=standing,
            cost_ns=cost.full(lines, ports) if full else cost.partial(lines, standing - written),
            script=restore.text,
        )
