"""Environment variables that tell a container of the Services there are (pkg/kubelet/envvars/envvars.go).

Called by the pod worker when a container starts. Only Services that exist at that moment are in the list: a Service made later stays
unknown to the container, which is the ordering trap of the tutorials.
"""

from collections.abc import Iterable

from netsim.cluster.objects import Service, ServicePort

MASTER = ("default", "kubernetes")


def services_for_pod(services: Iterable[Service], namespace: str, service_links: bool) -> list[Service]:
    """The Services that a pod is told of: those of its namespace (unless `enableServiceLinks: false`), and the API server's."""
    own: dict[str, Service] = {}
    for service in services:
        if service.key == MASTER:
            own.setdefault(service.metadata.name, service)
    for service in services:
        if service_links and service.metadata.namespace == namespace:
            own[service.metadata.name] = service
    return list(own.values())


def service_env(services: Iterable[Service]) -> dict[str, str]:
    """`NAME_SERVICE_HOST`, `NAME_SERVICE_PORT` and the Docker-link style, in upstream's order."""
    found: dict[str, str] = {}
    for service in services:
        if service.spec.clusterIP in ("", "None") or not service.spec.ports:
            continue
        found |= _host_and_ports(service)
        found |= _links(service)
    return found


def _variable(name: str) -> str:
    return name.replace("-", "_").upper()


def _host_and_ports(service: Service) -> dict[str, str]:
    prefix, spec = _variable(service.metadata.name), service.spec
    found = {
        f"{prefix}_SERVICE_HOST": spec.clusterIP,
        f"{prefix}_SERVICE_PORT": str(spec.ports[0].port),
    }
    for port in spec.ports:
        if port.name:
            found[f"{prefix}_SERVICE_PORT_{_variable(port.name)}"] = str(port.port)
    return found


def _links(service: Service) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, port in enumerate(service.spec.ports):
        found |= _link(service, port, first=number == 0)
    return found


def _link(service: Service, port: ServicePort, first: bool) -> dict[str, str]:
    address, protocol = service.spec.clusterIP, port.protocol
    shown = f"[{address}]" if ":" in address else address
    url = f"{protocol.lower()}://{shown}:{port.port}"
    name = _variable(service.metadata.name)
    prefix = f"{name}_PORT_{port.port}_{protocol}"
    found = {f"{name}_PORT": url} if first else {}
    found |= {
        prefix: url,
        f"{prefix}_PROTO": protocol.lower(),
        f"{prefix}_PORT": str(port.port),
        f"{prefix}_ADDR": address,
    }
    return found
