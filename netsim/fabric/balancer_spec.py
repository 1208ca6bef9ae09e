"""How load balancers behave, and what Services ask of them: values.

Presets are what cloud providers' controllers set by default (`PRESETS`); a topology may change each value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from netsim.engine import S
from netsim.fabric.balancer_health import HealthCheck, Target
from netsim.wire.addr import Address, Prefix
from netsim.wire.packet import Flow

Mode = Literal["passthrough", "proxy"]
ClusterTarget = Literal["healthz", "nodePort"]


@dataclass(frozen=True, slots=True)
class BalancerSpec:
    """How a balancer behaves.

    `mode`: passthrough leaves the destination as it is and lets the node answer the client directly; proxy sends to
    the node port from its own address. `idle_ns`: a flow without packets is forgotten after this time. `fail_open`:
    without any healthy node, all are used. `cluster_target`: what its controller has asked about Services with
    externalTrafficPolicy Cluster."""

    mode: Mode
    check: HealthCheck
    idle_ns: int
    fail_open: bool
    cluster_target: ClusterTarget = "healthz"


# Health checks: k8s.io/cloud-provider-gcp and ingress-gce (gceHcCheckIntervalSeconds 8 and so on),
# cloud-provider-aws aws_loadbalancer.go (classic: 10 s, 5 s, 2, 6; network: 30 s, 10 s, 3, 3), cloud-provider-azure
# (5 s, 2 probes; from recall, its time-out is the interval). Idle times (recall): Google 60 s, classic 60 s,
# network 350 s, Azure 4 min. Google and the network balancer use all nodes when
# none is healthy; the classic balancer and Azure none. The network balancer is shown without client IP preservation.
PRESETS: Final[Mapping[str, BalancerSpec]] = {
    "gce": BalancerSpec("passthrough", HealthCheck(8 * S, 1 * S, 1, 3), 60 * S, True),
    "clb": BalancerSpec("proxy", HealthCheck(10 * S, 5 * S, 2, 6), 60 * S, False, "nodePort"),
    "nlb": BalancerSpec("proxy", HealthCheck(30 * S, 10 * S, 3, 3), 350 * S, True),
    "azure": BalancerSpec("passthrough", HealthCheck(5 * S, 5 * S, 1, 2), 240 * S, False, "nodePort"),
}


class Listener(NamedTuple):
    """A port of a frontend and the node port behind it (0: none allocated)."""

    port: int
    protocol: int
    node_port: int


@dataclass(frozen=True, slots=True)
class Frontend:
    """What a Service wants of the balancer. `nodes` are names, `sources` empty means everybody."""

    name: str
    address: Address
    listeners: tuple[Listener, ...]
    nodes: tuple[str, ...]
    target: Target
    sources: tuple[Prefix, ...] = ()


class Way(NamedTuple):
    """What became of a flow: the node that it was given to, and the flow as it arrives there."""

    node: str
    flow: Flow
