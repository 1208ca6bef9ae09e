"""Ingress (k8s.io/api/networking/v1): HTTP routing from outside to Services.

Called by: the loader; the ingress controller of a later part.
"""

from typing import Annotated, Any, Literal

from netsim.cluster.objects.inert import Inert
from netsim.cluster.objects.meta import ApiModel, ApiObject, Port
from netsim.cluster.objects.service import LoadBalancerStatus


class ServiceBackendPort(ApiModel):
    """The Service's port, by number or by name."""

    name: str = ""
    number: Port | None = None


class IngressServiceBackend(ApiModel):
    """A Service in the Ingress's namespace."""

    name: str
    port: ServiceBackendPort = ServiceBackendPort()


class IngressBackend(ApiModel):
    """Where a request goes."""

    service: IngressServiceBackend | None = None
    resource: Annotated[Any, Inert()] = None


class HTTPIngressPath(ApiModel):
    """A path and its backend."""

    path: str = ""
    pathType: Literal["Exact", "Prefix", "ImplementationSpecific"]
    backend: IngressBackend


class HTTPIngressRuleValue(ApiModel):
    """The paths of a host."""

    paths: tuple[HTTPIngressPath, ...]


class IngressRule(ApiModel):
    """The rules of one host ("" for every host)."""

    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressSpec(ApiModel):
    """Hosts, paths, backends."""

    ingressClassName: str | None = None
    defaultBackend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: Annotated[Any, Inert()] = None


class IngressStatus(ApiModel):
    """The addresses of the ingress controller."""

    loadBalancer: LoadBalancerStatus = LoadBalancerStatus()


class Ingress(ApiObject):
    """An Ingress."""

    apiVersion: Literal["networking.k8s.io/v1"] = "networking.k8s.io/v1"
    kind: Literal["Ingress"] = "Ingress"
    spec: IngressSpec = IngressSpec()
    status: IngressStatus = IngressStatus()
