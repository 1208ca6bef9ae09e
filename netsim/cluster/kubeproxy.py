"""kube-proxy on one node: watches Services and EndpointSlices, and lets a dataplane write the rules.

Strictly one way, as upstream: watch -> pending changes -> runner -> table -> dataplane. A synchronisation takes time; its rules stand
at its end, at one stroke (iptables-restore commits a table at once). Then stale UDP entries are deleted from conntrack
(`proxy_conntrack.py`). A stopped kube-proxy leaves rules and connections as they are; a started one begins with a full sync.

Sources: pkg/proxy/iptables/proxier.go (`syncProxyRules`), pkg/proxy/config, Kubernetes 1.34.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netsim.cluster.objects import ApiObject, EndpointSlice, Service
from netsim.cluster.proxy_conntrack import delete_stale
from netsim.cluster.proxy_table import Translator
from netsim.cluster.records import Recorder
from netsim.cluster.runner import BoundedFrequencyRunner
from netsim.cluster.timing import Timing
from netsim.cluster.watch import Watch, WatchEvent
from netsim.dataplane.base import NodeDataplane
from netsim.dataplane.service_table import ServicePort, ServicePortName, ServiceTable

if TYPE_CHECKING:
    from netsim.cluster.apiserver import ApiServer
    from netsim.dataplane.base import Prepared
    from netsim.engine import Engine
    from netsim.kernel.netns import Namespace

Name = tuple[str, str]


@dataclass(slots=True)
class _Known:
    """One Service and its slices, as this kube-proxy knows them."""

    service: Service | None
    slices: dict[str, EndpointSlice]
    ports: tuple[ServicePort, ...] = ()


class KubeProxy:
    """One kube-proxy. `dataplane` makes the per-process part anew at each start, as a restarted process does."""

    def __init__(
        self,
        engine: "Engine",
        api: "ApiServer",
        timing: Timing,
        node: str,
        ns: "Namespace",
        dataplane: "Callable[[], NodeDataplane[Namespace]]",
        translator: Translator,
    ) -> None:
        self._engine = engine
        self._api = api
        self._timing = timing
        self.node = node
        self._ns = ns
        self._new_dataplane = dataplane
        self._translator = translator
        self._records = Recorder(engine, "kube-proxy")
        self._random = engine.stream(f"kube-proxy/{node}")
        self._watches: list[Watch] = []
        self._run = 0  # counts starts: what an earlier process began must not end in a later one
        self.running = False
        self.synced = False
        self.table = ServiceTable()
        self._reset()

    def _reset(self) -> None:
        self._dataplane = self._new_dataplane()
        self._known: dict[Name, _Known] = {}
        self._pending: dict[Name, int] = {}
        self._old: ServiceTable | None = None
        self.table = ServiceTable()
        self.synced = False
        self._runner = BoundedFrequencyRunner(self._engine, self._timing.proxy, self._begin)

    # ------------------------------------------------------------------ process
    def start(self) -> None:
        """Start the process: list, watch, and then a full sync."""
        if self.running:
            return
        self.running = True
        self._run += 1
        self._reset()
        delay_ns = self._timing.api.watch.sample(self._random)
        self._engine.call_later(delay_ns, self._listed, self._run)

    def stop(self) -> None:
        """End the process. The rules stay."""
        self.running = False
        self._runner.stop()
        for watch in self._watches:
            watch.stop()
        self._watches = []

    def disconnect(self) -> None:
        """The node cannot reach the API server: nothing new is seen, the rules stay."""
        for watch in self._watches:
            watch.disconnect()

    def reconnect(self) -> None:
        """It can again; what was missed arrives."""
        for watch in self._watches:
            watch.reconnect(self._engine.now)

    def disconnect(self) -> None:
        """The node cannot reach the API server: the rules stay as they are."""
        for watch in self._watches:
            watch.disconnect()

    def reconnect(self) -> None:
        """It can again: what was missed arrives."""
        for watch in self._watches:
            watch.reconnect(self._engine.now)

    def _listed(self, run: int) -> None:
        if not self.running or run != self._run:
            return
        name = f"kube-proxy/{self.node}"
        self._watches = [
            self._api.watch(Service, self._changed, f"{name}/Service"),
            self._api.watch(EndpointSlice, self._changed, f"{name}/EndpointSlice"),
        ]
        self._runner.ask()

    # ------------------------------------------------------------------ changes
    def _changed(self, event: WatchEvent[Any]) -> None:
        name = self._note(event.object, deleted=event.type == "DELETED")
        if name is None:
            return
        if self._records.wanted and isinstance(event.object, EndpointSlice):
            self._records.about(event.object, "EndpointSliceSeen", self.node, services="/".join(name))
        self._runner.ask()

    def _note(self, item: ApiObject, deleted: bool) -> Name | None:
        """Enter a change; the Service that it concerns, or None if that has no rules anyway."""
        if isinstance(item, EndpointSlice):
            name = (item.metadata.namespace, item.service_name)
            known = self._known.setdefault(name, _Known(None, {}))
            if deleted:
                known.slices.pop(item.metadata.name, None)
            else:
                known.slices[item.metadata.name] = item
        else:
            assert isinstance(item, Service)
            name = item.key
            known = self._known.setdefault(name, _Known(None, {}))
            known.service = None if deleted else item
        self._pending.setdefault(name, self._engine.now)
        return name

    # ------------------------------------------------------------------ synchronisation
    def _begin(self, forced: bool) -> None:
        changes, waited_ns = self._take_changes()
        new = self._translator.table(self.table, changes)
        old = None if forced or not self.synced else self._old
        prepared = self._dataplane.prepare(self._ns, old, new)
        self._engine.call_later(
            prepared.report.cost_ns, self._finish, self._run, prepared, new, tuple(changes), waited_ns
        )

    def _take_changes(self) -> tuple[dict[ServicePortName, ServicePort | None], int]:
        """Pending changes of Service ports, and how long the oldest has waited."""
        pending, self._pending = self._pending, {}
        changes: dict[ServicePortName, ServicePort | None] = {}
        for name in pending:
            known = self._known[name]
            before = known.ports
            known.ports = () if known.service is None else self._translator.ports(known.service, known.slices.values())
            changes |= {port.name: None for port in before}
            changes |= {port.name: port for port in known.ports}
            if known.service is None and not known.slices:
                del self._known[name]
        waited_ns = self._engine.now - min(pending.values(), default=self._engine.now)
        return changes, waited_ns

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
        delete_stale(self._ns, new, changed, self._timing.proxy.conntrack_cleanup, self._engine.now)
        self._tell(prepared, changed, waited_ns)
        self._runner.ended()

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
