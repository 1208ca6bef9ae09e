"""From a pod to an endpoint, and from a Service to the labels of its slices: pure functions.

Called by: the EndpointSlice controller, and by the conformance tests for these functions.
Sources: staging/src/k8s.io/endpointslice (utils.go podToEndpoint, getEndpointPorts, setEndpointSliceLabels;
util/controller_utils.go ShouldPodBeInEndpoints, ShouldSetHostname; trafficdist/trafficdist.go), Kubernetes 1.34.
"""

from collections.abc import Iterable
from typing import Final, Literal

from netsim.cluster.objects import (
    Container,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForNode,
    ForZone,
    Node,
    ObjectMeta,
    ObjectReference,
    OwnerReference,
    Pod,
    Service,
    ServicePort,
)

AddressType = Literal["IPv4", "IPv6", "FQDN"]
Ports = tuple[EndpointPort, ...]

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
CONTROLLER_NAME: Final = "endpointslice-controller.k8s.io"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"

_RESERVED: Final = (SERVICE_NAME_LABEL, MANAGED_BY_LABEL, HEADLESS_LABEL)


def should_be_in_endpoints(pod: Pod, *, include_terminating: bool = True) -> bool:
    """Whether the pod belongs into any slice: not ended, has an address, and is not terminating unless asked for."""
    if pod.status.phase in ("Succeeded", "Failed"):
        return False
    if not pod.status.podIP and not pod.status.podIPs:
        return False
    return include_terminating or pod.metadata.deletionTimestamp is None


def pod_addresses(pod: Pod, family: AddressType) -> tuple[str, ...]:
    """The pod's addresses of one family."""
    addresses = [entry.ip for entry in pod.status.podIPs] or [pod.status.podIP]
    return tuple(address for address in addresses if address and (":" in address) == (family == "IPv6"))


def pod_to_endpoint(pod: Pod, service: Service, node: Node | None, family: AddressType) -> Endpoint:
    """serving = the pod is ready; terminating = it is being deleted; ready = serving and not terminating, or whatever
    the state where the Service publishes addresses that are not ready."""
    serving = pod.status.is_ready
    terminating = pod.metadata.deletionTimestamp is not None
    ready = service.spec.publishNotReadyAddresses or (serving and not terminating)
    meta = pod.metadata
    return Endpoint(
        addresses=pod_addresses(pod, family),
        conditions=EndpointConditions(ready=ready, serving=serving, terminating=terminating),
        nodeName=pod.spec.nodeName or None,
        zone=node.metadata.labels.get(ZONE_LABEL) if node else None,
        hostname=pod.spec.hostname if should_set_hostname(pod, service) else None,
        targetRef=ObjectReference(kind="Pod", namespace=meta.namespace, name=meta.name, uid=meta.uid),
    )


def should_set_hostname(pod: Pod, service: Service) -> bool:
    """Whether the pod has a DNS name of its own under this Service."""
    return (
        bool(pod.spec.hostname)
        and pod.spec.subdomain == service.metadata.name
        and pod.metadata.namespace == service.metadata.namespace
    )


def endpoint_ports(service: Service, pod: Pod) -> Ports:
    """The ports that the pod offers for the Service. A named target that no container has is left out."""
    found = ((port, target_port(port, pod)) for port in service.spec.ports)
    return tuple(
        EndpointPort(name=port.name, port=number, protocol=port.protocol, appProtocol=port.appProtocol)
        for port, number in found
        if number is not None
    )


def target_port(port: ServicePort, pod: Pod) -> int | None:
    """The number behind `targetPort`: named ports of containers first, then of restartable init containers."""
    if isinstance(port.target, int):
        return port.target
    sidecars = (c for c in pod.spec.initContainers if c.restartPolicy == "Always")
    return _named(pod.spec.containers, port.target, port.protocol) or _named(
        sidecars, port.target, port.protocol
    )


def _named(containers: Iterable[Container], name: str, protocol: str) -> int | None:
    for container in containers:
        for port in container.ports:
            if port.name == name and port.protocol == protocol:
                return port.containerPort
    return None


def address_types(service: Service) -> tuple[AddressType, ...]:
    """One set of slices for each of the Service's families."""
    if service.spec.ipFamilies:
        return service.spec.ipFamilies
    return ("IPv6",) if ":" in service.spec.clusterIP else ("IPv4",)


def slice_labels(service: Service, managed_by: str = CONTROLLER_NAME) -> dict[str, str]:
    """The Service's labels, and those by which kube-proxy and DNS find the slice."""
    labels = {key: value for key, value in service.metadata.labels.items() if key not in _RESERVED}
    labels[SERVICE_NAME_LABEL] = service.metadata.name
    labels[MANAGED_BY_LABEL] = managed_by
    if service.spec.clusterIP in ("", "None"):
        labels[HEADLESS_LABEL] = ""
    return labels


def new_slice(
    service: Service, family: AddressType, ports: Ports, managed_by: str = CONTROLLER_NAME
) -> EndpointSlice:
    """An empty slice, to be named by the API server."""
    meta = service.metadata
    owner = OwnerReference(
        apiVersion="v1",
        kind="Service",
        name=meta.name,
        uid=meta.uid,
        controller=True,
        blockOwnerDeletion=True,
    )
    return EndpointSlice(
        metadata=ObjectMeta(
            generateName=f"{meta.name}-",
            namespace=meta.namespace,
            labels=slice_labels(service, managed_by),
            ownerReferences=(owner,),
        ),
        addressType=family,
        ports=ports,
    )


def with_hints(endpoint: Endpoint, distribution: str | None) -> Endpoint:
    """Hints by `trafficDistribution`: each ready endpoint is meant for clients of its own zone (and node)."""
    hints = _hints(endpoint, distribution)
    return endpoint if endpoint.hints == hints else endpoint.model_copy(update={"hints": hints})


def _hints(endpoint: Endpoint, distribution: str | None) -> EndpointHints | None:
    if distribution not in ("PreferClose", "PreferSameZone", "PreferSameNode"):
        return None
    if endpoint.conditions.ready is False or endpoint.zone is None:
        return None
    nodes: tuple[ForNode, ...] = ()
    if distribution == "PreferSameNode" and endpoint.nodeName:
        nodes = (ForNode(name=endpoint.nodeName),)
    return EndpointHints(forZones=(ForZone(name=endpoint.zone),), forNodes=nodes)
