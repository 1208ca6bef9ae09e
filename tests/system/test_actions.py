"""What people do to a cluster, and what happens to its control plane, as API server, rules and clients see it."""

from typing import Any

import pytest
from systemlab import Ask, ask, inject, ping, pods, service_ip, settled

from netsim.cluster.objects import ApiObject, Deployment, Node, Pod, PodDisruptionBudget
from netsim.engine import MS, S
from netsim.experiment.cluster import Cluster
from netsim.experiment.loader_manifests import manifest_object
from netsim.kernel.hooks import DropReason

WEB = {"run": "my-nginx"}
NAME = "deployment/my-nginx"


@pytest.fixture
def cluster() -> Cluster:
    return settled("failover", seed=3)


def _rules(cluster: Cluster, node: str) -> str:
    rules = cluster.fabric.nodes[node].ns.xtables
    assert rules is not None
    return rules.save()


def _status(cluster: Cluster, node: str) -> str:
    found = cluster.api.get(Node, "", node)
    ready = found.status.condition("Ready") if found else None
    assert ready is not None
    return ready.status


def _apply(cluster: Cluster, *manifests: dict[str, Any]) -> None:
    cluster.control_plane.apply([manifest_object(manifest) for manifest in manifests])


def _deployment(cluster: Cluster, **spec: Any) -> None:
    """Change fields of the Deployment's spec."""
    found: ApiObject | None = cluster.api.get(Deployment, "default", "my-nginx")
    assert isinstance(found, Deployment)
    raw = found.model_dump(mode="json")
    raw["spec"] |= spec
    cluster.api.update(Deployment.model_validate(raw))


# ------------------------------------------------------------------ workloads
def test_scale_up_and_back_again(cluster: Cluster) -> None:
    before = {pod.metadata.name for pod in pods(cluster, **WEB)}
    inject(cluster, {"at": "1s", "for": "20s", "action": "scale", "object": NAME, "replicas": 5})
    cluster.run("15s")
    now = pods(cluster, **WEB)
    assert len(now) == 5
    assert all(pod.status.is_ready for pod in now)
    assert all(pod.status.podIP in _rules(cluster, "clients") for pod in now)
    cluster.run("10s")
    assert {pod.metadata.name for pod in pods(cluster, **WEB)} == before  # the younger ones go


def test_scale_down_names_the_pods_that_go(cluster: Cluster) -> None:
    recorder = inject(cluster, {"at": "0s", "action": "scale", "object": NAME, "replicas": 1})
    cluster.run("2s")
    left = {"/".join(pod.key) for pod in pods(cluster, **WEB)}
    [fault] = recorder.faults
    assert len(fault.pods) == 2
    assert not left & set(fault.pods)
    assert fault.objects == (NAME,)
    assert fault.services == ("default/my-nginx",)


@pytest.mark.parametrize(("image", "expected"), [("", "nginx"), ("nginx:1.27", "nginx:1.27")])
def test_a_rollout_replaces_every_pod_within_the_limits(cluster: Cluster, image: str, expected: str) -> None:
    old = {pod.metadata.uid for pod in pods(cluster, **WEB)}
    action = {"at": "0s", "action": "rollout", "object": NAME, **({"image": image} if image else {})}
    inject(cluster, action)
    for _ in range(120):
        cluster.run("500ms")
        present = [pod for pod in cluster.api.list(Pod) if pod.metadata.labels.get("run") == "my-nginx"]
        active = [pod for pod in present if pod.metadata.deletionTimestamp is None]
        # maxSurge 25 % of 3 is 1, maxUnavailable 25 % of 3 is 0.
        assert len(active) <= 4
        assert sum(pod.status.is_ready for pod in active) >= 3
    now = pods(cluster, **WEB)
    assert len(now) == 3
    assert not old & {pod.metadata.uid for pod in now}
    assert {pod.spec.containers[0].image for pod in now} == {expected}


def test_min_ready_seconds_slows_a_rollout(cluster: Cluster) -> None:
    _deployment(cluster, minReadySeconds=20)
    old = {pod.metadata.uid for pod in pods(cluster, **WEB)}
    inject(cluster, {"at": "0s", "action": "rollout", "object": NAME})
    cluster.run("50s")
    left = [pod for pod in pods(cluster, **WEB) if pod.metadata.uid in old]
    assert len(left) in (1, 2)  # a new pod counts 20 s after it has become ready
    cluster.run("40s")
    assert not [pod for pod in pods(cluster, **WEB) if pod.metadata.uid in old]


