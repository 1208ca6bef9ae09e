"""API objects as the DNS servers remember them: only what an answer can depend on (CoreDNS plugin/kubernetes/object).

Two objects with the same view give the same answers, so an update that leaves the view as it was changes nothing.
Called by `world`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from netsim.cluster.objects import EndpointSlice, OtherObject, Pod, Service
from netsim.wire.addr import ip, ip_text

NO_PORT: Final = -1
SERVICE_LABEL: Final = "kubernetes.io/service-name"
IMPORT_LABEL: Final = "multicluster.kubernetes.io/service-name"
CLUSTER_LABEL: Final = "multicluster.kubernetes.io/source-cluster"


class PortView(NamedTuple):
    """A port of a Service or a slice. Names and protocols are compared in lower case."""

    name: str
    protocol: str
    number: int

    def matches(self, name: str, protocol: str) -> bool:
        """Whether it is the wanted port; an empty wish takes any."""
        return (not name or name == self.name) and (not protocol or protocol == self.protocol)


# Stands for "no ports": answers for addresses work, SRV leaves it out.
_SENTINEL: Final = (PortView("", "", NO_PORT),)


class EndpointView(NamedTuple):
    """A ready address of a slice. `pod` is "" when the pod's name is too long for a label."""

    address: str
    hostname: str
    pod: str
    zone: str


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A Service or a ServiceImport. `external` are its external addresses, or load balancer host names."""

    namespace: str
    name: str
    headless: bool
    external_name: str
    cluster_ips: tuple[str, ...]
    external: tuple[str, ...]
    ports: tuple[PortView, ...]


@dataclass(frozen=True, slots=True)
class SliceView:
    """The ready endpoints of an EndpointSlice; `cluster` is where an imported one comes from."""

    namespace: str
    name: str
    service: str
    endpoints: tuple[EndpointView, ...]
    ports: tuple[PortView, ...]
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod that is not being deleted."""

    namespace: str
    name: str
    address: str


def canonical(address: str) -> str:
    """An address in its usual text form; anything else unchanged."""
    try:
        return ip_text(ip(address))
    except ValueError:
        return address


def service_view(service: Service) -> ServiceView:
    """A Service as DNS sees it."""
    spec = service.spec
    ips = spec.clusterIPs or ((spec.clusterIP,) if spec.clusterIP else ())
    ingress = tuple(item.ip or item.hostname for item in service.status.loadBalancer.ingress)
    return ServiceView(
        service.metadata.namespace, service.metadata.name, ips[:1] == ("None",),
        spec.externalName if spec.type == "ExternalName" else "",
        tuple(map(canonical, ips)), tuple(map(canonical, (*spec.externalIPs, *ingress))),
        _ports((port.name, port.protocol, port.port) for port in spec.ports),
    )  # fmt: skip


def import_view(obj: OtherObject) -> ServiceView:
    """A ServiceImport (multicluster.x-k8s.io) as DNS sees it."""
    spec: Mapping[str, Any] = obj.model_dump().get("spec") or {}
    ports = spec.get("ports") or ()
    return ServiceView(
        obj.metadata.namespace, obj.metadata.name, spec.get("type") == "Headless", "",
        tuple(map(canonical, spec.get("ips") or ())), (),
        _ports((port.get("name", ""), port.get("protocol", "TCP"), port["port"]) for port in ports),
    )  # fmt: skip


def slice_view(obj: EndpointSlice) -> SliceView:
    """An EndpointSlice as DNS sees it: `ready` missing counts as ready; serving and terminating do not matter."""
    labels = obj.metadata.labels
    endpoints = []
    for endpoint in obj.endpoints:
        if endpoint.conditions.ready is False:
            continue
        pod = endpoint.targetRef.name if endpoint.targetRef else ""
        for address in endpoint.addresses:
            endpoints.append(EndpointView(
                canonical(address), endpoint.hostname or "", pod if len(pod) < 64 else "", endpoint.zone or "",
            ))  # fmt: skip
    return SliceView(
        obj.metadata.namespace, obj.metadata.name, labels.get(IMPORT_LABEL) or labels.get(SERVICE_LABEL, ""),
        tuple(endpoints), _ports((p.name, p.protocol, p.port or NO_PORT) for p in obj.ports),
        labels.get(CLUSTER_LABEL, ""),
    )  # fmt: skip


def pod_view(pod: Pod) -> PodView | None:
    """A pod as DNS sees it; None when it has no address or is on its way out."""
    if not pod.status.podIP or pod.metadata.deletionTimestamp is not None:
        return None
    return PodView(pod.metadata.namespace, pod.metadata.name, canonical(pod.status.podIP))


def _ports(ports: Iterable[tuple[str, str, int]]) -> tuple[PortView, ...]:
    found = tuple(PortView(name.lower(), protocol.lower(), number) for name, protocol, number in ports)
    return found or _SENTINEL
