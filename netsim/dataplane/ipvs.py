"""The ipvs dataplane: virtual servers in the kernel's load balancer, and iptables with IP sets for what it cannot do.

`IpvsDataplane` is made once per cluster and holds what nodes can share; `on_node` gives each kube-proxy its
`IpvsProxier`. All service addresses are put on the dummy device `kube-ipvs0`, so they are local addresses of every
node. A change touches only the ports that changed; a full sync compares everything with what stands in the kernel.

Source: pkg/proxy/ipvs/proxier.go (`NewProxier`, `syncProxyRules`, `syncService`, `syncEndpoint`, `cleanLegacyService`)
of Kubernetes v1.33. Simplified: where upstream walks through all Services in each sync, we walk through those that
changed, with the same result; of two Services with the same external address and port the one synced last wins.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from netsim.dataplane import ipvs_rules
from netsim.dataplane.base import Prepared, SyncReport
from netsim.dataplane.endpoints import Reach, reach
from netsim.dataplane.ipvs_apply import Applier
from netsim.dataplane.ipvs_config import IpvsConfig
from netsim.dataplane.ipvs_graceful import CHECK_NS, GracefulTermination
from netsim.dataplane.ipvs_plan import Plan, SetMember, SharedPlan, plan, shared_plan
from netsim.dataplane.ipvs_rules import Blocked, Situation
from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import ServicePort, ServicePortName, ServiceTable
from netsim.kernel.xtables_chain import Table
from netsim.kernel.xtables_text import render
from netsim.wire.addr import Address

if TYPE_CHECKING:
    from netsim.kernel.ipvs_service import ServiceKey
    from netsim.kernel.netns import Namespace

_Changes = dict[ServicePortName, tuple[Plan | None, Plan | None]]
_PlanKey = tuple[ServicePort, bool, Reach | None, frozenset[Address]]


class IpvsDataplane:
    """What all nodes share: settings, and the plans of Service ports that several nodes have in common."""

    name = "ipvs"

    def __init__(self, config: IpvsConfig | None = None, remembered: int = 1 << 16) -> None:
        self.config = config or IpvsConfig()
        self._limit = remembered
        self._young: dict[_PlanKey, SharedPlan] = {}
        self._old: dict[_PlanKey, SharedPlan] = {}
        self._tables: dict[tuple[object, ...], tuple[Table, Table]] = {}

    def on_node(self, node: NodeView) -> "IpvsProxier":
        """The dataplane of one kube-proxy process."""
        return IpvsProxier(self, node)

    def shared_plan(self, port: ServicePort, node: NodeView, reached: Reach) -> SharedPlan:
        """The part of a port's plan that nodes have in common, made once."""
        from_node = bool(port.vips) and any(
            r.contains(node.primary_ip) for r in port.load_balancer_source_ranges
        )
        external = (*port.external_ips, *port.vips)
        own = (
            frozenset(external).intersection((node.primary_ip, *node.addresses)) if external else frozenset()
        )
        key = (port, from_node, None if port.same_on_every_node else reached, own)
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key) or shared_plan(port, reached, self.config.scheduler, from_node, own)
            if len(self._young) >= self._limit:
                self._old, self._young = self._young, {}
            self._young[key] = found
        return found

    def tables(self, node: NodeView, situation: Situation) -> tuple[Table, Table]:
        """The iptables rules, made once for nodes that are alike."""
        key = (situation, node.local_detector, node.masquerade_all, node.is_ipv6)
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = ipvs_rules.tables(self.config, node, situation)
        return found


class Written:
    """What a proxier wants to stand, as sums over the plans of all ports: who asks for a member, an address, a virtual
    server, a block."""

    __slots__ = ("binds", "blocked", "filled", "members", "servers")

    def __init__(self) -> None:
        self.members: Counter[SetMember] = Counter()
        self.filled: Counter[str] = Counter()
        self.binds: Counter[Address] = Counter()
        self.servers: Counter[ServiceKey] = Counter()
        self.blocked: Counter[Blocked] = Counter()

    def add(self, part: Plan, by: int) -> None:
        """Count a plan in (1) or out (-1)."""
        for member in part.members:
            self.members[member] += by
            self.filled[member[0]] += by
        for address in part.shared.binds:
            self.binds[address] += by
        for server in part.servers:
            self.servers[server.virtual.key] += by
        for blocked in part.shared.blocked:
            self.blocked[blocked] += by

    def situation_after(self, changes: _Changes) -> Situation:
        """What the iptables rules will depend on."""
        filled, blocked = Counter(self.filled), Counter(self.blocked)
        for pair in changes.values():
            for part, by in zip(pair, (-1, 1), strict=True):
                if part is not None:
                    for name, _ in part.members:
                        filled[name] += by
                    for item in part.shared.blocked:
                        blocked[item] += by
        names = frozenset(name for name, number in filled.items() if number > 0)
        return Situation(names, tuple(sorted(item for item, number in blocked.items() if number > 0)))