def test_a_rollout_that_never_becomes_ready_stops_and_says_so(cluster: Cluster) -> None:
    _deployment(cluster, progressDeadlineSeconds=30)
    found = cluster.api.get(Deployment, "default", "my-nginx")
    assert found is not None
    raw = found.model_dump(mode="json")
    raw["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] = 81
    inject(cluster, {"at": "0s", "action": "apply", "manifest": _bare(raw)})
    cluster.run("25s")
    assert _progressing(cluster) == ("True", "ReplicaSetUpdated")
    cluster.run("40s")
    assert len(pods(cluster, **WEB)) == 4
    assert sum(pod.status.is_ready for pod in pods(cluster, **WEB)) == 3
    assert _progressing(cluster) == ("False", "ProgressDeadlineExceeded")


def _bare(raw: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": raw["metadata"]["name"]}
    return {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": meta, "spec": raw["spec"]}


def _progressing(cluster: Cluster) -> tuple[str, str]:
    found = cluster.api.get(Deployment, "default", "my-nginx")
    assert found is not None
    condition = next(c for c in found.status.conditions if c.type == "Progressing")
    return condition.status, condition.reason


def test_apply_and_delete(cluster: Cluster) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "again"},
        "spec": {"selector": WEB, "ports": [{"port": 80}]},
    }
    inject(
        cluster,
        {"at": "0s", "action": "apply", "manifest": manifest},
        {"at": "5s", "action": "delete", "object": "service/again"},
        {"at": "5s", "action": "delete", "object": NAME},
    )
    cluster.run("3s")
    assert ask(cluster, "pod/client", "again").outcome == "ok"
    cluster.run("15s")
    assert ask(cluster, "pod/client", "again").outcome == "dns"
    assert pods(cluster, **WEB) == []


# ------------------------------------------------------------------ nodes
def test_cordon_lets_pods_stay_and_no_new_ones_come(cluster: Cluster) -> None:
    inject(
        cluster,
        {"at": "0s", "for": "30s", "action": "cordon", "selector": {"node": "worker-1"}},
        {"at": "1s", "action": "scale", "object": NAME, "replicas": 9},
    )
    cluster.run("20s")
    places = [pod.spec.nodeName for pod in pods(cluster, **WEB)]
    assert places.count("worker-1") == 1
    cluster.run("20s")
    found = cluster.api.get(Node, "", "worker-1")
    assert found is not None
    assert not found.spec.unschedulable


def _budget(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": WEB}, **spec},
    }


def _crowd(cluster: Cluster) -> None:
    """All pods of the Deployment on one node."""
    inject(
        cluster,
        {
            "at": "0s",
            "for": "30s",
            "action": "cordon",
            "mode": "all",
            "selector": {"node": "worker-[23]"},
        },
        {"at": "1s", "action": "rollout", "object": NAME},
    )
    cluster.run("40s")
    assert {pod.spec.nodeName for pod in pods(cluster, **WEB)} == {"worker-1"}


@pytest.mark.parametrize(
    ("budget", "least"),
    [
        pytest.param(None, 0, id="no budget: all at once"),
        pytest.param({"maxUnavailable": 1}, 2, id="maxUnavailable 1"),
        pytest.param({"minAvailable": "60%"}, 2, id="minAvailable 60 %"),
        pytest.param({"minAvailable": 1}, 1, id="minAvailable 1"),
    ],
)
def test_a_drain_respects_the_budget(cluster: Cluster, budget: dict[str, Any] | None, least: int) -> None:
    if budget is not None:
        _apply(cluster, _budget(**budget))
    _crowd(cluster)
    recorder = inject(cluster, {"at": "0s", "action": "drain", "selector": {"node": "worker-1"}})
    fewest = 3
    for _ in range(200):
        cluster.run("200ms")
        fewest = min(fewest, sum(pod.status.is_ready for pod in pods(cluster, **WEB)))
    assert fewest == least
    after = pods(cluster, **WEB)
    assert len(after) == 3
    assert "worker-1" not in {pod.spec.nodeName for pod in after}
    reasons = [event.reason for event in recorder.events if event.component == "kubectl"]
    assert reasons[-1] == "NodeDrained"
    assert ("EvictionRefused" in reasons) == (budget is not None)


def test_a_drain_that_the_budget_forbids_times_out(cluster: Cluster) -> None:
    _apply(cluster, _budget(maxUnavailable=0))
    cluster.run("1s")
    recorder = inject(
        cluster, {"at": "0s", "action": "drain", "selector": {"node": "worker-2"}, "timeout": "12s"}
    )
    cluster.run("30s")
    told = [event for event in recorder.events if event.component == "kubectl"]
    refused = [event.at_ns for event in told if event.reason == "EvictionRefused"]
    assert len(refused) == 3
    assert 5 * S < refused[1] - refused[0] < 5.2 * S
    assert told[-1].reason == "DrainTimedOut"
    assert "worker-2" in {pod.spec.nodeName for pod in pods(cluster, **WEB)}


def test_the_budget_counts_what_is_left(cluster: Cluster) -> None:
    _apply(cluster, _budget(maxUnavailable=1))
    cluster.run("1s")
    assert _allowed(cluster) == (1, 3, 2)
    victim = pods(cluster, **WEB)[0]
    inject(cluster, {"at": "0s", "action": "pod-hang", "selector": {"pod": victim.metadata.name}})
    cluster.run("40s")
    assert _allowed(cluster) == (0, 2, 2)


def _allowed(cluster: Cluster) -> tuple[int, int, int]:
    found = cluster.api.get(PodDisruptionBudget, "default", "web")
    assert found is not None
    return found.status.disruptionsAllowed, found.status.currentHealthy, found.status.desiredHealthy


def test_a_drain_leaves_daemon_sets_and_shortens_grace(cluster: Cluster) -> None:
    pod = {
        "metadata": {"labels": {"app": "agent"}},
        "spec": {"containers": [{"name": "a", "image": "nginx"}]},
    }
    _apply(
        cluster,
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "agent"},
            "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": pod},
        },
    )
    cluster.run("10s")
    recorder = inject(
        cluster, {"at": "0s", "action": "drain", "selector": {"node": "worker-1"}, "gracePeriod": "3s"}
    )
    cluster.run("20s")
    assert "worker-1" in {pod.spec.nodeName for pod in pods(cluster, app="agent")}
    grace = {e.detail["grace_seconds"] for e in recorder.events if e.reason == "PodTerminating"}
    assert grace == {"3"}


