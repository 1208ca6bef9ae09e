"""What every kube-proxy could know, held once: the versions of each Service and its slices.

Called by: `kubeproxy.py`. Each kube-proxy sees the API server's changes at its own time, so at any moment the nodes
know different things. But what a node knows is fully said by two numbers, its positions in the change logs of Services
and EndpointSlices. A thousand nodes therefore share this catalog instead of a thousand copies, and nodes that are in
step share one `ServiceTable`.

Which objects count at all: upstream's informers leave out headless Services and those of other proxies by a label
selector (cmd/kube-proxy/app/server.go), and a change that alters nothing in the rules asks for no synchronisation
(servicechangetracker.go, endpointschangetracker.go).
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, Generic, NamedTuple, TypeVar

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.controllers.endpoints import HEADLESS_LABEL
from netsim.cluster.objects import ApiObject, EndpointSlice, Service
from netsim.cluster.proxy_table import Translator, is_ignored
from netsim.cluster.watch import ChangeLog, WatchEvent
from netsim.dataplane.service_table import ServiceName, ServicePort, ServicePortName, ServiceTable

Name = tuple[str, str]
Changed = tuple[ServicePortName, ...]
Slices = dict[str, EndpointSlice]
T = TypeVar("T")

PROXY_NAME_LABEL: Final = "service.kubernetes.io/service-proxy-name"
_TRIM_AT: Final = 4096
_LONG_HISTORY: Final = 8


class Position(NamedTuple):
    """How far a kube-proxy has read the two logs."""

    services: int
    slices: int


class _History(Generic[T]):
    """The versions of things by name, each valid from a position of the log on; and the names by position."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._versions: dict[Name, tuple[list[int], list[T | None]]] = {}
        self._names: list[Name | None] = []
        self._base = log.end

    def add(self, name: Name | None, version: T | None) -> None:
        """The change that was just appended to the log; None for one that no kube-proxy cares for."""
        self._names.append(name)
        if name is not None:
            self.put(name, version)
        if len(self._names) >= _TRIM_AT and len(self._names) % _TRIM_AT == 0:
            oldest = self._log.oldest
            del self._names[: oldest - self._base]
            self._base = oldest

    def put(self, name: Name, version: T | None) -> None:
        """A version that is valid from the log's present end on."""
        positions, versions = self._versions.setdefault(name, ([], []))
        positions.append(self._log.end)
        versions.append(version)
        if len(positions) > _LONG_HISTORY:
            unseen = max(0, bisect_right(positions, self._log.oldest) - 1)
            del positions[:unseen], versions[:unseen]

    def at(self, name: Name, position: int) -> T | None:
        """The version that somebody at this position knows."""
        found = self._versions.get(name)
        if found is None:
            return None
        index = bisect_right(found[0], position)
        return found[1][index - 1] if index else None

    def latest(self, name: Name) -> T | None:
        """The newest version."""
        found = self._versions.get(name)
        return found[1][-1] if found else None

    def names(self, start: int, end: int) -> list[Name | None]:
        """Whom the changes from one position to before another concern."""
        return self._names[start - self._base : end - self._base]

    def known(self) -> list[Name]:
        """Every name that ever was."""
        return list(self._versions)


class Catalog:
    """The versions of all Services and slices that some kube-proxy may still need."""

    def __init__(self, api: ApiServer, translator: Translator | None = None) -> None:
        self._api = api
        self._translator = translator or Translator()
        self._services: _History[Service] = _History(api.log(Service))
        self._slices: _History[Slices] = _History(api.log(EndpointSlice))
        self._tables: dict[Position, ServiceTable] = {}
        for service in api.list(Service):
            self._services.put(service.key, service)
        for item in api.list(EndpointSlice):
            self._slices.put(_service_of(item), self._with(item, gone=False))
        api.tap(Service, self._service_changed)
        api.tap(EndpointSlice, self._slice_changed)

    # ------------------------------------------------------------------ changes
    def _service_changed(self, event: WatchEvent[Service]) -> None:
        service, old = event.object, event.old
        wanted = _is_proxied(service) or (old is not None and _is_proxied(old))
        if wanted and old is not None and event.type == "MODIFIED":
            wanted = (
                old.spec != service.spec
                or old.status != service.status
                or _is_proxied(old) != _is_proxied(service)
            )
        gone = event.type == "DELETED" or not _is_proxied(service)
        self._services.add(service.key if wanted else None, None if gone else service)

    def _slice_changed(self, event: WatchEvent[EndpointSlice]) -> None:
        item, old = event.object, event.old
        before = old is not None and _is_slice_proxied(old)
        now = event.type != "DELETED" and _is_slice_proxied(item)
        wanted = before or now
        if before and now and old is not None:
            wanted = (old.endpoints, old.ports) != (item.endpoints, item.ports)
        self._slices.add(
            _service_of(item) if wanted else None, self._with(item, gone=not now) if wanted else None
        )

    def _with(self, item: EndpointSlice, gone: bool) -> Slices:
        slices = dict(self._slices.latest(_service_of(item)) or {})
        if gone:
            slices.pop(item.metadata.name, None)
        else:
            slices[item.metadata.name] = item
        return slices

    # ------------------------------------------------------------------ reading
    @property
    def now(self) -> Position:
        """The position of somebody who has just listed everything."""
        return Position(self._api.log(Service).end, self._api.log(EndpointSlice).end)

    def services_between(self, start: int, end: int) -> list[Name | None]:
        """The Services that changes of Services concern."""
        return self._services.names(start, end)

    def slices_between(self, start: int, end: int) -> list[Name | None]:
        """The Services that changes of slices concern."""
        return self._slices.names(start, end)

    def ports(self, name: Name, at: Position) -> tuple[ServicePort, ...]:
        """The ports of a Service as known at a position; empty when it has no rules."""
        service = self._services.at(name, at.services)
        if service is None:
            return ()
        return self._translator.ports(service, (self._slices.at(name, at.slices) or {}).values())

    def table(self, at: Position) -> ServiceTable:
        """Everything as known at a position; one table for all who are there."""
        found = self._tables.get(at)
        if found is None:
            self._tables.clear()  # a list of everything is asked for by many at about the same time, or not at all
            names = self._services.known()
            found = self._tables[at] = ServiceTable(port for name in names for port in self.ports(name, at))
        return found

    def changed(self, old: ServiceTable, names: Iterable[Name], at: Position) -> tuple[ServiceTable, Changed]:
        """The table after changes of some Services, and the ports that were looked at."""
        changes: dict[ServicePortName, ServicePort | None] = {}
        for name in names:
            changes |= dict.fromkeys((port.name for port in old.ports_of(ServiceName(*name))), None)
            changes |= {port.name: port for port in self.ports(name, at)}
        return self._translator.table(old, changes), tuple(changes)


def _service_of(item: EndpointSlice) -> Name:
    return item.metadata.namespace, item.service_name


def _is_foreign(item: ApiObject) -> bool:
    return HEADLESS_LABEL in item.metadata.labels or PROXY_NAME_LABEL in item.metadata.labels


def _is_slice_proxied(item: EndpointSlice) -> bool:
    return bool(item.service_name) and not _is_foreign(item)


def _is_proxied(service: Service) -> bool:
    return not is_ignored(service) and not _is_foreign(service)
