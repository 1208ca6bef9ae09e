"""EndpointSlices: packing, and the controllers at work."""

from functools import partial

import pytest
from clusterlab import World, container, deployment, make_world, node_configs, service
from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.controllers.endpoints import new_slice
from netsim.cluster.controllers.pods import with_condition
from netsim.cluster.controllers.slices import SliceChanges, reconcile
from netsim.cluster.objects import (
    Condition,
    ContainerPort,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    ObjectMeta,
    ObjectReference,
    Pod,
    PodSpec,
    Service,
    ServicePort,
    evolve,
)
from netsim.engine import MS, S

HTTP = (EndpointPort(name="", port=80),)
ALT = (EndpointPort(name="", port=8080),)
TEMPLATE = partial(new_slice, service(), "IPv4")


def endpoint(number: int, ready: bool = True) -> Endpoint:
    high, low = divmod(number, 256)
    return Endpoint(
        addresses=(f"10.0.{high}.{low}",),
        conditions=EndpointConditions(ready=ready),
        targetRef=ObjectReference(uid=str(number)),
    )


def applied(existing: list[EndpointSlice], changes: SliceChanges, first: int) -> list[EndpointSlice]:
    """The slices after the changes; created ones get names."""
    after = {item.metadata.name: item for item in existing}
    for item in changes.delete:
        del after[item.metadata.name]
    for item in changes.update:
        assert item.metadata.name in after
        after[item.metadata.name] = item
    for number, item in enumerate(changes.create, first):
        after[f"s{number}"] = evolve(item, metadata__name=f"s{number}")
    return list(after.values())


@given(
    st.lists(st.tuples(st.sets(st.integers(0, 60)), st.sets(st.integers(61, 90))), min_size=1, max_size=6),
    st.integers(1, 12),
)
def test_slices_hold_exactly_the_wanted_endpoints(
    steps: list[tuple[set[int], set[int]]], capacity: int
) -> None:
    slices: list[EndpointSlice] = []
    for step, (http, alt) in enumerate(steps):
        wanted = {
            ports: [endpoint(n) for n in sorted(which)]
            for ports, which in ((HTTP, http), (ALT, alt))
            if which
        }
        slices = applied(slices, reconcile(slices, wanted, TEMPLATE, capacity), 100 * step)
        assert all(len(item.endpoints) <= capacity for item in slices)
        for ports, which in ((HTTP, http), (ALT, alt)):
            held = [
                e.targetRef.uid
                for item in slices
                if item.ports == ports
                for e in item.endpoints
                if e.targetRef
            ]
            assert sorted(held, key=int) == [str(n) for n in sorted(which)]
        assert slices, "one slice is left as a placeholder"
        # The same again is nothing to do.
        assert not reconcile(slices, wanted, TEMPLATE, capacity)


def test_a_change_in_one_endpoint_writes_one_slice() -> None:
    wanted = {HTTP: [endpoint(n) for n in range(30)]}
    slices = applied([], reconcile([], wanted, TEMPLATE, 10), 0)
    assert [len(item.endpoints) for item in slices] == [10, 10, 10]
    wanted[HTTP][15] = endpoint(15, ready=False)
    changes = reconcile(slices, wanted, TEMPLATE, 10)
    assert (len(changes.create), len(changes.update), len(changes.delete)) == (0, 1, 0)


def test_new_endpoints_go_where_something_is_written_anyway() -> None:
    slices = applied([], reconcile([], {HTTP: [endpoint(n) for n in range(20)]}, TEMPLATE, 10), 0)
    wanted = {HTTP: [endpoint(n) for n in range(1, 21)]}
    changes = reconcile(slices, wanted, TEMPLATE, 10)
    assert (len(changes.create), len(changes.update), len(changes.delete)) == (0, 1, 0)