class IpvsProxier:
    """kube-proxy's hand on one node. The virtual servers are in the namespace; here is what it wanted last."""

    name = "ipvs"
    period_ns = CHECK_NS

    def __init__(self, shared: IpvsDataplane, node: NodeView) -> None:
        self._shared = shared
        self._plans: dict[ServicePortName, Plan] = {}
        self._written = Written()
        self._graceful = GracefulTermination()
        self._situation: Situation | None = None
        self._initial = True
        self.update_node(node)

    def update_node(self, node: NodeView) -> None:
        """The node's labels or addresses changed: the next sync will be full."""
        self._node = node
        self._node_port_ips = _node_port_ips(node)
        self._needs_full_sync = True

    def sync(self, ns: "Namespace", old: ServiceTable | None, new: ServiceTable) -> SyncReport:
        """Write what `new` needs at once; see `prepare`."""
        prepared = self.prepare(ns, old, new)
        prepared.commit()
        return prepared.report

    def prepare(self, ns: "Namespace", old: ServiceTable | None, new: ServiceTable) -> Prepared:
        """Work out what to change for `new`; `old` is the table of the last sync, or None for a full sync.

        Raises ValueError if the namespace has no netfilter."""
        if ns.xtables is None:
            raise ValueError("kube-proxy needs netfilter in the node's namespace (enable_netfilter)")
        full = old is None or self._needs_full_sync
        changes = self._all_changes(new) if full or old is None else self._changes_of(new.diff(old), new)
        situation = self._written.situation_after(changes)
        rules = self._shared.tables(self._node, situation)
        report = self._report(rules, full, changes, len(new))

        def commit() -> None:
            self._commit(ns, full, changes, situation, rules)

        return Prepared(report, commit)

    def housekeep(self, ns: "Namespace") -> None:
        """Once a minute: delete real servers whose connections have gone."""
        if ns.ipvs is not None and len(self._graceful):
            self._graceful.check(ns.ipvs)

    # ------------------------------------------------------------------ what to write
    def _all_changes(self, new: ServiceTable) -> _Changes:
        changes: _Changes = {name: (before, None) for name, before in self._plans.items()}
        return changes | self._built(new.values())

    def _changes_of(self, names: tuple[ServicePortName, ...], new: ServiceTable) -> _Changes:
        changes: _Changes = {name: (self._plans.get(name), None) for name in names if name not in new}
        return changes | self._built(new[name] for name in names if name in new)

    def _built(self, ports: Iterable[ServicePort]) -> _Changes:
        return {port.name: (self._plans.get(port.name), self._plan(port)) for port in ports}

    def _plan(self, port: ServicePort) -> Plan:
        node = self._node
        reached = reach(port, node)
        shared = self._shared.shared_plan(port, node, reached)
        return plan(port, reached, self._shared.config.scheduler, shared, node, self._node_port_ips)

    def _report(self, rules: tuple[Table, Table], full: bool, changes: _Changes, ports: int) -> SyncReport:
        real = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
        lines = sum(part.lines for pair in real.values() for part in pair if part is not None)
        chains = [chain for table in rules for chain in table.chains.values()]
        in_rules = sum(len(chain.rules) for chain in chains)
        return SyncReport(
            full=full,
            services_changed=len({name.service for name in (changes if full else real)}),
            rules_written=in_rules,
            chains_written=len(chains),
            chains_deleted=0,
            lines_written=len(chains) + in_rules + lines,
            rules_total=in_rules,
            cost_ns=self._shared.config.cost.sync(len(real), ports),
            script=lambda: "".join(f"{line}\n" for table in rules for line in render(table)),
        )

    # ------------------------------------------------------------------ writing it
    def _commit(
        self,
        ns: "Namespace",
        full: bool,
        changes: _Changes,
        situation: Situation,
        rules: tuple[Table, Table],
    ) -> None:
        applier = Applier(ns, self._shared.config, self._graceful, self._node.is_ipv6)
        if full:
            applier.set_up()
        for name, (before, after) in changes.items():
            self._replace(name, before, after)
            if after is not None and (full or after != before):
                for server in after.servers:
                    applier.server(server, self._initial)
        applier.members(self._touched_members(changes), self._written.members, full)
        if full or situation != self._situation:
            applier.rules(rules)
            if full:
                ipvs_rules.ensure_jumps(applier.xtables, self._shared.config)
        applier.addresses(self._touched_binds(changes), self._written.binds, full)
        gone = [s.virtual.key for b, _ in changes.values() if b is not None for s in b.servers]
        applier.clean(gone, self._written.servers, full)
        ns.changed()
        self._situation, self._initial, self._needs_full_sync = situation, False, False

    def _replace(self, name: ServicePortName, before: Plan | None, after: Plan | None) -> None:
        if before is not None:
            self._written.add(before, -1)
        if after is None:
            self._plans.pop(name, None)
        else:
            self._written.add(after, 1)
            self._plans[name] = after

    @staticmethod
    def _touched_members(changes: _Changes) -> dict[SetMember, None]:
        return {
            m: None for pair in changes.values() for part in pair if part is not None for m in part.members
        }

    @staticmethod
    def _touched_binds(changes: _Changes) -> dict[Address, None]:
        return {
            a: None
            for pair in changes.values()
            for part in pair
            if part is not None
            for a in part.shared.binds
        }


def _node_port_ips(node: NodeView) -> tuple[Address, ...]:
    """All addresses of the node or those in `nodePortAddresses`, never loopback."""
    chosen = node.node_port_ips
    if chosen is None:
        chosen = tuple(dict.fromkeys((node.primary_ip, *node.addresses)))
    return tuple(address for address in chosen if not node.loopback.contains(address))
