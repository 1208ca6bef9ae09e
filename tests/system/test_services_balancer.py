"""The cloud load balancer end to end: addresses, classes, health by real requests, what becomes of flows."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from servicelab import MODES, Asker, per_mode, pod, service, settled
from systemlab import wait

from netsim.cluster.objects import Node, Pod, Service, Taint, evolve
from netsim.engine import S
from netsim.fabric.balancer import Balancer, HealthChanged
from netsim.fabric.http import ProbeResult, http_get

PODS = pod("web-1", "n1") + pod("web-2", "n2")
CLUSTER_POLICY = service("web", "type: LoadBalancer, ports: [{port: 80, nodePort: 30080}]")
LOCAL_POLICY = service(
    "near",
    "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 31000,"
    " ports: [{port: 80, nodePort: 30081}]",
)
FAST = "healthCheck: {interval: 1s, timeout: 500ms, unhealthyThreshold: 2, healthyThreshold: 2}"


def balanced(folder: Path, mode: str, preset: str = "gce", objects: str = "") -> Asker:
    more = f"  loadBalancer: {{preset: {preset}, addresses: 203.0.113.128/28, {FAST}}}\n"
    return settled(folder, mode, PODS + CLUSTER_POLICY + LOCAL_POLICY + objects, more)


def balancer(asker: Asker) -> Balancer:
    (cloud,) = asker.cluster.balancers
    return cloud.balancer


def healthy(asker: Asker, name: str) -> list[str]:
    (frontend,) = [f for f in balancer(asker).frontends() if f.name == f"default/{name}"]
    return balancer(asker).healthy(frontend)


def get(asker: Asker, node: str, port: int, path: str = "/healthz") -> ProbeResult:
    """What a load balancer or a curious outsider reads on a node."""
    done: list[ProbeResult] = []
    target = asker.cluster.host(f"node/{node}").address
    http_get(asker.cluster.host("external/laptop"), target, port, path, S, lambda r, _now: done.append(r))
    wait(asker.cluster, done, 2 * S)
    return done[0]


@per_mode
def test_addresses_and_status(tmp_path: Path, mode: str) -> None:
    asker = balanced(tmp_path, mode)
    found = {s.metadata.name: s for s in asker.cluster.api.list(Service) if s.spec.type == "LoadBalancer"}
    ingress = {name: s.status.loadBalancer.ingress[0] for name, s in found.items()}
    assert {name: (entry.ip, entry.ipMode) for name, entry in ingress.items()} == {
        "web": ("203.0.113.128", "VIP"),
        "near": ("203.0.113.129", "VIP"),
    }
    assert [frontend.nodes for frontend in balancer(asker).frontends()] == [
        ("n1", "n2", "n3")
    ] * 2  # no control plane
    assert healthy(asker, "web") == ["n1", "n2", "n3"]
    assert healthy(asker, "near") == ["n1", "n2"]


@per_mode
def test_a_deleted_service_gives_its_address_back(tmp_path: Path, mode: str) -> None:
    asker = balanced(tmp_path, mode)
    api = asker.cluster.api
    api.delete(Service, "default", "web")
    asker.run("40s")
    assert asker("external/laptop", "http://203.0.113.128/").outcome == "timeout"
    new = evolve(
        api.list(Service)[-1], {"metadata.name": "again", "spec.clusterIP": "", "spec.clusterIPs": ()}
    )
    ports = tuple(evolve(port, nodePort=0) for port in new.spec.ports)
    api.create(
        evolve(new, {"spec.ports": ports, "spec.healthCheckNodePort": 0, "status.loadBalancer.ingress": ()})
    )
    asker.run("40s")
    again = api.get(Service, "default", "again")
    assert again is not None
    assert again.status.loadBalancer.ingress[0].ip == "203.0.113.128"
    assert asker("external/laptop", "http://203.0.113.128/").backend.service == "default/again"


@per_mode
def test_a_class_that_nobody_serves_stays_pending(tmp_path: Path, mode: str) -> None:
    other = service("other", "type: LoadBalancer, loadBalancerClass: x/none, ports: [{port: 80}]")
    asker = balanced(tmp_path, mode, objects=other)
    found = asker.cluster.api.get(Service, "default", "other")
    assert found is not None
    assert found.status.loadBalancer.ingress == ()


@per_mode
def test_kube_proxys_health_pages(tmp_path: Path, mode: str) -> None:
    asker = balanced(tmp_path, mode)
    page = get(asker, "n1", 10256)
    assert (page.status, json.loads(page.body)["nodeEligible"]) == (200, True)
    assert get(asker, "n1", 10256, "/else").status == 404
    near = {node: get(asker, node, 31000) for node in ("n1", "n3")}
    assert {node: found.status for node, found in near.items()} == {"n1": 200, "n3": 503}
    assert json.loads(near["n3"].body) == {
        "service": {"namespace": "default", "name": "near"}, "localEndpoints": 0, "serviceProxyHealthy": True,
    }  # fmt: skip
    asker.cluster.control_plane.proxies["n1"].stop()
    assert get(asker, "n1", 10256).error == get(asker, "n1", 31000).error == "refused"
    asker.cluster.control_plane.proxies["n1"].start()
    asker.run("2s")
    assert get(asker, "n1", 10256).status == get(asker, "n1", 31000).status == 200


@per_mode
def test_a_stopped_kube_proxy_takes_its_node_out_of_the_balancer(tmp_path: Path, mode: str) -> None:
    asker = balanced(tmp_path, mode)
    proxy = asker.cluster.control_plane.proxies["n2"]
    proxy.stop()
    asker.run("5s")
    assert (healthy(asker, "web"), healthy(asker, "near")) == (["n1", "n3"], ["n1"])
    # Its rules still stand, so who goes there directly is served.
    assert asker("external/laptop", "http://n2:30081/").pod == "web-2"
    proxy.start()
    asker.run("5s")
    assert (healthy(asker, "web"), healthy(asker, "near")) == (["n1", "n2", "n3"], ["n1", "n2"])


@per_mode
def test_a_node_that_is_being_removed_is_not_eligible_but_alive(tmp_path: Path, mode: str) -> None:
    asker = balanced(tmp_path, mode)
    taint = Taint(key="ToBeDeletedByClusterAutoscaler", effect="NoSchedule")
    asker.cluster.api.patch(Node, "", "n1", lambda node: evolve(node, {"spec.taints": (taint,)}))
    page = get(asker, "n1", 10256)
    assert (page.status, json.loads(page.body)["nodeEligible"]) == (503, False)
    assert get(asker, "n1", 10256, "/livez").status == 200
    asker.run("40s")  # the service controller leaves it out, too
    assert [frontend.nodes for frontend in balancer(asker).frontends()] == [("n2", "n3")] * 2


@per_mode
def test_local_health_follows_the_last_endpoint_that_is_not_terminating(tmp_path: Path, mode: str) -> None:
    slow = pod("slow", "n3", container=(
        "{name: web, image: nginx, ports: [{containerPort: 80}],"
        " lifecycle: {preStop: {sleep: {seconds: 20}}}}"
    ))  # fmt: skip
    asker = balanced(tmp_path, mode, objects=slow)
    assert healthy(asker, "near") == ["n1", "n2", "n3"]
    found = asker.cluster.api.get(Pod, "default", "slow")
    assert found is not None
    asker.cluster.control_plane.delete_pod(found)
    asker.run("5s")
    assert get(asker, "n3", 31000).status == 503
    assert healthy(asker, "near") == ["n1", "n2"]
    # Who comes to the node all the same is served by the terminating pod (KEP-1669).
    assert asker("external/laptop", "http://n3:30081/").pod == "slow"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("preset", ["gce", "clb", "nlb", "azure"])
def test_a_dead_node_is_left_out_after_its_checks_fail(tmp_path: Path, mode: str, preset: str) -> None:
    asker = balanced(tmp_path, mode, preset)
    changes: list[tuple[float, HealthChanged]] = []
    engine = asker.cluster.engine

    def told(change: HealthChanged) -> None:
        if change.target.port == 31000:  # a connection to a node port may meet the dead pod on any node
            changes.append((engine.now, change))

    balancer(asker).changed.append(told)
    died = engine.now
    asker.cluster.fabric.crash_node("n2")
    asker.cluster.control_plane.crash_node("n2")
    asker.run("5s")
    assert {(c.node, c.healthy) for _, c in changes} == {("n2", False)}
    for at, _ in changes:  # up to one interval, one more, and the time-out
        assert 1 * S + 500_000_000 <= at - died <= 2 * S + 500_000_000
    assert healthy(asker, "near") == ["n1"]
    assert set(asker.pods("external/laptop", "http://203.0.113.129/", 10)) == {"web-1"}


@per_mode
def test_a_flow_keeps_its_node_and_new_ones_spread(tmp_path: Path, mode: str) -> None:
    asker = balanced(tmp_path, mode)
    nodes = Counter(asker("external/laptop", "http://203.0.113.128/").backend.via for _ in range(60))
    assert set(nodes) == {"n1", "n2", "n3"}
    assert min(nodes.values()) >= 8


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("preset", "outcome"), [("gce", "refused"), ("azure", "timeout"), ("clb", "timeout")]
)
def test_without_any_healthy_node(tmp_path: Path, mode: str, preset: str, outcome: str) -> None:
    """Google's balancer then uses all nodes (whose rules reject), the others none."""
    empty = service(
        "empty",
        "type: LoadBalancer, externalTrafficPolicy: Local, loadBalancerIP: 203.0.113.135, ports: [{port: 80}]",
        "app: nothing",
    ).replace("metadata: {name: empty}", 'metadata: {name: empty, annotations: {netsim/allow-empty: "true"}}')
    asker = balanced(tmp_path, mode, preset, empty)
    assert asker("external/laptop", "http://203.0.113.135/").outcome == outcome


def test_before_1_27_a_node_must_be_ready(tmp_path: Path) -> None:
    def nodes(version: str) -> Any:
        more = f'  kubernetesVersion: "{version}"\n  loadBalancer: {{addresses: 203.0.113.128/28}}\n'
        asker = settled(tmp_path, MODES[0], PODS + CLUSTER_POLICY, more)
        asker.cluster.fabric.crash_node("n2")
        asker.cluster.control_plane.crash_node("n2")
        asker.run("70s")
        (frontend,) = balancer(asker).frontends()
        (found,) = [s for s in asker.cluster.api.list(Service) if s.metadata.name == "web"]
        return frontend.nodes, found.status.loadBalancer.ingress[0].ipMode

    assert nodes("1.26") == (("n1", "n3"), None)
    assert nodes("1.34") == (("n1", "n2", "n3"), "VIP")
