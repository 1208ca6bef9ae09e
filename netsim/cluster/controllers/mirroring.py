"""The EndpointSlice mirroring controller: hand-written Endpoints of Services without a selector become slices.

Called by: `controlplane.py`. Source: pkg/controller/endpointslicemirroring (one slice set per subset and family, label
`endpointslice.kubernetes.io/skip-mirror`, at most 1000 addresses per subset).
"""

from collections.abc import Generator
from functools import partial
from typing import Any, Final

from netsim.cluster.apiserver import Key
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.endpoints import (
    MANAGED_BY_LABEL,
    SERVICE_NAME_LABEL,
    AddressType,
    Ports,
    new_slice,
)
from netsim.cluster.controllers.slice_writer import SliceWriter
from netsim.cluster.controllers.slices import reconcile
from netsim.cluster.objects import (
    Endpoint,
    EndpointAddress,
    EndpointConditions,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    Service,
)
from netsim.cluster.watch import WatchEvent
from netsim.cluster.workqueue import RetryError

MIRRORING_NAME: Final = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL: Final = "endpointslice.kubernetes.io/skip-mirror"
_NAME: Final = "endpointslicemirroring-controller"
_MAX_PER_SUBSET: Final = 1000
_FAMILIES: Final[tuple[AddressType, ...]] = ("IPv4", "IPv6")


class MirroringController:
    """Watches Endpoints and Services; writes slices."""

    def __init__(self, context: ControllerContext) -> None:
        self._capacity = _MAX_PER_SUBSET
        self._writer = SliceWriter(context.client(_NAME), context.recorder(_NAME))
        self._queue = context.queue(_NAME, self._sync)
        self._endpoints = context.informers.of(Endpoints)
        self._services = context.informers.of(Service)
        self._slices = context.informers.of(EndpointSlice)
        self._slices_of = self._slices.index(_service_of)
        self._endpoints.subscribe(self._changed)
        self._services.subscribe(self._changed)

    def _changed(self, event: WatchEvent[Endpoints] | WatchEvent[Service]) -> None:
        self._queue.add(event.object.key)

    def _sync(self, key: Key) -> Generator[Any, Any, None]:
        existing = list(self._slices_of[key].values())
        if self._writer.is_stale(key, existing):
            raise RetryError(f"EndpointSlice informer cache of {key} is out of date")
        service, endpoints = self._services.get(*key), self._endpoints.get(*key)
        if service is None or endpoints is None or not _is_mirrored(service, endpoints):
            for item in existing:
                yield from self._writer.delete(key, item)
            return
        for family in _FAMILIES:
            wanted = mirrored(endpoints, family)
            ours = [item for item in existing if item.addressType == family]
            if wanted or ours:
                template = partial(new_slice, service, family, managed_by=MIRRORING_NAME)
                yield from self._writer.write(key, reconcile(ours, wanted, template, self._capacity), ours)


def _is_mirrored(service: Service, endpoints: Endpoints) -> bool:
    return not service.spec.selector and endpoints.metadata.labels.get(SKIP_LABEL) != "true"


def mirrored(endpoints: Endpoints, family: AddressType) -> dict[Ports, list[Endpoint]]:
    """The endpoints of one family by their ports."""
    found: dict[Ports, list[Endpoint]] = {}
    for subset in endpoints.subsets:
        made = [
            endpoint
            for endpoint in _of_subset(subset)
            if (":" in endpoint.addresses[0]) == (family == "IPv6")
        ]
        if made:
            found.setdefault(_ports(subset), []).extend(made)
    return found


def _of_subset(subset: EndpointSubset) -> list[Endpoint]:
    ready = [_endpoint(address, ready=True) for address in subset.addresses]
    unready = [_endpoint(address, ready=False) for address in subset.notReadyAddresses]
    return [*ready, *unready][:_MAX_PER_SUBSET]


def _endpoint(address: EndpointAddress, *, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=(address.ip,),
        conditions=EndpointConditions(ready=ready),
        hostname=address.hostname or None,
        nodeName=address.nodeName,
        targetRef=address.targetRef,
    )


def _ports(subset: EndpointSubset) -> Ports:
    return tuple(
        EndpointPort(name=port.name, port=port.port, protocol=port.protocol, appProtocol=port.appProtocol)
        for port in subset.ports
    )


def _service_of(item: EndpointSlice) -> tuple[Key, ...]:
    if item.metadata.labels.get(MANAGED_BY_LABEL) != MIRRORING_NAME:
        return ()
    return ((item.metadata.namespace, item.metadata.labels.get(SERVICE_NAME_LABEL, "")),)
