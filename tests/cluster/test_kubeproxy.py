"""kube-proxy: from watches to rules, stopping and starting, without a real dataplane."""

from collections.abc import Callable
from typing import Any

import pytest
from clusterlab import FakeDataplane, World, deployment, make_world, service

from netsim.cluster import controlplane
from netsim.cluster.kubeproxy import KubeProxy
from netsim.cluster.objects import EndpointSlice, Pod, Service, evolve
from netsim.cluster.timing import Timing
from netsim.engine import MS, S
from netsim.wire.addr import ip_text


def addresses(proxy: KubeProxy, name: str = "web") -> set[str]:
    """The ready endpoints in a node's rules."""
    return {
        ip_text(endpoint.address)
        for key, port in proxy.table.items()
        if key.name == name
        for endpoint in port.endpoints
        if endpoint.ready
    }


def booted(cost_ns: int = 20 * MS, seed: int = 1) -> World:
    world = make_world(3, seed, cost_ns=cost_ns)
    world.boot([deployment(), service()])
    return world


def test_all_nodes_have_the_same_rules_when_settled() -> None:
    world = booted()
    wanted = {pod.status.podIP for pod in world.pods()}
    assert [addresses(proxy) for proxy in world.plane.proxies.values()] == [wanted] * 4


def test_rules_follow_a_deletion_on_every_node() -> None:
    world = booted()
    world.run(3 * S)
    victim, now = world.pods()[0], world.engine.now
    world.plane.delete_pod(victim)
    world.run(900 * MS)
    assert all(victim.status.podIP not in addresses(proxy) for proxy in world.plane.proxies.values())
    synced = world.recorded.of("RulesSynced", now)
    assert {event.node for event in synced} == set(world.plane.proxies)
    for event in synced:
        assert int(event.detail["cost_ns"]) == 20 * MS
        assert event.at_ns - int(event.detail["started_ns"]) == 20 * MS


def test_a_slow_sync_stands_at_its_end() -> None:
    world = booted(cost_ns=2 * S)
    world.run(10 * S)
    proxy, victim = world.plane.proxies["worker-1"], world.pods()[0]
    now = world.engine.now
    world.plane.delete_pod(victim)
    world.run(1500 * MS)
    assert victim.status.podIP in addresses(proxy)
    world.run(1 * S)
    assert victim.status.podIP not in addresses(proxy)
    seen = next(e for e in world.recorded.of("EndpointSliceSeen", now) if e.node == "worker-1")
    synced = next(e for e in world.recorded.of("RulesSynced", now) if e.node == "worker-1")
    assert synced.at_ns - seen.at_ns == 2 * S


def test_a_stopped_proxy_keeps_its_rules_and_a_started_one_syncs_fully() -> None:
    world = booted()
    proxy = world.plane.proxies["worker-1"]
    proxy.stop()
    victim = world.pods()[0]
    world.plane.delete_pod(victim)
    world.run(20 * S)
    assert victim.status.podIP in addresses(proxy)
    assert victim.status.podIP not in addresses(world.plane.proxies["worker-2"])
    now = world.engine.now
    proxy.start()
    world.run(3 * S)
    assert addresses(proxy) == {pod.status.podIP for pod in world.pods()}
    first = next(e for e in world.recorded.of("RulesSynced", now) if e.node == "worker-1")
    assert first.detail["full"] == "True"
    assert world.plane.settled()


def test_a_stop_in_the_middle_of_a_sync_commits_nothing() -> None:
    world = booted(cost_ns=2 * S)
    world.run(10 * S)
    proxy, victim = world.plane.proxies["worker-1"], world.pods()[0]
    world.plane.delete_pod(victim)
    world.run(1 * S)
    proxy.stop()
    world.run(10 * S)
    assert victim.status.podIP in addresses(proxy)


def test_services_come_and_go() -> None:
    world = booted()
    proxy = world.plane.proxies["worker-2"]
    world.plane.apply([service("other")])
    world.run(3 * S)
    assert "other" in {name.name for name in proxy.table}
    world.api.delete(Service, "default", "other")
    world.run(3 * S)
    assert "other" not in {name.name for name in proxy.table}
    assert "kubernetes" in {name.name for name in proxy.table}


def test_a_cut_off_node_keeps_old_rules_until_it_is_back() -> None:
    world = booted()
    world.plane.disconnect_node("worker-3")
    victim = next(pod for pod in world.pods() if pod.spec.nodeName == "worker-1")
    world.plane.delete_pod(victim)
    world.run(10 * S)
    proxy = world.plane.proxies["worker-3"]
    assert victim.status.podIP in addresses(proxy)
    world.plane.reconnect_node("worker-3")
    world.run(3 * S)
    assert victim.status.podIP not in addresses(proxy)


def test_terminating_endpoints_stay_in_the_table_as_serving() -> None:
    world = booted()
    victim = world.pods()[0]
    world.app_of(victim).term_takes_ns = 20 * S
    world.plane.delete_pod(victim)
    world.run(3 * S)
    (port,) = [port for name, port in world.plane.proxies["worker-1"].table.items() if name.name == "web"]
    (state,) = [e for e in port.endpoints if ip_text(e.address) == victim.status.podIP]
    assert (state.ready, state.serving, state.terminating) == (False, True, True)


