"""Environment variables that tell a container where the Services are (docker links).

Called by: the kubelet at each container start. Source: pkg/kubelet/envvars/envvars.go and getServiceEnvVarMap in
pkg/kubelet/kubelet_pods.go. Simplified: a Service's variables are those of the API server at that moment, not of the
kubelet's slightly older copy.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.objects import Pod, Service

_MASTER_SERVICE: Final = ("default", "kubernetes")


def from_services(services: Iterable[Service]) -> list[tuple[str, str]]:
    """(name, value) pairs, in kubelet's order: host, port, named ports, then the link style of each port."""
    return [pair for service in services if _has_address(service) for pair in _of_service(service)]


def names_of(service: Service) -> tuple[str, ...]:
    """The variables that a Service gives, once it has an address; none if it never has one."""
    if service.spec.is_headless or service.spec.type == "ExternalName" or not service.spec.ports:
        return ()
    return tuple(name for name, _ in _of_service(service))


def _has_address(service: Service) -> bool:
    return service.spec.clusterIP not in ("", "None") and bool(service.spec.ports)


def _of_service(service: Service) -> Iterator[tuple[str, str]]:
    name, spec = _upper(service.metadata.name), service.spec
    yield f"{name}_SERVICE_HOST", spec.clusterIP
    yield f"{name}_SERVICE_PORT", str(spec.ports[0].port)
    for port in spec.ports:
        if port.name:
            yield f"{name}_SERVICE_PORT_{_upper(port.name)}", str(port.port)
    host = f"[{spec.clusterIP}]" if ":" in spec.clusterIP else spec.clusterIP
    for index, port in enumerate(spec.ports):
        protocol = port.protocol.lower()
        url = f"{protocol}://{host}:{port.port}"
        prefix = f"{name}_PORT_{port.port}_{port.protocol}"
        if index == 0:
            yield f"{name}_PORT", url
        yield prefix, url
        yield f"{prefix}_PROTO", protocol
        yield f"{prefix}_PORT", str(port.port)
        yield f"{prefix}_ADDR", spec.clusterIP


def _upper(name: str) -> str:
    return name.replace("-", "_").upper()


class ServiceEnvironment:
    """The variables by namespace, made once per change of the Services and shared by all pods of the namespace."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._made: dict[tuple[str, bool], dict[str, str]] = {}
        api.tap(Service, lambda _event: self._made.clear())

    def of(self, pod: Pod) -> dict[str, str]:
        """The variables for a container of this pod that starts now; shared, so not to be changed."""
        key = (pod.metadata.namespace, pod.spec.enableServiceLinks)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = dict(from_services(self._services(*key)))
        return found

    def _services(self, namespace: str, links: bool) -> list[Service]:
        services = self._api.list(Service, namespace) if links else []
        master = self._api.get(Service, *_MASTER_SERVICE)
        if master is not None and not any(service.metadata.name == "kubernetes" for service in services):
            services.append(master)
        return services
