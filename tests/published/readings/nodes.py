"""One node with kube-proxy's rules for many Services, in each mode, and first packets to them.

Called by: `control.py` (what a sync takes) and `dataplane.py` (what a packet takes). Nodes are made once per mode and
size and kept, since writing 30,000 Services takes seconds. Every Service has one endpoint, on another node.
"""

import random
from functools import cache
from typing import Any, Final, NamedTuple

from netlab import Bench, tcp

from netsim.dataplane.base import SyncReport
from netsim.dataplane.iptables import IptablesDataplane
from netsim.dataplane.ipvs import IpvsDataplane
from netsim.dataplane.nftables import NftablesDataplane
from netsim.dataplane.node_view import LocalDetector, NodeView
from netsim.dataplane.service_table import Endpoint, ServicePort, ServicePortName, ServiceTable
from netsim.kernel.cost import LinuxCost
from netsim.kernel.routing import Route
from netsim.wire.addr import Prefix, ip, ip_text

NODE: Final = NodeView(
    "node-1",
    ip("10.1.0.1"),
    (ip("10.1.0.1"), ip("10.2.0.1")),
    local_detector=LocalDetector(prefix=Prefix.parse("10.1.0.4/30")),
)
DATAPLANES: Final[dict[str, Any]] = {
    "iptables": IptablesDataplane,
    "nftables": NftablesDataplane,
    "ipvs": IpvsDataplane,
}
_CLIENT: Final = "10.1.0.5"
_SERVER: Final = (Endpoint(ip("10.2.0.20"), 8080, "node-2"),)


class Node(NamedTuple):
    """A node as it stands, and what writing its rules took: all of them, and one Service more."""

    bench: Bench
    services: int
    first: SyncReport
    change: SyncReport


def _address(number: int) -> bytes:
    return bytes((10, 96 + (number >> 16), number >> 8 & 255, number & 255))


def _service(number: int) -> ServicePort:
    name = ServicePortName(f"ns-{number % 100}", f"svc-{number}", "")
    return ServicePort(name, _address(number), 80, endpoints=_SERVER)


@cache
def node(mode: str, services: int) -> Node:
    """A node with this many Services, the last of them added to the others."""
    bench = Bench()
    bench.ns.add_route(Route(Prefix.parse("0.0.0.0/0"), bench.right.device, ip("10.2.0.254")))
    proxier = DATAPLANES[mode]().on_node(NODE)
    before = ServiceTable([_service(number) for number in range(services - 1)])
    first = proxier.sync(bench.ns, None, before)
    added = _service(services - 1)
    change = proxier.sync(bench.ns, before, before.with_changes({added.name: added}))
    bench.ns.cost = LinuxCost()
    return Node(bench, services, first, change)


@cache
def first_packets(mode: str, services: int, packets: int = 400) -> tuple[float, ...]:
    """How long the node has the first packets of connections to Services drawn by lot, us, sorted."""
    made, rng = node(mode, services), random.Random(1)
    left, right = made.bench.left, made.bench.right
    times = []
    for number in range(packets):
        to = ip_text(_address(rng.randrange(services)))
        left.arrive(tcp(_CLIENT, 20_000 + number, to, 80, "S"))
        started_ns, _ = right.sent[-1]
        times.append(started_ns / 1000)
    assert len(right.sent) == packets
    return tuple(sorted(times))


def percentile(mode: str, services: int, percent: float) -> float:
    """One of these times."""
    times = first_packets(mode, services)
    return times[min(len(times) - 1, int(len(times) * percent / 100))]
