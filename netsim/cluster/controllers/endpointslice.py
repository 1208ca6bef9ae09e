"""The EndpointSlice controller: keeps the slices of every Service with a selector in step with its pods.

Called by: `controlplane.py`. What an endpoint is comes from `endpoints.py`, the packing from `slices.py`.

Theory of operation (pkg/controller/endpointslice/endpointslice_controller.go). A pod's change is looked up among the
selectors and puts the Services concerned into the queue. A sync reads pods and slices from the informers. If the
informer does not show yet what this controller wrote last, the sync fails and is tried again a second later, doubling:
two changes of the same Service within a watch delay therefore cost a second (timing facts: eps.retryBackoff).

Services without a selector and ExternalName Services are left alone. Hints come from `trafficDistribution`, or from
the annotation `topology-mode: Auto`, which goes before it (`topology_hints.py`).
"""

from collections.abc import Generator, Iterable
from functools import partial
from typing import Any, Final

from netsim.cluster.apiserver import Key
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.endpoints import (
    CONTROLLER_NAME,
    MANAGED_BY_LABEL,
    SERVICE_NAME_LABEL,
    AddressType,
    Ports,
    address_types,
    endpoint_ports,
    new_slice,
    pod_addresses,
    pod_to_endpoint,
    should_be_in_endpoints,
    with_hints,
)
from netsim.cluster.controllers.selectors import SelectorIndex, label_pairs
from netsim.cluster.controllers.slice_writer import SliceWriter
from netsim.cluster.controllers.slices import reconcile
from netsim.cluster.controllers.topology_hints import wants_hints, with_zone_hints, zone_ratios
from netsim.cluster.objects import Endpoint, EndpointSlice, Node, Pod, Service
from netsim.cluster.watch import WatchEvent
from netsim.cluster.workqueue import RetryError, WorkQueue

_NAME: Final = "endpointslice-controller"


class EndpointSliceController:
    """Watches Services, pods, slices and nodes; writes slices."""

    def __init__(self, context: ControllerContext) -> None:
        self._engine = context.engine
        self._times = context.timing.controllers
        self._random = context.engine.stream(_NAME)
        self._writer = SliceWriter(context.client(_NAME), context.recorder(_NAME))
        times = self._times
        self._queue: WorkQueue[Key] = WorkQueue(
            context.engine,
            _NAME,
            self._sync,
            times.concurrent_syncs,
            times.slice_retry_ns,
            times.slice_retry_max_ns,
        )
        self._services = context.informers.of(Service)
        self._slices = context.informers.of(EndpointSlice)
        self._nodes = context.informers.of(Node)
        self._pods = context.informers.of(Pod)
        self._slices_of = self._slices.index(_service_of)
        self._pods_with = self._pods.index(label_pairs)
        self._selectors = SelectorIndex()
        self._services.subscribe(self._service_changed)
        self._slices.subscribe(self._slice_changed)
        self._pods.subscribe(self._pod_changed)

    # ------------------------------------------------------------------------------------------------ events
    def _service_changed(self, event: WatchEvent[Service]) -> None:
        service = event.object
        if event.old is not None:
            self._selectors.remove(service.key)
        if event.type == "DELETED":
            self._writer.forget(service.key)
            return
        if service.spec.selector:
            self._selectors.add(service.key, service.spec.selector)
        self._queue.add(service.key)

    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        pod, old = event.object, event.old
        if event.type == "MODIFIED" and old is not None and _as_endpoint(old) == _as_endpoint(pod):
            return
        concerned = self._selectors.matching(pod.metadata.namespace, pod.metadata.labels)
        if old is not None and old.metadata.labels != pod.metadata.labels:
            concerned += self._selectors.matching(old.metadata.namespace, old.metadata.labels)
        for key in concerned:
            self._queue.add_after(key, self._times.updates_batch_period_ns)

    def _slice_changed(self, event: WatchEvent[EndpointSlice]) -> None:
        """Somebody else touched one of our slices."""
        item = event.object
        ours = item.metadata.labels.get(MANAGED_BY_LABEL) == CONTROLLER_NAME
        if ours and self._writer.is_foreign(item, deleted=event.type == "DELETED"):
            key = (item.metadata.namespace, item.service_name)
            self._queue.add_after(key, self._times.slice_change_delay_ns)

    # ------------------------------------------------------------------------------------------------ reconciliation
    def _sync(self, key: Key) -> Generator[Any, Any, None]:
        yield self._engine.timeout(self._times.sync.sample(self._random))
        service = self._services.get(*key)
        if service is None or not service.spec.selector or service.spec.type == "ExternalName":
            return
        existing = [item for item in self._slices_of[key].values() if _is_ours(item)]
        if self._writer.is_stale(key, existing):
            raise RetryError(f"EndpointSlice informer cache of {key} is out of date")
        pods = list(self._selected(service))
        families = address_types(service)
        for family in families:
            yield from self._sync_family(service, family, pods, existing)
        for item in existing:
            if item.addressType not in families:
                yield from self._writer.delete(key, item)

    def _sync_family(
        self, service: Service, family: AddressType, pods: list[Pod], existing: list[EndpointSlice]
    ) -> Generator[Any, Any, None]:
        wanted: dict[Ports, list[Endpoint]] = {}
        for pod in pods:
            if pod_addresses(pod, family):
                wanted.setdefault(endpoint_ports(service, pod), []).append(
                    self._endpoint(service, pod, family)
                )
        if wants_hints(service):
            everyone = [endpoint for some in wanted.values() for endpoint in some]
            hinted = iter(with_zone_hints(everyone, zone_ratios(self._nodes)))
            wanted = {ports: [next(hinted) for _ in some] for ports, some in wanted.items()}
        ours = [item for item in existing if item.addressType == family]
        changes = reconcile(
            ours, wanted, partial(new_slice, service, family), self._times.max_endpoints_per_slice
        )
        yield from self._writer.write(service.key, changes, ours)

    def _endpoint(self, service: Service, pod: Pod, family: AddressType) -> Endpoint:
        node = self._nodes.get("", pod.spec.nodeName)
        return with_hints(pod_to_endpoint(pod, service, node, family), service.spec.trafficDistribution)

    def _selected(self, service: Service) -> Iterable[Pod]:
        """The pods that the selector selects, found through its rarest label."""
        namespace, selector = service.metadata.namespace, service.spec.selector
        buckets = [self._pods_with[namespace, key, value] for key, value in selector.items()]
        for pod in min(buckets, key=len).values():
            labels = pod.metadata.labels
            if should_be_in_endpoints(pod) and all(labels.get(k) == v for k, v in selector.items()):
                yield pod


def _service_of(item: EndpointSlice) -> tuple[Key, ...]:
    name = item.metadata.labels.get(SERVICE_NAME_LABEL)
    return ((item.metadata.namespace, name),) if name else ()


def _is_ours(item: EndpointSlice) -> bool:
    return item.metadata.labels.get(MANAGED_BY_LABEL) == CONTROLLER_NAME


def _as_endpoint(pod: Pod) -> tuple[object, ...]:
    """What of a pod can change its endpoint."""
    return (
        pod.status.is_ready,
        pod.status.podIP,
        pod.status.podIPs,
        pod.status.phase in ("Succeeded", "Failed"),
        pod.metadata.deletionTimestamp is not None,
        pod.metadata.labels,
        pod.spec.nodeName,
    )
