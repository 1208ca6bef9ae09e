"""What writing rules takes: V20, V22, V23, V24, V25."""

import random
import statistics
from typing import Any

from clusterlab import World, container, deployment, make_world, service
from published.readings.nodes import node

from netsim.cluster.objects import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    evolve,
)
from netsim.cluster.timing import Timing
from netsim.dataplane.iptables_config import SMALL_NODES_OF_2019, SyncCost
from netsim.dataplane.ipvs_config import IpvsSyncCost
from netsim.dataplane.nftables_config import SyncCost as NftSyncCost
from netsim.engine import MS, S

# kubernetes issue 96018, a cluster of 5,000 nodes: what a full restore writes.
LINES_OF_5000_NODES = 695_992
# V20's job changes Services all the time; what one partial sync writes of them is not said. Few, beside all.
_LINES_OF_A_CHANGE = 1000
_CHANGES_PER_S = 5


# ------------------------------------------------------------------ V20
def _slice(number: int) -> EndpointSlice:
    """A hand-written slice of the Service `busy`."""
    return EndpointSlice(
        metadata=ObjectMeta(
            name="busy-1", namespace="default", labels={"kubernetes.io/service-name": "busy"}
        ),
        addressType="IPv4",
        ports=(EndpointPort(name="", port=80),),
        endpoints=(
            Endpoint(addresses=(f"10.250.{number % 2}.1",), conditions=EndpointConditions(ready=True)),
        ),
    )


def _programming_latencies(min_sync_s: int, cost_ns: int) -> list[float]:
    """Seconds from each change of an EndpointSlice to the end of the sync that has it, on one node, under churn."""
    timing = Timing.for_version("1.26", {"iptables.minSyncPeriod": f"{min_sync_s}s"})
    world = make_world(1, 1, timing, cost_ns=cost_ns)
    spec = ServiceSpec(ports=(ServicePort(port=80),))
    world.boot(
        [Service(metadata=ObjectMeta(name="busy", namespace="default"), spec=spec), _slice(0)], 300 * S
    )
    world.run(60 * S)
    changes: list[int] = []
    rng = random.Random(1)
    for _ in range(300 * _CHANGES_PER_S):
        world.run(max(1, int(rng.expovariate(_CHANGES_PER_S) * S)))
        changes.append(world.engine.now)
        endpoints = _slice(len(changes)).endpoints
        world.api.patch(
            EndpointSlice, "default", "busy-1", lambda old, new=endpoints: evolve(old, {"endpoints": new})
        )
    world.run(120 * S)
    return _served(world, changes)


def _served(world: World, changes: list[int]) -> list[float]:
    """When each change was in the rules: by the first sync that began after it was seen. Changes that were seen in
    one go are served alike, so it is enough to know when syncs began and ended."""
    syncs = [
        (int(event.detail["started_ns"]), event.at_ns)
        for event in world.recorded.of("RulesSynced")
        if event.node == "worker-1" and event.detail["services"]
    ]
    seen = [e.at_ns for e in world.recorded.of("EndpointSliceSeen", changes[0]) if e.node == "worker-1"]
    found = []
    for changed in changes:
        heard = next((at for at in seen if at > changed), None)
        end = next((end for begin, end in syncs if heard is not None and begin >= heard), None)
        if end is not None:
            found.append((end - changed) / S)
    return found


def v20() -> dict[str, float]:
    """Medians."""
    cost = SyncCost()
    full = cost.full(LINES_OF_5000_NODES, 0)
    partial = cost.partial(_LINES_OF_A_CHANGE, LINES_OF_5000_NODES)
    return {
        "full, min-sync 10 s": statistics.median(_programming_latencies(10, full)),
        "partial, min-sync 10 s": statistics.median(_programming_latencies(10, partial)),
        "partial, min-sync 1 s": statistics.median(_programming_latencies(1, partial)),
    }


# ------------------------------------------------------------------ V22, V23, V24
def v22() -> dict[str, float]:
    """Milliseconds to add a Service in ipvs mode, by the number of Services."""
    found = {f"ipvs, {size}": node("ipvs", size).change.cost_ns / MS for size in (1, 5000)}
    return found | {"ipvs, 20000": IpvsSyncCost().sync(1, 20_000) / MS}  # writing so many takes us long


def v23() -> dict[str, float]:
    """Milliseconds to add a Service: kube-proxy of 2019 wrote everything in iptables mode."""
    found = {}
    for size in (1, 100, 500, 1000, 1500, 2000, 5000, 10_000):
        lines = node("iptables", size).first.lines_written
        found[f"iptables, {size}"] = SMALL_NODES_OF_2019.full(lines, size) / MS
        found[f"ipvs, {size}"] = node("ipvs", size).change.cost_ns / MS
    return found


def v24() -> dict[str, float]:
    """Seconds of a sync by `nftables_config.SyncCost`, chains as the dataplane writes them: one for each Service and
    one for each endpoint. Nothing is written here: 250,000 endpoints would take minutes."""
    usual, slow = NftSyncCost.for_minor(34), NftSyncCost.for_minor(36)
    small, large, wide = 10_000 + 20_000, 44_125 + 44_152, 5_006 + 250_011
    return {
        "10,000 x 2, one added, full": usual.full(small) / S,
        "10,000 x 2, one added, partial": usual.partial(20, small) / S,
        "44,125 x 1, full": slow.full(large) / S,
        "44,125 x 1, partial, 1.36": slow.partial(20, large) / S,
        "44,125 x 1, partial, no listing": usual.partial(20, large) / S,
        "5,006 x 50, full": usual.full(wide) / S,
    }


# ------------------------------------------------------------------ V25
def _created(endpoints: int) -> float:
    """Milliseconds from `kubectl create` of Deployment and Service to rules for all endpoints, on a single node."""
    world = make_world(1, 1, Timing.for_version("1.18"))
    world.boot()
    world.run(30 * S)
    begin = world.engine.now
    world.plane.apply([deployment(replicas=endpoints, pod=_plain()), service()])
    world.settle(300 * S)
    last = world.recorded.of("RulesSynced", begin)[-1]
    return (last.at_ns - begin) / MS


def _plain() -> dict[str, Any]:
    return {"containers": (container(),)}


def v25() -> dict[str, float]:
    """Milliseconds."""
    return {f"create, {endpoints}": _created(endpoints) for endpoints in (10, 50, 100)}
