"""Where pods go."""

import pytest
from clusterlab import CONTROL_PLANE_LABEL, World, container, deployment, make_world, node_configs

from netsim.cluster.controllers.placement import NodeRanking, fits, tolerates
from netsim.cluster.objects import Node, ObjectMeta, Pod, PodSpec, Taint, Toleration, evolve
from netsim.cluster.runtime import NodeConfig
from netsim.cluster.timing import KubeletTiming, Timing
from netsim.engine import S

TAINT = Taint(key="k", value="v", effect="NoSchedule")


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "k", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "k", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "v", "effect": "NoExecute"}, False),
        ({"key": "j", "operator": "Exists"}, False),
    ],
)
def test_tolerates(toleration: dict[str, str], expected: bool) -> None:
    assert tolerates([Toleration.model_validate(toleration)], TAINT) is expected


def pod(name: str = "p", **spec: object) -> Pod:
    raw = {"containers": (container(),), **spec}
    return Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=PodSpec.model_validate(raw))


@pytest.mark.parametrize(
    ("spec", "taints", "unschedulable", "pods", "reason"),
    [
        ({}, (), False, 0, ""),
        ({}, (), False, 110, "too many pods"),
        ({"nodeSelector": {"disk": "ssd"}}, (), False, 0, ""),
        ({"nodeSelector": {"disk": "hdd"}}, (), False, 0, "node selector does not match"),
        ({}, (TAINT,), False, 0, "untolerated taint k"),
        ({"tolerations": ({"operator": "Exists"},)}, (TAINT,), True, 0, ""),
        ({}, (Taint(key="k", effect="PreferNoSchedule"),), False, 0, ""),
        ({}, (), True, 0, "untolerated taint node.kubernetes.io/unschedulable"),
    ],
)
def test_fits(
    spec: dict[str, object], taints: tuple[Taint, ...], unschedulable: bool, pods: int, reason: str
) -> None:
    node = Node(metadata=ObjectMeta(name="n", labels={"disk": "ssd"}))
    node = evolve(node, {"spec.taints": taints, "spec.unschedulable": unschedulable})
    assert fits(pod(**spec), node, pods, 110) == reason


def test_ranking_spreads_each_owner_first() -> None:
    ranking = NodeRanking()
    for name in ("a", "b", "c"):
        ranking.add_node(name)
    ranking.place("a", "x")
    ranking.place("a", "x")
    ranking.place("b", "y")
    assert list(ranking.candidates("x")) == ["c", "b", "a"]
    assert list(ranking.candidates("y")) == ["c", "a", "b"]
    assert list(ranking.candidates("z")) == ["c", "b", "a"]
    ranking.take("a", "x")
    ranking.take("a", "x")
    assert list(ranking.candidates("x")) == ["a", "c", "b"]
    ranking.remove_node("c")
    assert list(ranking.candidates("z")) == ["a", "b"]
    assert ranking.count("b") == 1


def test_ranking_goes_round() -> None:
    ranking = NodeRanking()
    for number in range(5):
        ranking.add_node(f"n{number}")
    chosen = []
    for _ in range(12):
        chosen.append(next(ranking.candidates("x")))
        ranking.place(chosen[-1], "x")
    assert chosen == [f"n{number % 5}" for number in range(12)]


def places(world: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in world.api.list(Pod):
        found[item.spec.nodeName] = found.get(item.spec.nodeName, 0) + 1
    return found


def test_pods_spread_over_the_workers_and_avoid_the_control_plane() -> None:
    world = make_world(3)
    world.boot([deployment(replicas=6)])
    assert places(world) == {"worker-1": 2, "worker-2": 2, "worker-3": 2}


def test_a_single_node_takes_everything() -> None:
    world = make_world(nodes=[NodeConfig("only", "172.18.0.2", "10.244.0.0/24", {CONTROL_PLANE_LABEL: ""})])
    world.boot([deployment(replicas=4)])
    assert places(world) == {"only": 4}


def test_node_name_bypasses_the_scheduler() -> None:
    world = make_world(2)
    world.boot([pod("pinned", nodeName="control-plane")])
    assert places(world) == {"control-plane": 1}
    assert world.recorded.of("PodScheduled") == []


def test_a_pod_that_fits_nowhere_waits_for_a_change() -> None:
    world = make_world(2)
    world.plane.apply([pod("picky", nodeSelector={"disk": "ssd"})])
    world.plane.start()
    world.run(5 * S)
    assert places(world) == {"": 1}
    failed = world.recorded.of("FailedScheduling")
    assert failed
    assert "3 node selector does not match" in failed[-1].detail["message"]
    world.api.patch(Node, "", "worker-2", lambda node: evolve(node, metadata__labels={"disk": "ssd"}))
    world.settle()
    assert places(world) == {"worker-2": 1}


def test_full_nodes_are_avoided() -> None:
    timing = Timing.for_version().with_parts(kubelet=KubeletTiming(max_pods=2))
    world = make_world(2, timing=timing)
    world.plane.apply([deployment(replicas=5)])
    world.plane.start()
    world.run(20 * S)
    assert places(world) == {"": 1, "worker-1": 2, "worker-2": 2}
    victim = next(item for item in world.pods() if item.spec.nodeName == "worker-1")
    world.plane.apply([deployment(replicas=4)])
    world.run(10 * S)
    assert victim is not None
    assert places(world) == {"worker-1": 2, "worker-2": 2}


def test_zones_do_not_matter_to_placement() -> None:
    labels = {"topology.kubernetes.io/zone": "a"}
    world = make_world(nodes=node_configs(4, labels))
    world.boot([deployment(replicas=4)])
    assert len(places(world)) == 4
