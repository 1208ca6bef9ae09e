"""Host ports in a pod: what the API server would refuse, and addresses that are none.

Called by: `rules_objects`, for every pod and template. Source: pkg/apis/core/validation/validation.go
(checkHostPortConflicts, validateHostNetwork), Kubernetes 1.34.
"""

import ipaddress
from collections.abc import Iterable

from netsim.cluster.objects import Container, ContainerPort, PodSpec
from netsim.experiment.rules_place import Path, Place


def check_host_ports(spec: PodSpec, containers: Iterable[tuple[Path, Container]], place: Place) -> None:
    """Record what is wrong with the ports that a pod wants on its node. Each container comes with its place."""
    seen: dict[tuple[str, str, int], None] = {}
    for where, container in containers:
        for index, port in enumerate(container.ports):
            _check_port(port, spec.hostNetwork, seen, place, (*where, "ports", index))


def _check_port(
    port: ContainerPort, host_network: bool, seen: dict[tuple[str, str, int], None], place: Place, path: Path
) -> None:
    if port.hostIP and not _is_ipv4(port.hostIP):
        place.error((*path, "hostIP"), f'"{port.hostIP}" is no IPv4 address: write one of a node\'s, or none')
    if host_network and port.hostPort not in (0, port.containerPort):
        message = f"with hostNetwork it must be the containerPort, {port.containerPort}: remove it"
        place.error((*path, "hostPort"), message)
    key = (port.protocol, port.hostIP, port.hostPort)
    if port.hostPort and key in seen:
        place.error((*path, "hostPort"), f"the pod has host port {port.hostPort}/{port.protocol} twice")
    seen[key] = None


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
