"""Dead nodes: detection, marking, taints, eviction, recovery."""

import itertools

import pytest
from clusterlab import World, container, deployment, make_world, node_configs, service

from netsim.cluster.controllers.taint_eviction import toleration_seconds
from netsim.cluster.controllers.zones import ZoneQueue, ZoneState, eviction_qps, zone_state
from netsim.cluster.objects import Node, ObjectMeta, Pod, PodSpec, Taint, Toleration, evolve
from netsim.cluster.timing import NodeFailureTiming, Timing
from netsim.engine import MS, S

UNREACHABLE = "node.kubernetes.io/unreachable"


def node(world: World, name: str) -> Node:
    found: Node | None = world.api.get(Node, "", name)
    assert found is not None
    return found


def taints(world: World, name: str) -> set[tuple[str, str]]:
    return {(taint.key, taint.effect) for taint in node(world, name).spec.taints}


def booted(workers: int = 3, seed: int = 1, version: str = "1.34", replicas: int = 3) -> World:
    world = make_world(workers, seed, Timing.for_version(version))
    world.boot([deployment(replicas=replicas), service()])
    return world


# -------------------------------------------------------------------------------------------------- detection
def test_a_dead_node_becomes_unknown_and_its_pods_unready() -> None:
    world = booted()
    now = world.engine.now
    world.plane.crash_node("worker-1")
    world.run(60 * S)
    (detected,) = world.recorded.of("NodeNotReady", now)
    assert detected.name == "worker-1"
    assert 39 * S <= detected.at_ns - now <= 56 * S
    ready = node(world, "worker-1").status.condition("Ready")
    assert ready is not None
    assert ready.status == "Unknown"
    (victim,) = [item for item in world.pods() if item.spec.nodeName == "worker-1"]
    assert not victim.status.is_ready
    (written,) = world.recorded.of("PodStatusWritten", now, ready="False")
    assert written.at_ns - detected.at_ns < 1 * S
    assert written.detail["pod_ip"] == victim.status.podIP
    (removed,) = [e for e in world.recorded.of("EndpointSliceUpdated", now) if e.detail["removed"]]
    assert removed.detail["removed"] == victim.status.podIP
    assert (UNREACHABLE, "NoSchedule") in taints(world, "worker-1")


def test_the_pods_of_a_dense_node_are_marked_at_20_a_second() -> None:
    world = make_world(1)
    world.boot([deployment(replicas=90), service()], limit_ns=120 * S)
    now = world.engine.now
    world.plane.crash_node("worker-1")
    world.run(70 * S)
    marked = [event.at_ns for event in world.recorded.of("PodStatusWritten", now, ready="False")]
    assert len(marked) == 90
    # 30 in a burst, the rest at 20 qps (timing facts kcm.clientQPS).
    assert 2 * S < max(marked) - min(marked) < 5 * S


def test_short_silence_is_forgiven() -> None:
    world = booted()
    now = world.engine.now
    world.plane.disconnect_node("worker-1")
    world.run(25 * S)
    world.plane.reconnect_node("worker-1")
    world.run(80 * S)
    assert world.recorded.of("NodeNotReady", now) == []


def test_a_partitioned_node_comes_back() -> None:
    world = booted()
    now = world.engine.now
    world.plane.disconnect_node("worker-1")
    world.run(90 * S)
    assert world.recorded.of("NodeNotReady", now)
    healed = world.engine.now
    world.plane.reconnect_node("worker-1")
    world.run(25 * S)
    (well,) = world.recorded.of("NodeReady", healed)
    assert well.at_ns - healed <= 16 * S  # node status within 10 s, seen by a pass within 5 s
    assert taints(world, "worker-1") == set()
    assert all(item.status.is_ready for item in world.pods())
    assert world.recorded.of("PodEvicted", now) == []


def test_a_crashed_node_that_boots_again_runs_its_pods_anew() -> None:
    world = booted()
    before = {item.metadata.name: item.status.podIP for item in world.pods()}
    world.plane.crash_node("worker-1")
    assert world.recorded.of("ContainerDied", cause="node")
    world.run(100 * S)
    world.plane.restore_node("worker-1")
    world.run(60 * S)
    assert world.plane.settled(), world.plane.unsettled()
    after = {item.metadata.name: item.status.podIP for item in world.pods()}
    assert after.keys() == before.keys()
    changed = [name for name in after if after[name] != before[name]]
    assert len(changed) == 1
    assert taints(world, "worker-1") == set()


