"""The view of the API that DNS answers come from, kept by watches and indexed for every kind of question.

Called by: `coredns` (feeds it from the API server's watches) and the plugins kubernetes, k8s_external and autopath,
and `kubedns`. Each DNS pod has its own world, because each has its own watches: replicas may disagree for a while.

`version` grows with every change that can change an answer; the server forgets its ready answers then. No look-up
walks over all objects. Source: CoreDNS plugin/kubernetes/controller.go (its indexers).
"""

from collections.abc import Callable
from typing import TypeVar

from netsim.cluster.dns.views import (
    IMPORT_LABEL,
    PodView,
    ServiceView,
    SliceView,
    import_view,
    pod_view,
    service_view,
    slice_view,
)
from netsim.cluster.objects import ApiObject, EndpointSlice, Namespace, OtherObject, Pod, Service

Key = tuple[str, str]
V = TypeVar("V")


class Shelf(dict[str, dict[Key, V]]):
    """Values by address, each under its own key."""

    def put(self, address: str, key: Key, value: V) -> None:
        """Enter a value."""
        self.setdefault(address, {})[key] = value

    def take(self, address: str, key: Key) -> None:
        """Remove a value."""
        shelf = self[address]
        shelf.pop(key, None)
        if not shelf:
            del self[address]


class Directory:
    """Services and their slices: those of this cluster, or the imported ones of the cluster set."""

    def __init__(self) -> None:
        self.services: dict[Key, ServiceView] = {}
        self._slices: dict[Key, SliceView] = {}
        self._of_service: dict[Key, dict[Key, SliceView]] = {}
        self._by_cluster_ip: Shelf[ServiceView] = Shelf()
        self._by_external: Shelf[ServiceView] = Shelf()
        self._by_endpoint: Shelf[SliceView] = Shelf()

    def service(self, namespace: str, name: str) -> ServiceView | None:
        """The Service of that name."""
        return self.services.get((namespace, name))

    def slices(self, namespace: str, service: str) -> list[SliceView]:
        """The slices of a Service, oldest first."""
        return list(self._of_service.get((namespace, service), {}).values())

    def with_cluster_ip(self, address: str) -> list[ServiceView]:
        """The Services that have this cluster IP (one, normally)."""
        return list(self._by_cluster_ip.get(address, {}).values())

    def with_external(self, address: str) -> list[ServiceView]:
        """The Services that have this external address."""
        return list(self._by_external.get(address, {}).values())

    def with_endpoint(self, address: str) -> list[SliceView]:
        """The slices that have this ready endpoint."""
        return list(self._by_endpoint.get(address, {}).values())

    def put_service(self, key: Key, view: ServiceView | None) -> bool:
        """Enter a Service, or remove it (None); whether anything changed."""
        old = self.services.get(key)
        if old == view:
            return False
        if old is not None:
            del self.services[key]
            for address in old.cluster_ips:
                self._by_cluster_ip.take(address, key)
            for address in old.external:
                self._by_external.take(address, key)
        if view is not None:
            self.services[key] = view
            for address in view.cluster_ips:
                self._by_cluster_ip.put(address, key, view)
            for address in view.external:
                self._by_external.put(address, key, view)
        return True

    def put_slice(self, key: Key, view: SliceView | None) -> bool:
        """Enter a slice, or remove it (None); whether anything changed."""
        old = self._slices.get(key)
        if old == view:
            return False
        if old is not None:
            del self._slices[key]
            # A slice keeps its place among its Service's, unless it goes or changes hands.
            if view is None or view.service != old.service:
                del self._of_service[(old.namespace, old.service)][key]
            for address in dict.fromkeys(endpoint.address for endpoint in old.endpoints):
                self._by_endpoint.take(address, key)
        if view is not None:
            self._slices[key] = view
            self._of_service.setdefault((view.namespace, view.service), {})[key] = view
            for endpoint in view.endpoints:
                self._by_endpoint.put(endpoint.address, key, view)
        return True


class World:
    """All that a DNS server knows about the cluster. `serial` is the time of the last change in whole seconds."""

    def __init__(self) -> None:
        self.local = Directory()
        self.imported = Directory()
        self.namespaces: set[str] = set()
        self._pods: dict[Key, PodView] = {}
        self._pods_by_address: Shelf[PodView] = Shelf()
        self.version = 0
        self.serial = 0
        self.synced = False
        self.changed: Callable[[], None] = lambda: None

    def become_synced(self) -> None:
        """The first lists have arrived: what is not known now does not exist."""
        self.synced = True
        self._note(True, None)

    def pods_at(self, address: str) -> list[PodView]:
        """The pods with this address (several only with hostNetwork)."""
        return list(self._pods_by_address.get(address, {}).values())

    def put(self, obj: ApiObject, now: int) -> None:
        """An object was added or modified."""
        self._note(self._apply(obj, gone=False), now)

    def remove(self, obj: ApiObject, now: int) -> None:
        """An object was deleted."""
        self._note(self._apply(obj, gone=True), now)

    def _note(self, changed: bool, now: int | None) -> None:
        if changed:
            self.version += 1
            if now is not None:
                self.serial = now // 1_000_000_000
            self.changed()

    def _apply(self, obj: ApiObject, *, gone: bool) -> bool:
        if isinstance(obj, EndpointSlice):
            home = self.imported if IMPORT_LABEL in obj.metadata.labels else self.local
            return home.put_slice(obj.key, None if gone else slice_view(obj))
        if isinstance(obj, Pod):
            return self._put_pod(obj.key, None if gone else pod_view(obj))
        if isinstance(obj, Service):
            return self.local.put_service(obj.key, None if gone else service_view(obj))
        if isinstance(obj, Namespace):
            return self._put_namespace(obj.metadata.name, gone)
        if isinstance(obj, OtherObject) and obj.kind == "ServiceImport":
            return self.imported.put_service(obj.key, None if gone else import_view(obj))
        return False

    def _put_namespace(self, name: str, gone: bool) -> bool:
        if gone == (name not in self.namespaces):
            return False
        (self.namespaces.discard if gone else self.namespaces.add)(name)
        return True

    def _put_pod(self, key: Key, view: PodView | None) -> bool:
        old = self._pods.pop(key, None)
        if view is not None:
            self._pods[key] = view
        if old == view:
            return False
        if old is not None:
            self._pods_by_address.take(old.address, key)
        if view is not None:
            self._pods_by_address.put(view.address, key, view)
        return True