@pytest.mark.parametrize("version", ["1.31", "1.34"])
def test_the_minimum_period_counts_between_syncs(version: str) -> None:
    world = make_world(1, timing=Timing.for_version(version))
    world.boot([deployment(replicas=4), service()])
    now = world.engine.now
    before = addresses(world.plane.proxies["worker-1"])
    for pod in world.pods():  # the ReplicaSet lets them go, and makes others
        world.api.patch(Pod, *pod.key, lambda p: evolve(p, metadata__labels={"run": "gone"}))
        world.run(700 * MS)
    world.run(4 * S)
    syncs = [e for e in world.recorded.of("RulesSynced", now) if e.node == "worker-1"]
    starts = [int(event.detail["started_ns"]) for event in syncs]
    ends = [event.at_ns for event in syncs]
    gaps = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    if version == "1.34":
        assert min(gaps) >= 1 * S
    after = addresses(world.plane.proxies["worker-1"])
    assert len(before) == len(after) == 4
    assert not before & after


def test_the_fake_dataplane_commits_what_it_was_given() -> None:
    plane: Any = FakeDataplane()
    report = plane.sync(None, None, {"a": 1})
    assert report.full
    assert plane.commits == [{"a": 1}]


# ----------------------------------------------------------------------------------------- what asks for a sync
def syncs_after(world: World, change: Callable[[], object]) -> int:
    """How many syncs a change leads to on one node."""
    world.run(5 * S)
    now = world.engine.now
    change()
    world.run(5 * S)
    return sum(event.node == "worker-1" for event in world.recorded.of("RulesSynced", now))


def test_headless_services_never_ask_for_a_sync() -> None:
    world = make_world(2)
    world.boot([deployment(), service(clusterIP="None")])
    assert {name.name for name in world.plane.proxies["worker-1"].table} == {"kubernetes"}
    assert syncs_after(world, lambda: world.plane.delete_pod(world.pods()[0])) == 0
    assert syncs_after(world, lambda: world.api.delete(Service, "default", "web")) == 0


def test_changes_without_effect_ask_for_no_sync() -> None:
    world = booted()
    (item,) = world.api.list(EndpointSlice, "default", {"kubernetes.io/service-name": "web"})

    def label(current: EndpointSlice) -> EndpointSlice:
        return evolve(current, metadata__labels={**current.metadata.labels, "x": "y"})

    def annotate(current: Service) -> Service:
        return evolve(current, metadata__annotations={"x": "y"})

    assert syncs_after(world, lambda: world.api.patch(EndpointSlice, *item.key, label)) == 0
    assert syncs_after(world, lambda: world.api.patch(Service, "default", "web", annotate)) == 0
    assert syncs_after(world, lambda: world.plane.apply([service(sessionAffinity="ClientIP")])) == 1


def test_a_service_of_another_proxy_has_no_rules() -> None:
    other = evolve(service(), metadata__labels={"service.kubernetes.io/service-proxy-name": "mine"})
    world = make_world(2)
    world.boot([deployment(), other])
    assert "web" not in {name.name for name in world.plane.proxies["worker-1"].table}
    world.plane.apply([service()])
    world.run(5 * S)
    assert len(addresses(world.plane.proxies["worker-1"])) == 3


@pytest.mark.parametrize(("version", "serving"), [("1.25", False), ("1.26", True)])
def test_terminating_endpoints_serve_since_1_26(version: str, serving: bool) -> None:
    world = make_world(2, timing=Timing.for_version(version))
    world.boot([deployment(replicas=1), service()])
    victim = world.pods()[0]
    world.app_of(victim).term_takes_ns = 20 * S
    world.plane.delete_pod(victim)
    world.run(1500 * MS)
    (port,) = [port for name, port in world.plane.proxies["worker-1"].table.items() if name.name == "web"]
    (state,) = [e for e in port.endpoints if ip_text(e.address) == victim.status.podIP]
    assert (state.serving, state.terminating) == (serving, True)


def test_many_changes_are_forgotten_once_every_node_has_seen_them() -> None:
    world = booted()
    (item,) = world.api.list(EndpointSlice, "default", {"kubernetes.io/service-name": "web"})
    for number in range(5000):
        endpoint = item.endpoints[number % 3]
        world.api.patch(EndpointSlice, *item.key, lambda s, e=endpoint: evolve(s, endpoints=(e,)))
        if number % 100 == 0:
            world.run(1 * S)
    world.run(3 * S)
    wanted = {pod.status.podIP for pod in world.pods()}  # the controller has corrected what was patched
    assert all(addresses(proxy) == wanted for proxy in world.plane.proxies.values())
    catalog: Any = world.plane.proxies["worker-1"]._catalog
    assert len(catalog._slices._names) < 5000
    assert all(len(positions) < 200 for positions, _ in catalog._slices._versions.values())


def test_the_proxies_of_a_large_cluster_begin_when_the_workloads_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controlplane, "_LATE_PROXIES", 3)
    world = make_world(3)
    world.plane.apply([deployment(), service()])
    world.plane.start()
    assert "the kube-proxies wait for the workloads" in world.plane.unsettled()
    world.settle()
    syncs = world.recorded.of("RulesSynced")
    assert len(syncs) == 4
    assert min(event.at_ns for event in syncs) > max(event.at_ns for event in world.recorded.of("PodReady"))
    assert len({id(proxy.table) for proxy in world.plane.proxies.values()}) == 1


def test_a_proxy_that_starts_while_it_is_cut_off_lists_when_it_is_back() -> None:
    world = make_world(2)
    world.boot([deployment(replicas=2), service()])
    node = next(iter(world.plane.proxies))
    proxy = world.plane.proxies[node]
    proxy.stop()
    world.plane.disconnect_node(node)
    proxy.start()
    world.run(5 * S)
    assert not proxy.synced
    world.plane.reconnect_node(node)
    world.run(1 * S)
    assert proxy.synced
