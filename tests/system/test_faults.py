"""Each fault does what its description says, as clients and the API server see it; the books close all the while."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from systemlab import Ask, ask, inject, ping, pods, service_ip, settled

from netsim.cluster.objects import Pod
from netsim.engine import MS
from netsim.experiment.cluster import Cluster
from netsim.wire.addr import ip
from netsim.workload.http_exchange import HttpExchange

PODS = {"run": "my-nginx"}


@pytest.fixture
def cluster() -> Cluster:
    return settled("failover", seed=3)


def _victim(cluster: Cluster) -> Pod:
    return pods(cluster, **PODS)[0]


def _latency_ms(done: HttpExchange) -> float:
    return (done.ended_ns - done.started_ns) / MS


def test_pod_kill_refuses_and_then_restarts_in_place(cluster: Cluster) -> None:
    pod = _victim(cluster)
    inject(cluster, {"at": "0s", "action": "pod-kill", "selector": {"pod": pod.metadata.name}})
    cluster.run("10ms")
    assert ask(cluster, "pod/client", pod.status.podIP).outcome == "refused"
    assert ping(cluster, "pod/client", pod.status.podIP) == "reply"
    cluster.run("15s")
    again = cluster.api.get(Pod, *pod.key)
    assert again is not None
    assert (again.status.podIP, again.metadata.uid) == (pod.status.podIP, pod.metadata.uid)
    assert again.status.containerStatuses[0].restartCount == 1
    assert ask(cluster, "pod/client", pod.status.podIP).outcome == "ok"


def test_pod_delete_replaces_name_and_address(cluster: Cluster) -> None:
    before = {pod.metadata.name: pod.status.podIP for pod in pods(cluster, **PODS)}
    pod = _victim(cluster)
    inject(
        cluster,
        {"at": "0s", "action": "pod-delete", "selector": {"pod": pod.metadata.name}, "gracePeriod": "1s"},
    )
    cluster.run("15s")
    after = {found.metadata.name: found.status.podIP for found in pods(cluster, **PODS)}
    [new] = set(after) - set(before)
    assert len(after) == 3
    assert after[new] not in before.values()
    assert cluster.api.get(Pod, *pod.key) is None
    assert ask(cluster, "pod/client", after[new]).outcome == "ok"
    assert ask(cluster, "pod/client", pod.status.podIP).outcome in ("timeout", "unreachable")


def test_pod_hang_keeps_its_sockets_and_goes_on_later(cluster: Cluster) -> None:
    pod = _victim(cluster)
    inject(cluster, {"at": "0s", "for": "5s", "action": "pod-hang", "selector": {"pod": pod.metadata.name}})
    cluster.run("10ms")
    done = ask(cluster, "pod/client", pod.status.podIP)
    assert done.outcome == "timeout"
    assert done.connected_ns
    assert ping(cluster, "pod/client", pod.status.podIP) == "reply"
    cluster.run("5s")
    assert ask(cluster, "pod/client", pod.status.podIP).outcome == "ok"


def test_node_crash_takes_its_pods_along(cluster: Cluster) -> None:
    pod = _victim(cluster)
    node = pod.spec.nodeName
    inject(cluster, {"at": "0s", "action": "node-crash", "selector": {"node": node}})
    cluster.run("10ms")
    assert ping(cluster, "pod/client", pod.status.podIP) == "silence"
    assert ask(cluster, "pod/client", pod.status.podIP).outcome == "timeout"
    # Nobody has noticed yet; then the node is not ready, and its endpoints are left out.
    assert pod.status.podIP in _rules(cluster, "clients")
    cluster.run("60s")
    assert pod.status.podIP not in _rules(cluster, "clients")
    assert {ask(cluster, "pod/client", service_ip(cluster, "my-nginx")).outcome for _ in range(10)} == {"ok"}


def _rules(cluster: Cluster, node: str) -> str:
    rules = cluster.fabric.nodes[node].ns.xtables
    assert rules is not None
    return rules.save()


@pytest.mark.parametrize("what", [{"node": "worker-1"}, {"link": "worker-1:eth0"}, {"pod": "client"}])
def test_link_down_cuts_and_plugs_in_again(cluster: Cluster, what: dict[str, str]) -> None:
    target = "172.18.0.3"
    assert ping(cluster, "pod/client", target) == "reply"
    inject(cluster, {"at": "0s", "for": "20s", "action": "link-down", "selector": what})
    cluster.run("10ms")
    assert ping(cluster, "pod/client", target) in ("silence", "EHOSTUNREACH")
    cluster.run("30s")
    assert ping(cluster, "pod/client", target) == "reply"
    assert cluster.books().closes


@pytest.mark.parametrize(("direction", "trips"), [("both", 2), ("to", 1), ("from", 1)])
def test_netem_delays_each_direction(cluster: Cluster, direction: str, trips: int) -> None:
    pod = _victim(cluster)
    one = Ask(cluster, "pod/client", pod.status.podIP)
    before = _latency_ms(one())
    fault = {"at": "0s", "for": "2s", "action": "link-netem", "delay": "30ms", "direction": direction}
    inject(cluster, {**fault, "selector": {"pod": "client"}})
    cluster.run("1ms")
    # Two round trips: the handshake, the request.
    assert _latency_ms(one()) == pytest.approx(before + 2 * trips * 30, abs=1)
    cluster.run("2s")
    assert _latency_ms(one()) == pytest.approx(before, abs=1)


def test_netem_loses_everything_at_100_percent(cluster: Cluster) -> None:
    inject(cluster, {"at": "0s", "action": "link-netem", "loss": "100%", "selector": {"pod": "client"}})
    cluster.run("1ms")
    assert ask(cluster, "pod/client", _victim(cluster).status.podIP).outcome == "timeout"
    assert cluster.books().closes


def test_kube_proxy_stop_leaves_stale_rules(cluster: Cluster) -> None:
    pod = _victim(cluster)
    inject(
        cluster,
        {"at": "0s", "for": "30s", "action": "kube-proxy-stop", "selector": {"node": "clients"}},
        {"at": "10ms", "action": "pod-delete", "selector": {"pod": pod.metadata.name}, "gracePeriod": "0s"},
    )
    cluster.run("15s")
    assert pod.status.podIP in _rules(cluster, "clients")
    assert pod.status.podIP not in _rules(cluster, "worker-1")
    one = Ask(cluster, "pod/client", service_ip(cluster, "my-nginx"), timeout_ns=200 * MS)
    assert {one().outcome for _ in range(20)} > {"ok"}
    cluster.run("20s")
    assert pod.status.podIP not in _rules(cluster, "clients")
    assert {one().outcome for _ in range(20)} == {"ok"}


# ------------------------------------------------------------------ the books
_WHERE = st.sampled_from([{"run": "my-nginx"}, {"node": "worker-*"}, {"pod": "client"}, {"node": "clients"}])
_PASSING = {
    "link-down", "link-netem", "kube-proxy-stop", "pod-hang", "api-outage", "api-cut", "partition", "scale", "cordon"
}  # fmt: skip
_PERCENT = st.sampled_from(["0%", "10%", "60%"])


@st.composite
def _faults(draw: st.DrawFn) -> dict[str, Any]:
    action = draw(
        st.sampled_from(
            [
                "pod-kill",
                "pod-delete",
                "pod-hang",
                "node-crash",
                "link-down",
                "link-netem",
                "kube-proxy-stop",
                "api-outage",
                "api-cut",
                "partition",
                "scale",
                "rollout",
                "drain",
                "cordon",
            ]
        )
    )
    fault: dict[str, Any] = {
        "at": f"{draw(st.integers(0, 4000))}ms",
        "action": action,
        "selector": draw(_WHERE),
    }
    fault["mode"] = draw(st.sampled_from(["one", "all"]))
    if action in ("scale", "rollout"):
        fault["object"] = "deployment/my-nginx"
    if action == "scale":
        fault["replicas"] = draw(st.integers(0, 6))
    if action == "partition":
        fault |= {"target": draw(_WHERE), "direction": draw(st.sampled_from(["both", "to", "from"]))}
    if action == "drain":
        fault |= {"selector": {"node": "worker-*"}, "gracePeriod": "1s", "timeout": "5s"}
    if action in _PASSING:
        fault["for"] = f"{draw(st.integers(1, 3000))}ms"
    if action == "link-netem":
        fault |= {name: draw(_PERCENT) for name in ("loss", "duplicate", "reorder", "corrupt")}
        fault |= {"delay": "3ms", "jitter": "2ms", "direction": draw(st.sampled_from(["both", "to", "from"]))}
    if action == "pod-delete":
        fault["gracePeriod"] = draw(st.sampled_from(["0s", "1s", "30s"]))
    return fault


@given(faults=st.lists(_faults(), min_size=2, max_size=5), seed=st.integers(1, 5))
@settings(max_examples=25)
def test_the_books_close_whatever_happens(faults: list[dict[str, Any]], seed: int) -> None:
    cluster = settled("failover", seed)
    recorder = inject(cluster, *faults)
    client = Ask(cluster, "pod/client", "my-nginx", keep_alive=bool(seed % 2), timeout_ns=300 * MS)
    done = []
    for step in range(120):
        if cluster.host("node/clients").alive and "default/client" in cluster.fabric.pods:
            done.append(client.begin())
        cluster.run(50 * MS + step)
        books = cluster.books()
        assert books.closes, books.line()
    cluster.run("20s")
    assert cluster.books().closes
    assert len(recorder.faults) == len(faults)
    assert all(len(answers) == 1 for answers in done)


def test_the_address_of_a_deleted_pod_is_not_given_again_at_once(cluster: Cluster) -> None:
    pod = _victim(cluster)
    inject(
        cluster, {"at": "0s", "action": "pod-delete", "selector": PODS, "mode": "all", "gracePeriod": "0s"}
    )
    cluster.run("20s")
    addresses = [ip(found.status.podIP) for found in pods(cluster, **PODS)]
    assert len(set(addresses)) == 3
    assert ip(pod.status.podIP) not in addresses