def test_the_last_endpoint_leaves_a_placeholder() -> None:
    slices = applied([], reconcile([], {HTTP: [endpoint(1)]}, TEMPLATE, 10), 0)
    changes = reconcile(slices, {}, TEMPLATE, 10)
    assert (len(changes.create), len(changes.update), len(changes.delete)) == (0, 1, 0)
    assert changes.update[0].endpoints == ()
    assert changes.update[0].ports == ()


# -------------------------------------------------------------------------------------------------- controllers
def slices_of(world: World, name: str = "web") -> list[EndpointSlice]:
    found: list[EndpointSlice] = world.api.list(
        EndpointSlice, "default", {"kubernetes.io/service-name": name}
    )
    return found


def conditions(world: World) -> dict[str, tuple[bool | None, bool | None, bool | None]]:
    return {
        entry.addresses[0]: (entry.conditions.ready, entry.conditions.serving, entry.conditions.terminating)
        for item in slices_of(world)
        for entry in item.endpoints
    }


def test_slices_show_the_ready_pods_with_node_and_zone() -> None:
    world = make_world(nodes=node_configs(3, {"topology.kubernetes.io/zone": "a"}))
    world.boot([deployment(), service(trafficDistribution="PreferClose")])
    (item,) = slices_of(world)
    assert item.addressType == "IPv4"
    assert [(port.name, port.port, port.protocol) for port in item.ports] == [("", 80, "TCP")]
    for entry in item.endpoints:
        assert entry.nodeName is not None
        assert entry.nodeName.startswith("worker-")
        assert entry.zone == "a"
        assert entry.hints is not None
        assert [zone.name for zone in entry.hints.forZones] == ["a"]
        assert entry.targetRef is not None
        assert entry.targetRef.kind == "Pod"


def test_a_terminating_pod_serves_but_is_not_ready() -> None:
    world = make_world()
    world.boot([deployment(), service()])
    victim = world.pods()[0]
    world.app_of(victim).term_takes_ns = 10 * S
    world.plane.delete_pod(victim)
    world.run(500 * MS)
    assert conditions(world)[victim.status.podIP] == (False, True, True)
    world.run(15 * S)
    assert victim.status.podIP not in conditions(world)
    assert list(conditions(world).values()) == [(True, True, False)] * 3


def test_a_dead_container_is_neither_ready_nor_serving() -> None:
    world = make_world()
    world.boot([deployment(), service()])
    victim = world.pods()[0]
    world.app_of(victim).exit(1)
    world.run(1400 * MS)
    states = {conditions(world)[victim.status.podIP]}
    world.run(5 * S)
    assert states == {(False, False, False)} or world.recorded.of("PodReady", world.engine.now - 7 * S)
    assert conditions(world)[victim.status.podIP] == (True, True, False)


def test_named_target_ports_follow_the_pod() -> None:
    named = container().model_copy(update={"ports": (ContainerPort(containerPort=8080, name="http"),)})
    ports = (
        ServicePort(port=80, targetPort="http", name="main"),
        ServicePort(port=81, targetPort="gone", name="x"),
    )
    web = service()
    world = make_world()
    world.boot([deployment(pod={"containers": (named,)}), evolve(web, spec__ports=ports)])
    (item,) = slices_of(world)
    assert [(port.name, port.port) for port in item.ports] == [("main", 8080)]


def test_headless_services_have_slices_with_a_label() -> None:
    world = make_world()
    world.boot([deployment(), service(clusterIP="None")])
    (item,) = slices_of(world)
    assert item.metadata.labels["service.kubernetes.io/headless"] == ""
    assert len(item.endpoints) == 3


def test_services_without_a_selector_are_left_alone() -> None:
    world = make_world()
    bare = Service(
        metadata=ObjectMeta(name="bare", namespace="default"), spec=evolve(service().spec, selector={})
    )
    manual = EndpointSlice(
        metadata=ObjectMeta(
            name="manual", namespace="default", labels={"kubernetes.io/service-name": "bare"}
        ),
        addressType="IPv4",
        endpoints=(endpoint(7),),
    )
    world.boot([bare, manual])
    world.run(5 * S)
    assert [item.metadata.name for item in slices_of(world, "bare")] == ["manual"]


