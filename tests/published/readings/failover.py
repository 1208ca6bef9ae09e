"""Dead processes and dead nodes: V01, V03, V04, V06, V11, V15, V16, from the events and requests of experiments.

Simplified, against the measurements: machines are switched off, not shut down; where a table gives a mean, so do we.
"""

import statistics

from published.readings.sandbox import sandbox_killed
from published.runs import Happening, first, mean, replications, run

from netsim.engine import S


def _ready_again(happenings: list[Happening], since: float = 0.0) -> float:
    """When the first pod that was created after the fault is ready."""
    new = first(happenings, "PodCreated", since).name
    return next(h.at for h in happenings if h.reason == "PodReady" and h.name == new)


def v01() -> dict[str, float]:
    """Reaction: what the control plane notices first. Outage: what the client of the streaming server sees."""
    outages = {name: results.failover("vlc").table for name, results in run("v01").items()}
    found = {}
    for name, table in outages.items():
        found[f"{name}, reaction"] = float((table["detected_ns"] - table["fault_ns"]).mean()) / S
        found[f"{name}, outage"] = float(table["outage_ns"].mean()) / S
    found["pause, reaction"], found["pause, outage"] = sandbox_killed()
    return found


def v03() -> dict[str, float]:
    """When another node has a ready endpoint."""
    return {name: mean(map(_ready_again, replications(results))) for name, results in run("v03").items()}


def v04() -> dict[str, float]:
    """When the dead node's endpoint leaves the EndpointSlice."""
    found = {}
    for name, results in run("v04").items():
        times = []
        for happenings in replications(results):
            dead = happenings[0].detail["addresses"].split(",")
            removals = [
                h for h in happenings if h.reason == "EndpointSliceUpdated" and h.detail["removed"] in dead
            ]
            times.append(removals[0].at)
        found[f"{name}, earliest"], found[f"{name}, latest"] = min(times), max(times)
    return found


def v06() -> dict[str, float]:
    """A node's end to NotReady, and to the eviction of its pod with a toleration of 30 s (fast) or 60 s."""
    found = {}
    for name, results in run("v06").items():
        pods = "thirty" if name == "fast" else "sixty"
        down, evicted = [], []
        for happenings in replications(results):
            down.append(first(happenings, "NodeNotReady").at)
            gone = [h.at for h in happenings if h.reason == "PodEvicted" and h.name.startswith(pods)]
            evicted += gone[:1]
        found[f"{name}, node down"], found[f"{name}, evicted"] = mean(down), mean(evicted)
    return found


def v11() -> dict[str, float]:
    """From a pod's creation to the rules of all five nodes."""
    times = []
    for happenings in replications(run("v11")[""]):
        created = first(happenings, "PodCreated")
        added = next(h.at for h in happenings if h.reason == "EndpointSliceUpdated" and h.detail["added"])
        synced: dict[str, float] = {}
        for h in happenings:
            if h.reason == "RulesSynced" and h.at > added and "my-nginx" in h.detail["services"]:
                synced.setdefault(h.node, h.at)
        times.append(max(synced.values()) - created.at)
    return {"shortest": min(times), "longest": max(times), "median": statistics.median(times)}


def v15() -> dict[str, float]:
    """The share of failed requests between the node's end and the experiment's, before anybody has noticed."""
    requests = run("v15")[""].requests
    during = requests[(requests["t_ns"] >= 1 * S) & (requests["outcome"] != "aborted")]
    failed = during["outcome"] != "ok"
    return {str(name): float(share) for name, share in failed.groupby(during["load"]).mean().items()}


def v16() -> dict[str, float]:
    """From the node's end to the replacement's readiness."""
    return {"total": mean(map(_ready_again, replications(run("v16")[""])))}
