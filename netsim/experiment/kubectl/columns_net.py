"""Columns of Services, Endpoints, EndpointSlices and Ingresses (printService... of printers.go)."""

from collections.abc import Sequence
from typing import Final

from netsim.cluster.objects import Endpoints, EndpointSlice, Ingress, IngressClass, Service
from netsim.experiment.kubectl.columns import AGE, NAME, NONE, Column, View, labels_text

_MOST: Final = 3  # addresses that a cell names
_BALANCER_WIDTH: Final = 16


def _more(found: Sequence[str], empty: str) -> str:
    """The first three, and how many more."""
    if not found:
        return empty
    text = ",".join(found[:_MOST])
    return f"{text} + {len(found) - _MOST} more..." if len(found) > _MOST else text


# ---------------------------------------------------------------------- Services
def cluster_ip(service: Service, _view: View) -> str:
    """CLUSTER-IP"""
    return service.spec.clusterIPs[0] if service.spec.clusterIPs else service.spec.clusterIP or NONE


def external_ip(service: Service, view: View) -> str:
    """EXTERNAL-IP"""
    spec = service.spec
    if spec.type == "ExternalName":
        return spec.externalName
    if spec.type != "LoadBalancer":
        return ",".join(spec.externalIPs) or NONE
    found = sorted({entry.ip or entry.hostname for entry in service.status.loadBalancer.ingress} - {""})
    text = ",".join(found)
    if not view.wide and len(text) > _BALANCER_WIDTH:
        text = text[: _BALANCER_WIDTH - 3] + "..."
    return ",".join([*([text] if text else []), *spec.externalIPs]) or "<pending>"


def ports_text(service: Service, _view: View) -> str:
    """PORT(S): `80/TCP`, `80:30080/TCP`"""
    return (
        ",".join(
            f"{port.port}:{port.nodePort}/{port.protocol}"
            if port.nodePort
            else f"{port.port}/{port.protocol}"
            for port in service.spec.ports
        )
        or NONE
    )


SERVICE: Final = (
    NAME,
    Column("TYPE", lambda item, _view: item.spec.type),
    Column("CLUSTER-IP", cluster_ip),
    Column("EXTERNAL-IP", external_ip),
    Column("PORT(S)", ports_text),
    AGE,
    Column("SELECTOR", lambda item, _view: labels_text(item.spec.selector), wide=True),
)


# ---------------------------------------------------------------------- endpoints
def _endpoints(item: Endpoints, _view: View) -> str:
    found = []
    for subset in item.subsets:
        if subset.ports:
            for port in subset.ports:
                found += [host_port(address.ip, port.port) for address in subset.addresses]
        else:
            found += [address.ip for address in subset.addresses]
    return _more(found, NONE)


def host_port(address: str, port: int) -> str:
    """net.JoinHostPort"""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _slice_ports(item: EndpointSlice, _view: View) -> str:
    return _more(
        [str(port.port) if port.port is not None else port.name or "*" for port in item.ports], "<unset>"
    )


def _slice_endpoints(item: EndpointSlice, _view: View) -> str:
    return _more([address for endpoint in item.endpoints for address in endpoint.addresses], "<unset>")


ENDPOINTS: Final = (NAME, Column("ENDPOINTS", _endpoints), AGE)
ENDPOINT_SLICE: Final = (
    NAME,
    Column("ADDRESSTYPE", lambda item, _view: item.addressType),
    Column("PORTS", _slice_ports),
    Column("ENDPOINTS", _slice_endpoints),
    AGE,
)


# ---------------------------------------------------------------------- Ingresses
def _class(item: Ingress, _view: View) -> str:
    return item.spec.ingressClassName or NONE


def hosts_text(item: Ingress, _view: View) -> str:
    """HOSTS"""
    return _more([rule.host for rule in item.spec.rules if rule.host], "*")


def address_text(item: Ingress, view: View) -> str:
    """ADDRESS"""
    text = ",".join(sorted({entry.ip or entry.hostname for entry in item.status.loadBalancer.ingress} - {""}))
    if not view.wide and len(text) > _BALANCER_WIDTH:
        return text[: _BALANCER_WIDTH - 3] + "..."
    return text


INGRESS: Final = (
    NAME,
    Column("CLASS", _class),
    Column("HOSTS", hosts_text),
    Column("ADDRESS", address_text),
    Column("PORTS", lambda item, _view: "80, 443" if item.spec.tls else "80"),
    AGE,
)


def _parameters(item: IngressClass, _view: View) -> str:
    return NONE


INGRESS_CLASS: Final = (
    NAME,
    Column("CONTROLLER", lambda item, _view: item.spec.controller),
    Column("PARAMETERS", _parameters),
    AGE,
)