# -------------------------------------------------------------------------------------------------- eviction
@pytest.mark.parametrize(
    ("version", "low_s", "high_s"), [("1.34", 335, 375), ("1.31", 325, 365), ("1.12", 290, 325)]
)
def test_when_the_replacement_is_created(version: str, low_s: int, high_s: int) -> None:
    """About 350 s since 1.32, 340 s before, 300 s from the last heartbeat up to 1.12 (V16, V01)."""
    world = booted(version=version)
    now = world.engine.now
    world.plane.crash_node("worker-1")
    world.run(400 * S)
    evicted = world.recorded.of("PodEvicted", now)
    assert [event.node for event in evicted] == ["worker-1"]
    created = world.recorded.of("PodCreated", evicted[0].at_ns)[0].at_ns - now
    assert low_s * S <= created <= high_s * S
    (stuck,) = [item for item in world.pods() if item.spec.nodeName == "worker-1"]
    assert stuck.metadata.deletionTimestamp is not None  # nobody confirms its end
    active = [item for item in world.pods() if item.status.is_ready]
    assert len(active) == 3


def test_tolerations_of_one_minute() -> None:
    short = [
        Toleration(key=UNREACHABLE, operator="Exists", effect="NoExecute", tolerationSeconds=60),
    ]
    world = make_world(3)
    world.boot([deployment(pod={"containers": (container(),), "tolerations": tuple(short)})])
    now = world.engine.now
    world.plane.crash_node("worker-2")
    world.run(150 * S)
    (evicted,) = world.recorded.of("PodEvicted", now)
    tainted = world.recorded.of("NodeTainted", now)[0]
    assert 60 * S <= evicted.at_ns - tainted.at_ns <= 61 * S


@pytest.mark.parametrize(
    ("tolerations", "effects", "expected"),
    [
        ([], [], None),
        ([], ["a"], 0),
        ([("a", 300)], ["a"], 300),
        ([("a", None)], ["a"], None),
        ([("a", 300), ("a", 20)], ["a"], 20),
        ([("a", 300)], ["a", "b"], 0),
        ([("a", 300), ("b", 100)], ["a", "b"], 100),
        ([("a", -5)], ["a"], 0),
    ],
)
def test_toleration_seconds(
    tolerations: list[tuple[str, int | None]], effects: list[str], expected: int | None
) -> None:
    made = tuple(
        Toleration(key=key, operator="Exists", effect="NoExecute", tolerationSeconds=seconds)
        for key, seconds in tolerations
    )
    pod = Pod(metadata=ObjectMeta(name="p"), spec=PodSpec(containers=(container(),), tolerations=made))
    assert toleration_seconds(pod, tuple(Taint(key=key, effect="NoExecute") for key in effects)) == expected


def test_a_taint_by_hand_evicts_at_once_and_removing_it_cancels() -> None:
    world = booted()
    maintenance = Taint(key="maintenance", effect="NoExecute")
    world.api.patch(Node, "", "worker-1", lambda n: evolve(n, {"spec.taints": (maintenance,)}))
    world.run(10 * S)
    assert [event.node for event in world.recorded.of("PodEvicted")] == ["worker-1"]
    assert {item.spec.nodeName for item in world.pods()} <= {"worker-2", "worker-3"}


# -------------------------------------------------------------------------------------------------- zones
@pytest.mark.parametrize(
    ("ready", "not_ready", "state"),
    [
        (3, 0, ZoneState.NORMAL),
        (2, 1, ZoneState.NORMAL),
        (0, 1, ZoneState.FULL),
        (0, 0, ZoneState.NORMAL),
        (1, 2, ZoneState.NORMAL),
        (2, 3, ZoneState.PARTIAL),
        (3, 3, ZoneState.NORMAL),
        (45, 55, ZoneState.PARTIAL),
    ],
)
def test_zone_state(ready: int, not_ready: int, state: ZoneState) -> None:
    assert zone_state(ready, not_ready, 0.55) is state


