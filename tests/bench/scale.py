"""One node's kube-proxy with 10,000 Services and 100,000 endpoints: the first sync, then changes of one Service.

`python tests/bench/scale.py MODE` runs in a process of its own, so that its peak memory is its own, and prints JSON:
wall time in bare SimPy events' worth, measured before and after in the same process, and MiB beyond what the process
had before. `bench.py` calls it for every mode. Not in the time: making the table of Services (the API server's part).
"""

import gc
import json
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from anchor import bare_simpy

from netsim.cni.flat import FlatCni
from netsim.dataplane.iptables import IptablesDataplane
from netsim.dataplane.ipvs import IpvsDataplane
from netsim.dataplane.nftables import NftablesDataplane
from netsim.dataplane.node_view import LocalDetector, NodeView
from netsim.dataplane.service_table import (
    Endpoint,
    ServicePort,
    ServicePortName,
    ServiceTable,
    order_endpoints,
)
from netsim.engine import Engine
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.wire.addr import Prefix, ip

SERVICES, ENDPOINTS, CHANGES = 10_000, 10, 20
PODS = Prefix.parse("10.0.0.0/8")
DATAPLANES: dict[str, Callable[[], Any]] = {
    "iptables": IptablesDataplane,
    "nftables": NftablesDataplane,
    "ipvs": IpvsDataplane,
}


def service(number: int, endpoints: int = ENDPOINTS) -> ServicePort:
    """A Service with one port and its endpoints."""
    first = number * ENDPOINTS
    found = [
        Endpoint(bytes((10, i >> 16 & 255, i >> 8 & 255, i & 255)), 8080)
        for i in range(first, first + endpoints)
    ]
    vip = bytes((172, 16 + (number >> 16), number >> 8 & 255, number & 255))
    name = ServicePortName(f"ns-{number % 100}", f"svc-{number}", "http")
    return ServicePort(name, vip, 80, endpoints=order_endpoints(found))


def peak_mib() -> float:
    """The largest resident size that this program has had; to ru_maxrss Linux adds that of the parent at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        kib = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="ascii"), re.MULTILINE)
        assert kib is not None
        return int(kib[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(action: Callable[[], object]) -> float:
    """Seconds."""
    gc.collect()
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main(mode: str) -> None:
    """Measure one mode."""
    fabric = Fabric(Engine(1), FabricConfig(), FlatCni())
    node = fabric.add_node("node", ip("172.18.0.2"), Prefix.parse("10.244.1.0/24"))
    view = NodeView("node", node.address, (node.address,), local_detector=LocalDetector(prefix=PODS))
    proxier = DATAPLANES[mode]().on_node(view)
    table = ServiceTable([service(number) for number in range(SERVICES)])
    had = peak_mib()
    anchors = [bare_simpy()]
    first = timed(lambda: proxier.sync(node.ns, None, table))
    later = []
    for number in range(CHANGES):
        changed = service(number * (SERVICES // CHANGES), ENDPOINTS - 1)
        old, table = table, table.with_changes({changed.name: replace(changed)})
        later.append(timed(lambda old=old, table=table: proxier.sync(node.ns, old, table)))
    anchors.append(bare_simpy())
    rate = sum(events for events, _ in anchors) / sum(seconds for _, seconds in anchors)
    found = {
        "first_sync_simpy_events": round(first * rate),
        "change_sync_simpy_events": round(statistics.median(later) * rate),
        "first_sync_mib": round(peak_mib() - had),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
