"""The nftables dataplane: kube-proxy's mode since Kubernetes 1.29 (KEP-3866).

`NftablesDataplane` is made once per cluster and holds what nodes can share; `on_node` gives each kube-proxy its
`NftablesProxier`, whose `sync` writes table `ip kube-proxy` in the node's namespace. A full sync writes everything and
finds what others have left behind; a partial sync writes the chains of the Services that changed and the elements that
differ. Chains that nobody needs any more are emptied at once and deleted by a later sync, because kernels before 6.2
notice late that an element no longer leads to them.

Source: pkg/proxy/nftables/proxier.go (`syncProxyRules`) of Kubernetes v1.34. Simplified: stale chains are deleted by
the next sync, which upstream does once they have been stale for a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from netsim.dataplane import nftables_fixed as fixed
from netsim.dataplane import nftables_names as names
from netsim.dataplane.base import Prepared, SyncReport
from netsim.dataplane.fragment_store import FragmentStore
from netsim.dataplane.nftables_config import NftablesConfig
from netsim.dataplane.nftables_elements import ElementBook
from netsim.dataplane.nftables_rules import Fragment, RuleContext, build
from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import ServicePort, ServicePortName, ServiceTable
from netsim.kernel.nft import Nftables
from netsim.kernel.nft_transaction import (
    Command,
    DeleteChain,
    DeleteSet,
    FlushChain,
    Transaction,
    Write,
)

_Changes = dict[ServicePortName, tuple[Fragment | None, Fragment | None]]


class Namespace(Protocol):
    """What the dataplane needs of a network namespace."""

    @property
    def nft(self) -> Nftables | None:
        """Its nftables; None where netfilter is not enabled."""
        ...


class NftablesDataplane:
    """What all nodes share: settings, and what each Service port needs on several nodes."""

    name = "nftables"

    def __init__(self, config: NftablesConfig | None = None, remembered: int = 1 << 16) -> None:
        self.config = config or NftablesConfig()
        self.fragments: FragmentStore[Fragment, RuleContext] = FragmentStore(build, remembered)

    def on_node(self, node: NodeView) -> "NftablesProxier":
        """The dataplane of one kube-proxy process."""
        return NftablesProxier(self, node)


@dataclass(frozen=True, slots=True)
class _Totals:
    """What stands in the table beside the fixed part."""

    rules: int = 0
    chains: int = 0

    def after(self, changes: _Changes) -> "_Totals":
        rules, chains = self.rules, self.chains
        for before, after in changes.values():
            for fragment, sign in ((before, -1), (after, 1)):
                if fragment is not None:
                    rules += sign * fragment.rules
                    chains += sign * len(fragment.chains)
        return _Totals(rules, chains)


class NftablesProxier:
    """kube-proxy's hand on one node. Remembers what it wrote; the rules themselves are in the namespace."""

    name = "nftables"

    def __init__(self, shared: NftablesDataplane, node: NodeView) -> None:
        self._shared = shared
        self._fragments: dict[ServicePortName, Fragment] = {}
        self._elements = ElementBook()
        self._totals = _Totals()
        self._stale: dict[str, None] = {}
        self.update_node(node)

    def update_node(self, node: NodeView) -> None:
        """The node's labels or addresses changed: the next sync will be full."""
        self._node = node
        self._table = fixed.table(node)
        self._context = RuleContext(node.local_detector, node.masquerade_all)
        self._number = self._shared.fragments.number(self._context)
        self._fixed_rules = fixed.rule_count(self._shared.config, node)
        self._needs_full_sync = True

    def sync(self, ns: Namespace, old: ServiceTable | None, new: ServiceTable) -> SyncReport:
        """Write the rules for `new` at once; see `prepare`."""
        prepared = self.prepare(ns, old, new)
        prepared.commit()
        return prepared.report

    def prepare(self, ns: Namespace, old: ServiceTable | None, new: ServiceTable) -> Prepared:
        """Work out the rules for `new`; `old` is the table of the last sync, or None for a full sync.

        Raises ValueError if the namespace has no netfilter."""
        nft = ns.nft
        if nft is None:
            raise ValueError("kube-proxy needs netfilter in the node's namespace (enable_netfilter)")
        if old is None or self._needs_full_sync or not self._shared.config.partial_sync:
            return self._full(nft, new)
        return self._partial(nft, self._changes_of(new.diff(old), new))

    # ------------------------------------------------------------------ the two kinds of sync
    def _full(self, nft: Nftables, new: ServiceTable) -> Prepared:
        changes: _Changes = {name: (None, after) for name, (_, after) in self._built(new.values()).items()}
        book = ElementBook()
        touched = book.claims_after(changes)
        chains, sets = nft.tables.get(str(self._table), {}), nft.sets.get(str(self._table), {})
        fragments = {name: after for name, (_, after) in changes.items() if after is not None}
        active = frozenset[str]().union(*(f.chains for f in fragments.values()))
        affinity = frozenset[str]().union(*(f.affinity_sets for f in fragments.values()))
        deleted = [name for name in self._stale if name in chains and name not in active]
        stale = {
            name: None
            for name in chains
            if names.is_service_chain(name) and name not in active and name not in self._stale
        }
        setup = fixed.setup(self._shared.config, self._node, names.NODE_PORT_IPS in sets)
        commands = [
            *map(DeleteChain, deleted),
            *setup,
            *(command for fragment in fragments.values() for command in fragment.commands),
            *book.commands(touched),
            *map(FlushChain, stale),
            *(DeleteSet(name) for name in sets if names.is_affinity_set(name) and name not in affinity),
        ]
        totals = _Totals().after(changes)
        report = self._report(commands, changes, totals, len(deleted), full=True)

        def commit() -> None:
            nft.commit(Transaction(self._table, tuple(commands), fixed.COMMENT))
            book.note(touched)
            self._fragments, self._elements, self._totals, self._stale = fragments, book, totals, stale
            self._needs_full_sync = False

        return Prepared(report, commit)

    def _partial(self, nft: Nftables, changes: _Changes) -> Prepared:
        touched = self._elements.claims_after(changes)
        gone: dict[str, None] = {}
        made: dict[str, None] = {}
        lost_sets: dict[str, None] = {}
        kept_sets: dict[str, None] = {}
        for before, after in changes.values():
            if before is not None:
                gone.update(dict.fromkeys(sorted(before.chains)))
                lost_sets.update(dict.fromkeys(sorted(before.affinity_sets)))
            if after is not None:
                made.update(dict.fromkeys(after.chains))
                kept_sets.update(dict.fromkeys(after.affinity_sets))
        deleted = [name for name in self._stale if name not in made]
        stale = {name: None for name in gone if name not in made}
        commands: list[Command] = [
            *map(DeleteChain, deleted),
            *(c for _, after in changes.values() if after is not None for c in after.commands),
            *self._elements.commands(touched),
            *map(FlushChain, stale),
            *(DeleteSet(name) for name in lost_sets if name not in kept_sets),
        ]
        totals = self._totals.after(changes)
        report = self._report(commands, changes, totals, len(deleted), full=False)

        def commit() -> None:
            nft.commit(Transaction(self._table, tuple(commands), fixed.COMMENT))
            self._elements.note(touched)
            self._totals, self._stale = totals, stale
            for name, (_, after) in changes.items():
                if after is None:
                    self._fragments.pop(name, None)
                else:
                    self._fragments[name] = after

        return Prepared(report, commit)

    # ------------------------------------------------------------------ what to write
    def _changes_of(self, changed: tuple[ServicePortName, ...], new: ServiceTable) -> _Changes:
        """All ports of the Services that the names belong to: upstream rewrites a Service as a whole."""
        changes: _Changes = {name: (self._fragments.get(name), None) for name in changed if name not in new}
        services = {name.service: None for name in changed}
        return changes | self._built([port for service in services for port in new.ports_of(service)])

    def _built(self, ports: Iterable[ServicePort]) -> _Changes:
        store, written = self._shared.fragments, self._fragments
        return {
            p.name: (written.get(p.name), store.get(p, self._node, self._context, self._number))
            for p in ports
        }

    def _report(
        self, commands: list[Command], changes: _Changes, totals: _Totals, deleted: int, full: bool
    ) -> SyncReport:
        cost, transaction = self._shared.config.cost, Transaction(self._table, tuple(commands), fixed.COMMENT)
        written = [command.chain for command in commands if isinstance(command, Write)]
        rules = sum(len(chain.rules) for chain in written)
        lines = len(commands) + len(written) + rules
        return SyncReport(
            full=full,
            services_changed=len({name.service for name in changes}),
            rules_written=rules,
            chains_written=len(written),
            chains_deleted=deleted,
            lines_written=lines,
            rules_total=totals.rules + self._fixed_rules,
            cost_ns=cost.full(len(written)) if full else cost.partial(lines, totals.chains),
            script=transaction.text,
        )