@pytest.mark.parametrize(
    ("state", "nodes", "everything", "qps"),
    [
        (ZoneState.NORMAL, 10, False, 0.1),
        (ZoneState.FULL, 10, False, 0.1),
        (ZoneState.FULL, 10, True, 0.0),
        (ZoneState.PARTIAL, 50, False, 0.0),
        (ZoneState.PARTIAL, 51, False, 0.01),
    ],
)
def test_eviction_qps(state: ZoneState, nodes: int, everything: bool, qps: float) -> None:
    assert eviction_qps(state, nodes, everything, NodeFailureTiming()) == qps


def test_zone_queue_gives_one_node_every_ten_seconds() -> None:
    queue = ZoneQueue(0.1)
    for name in ("a", "b", "b", "c"):
        queue.add(name)
    queue.remove("c")
    assert [queue.pop(at * S) for at in (0, 5, 10, 20)] == ["a", None, "b", None]
    assert not queue


def test_nodes_of_a_zone_are_tainted_one_every_ten_seconds() -> None:
    world = make_world(8)
    world.boot([deployment(replicas=8)])
    now = world.engine.now
    for number in range(1, 4):
        world.plane.crash_node(f"worker-{number}")
    world.run(100 * S)
    times = [event.at_ns for event in world.recorded.of("NodeTainted", now)]
    assert len(times) == 3
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert all(9900 * MS <= gap <= 10500 * MS for gap in gaps)


def test_when_every_node_is_silent_nobody_is_evicted() -> None:
    world = make_world(nodes=node_configs(3)[1:])
    world.boot([deployment(replicas=3)])
    now = world.engine.now
    for number in range(1, 4):
        world.plane.disconnect_node(f"worker-{number}")
    world.run(100 * S)
    assert len(world.recorded.of("NodeNotReady", now)) == 3
    # The first to be noticed may have been tainted before the others were.
    assert len(world.recorded.of("NodeTainted", now)) <= 1


# -------------------------------------------------------------------------------------------------- pod gc
def test_pods_of_a_deleted_node_are_collected() -> None:
    world = booted()
    world.plane.crash_node("worker-1")
    world.api.delete(Node, "", "worker-1")
    world.run(90 * S)
    assert {item.spec.nodeName for item in world.pods()} == {"worker-2", "worker-3"}
    assert len(world.pods()) == 3


def test_out_of_service_removes_terminating_pods() -> None:
    world = booted()
    world.plane.crash_node("worker-1")
    (victim,) = [item for item in world.pods() if item.spec.nodeName == "worker-1"]
    world.plane.delete_pod(victim)
    world.run(30 * S)
    assert world.api.get(Pod, *victim.key) is not None
    out = Taint(key="node.kubernetes.io/out-of-service", effect="NoExecute", value="nodeshutdown")
    world.api.patch(Node, "", "worker-1", lambda n: evolve(n, {"spec.taints": (*n.spec.taints, out)}))
    world.run(25 * S)
    assert world.api.get(Pod, *victim.key) is None


# -------------------------------------------------------------------------------------------------- before leases
@pytest.mark.parametrize(("version", "low_s", "high_s"), [("1.13", 16, 23), ("1.14", 10, 23)])
def test_before_leases_the_node_status_is_the_heartbeat(version: str, low_s: int, high_s: int) -> None:
    """kubespray's fast profile: a status every 4 s, a pass every 2 s, 20 s of grace. Leases are renewed every 10 s."""
    flags = {
        "nodeStatusUpdateFrequency": "4s",
        "node-monitor-period": "2s",
        "node-monitor-grace-period": "20s",
    }
    found = []
    for seed in range(1, 7):
        world = make_world(2, seed, Timing.for_version(version, flags))
        world.boot([deployment(replicas=1)])
        world.run(seed * 3 * S)
        now = world.engine.now
        world.plane.crash_node("worker-1")
        world.run(30 * S)
        (event,) = world.recorded.of("NodeNotReady", now)
        found.append(event.at_ns - now)
    assert all(low_s * S <= after <= high_s * S for after in found)
    assert (min(found) < 16 * S) == (version == "1.14")
