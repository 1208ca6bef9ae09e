"""Faults of the way to the API server: it is down for everybody, or cut off from one node, or a cable is out.

Called by: `faults.py`. Several faults may block the same node; it is back when the last of them is over, and then not
at once, but when its clients try again (`netsim.cluster.reconnect`). Kubelet, kube-proxy and pods that watch the API
server (DNS servers, ingress controllers) are processes of their own, and each comes back at its own moment. The
controllers come back first: a new process of kube-controller-manager has to win the leader election.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netsim.cluster.reconnect import next_attempt_ns, resumed_ns
from netsim.engine import S

if TYPE_CHECKING:
    from netsim.cluster.controlplane import ControlPlane
    from netsim.engine import Call, Engine
    from netsim.workload.faults import Processes

OUTAGE: Final = "api-outage"
# component-base/config/v1alpha1/defaults.go: --leader-elect-retry-period, with client-go's JitterFactor of 1.2.
_RETRY_NS: Final = 2 * S
_JITTER: Final = 1.2


class Reach:
    """Which nodes reach the API server."""

    def __init__(self, engine: "Engine", control_plane: "ControlPlane", processes: "Processes") -> None:
        self._engine = engine
        self._control = control_plane
        self._processes = processes
        self._blocked: dict[str, dict[str, None]] = {}  # node -> the faults that block it
        self._since: dict[str, int] = {}
        self._coming: dict[str, list[Call]] = {}
        self._outages: dict[str, None] = {}
        self._down_ns = 0
        self._waiting: list[Callable[[], None]] = []

    def when_up(self, do: Callable[[], None]) -> None:
        """Do something that needs the API server: now, or when it is back (somebody repeats the command)."""
        if self._outages:
            self._waiting.append(do)
        else:
            do()

    # ------------------------------------------------------------------ one node
    def block(self, node: str, fault: str) -> None:
        """A node does not reach the API server any more."""
        reasons = self._blocked.setdefault(node, {})
        first = not reasons
        reasons[fault] = None
        if not first:
            return
        self._since[node] = self._engine.now
        for call in self._coming.pop(node, ()):
            call.cancel()
        for side in (self._control, self._processes):
            side.disconnect_node(node)

    def unblock(self, node: str, fault: str) -> None:
        """That fault is over; so is the silence, if it was the last."""
        reasons = self._blocked.get(node, {})
        if reasons.pop(fault, "absent") == "absent" or reasons:
            return
        gone_ns = self._engine.now - self._since.pop(node)
        after = next_attempt_ns if fault.startswith(OUTAGE) else resumed_ns
        random = self._engine.stream(f"reach/{node}")
        kubelet, proxy = self._control.kubelets[node], self._control.proxies[node]
        back = (kubelet.reconnect, proxy.reconnect, lambda: self._processes.reconnect_node(node))
        self._coming[node] = [self._engine.call_later(after(gone_ns, random), process) for process in back]

    # ------------------------------------------------------------------ the API server itself
    def stop_api(self, fault: str) -> None:
        """It is down."""
        if not self._outages:
            self._down_ns = self._engine.now
            self._control.stop_api()
        self._outages[fault] = None
        for node in self._control.kubelets:
            self.block(node, fault)

    def start_api(self, fault: str) -> None:
        """It is up again, unless another fault keeps it down."""
        for node in self._control.kubelets:
            self.unblock(node, fault)
        self._outages.pop(fault, None)
        if self._outages:
            return
        down_ns = self._engine.now - self._down_ns
        wait_ns = int(_RETRY_NS * self._engine.stream("reach/leader-election").uniform(1, _JITTER))
        self._engine.call_later(wait_ns, self._controllers_return, down_ns)
        waiting, self._waiting = self._waiting, []
        for do in waiting:
            do()

    def _controllers_return(self, down_ns: int) -> None:
        if not self._outages:
            self._control.start_api(down_ns)