def test_endpoints_are_mirrored() -> None:
    raw = {
        "metadata": {"name": "bare", "namespace": "default"},
        "subsets": [
            {
                "addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}],
                "notReadyAddresses": [{"ip": "192.0.2.2"}],
                "ports": [{"port": 9376}],
            }
        ],
    }
    world = make_world()
    bare = Service(
        metadata=ObjectMeta(name="bare", namespace="default"), spec=evolve(service().spec, selector={})
    )
    world.boot([bare, Endpoints.model_validate(raw)])
    world.run(5 * S)
    found = {
        (item.addressType, entry.addresses[0], entry.conditions.ready)
        for item in slices_of(world, "bare")
        for entry in item.endpoints
    }
    assert found == {
        ("IPv4", "192.0.2.1", True),
        ("IPv4", "192.0.2.2", False),
        ("IPv6", "2001:db8::1", True),
    }
    world.api.delete(Endpoints, "default", "bare")
    world.run(5 * S)
    assert slices_of(world, "bare") == []


def test_more_than_a_hundred_endpoints_need_a_second_slice() -> None:
    world = make_world(3)
    world.boot([deployment(replicas=120), service()], limit_ns=120 * S)
    assert sorted(len(item.endpoints) for item in slices_of(world)) == [20, 100]


def test_changing_a_selector_moves_the_endpoints() -> None:
    world = make_world()
    world.boot([deployment("a", 2), deployment("b", 1), service("a")])
    changed = service("a")
    world.plane.apply([evolve(changed, spec__selector={"run": "b"})])
    world.run(3 * S)
    (item,) = slices_of(world, "a")
    assert [entry.addresses[0] for entry in item.endpoints] == [
        pod.status.podIP for pod in world.pods(run="b")
    ]


def test_deleting_a_service_deletes_its_slices() -> None:
    world = make_world()
    world.boot([deployment(), service()])
    world.api.delete(Service, "default", "web")
    world.run(3 * S)
    assert slices_of(world) == []


def test_somebody_elses_change_is_corrected() -> None:
    world = make_world()
    world.boot([deployment(), service()])
    (item,) = slices_of(world)
    world.api.patch(EndpointSlice, *item.key, lambda current: evolve(current, endpoints=()))
    world.run(4 * S)
    assert len(slices_of(world)[0].endpoints) == 3


def test_a_change_behind_an_old_copy_costs_a_second() -> None:
    """timing facts eps.retryBackoff: the second of two quick changes waits for the retry."""
    waits = []
    for seed in range(12):
        world = make_world(3, seed)
        world.boot([deployment(replicas=3), service()])
        now = world.engine.now
        for victim in world.pods()[:2]:
            unready = Condition(type="Ready", status="False")
            world.api.patch(
                Pod, *victim.key, lambda pod, c=unready: evolve(pod, status=with_condition(pod.status, c))
            )
            world.run(15 * MS)
        world.run(3 * S)
        removals = [e for e in world.recorded.of("EndpointSliceUpdated", now) if e.detail["removed"]]
        waits.append((removals[-1].at_ns - now) // MS)
    assert any(wait > 900 for wait in waits)
    assert any(wait < 200 for wait in waits)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_ended_pods_leave_the_slices(phase: str) -> None:
    world = make_world()
    spec = PodSpec(containers=(container(),), restartPolicy="Never")
    pod = Pod(metadata=ObjectMeta(name="job", namespace="default", labels={"run": "web"}), spec=spec)
    world.boot([pod, service()])
    assert len(conditions(world)) == 1
    world.app_of(world.pods()[0]).exit(0 if phase == "Succeeded" else 3)
    world.run(5 * S)
    assert world.pods()[0].status.phase == phase
    assert conditions(world) == {}