# ------------------------------------------------------------------ the way to the API server
def test_an_api_outage_freezes_opinions_and_not_traffic(cluster: Cluster) -> None:
    pod = pods(cluster, **WEB)[0]
    inject(
        cluster,
        {"at": "0s", "for": "60s", "action": "api-outage"},
        {"at": "1s", "action": "pod-kill", "selector": {"pod": pod.metadata.name}},
        {"at": "2s", "action": "scale", "object": NAME, "replicas": 4},
    )
    cluster.run("50s")
    again = cluster.api.get(Pod, *pod.key)
    assert again is not None
    assert again.status.containerStatuses[0].restartCount == 0  # it has restarted, but nobody could write so
    assert ask(cluster, "pod/client", pod.status.podIP).outcome == "ok"
    assert len(pods(cluster, **WEB)) == 3
    cluster.run("75s")
    again = cluster.api.get(Pod, *pod.key)
    assert again is not None
    assert again.status.containerStatuses[0].restartCount == 1
    assert len(pods(cluster, **WEB)) == 4
    # Longer than the grace period, and yet no node was taken for dead: the controllers began anew.
    assert {_status(cluster, node) for node in cluster.fabric.nodes} == {"True"}


def test_no_node_is_lost_in_an_outage_that_outlasts_the_grace_period(cluster: Cluster) -> None:
    recorder = inject(cluster, {"at": "0s", "for": "120s", "action": "api-outage"})
    cluster.run("240s")
    assert not [event for event in recorder.events if event.reason in ("NodeNotReady", "PodUnready")]


def test_a_node_cut_off_serves_on_with_stale_rules(cluster: Cluster) -> None:
    victim = next(pod for pod in pods(cluster, **WEB) if pod.spec.nodeName == "worker-2")
    inject(
        cluster,
        {"at": "0s", "for": "90s", "action": "api-cut", "selector": {"node": "clients"}},
        {"at": "1s", "action": "pod-delete", "selector": {"pod": victim.metadata.name}, "gracePeriod": "0s"},
    )
    cluster.run("20s")
    assert victim.status.podIP in _rules(cluster, "clients")
    assert victim.status.podIP not in _rules(cluster, "worker-1")
    one = Ask(cluster, "pod/client", service_ip(cluster, "my-nginx"), timeout_ns=200 * MS)
    assert {one().outcome for _ in range(20)} > {"ok"}
    cluster.run("45s")
    assert _status(cluster, "clients") == "Unknown"
    assert ping(cluster, "pod/client", "172.18.0.3") == "reply"
    cluster.run("110s")
    assert _status(cluster, "clients") == "True"
    assert victim.status.podIP not in _rules(cluster, "clients")


