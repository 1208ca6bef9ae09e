"""A cloud load balancer: addresses of Services, the nodes behind them, and which of those are healthy.

::

    client -- router -- load balancer -- node (kube-proxy's rules) -- pod

Built by `experiment/build.py`; told what to do by the service controller (`cluster/controllers/service_lb.py`). How
packets go on is in `balancer_forward.py`, the health checks are in `balancer_health.py`. A node gets new flows while
its check succeeds; flows that it has already stay with it.

Simplified: one machine does what a fleet does in a cloud; a connection is never moved or closed by the balancer.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netsim.fabric.balancer_forward import Passthrough, Proxy
from netsim.fabric.balancer_health import NodeCheck, Target
from netsim.fabric.balancer_spec import BalancerSpec, Frontend, Listener, Way
from netsim.kernel.sysctl import Sysctl
from netsim.wire.addr import Address, Prefix
from netsim.wire.packet import Flow

if TYPE_CHECKING:
    from netsim.fabric.fabric import Fabric
    from netsim.fabric.link import LinkSpec


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """A node passed or failed often enough. `first`: its first verdict."""

    node: str
    target: Target
    healthy: bool
    services: tuple[str, ...]
    first: bool


class Balancer:
    """One load balancer. `changed` are told every verdict on a node."""

    def __init__(
        self,
        fabric: "Fabric",
        name: str,
        address: Address,
        vips: Prefix,
        spec: BalancerSpec,
        link: "LinkSpec | None" = None,
    ) -> None:
        proxy = spec.mode == "proxy"
        sysctl = Sysctl(ip_forward=proxy, nf_conntrack_tcp_timeout_established_ns=spec.idle_ns)
        self.name = name
        self.spec = spec
        self.host = fabric.add_balancer(name, address, vips, sysctl, link)
        self.changed: list[Callable[[HealthChanged], None]] = []
        self._fabric = fabric
        self._frontends: dict[str, Frontend] = {}
        self._places: dict[tuple[Address, int, int], tuple[Frontend, Listener]] = {}
        self._checks: dict[tuple[str, Target], NodeCheck] = {}
        random = self.host.engine.stream(f"balancer/{name}")
        self._random = random
        self._seed = random.getrandbits(64).to_bytes(8)
        self._forwarding = (Proxy if proxy else Passthrough)(self)

    # ------------------------------------------------------------------ what the controller asks for
    def ensure(self, frontend: Frontend) -> None:
        """Make a frontend, or make it as it should be."""
        self._frontends[frontend.name] = frontend
        self._arrange()

    def delete(self, name: str) -> None:
        """Remove a frontend; harmless when there is none."""
        if self._frontends.pop(name, None) is not None:
            self._arrange()

    def _arrange(self) -> None:
        self._places = {
            (frontend.address, listener.port, listener.protocol): (frontend, listener)
            for frontend in self._frontends.values()
            for listener in frontend.listeners
        }
        wanted = dict.fromkeys(
            (node, frontend.target) for frontend in self._frontends.values() for node in frontend.nodes
        )
        for key in [key for key in self._checks if key not in wanted]:
            self._checks.pop(key).stop(self.host.now)
        for node, target in wanted:
            if (node, target) not in self._checks:
                self._checks[node, target] = self._check(node, target)

    def _check(self, node: str, target: Target) -> NodeCheck:
        def told(healthy: bool, first: bool) -> None:
            services = tuple(f.name for f in self._frontends.values() if f.target == target)
            change = HealthChanged(node, target, healthy, services, first)
            for listener in self.changed:
                listener(change)

        address = self._fabric.nodes[node].address
        phase = round(self._random.random() * self.spec.check.interval_ns)
        return NodeCheck(self.host, address, target, self.spec.check, phase, told)

    # ------------------------------------------------------------------ what packets ask
    def listener(self, flow: Flow) -> tuple[Frontend, Listener] | None:
        """The frontend that a flow is for."""
        return self._places.get((flow.dst, flow.dport, flow.proto))

    def choose(self, frontend: Frontend, flow: Flow) -> str | None:
        """The node for a new flow, by a hash of its five parts: rendezvous hashing, so that a node that goes or comes
        moves no other flow (Maglev and the hash tables of other balancers aim at the same)."""
        nodes = self.healthy(frontend)
        if not nodes and self.spec.fail_open:
            nodes = list(frontend.nodes)
        key = self._seed + b"".join(
            (flow.src, flow.dst, flow.sport.to_bytes(2), flow.dport.to_bytes(2), flow.proto.to_bytes(1))
        )
        return max(nodes, key=lambda node: _weight(key, node), default=None)

    def healthy(self, frontend: Frontend) -> list[str]:
        """The nodes whose checks succeed."""
        return [node for node in frontend.nodes if self._checks[node, frontend.target].healthy]

    def node_address(self, node: str) -> Address:
        """Where a node is."""
        return self._fabric.nodes[node].address

    def node_mac(self, node: str) -> bytes:
        """The node's network card."""
        return self._fabric.nodes[node].ns.devices["eth0"].mac

    def node_at(self, address: Address) -> str:
        """The node with an address; "" for none."""
        return next((n for n, host in self._fabric.nodes.items() if host.address == address), "")

    # ------------------------------------------------------------------ questions from outside
    def frontends(self) -> Iterable[Frontend]:
        """All frontends."""
        return self._frontends.values()

    def way(self, flow: Flow) -> Way | None:
        """What became of a client's flow; None if it was never given to a node, or is forgotten."""
        return self._forwarding.way(flow)

    def waiting(self) -> list[str]:
        """The nodes without any verdict yet, in words."""
        return [
            f"{self.name} has not checked {node} yet"
            for (node, _), check in self._checks.items()
            if check.healthy is None
        ]


def _weight(key: bytes, node: str) -> bytes:
    return hashlib.blake2b(key + node.encode(), digest_size=8).digest()
