"""Failover: stages add up to the outage, detection takes what probes and leases say, pinned connections stay pinned."""

from pathlib import Path

import pandas as pd
import pytest
from systemlab import Listener, ask, inject, loaded, pods, service_ip, settled

from netsim.engine import S
from netsim.experiment.cluster import Cluster
from netsim.fabric.host import PodHost
from netsim.kernel.conntrack import Entry
from netsim.measure.budget import STAGES
from netsim.wire.addr import ip, ip_text

LOAD = ('{name: shop, from: {run: client}, to: "http://my-nginx/", rate: 20/s, timeout: 1s}',)
# Action, duration, replications: what it takes to see the end of the outage.
CASES = {"pod-kill": ("8s", 12), "pod-hang": ("40s", 8), "node-crash": ("64s", 6), "pod-delete": ("12s", 4)}


def _outages(folder: Path, action: str) -> pd.DataFrame:
    duration, replications = CASES[action]
    faults = [f"{{at: 2s, action: {action}, selector: {{run: my-nginx}}}}"]
    spec = {"duration": duration, "seed": "21", "replications": str(replications)}
    results = loaded(folder, "failover", LOAD, faults, **spec).run(jobs=1)
    assert all(books.closes for books in results.books)
    return results.failover("my-nginx").table


@pytest.fixture(scope="module")
def outages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    return {action: _outages(tmp_path_factory.mktemp(action), action) for action in CASES}


@pytest.mark.parametrize("action", CASES)
def test_the_stages_add_up_to_the_outage_in_every_replication(
    outages: dict[str, pd.DataFrame], action: str
) -> None:
    table = outages[action]
    assert len(table) == CASES[action][1]
    stages = table[[f"{stage}_stage_ns" for stage in STAGES]]
    assert (stages >= 0).all(axis=None)
    assert (stages.sum(axis=1) == table["outage_ns"]).all()
    assert table["recovered"].all()
    over = table["last_failure_ns"].fillna(table["fault_ns"])
    assert (over - table["fault_ns"] == table["outage_ns"]).all()


# Seconds from the fault to its detection. A hung pod: three failures of a probe every 10 s with 1 s patience, and up to
# a period of phase. A killed one: the PLEG's relist every second. A dead node: leases every 10 s, a grace period of
# 50 s since Kubernetes 1.32, and the monitor's period of 5 s with what a pass takes.
DETECTION = {"pod-hang": (21.0, 31.0), "pod-kill": (0.05, 1.3), "node-crash": (40.0, 55.5)}


@pytest.mark.parametrize("action", DETECTION)
def test_detection_takes_what_probes_and_leases_say(outages: dict[str, pd.DataFrame], action: str) -> None:
    low, high = DETECTION[action]
    after = (outages[action]["detected_ns"] - outages[action]["fault_ns"]) / S
    assert after.notna().all()
    assert after.between(low, high).all(), after.tolist()
    assert after.nunique() == len(after)


def test_a_deleted_pod_hurts_hardly_anybody(outages: dict[str, pd.DataFrame]) -> None:
    """nginx closes its listeners on SIGTERM: what fails, fails until the rules change."""
    assert (outages["pod-delete"]["outage_ns"] < 2 * S).all()


# ------------------------------------------------------------------ pinned by conntrack
def _entries(cluster: Cluster, sport: int) -> list[Entry]:
    client = cluster.host("pod/client")
    assert isinstance(client, PodHost)
    table = client.node.ns.conntrack
    assert table is not None
    return [entry for entry in table.entries(cluster.engine.now) if entry.original.flow.sport == sport]


def _connect_to_the_doomed(cluster: Cluster, doomed: bytes) -> tuple[Listener, int]:
    """Connect to the Service until a connection is given to the doomed pod (its cable is cut, it never answers)."""
    client, address = cluster.host("pod/client"), ip(service_ip(cluster, "my-nginx"))
    for _ in range(64):
        listener = Listener()
        conn = client.ns.sockets.connect(address, 80, listener, cluster.engine.now)
        cluster.run("5ms")
        sport = conn.flow.sport
        if any(entry.reply.flow.src == doomed for entry in _entries(cluster, sport)):
            return listener, sport
        conn.abort(cluster.engine.now)
    raise AssertionError("64 connections and none to the third pod")


def test_a_connection_pinned_to_a_dead_pod_does_not_recover() -> None:
    cluster = settled("failover", seed=4)
    pod = pods(cluster, run="my-nginx")[0]
    doomed = ip(pod.status.podIP)
    inject(cluster, {"at": "0s", "action": "link-down", "selector": {"pod": pod.metadata.name}})
    cluster.run("1ms")
    listener, sport = _connect_to_the_doomed(cluster, doomed)
    inject(
        cluster,
        {"at": "0s", "action": "pod-delete", "selector": {"pod": pod.metadata.name}, "gracePeriod": "0s"},
    )
    capture = cluster.capture("default/client")
    cluster.run("10s")
    # The rules have changed: the endpoint is gone, and new connections succeed, all of them.
    rules = cluster.fabric.nodes["clients"].ns.xtables
    assert rules is not None
    assert pod.status.podIP not in rules.save()
    assert {ask(cluster, "pod/client", "my-nginx").outcome for _ in range(20)} == {"ok"}
    # The old one repeats its SYN, which still goes to the dead endpoint, since conntrack decides and not the rules.
    syns = [hop for hop in capture if hop.flow.sport == sport]
    assert len(syns) >= 3
    [entry] = _entries(cluster, sport)
    assert entry.reply.flow.src == doomed
    assert f"src={ip_text(doomed)}" in entry.text(cluster.engine.now)
    assert "SYN_SENT" in entry.text(cluster.engine.now)
    assert "[UNREPLIED]" in entry.text(cluster.engine.now)
    cluster.run("200s")
    assert len(listener.told) == 1
    assert listener.told[0][0] in ("ETIMEDOUT", "EHOSTUNREACH")
