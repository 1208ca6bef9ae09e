"""Ports that pods want on their node: `hostPort`, and with hostNetwork every container port.

Called by the scheduler (its NodePorts plug-in) and by the container runtime (port mappings for the CNI). Sources:
pkg/apis/core/v1/defaults.go (SetDefaults hostNetwork ports), pkg/scheduler/framework/plugins/nodeports/node_ports.go,
pkg/scheduler/framework/types.go (HostPortInfo.CheckConflict) of Kubernetes 1.34.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from netsim.cluster.objects import Pod

NO_FREE_PORTS: Final = "node(s) didn't have free ports for the requested pod ports"  # nodeports.ErrReason
_ANY: Final = "0.0.0.0"  # DefaultBindAllHostIP


class HostPort(NamedTuple):
    """One port of a node, on one of its addresses or on all of them (0.0.0.0)."""

    host_ip: str
    protocol: str
    host_port: int
    container_port: int

    def clashes(self, other: "HostPort") -> bool:
        """Whether both cannot be had on one node."""
        if (self.protocol, self.host_port) != (other.protocol, other.host_port):
            return False
        return self.host_ip == other.host_ip or _ANY in (self.host_ip, other.host_ip)


def host_ports(pod: Pod) -> tuple[HostPort, ...]:
    """The ports that a pod wants on its node: those of its containers and sidecars."""
    sidecars = [spec for spec in pod.spec.initContainers if spec.restartPolicy == "Always"]
    return tuple(
        HostPort(port.hostIP or _ANY, port.protocol, number, port.containerPort)
        for container in (*sidecars, *pod.spec.containers)
        for port in container.ports
        if (number := port.hostPort or (port.containerPort if pod.spec.hostNetwork else 0))
    )


class UsedPorts:
    """The host ports in use on every node."""

    def __init__(self) -> None:
        self._used: dict[str, Counter[HostPort]] = {}

    def place(self, node: str, ports: Iterable[HostPort]) -> None:
        """A pod with these ports was put on a node."""
        self._used.setdefault(node, Counter()).update(ports)

    def take(self, node: str, ports: Iterable[HostPort]) -> None:
        """It has left."""
        used = self._used[node]
        used.subtract(ports)
        self._used[node] = +used

    def clash(self, node: str, wanted: Iterable[HostPort]) -> bool:
        """Whether one of the ports is taken there."""
        used = self._used.get(node)
        return bool(used) and any(port.clashes(other) for port in wanted for other in used or ())
