"""Ingress and IngressClass (k8s.io/api/networking/v1): HTTP routing from outside to Services.

Called by: the loader; the ingress controller. `from_v1beta1` reads the shape that Ingresses had before Kubernetes 1.22
(pkg/apis/networking/v1beta1/conversion.go).
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

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
    """A path and its backend. `pathType` is required by validation, not by the model, which knows older shapes too."""

    path: str = ""
    pathType: Literal["Exact", "Prefix", "ImplementationSpecific"] | None = None
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


class IngressClassSpec(ApiModel):
    """Which controller serves the Ingresses of a class."""

    controller: str = ""
    parameters: Annotated[Any, Inert()] = None


class IngressClass(ApiObject):
    """An IngressClass."""

    NAMESPACED: ClassVar[bool] = False

    apiVersion: Literal["networking.k8s.io/v1"] = "networking.k8s.io/v1"
    kind: Literal["IngressClass"] = "IngressClass"
    spec: IngressClassSpec = IngressClassSpec()


def from_v1beta1(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of extensions/v1beta1 or networking.k8s.io/v1beta1 in today's shape, as far as it has a shape."""
    spec = raw.get("spec")
    if not isinstance(spec, Mapping):
        return dict(raw)
    changed = {("defaultBackend" if name == "backend" else name): value for name, value in spec.items()}
    if "defaultBackend" in changed:
        changed["defaultBackend"] = _backend(changed["defaultBackend"])
    if isinstance(spec.get("rules"), list):
        changed["rules"] = [_rule(rule) for rule in spec["rules"]]
    return {**raw, "spec": changed}


def _rule(rule: Any) -> Any:
    http = rule.get("http") if isinstance(rule, Mapping) else None
    if not isinstance(http, Mapping) or not isinstance(http.get("paths"), list):
        return rule
    return {**rule, "http": {**http, "paths": [_path(path) for path in http["paths"]]}}


def _path(path: Any) -> Any:
    if not isinstance(path, Mapping):
        return path
    backend = {"backend": _backend(path["backend"])} if "backend" in path else {}
    return {"pathType": "ImplementationSpecific", **path, **backend}


def _backend(backend: Any) -> Any:
    if not isinstance(backend, Mapping) or not {"serviceName", "servicePort"} & set(backend):
        return backend
    others = {name: value for name, value in backend.items() if name not in ("serviceName", "servicePort")}
    port = backend.get("servicePort")
    service = {"name": backend["serviceName"]} if "serviceName" in backend else {}
    where = {} if port is None else {"port": {"name" if isinstance(port, str) else "number": port}}
    return {**others, "service": {**service, **where}}
