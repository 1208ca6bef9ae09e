"""kube-proxy on one node: watches Services and EndpointSlices, and lets a dataplane write the rules.

Strictly one way, as upstream: watch -> pending changes -> runner -> table -> dataplane. A synchronisation takes time;
its rules stand at its end, at one stroke (iptables-restore commits a table at once). Then stale UDP entries are deleted
from conntrack (`proxy_conntrack.py`). A stopped kube-proxy leaves rules and connections as they are; a started one
begins with a full sync.

What this kube-proxy knows is its position in the logs of Services and slices; what stands there is in the `Catalog`
that all nodes share (`proxy_catalog.py`).

Sources: pkg/proxy/iptables/proxier.go (`syncProxyRules`), pkg/proxy/config, Kubernetes 1.34.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from netsim.cluster import versions
from netsim.cluster.objects import EndpointSlice, Node, Service
from netsim.cluster.objects.node import TO_BE_DELETED
from netsim.cluster.proxy_catalog import Catalog, Name, Position
from netsim.cluster.proxy_conntrack import delete_stale
from netsim.cluster.proxy_health import ProxyHealth
from netsim.cluster.records import Recorder
from netsim.cluster.runner import BoundedFrequencyRunner
from netsim.cluster.timing import Timing
from netsim.cluster.watch import Frame, Watch
from netsim.dataplane.base import Housekeeping, NodeDataplane
from netsim.dataplane.service_table import ServiceName, ServicePortName, ServiceTable

if TYPE_CHECKING:
    from netsim.cluster.apiserver import ApiServer
    from netsim.dataplane.base import Prepared
    from netsim.engine import Engine
    from netsim.kernel.netns import Namespace


class KubeProxy:
    """One kube-proxy, or the proxier of one family in it (`name` tells their random streams apart). `dataplane` makes
    the per-process part anew at each start, as a restarted process does."""

    def __init__(
        self,
        engine: "Engine",
        api: "ApiServer",
        timing: Timing,
        node: str,
        ns: "Namespace",
        dataplane: "Callable[[], NodeDataplane[Namespace]]",
        catalog: Catalog,
        name: str = "kube-proxy",
    ) -> None:
        self._engine = engine
        self._api = api
        self._timing = timing
        self.node = node
        self._ns = ns
        self._new_dataplane = dataplane
        self._catalog = catalog
        self._records = Recorder(engine, "kube-proxy")
        self._name = f"{name}/{node}"
        self._random = engine.stream(self._name)
        self._watches: list[Watch] = []
        self._cut = False
        self._unlisted: int | None = None  # the run that waits for the API server to list
        self._run = 0  # counts starts: what an earlier process began must not end in a later one
        self.running = False
        self.synced = False
        self.table = ServiceTable()
        timeout_ns = 2 * timing.proxy.sync_period_ns
        self.health = ProxyHealth(ns, node, timeout_ns, self._is_eligible)
        self._reset()

    def _reset(self) -> None:
        self._dataplane = self._new_dataplane()
        self._pending: dict[Name, int] = {}
        self._old: ServiceTable | None = None
        self.table = ServiceTable()
        self.synced = False
        self._checked: dict[ServiceName, int] = {}
        self._runner = BoundedFrequencyRunner(self._engine, self._timing.proxy, self._begin)

    # ------------------------------------------------------------------ process
    def start(self) -> None:
        """Start the process: list, watch, and then a full sync."""
        if self.running:
            return
        self.running = True
        self._run += 1
        self._reset()
        self.health.start()
        self._housekeep(self._run)
        delay_ns = self._timing.api.watch.sample(self._random)
        self._engine.call_later(delay_ns, self._listed, self._run)

    def _housekeep(self, run: int) -> None:
        """What some dataplanes do from time to time (ipvs: graceful termination)."""
        if self.running and run == self._run and isinstance(self._dataplane, Housekeeping):
            self._dataplane.housekeep(self._ns)
            self._engine.call_later(self._dataplane.period_ns, self._housekeep, run)

    def stop(self) -> None:
        """End the process. The rules stay."""
        self.running = False
        self._runner.stop()
        self.health.stop(self._engine.now)
        for watch in self._watches:
            watch.stop()
        self._watches = []

    def disconnect(self) -> None:
        """The node cannot reach the API server: nothing new is seen, the rules stay."""
        self._cut = True
        for watch in self._watches:
            watch.disconnect()

    def reconnect(self) -> None:
        """It can again; what was missed arrives."""
        self._cut = False
        if self._unlisted is not None:
            run, self._unlisted = self._unlisted, None
            self._listed(run)
        for watch in self._watches:
            watch.reconnect(self._engine.now)

    def _listed(self, run: int) -> None:
        if not self.running or run != self._run:
            return
        if self._cut:
            self._unlisted = run
            return
        self._watches = [
            self._api.watch_frames(Service, self._services_changed, f"{self._name}/Service"),
            self._api.watch_frames(EndpointSlice, self._slices_changed, f"{self._name}/EndpointSlice"),
        ]
        self._runner.ask()

    # ------------------------------------------------------------------ changes
    def _services_changed(self, frame: Frame) -> None:
        end = self._watches[0].position
        self._note(self._catalog.services_between(end - len(frame), end))

    def _slices_changed(self, frame: Frame) -> None:
        end = self._watches[1].position
        names = self._catalog.slices_between(end - len(frame), end)
        if self._records.wanted:
            for event, name in zip(frame, names, strict=True):
                if name is not None:
                    about = event.object
                    self._records.about(about, "EndpointSliceSeen", self.node, services="/".join(name))
        self._note(names)

    def _note(self, names: list[Name | None]) -> None:
        now, pending = self._engine.now, self._pending
        for name in names:
            if name is not None and name not in pending:
                pending[name] = now
        if pending:
            self.health.queued(now)
            self._runner.ask()

    def _is_eligible(self) -> bool:
        """Whether load balancers may send new traffic here: not when the node is about to go. Simplified: this is read
        at once, without the delay of a watch."""
        node = self._api.get(Node, "", self.node)
        if node is None or not versions.value("draining nodes", self._timing.version):
            return True
        leaving = any(taint.key == TO_BE_DELETED for taint in node.spec.taints)
        return node.metadata.deletionTimestamp is None and not leaving

    @property
    def _position(self) -> Position:
        services, slices = self._watches
        return Position(services.position, slices.position)

    # ------------------------------------------------------------------ synchronisation
    def _begin(self, forced: bool) -> None:
        pending, self._pending = self._pending, {}
        waited_ns = self._engine.now - min(pending.values(), default=self._engine.now)
        if self.synced:
            new, changed = self._catalog.changed(self.table, pending, self._position)
        else:
            new = self._catalog.table(self._position)
            changed = tuple(new)
        old = None if forced or not self.synced else self._old
        prepared = self._dataplane.prepare(self._ns, old, new)
        cost_ns = prepared.report.cost_ns
        self._engine.call_later(cost_ns, self._finish, self._run, prepared, new, changed, waited_ns)

    def _finish(
        self,
        run: int,
        prepared: "Prepared",
        new: ServiceTable,
        changed: tuple[ServicePortName, ...],
        waited_ns: int,
    ) -> None:
        if run != self._run or not self.running:
            return
        prepared.commit()
        self.table = self._old = new
        self.synced = True
        self.health.synced(new, self._health_ports(new, changed), self._engine.now)
        delete_stale(self._ns, new, changed, self._timing.proxy.conntrack_cleanup, self._engine.now)
        self._tell(prepared, changed, waited_ns)
        self._runner.ended()

    def _health_ports(
        self, new: ServiceTable, changed: tuple[ServicePortName, ...]
    ) -> dict[ServiceName, int]:
        """The Services' health check node ports, looked up again only for what has changed."""
        ports = self._checked
        for name in dict.fromkeys(port.service for port in changed):
            ports.pop(name, None)
            number = next(
                (p.health_check_node_port for p in new.ports_of(name) if p.health_check_node_port), 0
            )
            if number:
                ports[name] = number
        return ports

    def _tell(self, prepared: "Prepared", changed: tuple[ServicePortName, ...], waited_ns: int) -> None:
        if not self._records.wanted:
            return
        report = prepared.report
        self._records.event(
            "RulesSynced",
            "Node",
            "",
            self.node,
            self.node,
            services=",".join(dict.fromkeys(str(name.service) for name in changed)),
            cost_ns=str(report.cost_ns),
            started_ns=str(self._engine.now - report.cost_ns),
            full=str(report.full),
            waited_ns=str(waited_ns),
        )

    @property
    def idle(self) -> bool:
        """Whether the rules are those of everything seen so far."""
        return self.synced and not self._pending and not self._runner.running
