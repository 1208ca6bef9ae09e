"""Probes over real connections, from the node's own namespace (`netsim.cluster.runtime.Prober`)."""

from typing import TYPE_CHECKING, Any

from netsim.cluster.runtime import ProbeDone
from netsim.engine import MS
from netsim.fabric.http import ProbeResult, http_get, tcp_check
from netsim.fabric.http_messages import Messages
from netsim.wire.addr import ip

if TYPE_CHECKING:
    from netsim.fabric.app import App
    from netsim.fabric.fabric import Fabric

# Starting a process in a container takes runc some tens of milliseconds; ours to choose.
EXEC_NS = 50 * MS


class HostProber:
    """Asks from `fabric.nodes[node_name]`."""

    def __init__(self, fabric: "Fabric") -> None:
        self._fabric = fabric
        self._messages = Messages()

    def http_get(
        self, node_name: str, address: str, port: int, path: str, timeout_ns: int, done: ProbeDone
    ) -> None:
        """GET; a status from 200 to 399 within the time is success."""
        host = self._fabric.nodes[node_name]
        http_get(
            host, ip(address), port, path, timeout_ns, _teller(done), messages=self._messages, owner=self
        )

    def tcp_connect(self, node_name: str, address: str, port: int, timeout_ns: int, done: ProbeDone) -> None:
        """Open and close a connection; established within the time is success."""
        tcp_check(self._fabric.nodes[node_name], ip(address), port, timeout_ns, _teller(done), owner=self)

    def exec_command(self, app: "App", command: tuple[str, ...], timeout_ns: int, done: ProbeDone) -> None:
        """The command runs beside the application: it succeeds while the application is not hung."""
        engine = next(iter(self._fabric.nodes.values())).engine
        hung = bool(getattr(app, "hung", False))
        engine.call_later(
            timeout_ns if hung else min(EXEC_NS, timeout_ns), done, not hung, "hung" if hung else ""
        )


def _teller(done: ProbeDone) -> Any:
    def tell(result: ProbeResult, _now: int) -> None:
        done(result.ok, result.text)

    return tell
