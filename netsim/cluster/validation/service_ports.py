"""The ports of a Service: names, numbers, duplicates, node ports by type.

Called by `service.py`. Source: pkg/apis/core/validation/validation.go (validateServicePort, and the duplicates in
ValidateService).
"""

from collections.abc import Iterator

from netsim.cluster.objects import Service, ServicePort
from netsim.cluster.validation import names
from netsim.cluster.validation.field import FieldError, Path, duplicate, forbidden, invalid, required

PORTS: Path = ("spec", "ports")


def check_ports(service: Service) -> Iterator[FieldError]:
    """Everything about `spec.ports`."""
    ports = service.spec.ports
    if not ports and not service.spec.is_headless and service.spec.type != "ExternalName":
        yield required(PORTS, hint="only a headless Service (clusterIP: None) may have none")
    seen: dict[str, None] = {}
    for index, port in enumerate(ports):
        yield from _port(port, (*PORTS, index), len(ports) > 1, seen)
    yield from _node_ports(service)
    numbers: dict[tuple[int, str], None] = {}
    for index, port in enumerate(ports):
        if (port.port, port.protocol) in numbers:
            key = {"port": port.port, "protocol": port.protocol}
            yield duplicate((*PORTS, index), key, f"port {port.port}/{port.protocol} is listed twice")
        numbers[port.port, port.protocol] = None


def _port(port: ServicePort, path: Path, name_needed: bool, seen: dict[str, None]) -> Iterator[FieldError]:
    if port.name:
        for problem in names.dns1123_label(port.name):
            yield invalid((*path, "name"), port.name, problem)
        if port.name in seen:
            yield duplicate((*path, "name"), port.name, "give each port a name of its own")
        seen[port.name] = None
    elif name_needed:
        yield required((*path, "name"), hint="a Service with several ports must name each")
    yield from _target(port, (*path, "targetPort"))
    if port.appProtocol is not None:
        for problem in names.qualified_name(port.appProtocol):
            yield invalid(
                (*path, "appProtocol"),
                port.appProtocol,
                problem,
                "write for example http or kubernetes.io/h2c",
            )


def _target(port: ServicePort, path: Path) -> Iterator[FieldError]:
    target = port.target
    if isinstance(target, int):
        for problem in names.port_number(target):
            yield invalid(path, target, problem)
    else:
        hint = "remove the quotes" if target.isdigit() else ""
        for problem in names.port_name(target):
            yield invalid(path, target, problem, hint)


def _node_ports(service: Service) -> Iterator[FieldError]:
    seen: dict[tuple[int, str], None] = {}
    for index, port in enumerate(service.spec.ports):
        path = (*PORTS, index, "nodePort")
        if not port.nodePort:
            continue
        if service.spec.type == "ClusterIP":
            hint = "write type: NodePort, or remove it"
            yield forbidden(path, "may not be used when `type` is 'ClusterIP'", hint)
        if (port.nodePort, port.protocol) in seen:
            yield duplicate(path, port.nodePort, "choose another port")
        seen[port.nodePort, port.protocol] = None
