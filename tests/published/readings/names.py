"""Who gets the load, and what names cost: V41, V42, V50."""

from dataclasses import replace

from clusterlab import deployment, make_world, node_configs, service
from published.runs import run

from netsim.cluster.objects import EndpointSlice, evolve
from netsim.engine import S

_PODS = {"node1": "web-a", "node2": "web-b", "node3": "web-c"}


def v41() -> dict[str, float]:
    """The share of each pod, averaged over the pods of a node."""
    requests = run("v41")[""].requests
    found = {}
    for policy in ("cluster", "local"):
        mine = requests[(requests["load"] == policy) & (requests["outcome"] == "ok")]
        for node, prefix in _PODS.items():
            here = mine[mine["pod"].str.startswith(f"default/{prefix}-")]
            found[f"{policy}, {node}"] = len(here) / len(mine) / here["pod"].nunique()
    return found


def v50() -> dict[str, float]:
    """What a look-up takes, and what it adds to a normal one."""
    requests = run("v50")[""].requests.set_index("load")
    normal = float(requests.loc["normal", "latency_ns"].median()) / S
    one = float(requests.loc["one-lost", "latency_ns"]) / S
    two = float(requests.loc["two-lost", "latency_ns"]) / S
    return {
        "one query lost": one,
        "added by the second loss": two - one,
        "added by the first loss": one - normal,
    }


def v42() -> dict[str, float]:
    """How many endpoints have hints, by endpoints and zones; each zone has one node."""
    return {
        f"{endpoints} endpoints, {zones} zones": _with_hints(endpoints, zones)
        for endpoints, zones in ((4, 3), (3, 3), (4, 2), (2, 3))
    }


def _with_hints(endpoints: int, zones: int) -> float:
    nodes = [
        replace(node, labels={"topology.kubernetes.io/zone": f"zone-{number}"}) if number else node
        for number, node in enumerate(node_configs(zones))
    ]
    world = make_world(nodes=nodes)
    asking = service()
    notes = {"service.kubernetes.io/topology-mode": "Auto"}
    world.boot([deployment(replicas=endpoints), evolve(asking, {"metadata.annotations": notes})])
    slices = [item for item in world.api.list(EndpointSlice) if item.service_name == "web"]
    return sum(endpoint.hints is not None for item in slices for endpoint in item.endpoints)
