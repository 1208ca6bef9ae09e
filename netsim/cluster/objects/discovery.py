"""Endpoints of Services: EndpointSlice (k8s.io/api/discovery/v1) and the older Endpoints (core/v1).

Called by: EndpointSlice controller (writes), kube-proxy and DNS (read), the loader (hand-written endpoints of
Services without a selector).
"""

from typing import Literal

from pydantic import StrictBool

from netsim.cluster.objects.meta import ApiModel, ApiObject, Labels, ObjectReference, Port, Protocol


class EndpointConditions(ApiModel):
    """ready = serving and not terminating; serving = the pod's Ready condition (KEP-1672). None: unknown, read as
    upstream does: ready None is True, serving None is `ready`, terminating None is False."""

    ready: StrictBool | None = None
    serving: StrictBool | None = None
    terminating: StrictBool | None = None


class ForZone(ApiModel):
    """A zone whose clients should use the endpoint."""

    name: str


class ForNode(ApiModel):
    """A node whose clients should use the endpoint."""

    name: str


class EndpointHints(ApiModel):
    """Topology hints (KEP-2433, KEP-3015)."""

    forZones: tuple[ForZone, ...] = ()
    forNodes: tuple[ForNode, ...] = ()


class Endpoint(ApiModel):
    """One backend: normally one pod address."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    nodeName: str | None = None
    zone: str | None = None
    targetRef: ObjectReference | None = None
    hints: EndpointHints | None = None
    deprecatedTopology: Labels | None = None


class EndpointPort(ApiModel):
    """One port of all the slice's endpoints; `name` matches the Service port's name."""

    name: str = ""
    port: Port | None = None
    protocol: Protocol = "TCP"
    appProtocol: str | None = None


class EndpointSlice(ApiObject):
    """At most 100 endpoints of a Service, named in the label `kubernetes.io/service-name`."""

    apiVersion: Literal["discovery.k8s.io/v1"] = "discovery.k8s.io/v1"
    kind: Literal["EndpointSlice"] = "EndpointSlice"
    addressType: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    @property
    def service_name(self) -> str:
        """The Service that the slice belongs to ("" without the label)."""
        return self.metadata.labels.get("kubernetes.io/service-name", "")


class EndpointAddress(ApiModel):
    """One address of an Endpoints object."""

    ip: str
    hostname: str = ""
    nodeName: str | None = None
    targetRef: ObjectReference | None = None


class EndpointsPort(ApiModel):
    """One port of an Endpoints object (core/v1 calls this type EndpointPort)."""

    port: Port
    name: str = ""
    protocol: Protocol = "TCP"
    appProtocol: str | None = None


class EndpointSubset(ApiModel):
    """Every address serves every port."""

    addresses: tuple[EndpointAddress, ...] = ()
    notReadyAddresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointsPort, ...] = ()


class Endpoints(ApiObject):
    """The older form, same name as its Service; mirrored into slices."""

    apiVersion: Literal["v1"] = "v1"
    kind: Literal["Endpoints"] = "Endpoints"
    subsets: tuple[EndpointSubset, ...] = ()