def test_two_faults_on_one_node_both_have_to_end(cluster: Cluster) -> None:
    inject(
        cluster,
        {"at": "0s", "for": "20s", "action": "api-cut", "selector": {"node": "worker-1"}},
        {"at": "5s", "for": "85s", "action": "link-down", "selector": {"node": "worker-1"}},
    )
    cluster.run("80s")
    assert _status(cluster, "worker-1") == "Unknown"
    cluster.run("100s")
    assert _status(cluster, "worker-1") == "True"


# ------------------------------------------------------------------ partitions
@pytest.mark.parametrize("direction", ["both", "from", "to"])
def test_a_partition_between_nodes(cluster: Cluster, direction: str) -> None:
    one, two = (cluster.fabric.nodes[name] for name in ("worker-1", "worker-2"))
    inject(
        cluster,
        {
            "at": "0s",
            "for": "20s",
            "action": "partition",
            "selector": {"node": "worker-1"},
            "target": {"node": "worker-2"},
            "direction": direction,
        },
    )
    cluster.run("10ms")
    assert ping(cluster, "node/worker-1", _text(two.address)) == "silence"
    assert ping(cluster, "node/worker-2", _text(one.address)) == "silence"
    assert ping(cluster, "node/clients", _text(one.address)) == "reply"
    # What one side still hears is answered in vain.
    assert bool(cluster.fabric.switch.drops[DropReason.LINK_PARTITION]) == (direction != "both")
    assert cluster.books().closes
    cluster.run("30s")
    assert ping(cluster, "node/worker-1", _text(two.address)) == "reply"
    assert _status(cluster, "worker-1") == "True"


def _text(address: bytes) -> str:
    return ".".join(map(str, address))


def test_a_one_way_partition_loses_one_way() -> None:
    cluster = settled("failover", seed=3)
    one, two = (cluster.fabric.nodes[name] for name in ("worker-1", "worker-2"))
    sides = {"selector": {"node": "worker-1"}, "target": {"node": "worker-2"}, "direction": "from"}
    inject(cluster, {"at": "0s", "action": "partition", **sides})
    cluster.run("10ms")
    macs = [node.ns.devices["eth0"].mac for node in (one, two)]
    blocked = cluster.fabric.switch._blocked
    assert set(blocked) == {macs[1] + macs[0]}


def test_a_partition_from_the_control_plane_cuts_off_from_the_api_server(cluster: Cluster) -> None:
    sides = {"selector": {"node": "control-plane"}, "target": {"node": "worker-*"}}
    inject(cluster, {"at": "0s", "for": "70s", "action": "partition", **sides})
    cluster.run("65s")
    assert [_status(cluster, f"worker-{n}") for n in (1, 2, 3)] == ["Unknown"] * 3
    assert _status(cluster, "clients") == "True"
    cluster.run("100s")
    assert [_status(cluster, f"worker-{n}") for n in (1, 2, 3)] == ["True"] * 3


def test_a_partition_between_pods(cluster: Cluster) -> None:
    chosen, other = pods(cluster, **WEB)[:2]
    sides = {"selector": {"run": "client"}, "target": {"pod": chosen.metadata.name}}
    inject(cluster, {"at": "0s", "for": "10s", "action": "partition", **sides})
    cluster.run("10ms")
    assert ask(cluster, "pod/client", chosen.status.podIP).outcome == "timeout"
    assert ask(cluster, "pod/client", other.status.podIP).outcome == "ok"
    assert ask(cluster, "node/clients", chosen.status.podIP).outcome == "ok"
    one = Ask(cluster, "pod/client", service_ip(cluster, "my-nginx"), timeout_ns=200 * MS)
    assert {one().outcome for _ in range(20)} == {"ok", "timeout"}
    assert cluster.books().closes
    cluster.run("20s")
    assert ask(cluster, "pod/client", chosen.status.podIP).outcome == "ok"
