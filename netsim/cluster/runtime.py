"""What the kubelet needs of the world outside the control plane, as protocols.

Implemented by: `experiment/build.py` on the fabric (sandboxes, applications) and `prober.py` (probes over real
connections); by fakes in tests. Here nothing is known of packets.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from netsim.cluster.objects import Container, Pod, Taint
from netsim.fabric.app import App


class PodRuntime(Protocol):
    """The container runtime and the CNI plug-in of all nodes."""

    def create_sandbox(self, node_name: str, pod: Pod, ip: str, *more_ips: str) -> Any:
        """RunPodSandbox and CNI ADD: the pod's network namespace exists from now on; returns its host. `more_ips` are
        its addresses in other families.

        A pod with `hostNetwork` gets a host of its own that lives in the node's namespace, and `ip` is the node's.
        """

    def remove_sandbox(self, host: Any) -> None:
        """CNI DEL and StopPodSandbox: the address leads nowhere from now on."""

    def object_gone(self, host: Any) -> None:
        """The pod's object is gone from the API server, though its processes may still run."""

    def app_factory(self, pod: Pod, container: Container, host: Any) -> App:
        """A new process for a container that is about to start; the kubelet sets `exited` and calls `start`."""


ProbeDone = Callable[[bool, str], None]
"""`done(ok, why)`: called once, at the latest when the time is up."""


class Prober(Protocol):
    """Probes and HTTP hooks, as connections from the node's own namespace."""

    def http_get(
        self, node_name: str, address: str, port: int, path: str, timeout_ns: int, done: ProbeDone
    ) -> None:
        """GET; a status from 200 to 399 within the time is success."""

    def tcp_connect(self, node_name: str, address: str, port: int, timeout_ns: int, done: ProbeDone) -> None:
        """Open and close a connection; established within the time is success."""

    def exec_command(self, app: App, command: tuple[str, ...], timeout_ns: int, done: ProbeDone) -> None:
        """Run a command in the container; exit code 0 within the time is success."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """A node as the cluster's file describes it. Addresses are text; `pod_cidr` is its range of pod addresses. In a
    dual-stack cluster it has more of both."""

    name: str
    address: str
    pod_cidr: str
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    more_addresses: tuple[str, ...] = ()
    more_pod_cidrs: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """One address per family, the primary one first."""
        return (self.address, *self.more_addresses)

    @property
    def pod_cidrs(self) -> tuple[str, ...]:
        """One range of pod addresses per family."""
        return (self.pod_cidr, *self.more_pod_cidrs)

    @property
    def is_control_plane(self) -> bool:
        """Whether the node has the control plane's label."""
        return "node-role.kubernetes.io/control-plane" in self.labels
