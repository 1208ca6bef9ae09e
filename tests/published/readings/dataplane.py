"""What packets pay: V30, V32, V33, V38."""

from published.readings.nodes import first_packets, percentile
from published.runs import mean, run


def v30() -> dict[str, float]:
    """Percentiles of the first packet's time in the node, us. Services are drawn by lot: U(0, n) in the chain."""
    found = {}
    for mode, sizes in (("iptables", (5000, 10_000)), ("nftables", (5000,))):
        for size in sizes:
            for percent in (50, 90, 99):
                found[f"{mode} {size}, p{percent}"] = percentile(mode, size, percent)
    return found


def v32() -> dict[str, float]:
    """Time in the kernel for a new connection, iptables over ipvs, with 10,000 Services."""
    return {"iptables / ipvs": mean(first_packets("iptables", 10_000)) / mean(first_packets("ipvs", 10_000))}


def v33() -> dict[str, float]:
    """Medians of transactions, us: RR on a kept connection, CRR with a connection each, without the name's look-up."""
    requests = run("v33")[""].requests
    answered = requests[requests["outcome"] == "ok"]
    kept = answered[answered["reused"]].groupby("load")["latency_ns"].median() / 1000
    bare = answered["latency_ns"] - answered["resolve_ns"].fillna(0)
    new = bare[~answered["reused"]].groupby(answered["load"]).median() / 1000
    return {
        "RR, nodes": float(kept["rr-nodes"]),
        "RR, pods": float(kept["rr-pods"]),
        "CRR, nodes": float(new["crr-nodes"]),
        "CRR, what pods add": float(new["crr-pods"] - new["crr-nodes"]),
    }


def v36() -> dict[str, float]:
    """How fast a pod sends 2 MB by its Service, in terms of how fast it sends them directly."""
    found = {}
    for name, results in run("v36").items():
        answered = results.requests[results.requests["outcome"] == "ok"].set_index("load")
        took = answered["latency_ns"] - answered["resolve_ns"].fillna(0)
        found[f"Service / pod, {name}"] = float(took["direct"]) / float(took["by-service"])
    return found


def v38() -> dict[str, float]:
    """By how much ipvs is faster than iptables at the median first packet (negative: slower), us."""
    return {
        f"{size} services": percentile("iptables", size, 50) - percentile("ipvs", size, 50)
        for size in (100, 500, 1000, 2000, 5000)
    }
