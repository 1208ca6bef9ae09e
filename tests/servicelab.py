"""A bench for Services end to end: small clusters from YAML, one per proxy mode, and requests with what became of them.

`MODES` are the proxy modes that every test of Services runs in; a further one is a further name. Where the modes really
differ, the test says so with `differs`, next to upstream's reason.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from systemlab import wait

from netsim.engine import MS, S
from netsim.experiment.backends import Backends
from netsim.experiment.cluster import Cluster
from netsim.experiment.spec_select import parse_url
from netsim.kernel.journey import Step
from netsim.wire.addr import ip_text
from netsim.workload.clients import make_client
from netsim.workload.http_client import ClientSpec
from netsim.workload.load import Backend

MODES = ("iptables", "nftables", "ipvs")


def differs(otherwise: str, **modes: str) -> dict[str, str]:
    """What is expected by mode: `otherwise`, but for the modes that are named."""
    assert set(modes) <= set(MODES)
    return {mode: modes.get(mode, otherwise) for mode in MODES}


def expected(mode: str, outcome: str | dict[str, str]) -> str:
    """What a test's table says for a mode."""
    return outcome if isinstance(outcome, str) else outcome[mode]


# Node ports on 127.0.0.1 need route_localnet, which only the iptables mode sets (KEP-3866, "NodePort behaviour":
# "nftables mode will not support localhost NodePorts"); in ipvs mode the kernel refuses to send 127.0.0.1 to
# other hosts, and NewProxier says "--nodeport-addresses includes localhost but localhost NodePorts are not
# supported" (pkg/proxy/ipvs).
LOCALHOST_NODE_PORT = differs("refused", iptables="ok")
# An address of a Service, a port that it does not have. iptables: no rule, and the packet goes on to where no
# route leads. nftables: the chain cluster-ips-check rejects (KEP-3866). ipvs: the address is the node's own, and
# KUBE-IPVS-FILTER rejects.
NO_SUCH_PORT = differs("refused", iptables="timeout")

CLUSTER = """\
apiVersion: netsim/v1
kind: Cluster
metadata: {{name: services}}
spec:
  networking: {{kubeProxyMode: {mode}}}
  nodes:
  - role: control-plane
  - {{name: n1, labels: {{topology.kubernetes.io/zone: a}}}}
  - {{name: n2, labels: {{topology.kubernetes.io/zone: a}}}}
  - {{name: n3, labels: {{topology.kubernetes.io/zone: b}}}}
  external:
  - {{name: laptop, address: 192.0.2.10}}
{more}
"""


def pod(name: str, node: str, labels: str = "app: web", container: str = "", **meta: str) -> str:
    """A pod on a node, nginx unless a container is given as a YAML flow mapping."""
    container = container or "{name: web, image: nginx, ports: [{containerPort: 80, name: http}]}"
    extra = "".join(f", {key}: {value}" for key, value in meta.items())
    return f"""\
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{{labels}}}{extra}}}
spec: {{nodeName: {node}, containers: [{container}]}}
"""


def service(name: str, spec: str, selector: str = "app: web") -> str:
    """A Service; `spec` is the inside of a YAML flow mapping."""
    chosen = f"selector: {{{selector}}}, " if selector else ""
    return f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{{chosen}{spec}}}\n"


def settled(folder: Path, mode: str, objects: str, more: str = "", seed: int = 1) -> "Asker":
    """A settled cluster of three workers with these objects; `more` are further lines of its spec."""
    path = folder / "topology.yaml"
    path.write_text(CLUSTER.format(mode=mode, more=more) + objects, encoding="utf-8")
    cluster = Cluster(path, seed)
    cluster.settle()
    return Asker(cluster)


@dataclass(frozen=True)
class Asked:
    """A request: how it ended, and what the measurement says became of it."""

    outcome: str
    error: str
    latency_ns: int
    backend: Backend

    @property
    def pod(self) -> str:
        """The pod that was chosen, without its namespace."""
        return self.backend.pod.rpartition("/")[2]


class Asker:
    """Asks in a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.backends = Backends(cluster)
        self.mode = cluster.spec.networking.kubeProxyMode

    def __call__(self, source: str, url: str, timeout_ns: int = 1 * S) -> Asked:
        """One request over a connection (or socket) of its own."""
        host, target = self.cluster.host(source), parse_url(url)
        spec = ClientSpec(target.host, target.port, target.path, timeout_ns=timeout_ns, family="ipv4")
        client = make_client(target.scheme, host, spec, self.cluster.resolver_of(host))
        done: list[Any] = []
        client.exchange(lambda exchange, _now: done.append(exchange)).begin(self.cluster.engine.now)
        wait(self.cluster, done, timeout_ns + 10 * MS)
        (e,) = done
        backend = self.backends.where(host, target.host, e.flow)
        return Asked(e.outcome, e.error, e.ended_ns - e.started_ns, backend)

    def pods(self, source: str, url: str, times: int) -> list[str]:
        """The pods that so many requests in a row were given to; all of them must succeed."""
        found = []
        for _ in range(times):
            asked = self(source, url)
            assert asked.outcome == "ok", asked
            found.append(asked.pod)
        return found

    def sources_seen(self, source: str, url: str, at: str) -> set[str]:
        """The source addresses of TCP SYNs that arrive at a pod while one request is made: the packets' own word."""
        seen: set[str] = set()
        host = self.cluster.host(at)

        def step(s: Step) -> None:
            if s.namespace == host.name and s.kind == "deliver" and "S seq" in s.detail:
                seen.add(ip_text(s.flow.src))

        stop = self.cluster.follow(step)
        assert self(source, url).outcome == "ok"
        stop()
        return seen

    def run(self, duration: str) -> None:
        """Let time pass."""
        self.cluster.run(duration)


def address(asker: Asker, name: str) -> str:
    """The address of a host or pod."""
    return ip_text(asker.cluster.host(name).address)


per_mode = pytest.mark.parametrize("mode", MODES)
