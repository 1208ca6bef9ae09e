"""StatefulSets and DaemonSets at work: names, order, updates, one pod per node."""

from itertools import pairwise
from typing import Any

import pytest
from clusterlab import World, make_world, node_configs

from netsim.cluster.controllers.daemonset import limits, runs_on
from netsim.cluster.objects import DaemonSet, Node, Pod, StatefulSet, evolve
from netsim.cluster.timing import Timing
from netsim.engine import S

CONTAINER = {"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}


def template(app: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [CONTAINER], **spec}}


def kafka(replicas: int = 3, **fields: Any) -> StatefulSet:
    return StatefulSet.model_validate(
        {
            "metadata": {"name": "kafka", "namespace": "default"},
            "spec": {
                "serviceName": "kafka-headless",
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "kafka"}},
                "template": template("kafka"),
                **fields,
            },
        }
    )


def agent(**fields: Any) -> DaemonSet:
    spec = fields.pop("pod", {})
    return DaemonSet.model_validate(
        {
            "metadata": {"name": "agent", "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": {"app": "agent"}},
                "template": template("agent", **spec),
                **fields,
            },
        }
    )


def names(world: World, app: str = "kafka") -> list[str]:
    return sorted(pod.metadata.name for pod in world.pods(app=app))


def changed_image(item: Any, image: str) -> Any:
    containers = (item.spec.template.spec.containers[0].model_copy(update={"image": image}),)
    return evolve(item, spec__template__spec__containers=containers)


def images(world: World, app: str) -> dict[str, str]:
    return {pod.metadata.name: pod.spec.containers[0].image for pod in world.pods(app=app)}


# ---------------------------------------------------------------------- StatefulSet
def test_pods_come_one_after_the_other_with_their_identity() -> None:
    world = make_world()
    world.boot([kafka()])
    created = [(e.name, e.at_ns) for e in world.recorded.of("PodCreated") if e.name.startswith("kafka")]
    ready = {e.name: e.at_ns for e in world.recorded.of("PodStatusWritten", ready="True")}
    assert [name for name, _ in created] == ["kafka-0", "kafka-1", "kafka-2"]
    for (before, _), (_, at_ns) in pairwise(created):
        assert at_ns > ready[before]
    first = world.api.get(Pod, "default", "kafka-0")
    assert (first.spec.hostname, first.spec.subdomain) == ("kafka-0", "kafka-headless")
    assert first.metadata.labels["statefulset.kubernetes.io/pod-name"] == "kafka-0"
    assert first.metadata.labels["apps.kubernetes.io/pod-index"] == "0"


def test_parallel_pods_come_together() -> None:
    world = make_world()
    world.boot([kafka(podManagementPolicy="Parallel", ordinals={"start": 5})])
    at = {e.name: e.at_ns for e in world.recorded.of("PodCreated")}
    ready = min(e.at_ns for e in world.recorded.of("PodStatusWritten", ready="True"))
    assert [name for name in at if name.startswith("kafka")] == ["kafka-5", "kafka-6", "kafka-7"]
    assert max(at[name] for name in ("kafka-5", "kafka-6", "kafka-7")) < ready


def test_a_deleted_pod_comes_back_under_its_name_only_when_it_is_gone() -> None:
    world = make_world()
    world.boot([kafka()])
    old = world.api.get(Pod, "default", "kafka-1")
    world.app_of(old).term_takes_ns = 3 * S
    since = world.engine.now
    world.plane.delete_pod(old)
    world.run(20 * S)
    new = world.api.get(Pod, "default", "kafka-1")
    assert new.metadata.uid != old.metadata.uid
    assert new.status.is_ready
    [gone] = [e for e in world.recorded.of("PodDeleted", since) if e.name == "kafka-1"]
    [made] = [e for e in world.recorded.of("PodCreated", since) if e.name == "kafka-1"]
    assert since + 3 * S < gone.at_ns < made.at_ns


def test_scaling_takes_the_last_pod_first() -> None:
    world = make_world()
    world.boot([kafka(4)])
    since = world.engine.now
    world.plane.apply([kafka(2)])
    world.run(20 * S)
    gone = [e.name for e in world.recorded.of("PodDeleted", since)]
    assert gone == ["kafka-3", "kafka-2"]
    assert names(world) == ["kafka-0", "kafka-1"]


@pytest.mark.parametrize(
    ("strategy", "expected", "order"),
    [
        ({}, {"kafka-0": "b", "kafka-1": "b", "kafka-2": "b"}, ["kafka-2", "kafka-1", "kafka-0"]),
        (
            {"rollingUpdate": {"partition": 1}},
            {"kafka-0": "nginx", "kafka-1": "b", "kafka-2": "b"},
            ["kafka-2", "kafka-1"],
        ),
        ({"type": "OnDelete"}, {"kafka-0": "nginx", "kafka-1": "nginx", "kafka-2": "nginx"}, []),
    ],
)
def test_updates(strategy: dict[str, Any], expected: dict[str, str], order: list[str]) -> None:
    world = make_world()
    item = kafka(updateStrategy=strategy)
    world.boot([item])
    since = world.engine.now
    world.plane.apply([changed_image(item, "b")])
    world.run(60 * S)
    assert [e.name for e in world.recorded.of("PodDeleted", since)] == order
    assert images(world, "kafka") == expected


def test_below_the_partition_a_pod_comes_back_as_it_was() -> None:
    world = make_world()
    item = kafka(updateStrategy={"rollingUpdate": {"partition": 2}})
    world.boot([item])
    world.plane.apply([changed_image(item, "b")])
    world.run(30 * S)
    world.plane.delete_pod(world.api.get(Pod, "default", "kafka-0"), 0)
    world.run(30 * S)
    assert images(world, "kafka") == {"kafka-0": "nginx", "kafka-1": "nginx", "kafka-2": "b"}
    status = world.api.get(StatefulSet, "default", "kafka").status
    assert (status.readyReplicas, status.updatedReplicas) == (3, 1)
    assert status.currentRevision != status.updateRevision


def test_no_pod_index_before_1_28() -> None:
    world = make_world(timing=Timing.for_version("1.27"))
    world.boot([kafka(1)])
    assert "apps.kubernetes.io/pod-index" not in world.pods(app="kafka")[0].metadata.labels


def test_its_pods_go_with_it() -> None:
    world = make_world()
    world.boot([kafka(), agent()])
    world.api.delete("StatefulSet", "default", "kafka")
    world.api.delete("DaemonSet", "default", "agent")
    world.run(40 * S)
    assert names(world) == names(world, "agent") == []


# ---------------------------------------------------------------------- DaemonSet
def nodes_of(world: World) -> list[str]:
    return sorted(pod.spec.nodeName for pod in world.pods(app="agent"))


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({}, ["worker-1", "worker-2"]),
        ({"tolerations": [{"operator": "Exists"}]}, ["control-plane", "worker-1", "worker-2"]),
        ({"nodeSelector": {"disk": "ssd"}}, []),
    ],
)
def test_one_pod_per_node_that_fits(pod: dict[str, Any], expected: list[str]) -> None:
    world = make_world(workers=2)
    world.boot([agent(pod=pod)])
    assert nodes_of(world) == expected
    status = world.api.get(DaemonSet, "default", "agent").status
    assert status.desiredNumberScheduled == status.numberAvailable == len(expected)


def test_it_stays_on_a_node_that_is_dead() -> None:
    world = make_world(workers=2)
    world.boot([agent()])
    before = {pod.metadata.uid for pod in world.pods(app="agent")}
    world.plane.crash_node("worker-1")
    world.run(500 * S)
    assert {pod.metadata.uid for pod in world.pods(app="agent")} == before
    assert world.api.get(DaemonSet, "default", "agent").status.numberAvailable == 1


@pytest.mark.parametrize(
    ("strategy", "most_missing", "most_pods"),
    [
        ({}, 1, 4),
        ({"rollingUpdate": {"maxUnavailable": "50%"}}, 2, 4),
        ({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}, 0, 5),
    ],
)
def test_rolling_update(strategy: dict[str, Any], most_missing: int, most_pods: int) -> None:
    world = make_world(workers=4)
    item = agent(updateStrategy=strategy)
    world.boot([item])
    world.plane.apply([changed_image(item, "b")])
    missing, pods = 0, 0
    for _ in range(600):
        world.run(S // 10)
        living = [pod for pod in world.pods(app="agent") if pod.metadata.deletionTimestamp is None]
        missing = max(missing, 4 - len({pod.spec.nodeName for pod in living if pod.status.is_ready}))
        pods = max(pods, len(living))
    assert set(images(world, "agent").values()) == {"b"}
    assert nodes_of(world) == [f"worker-{n}" for n in range(1, 5)]
    assert (missing, pods) == (most_missing, most_pods)


def test_limits_in_nodes() -> None:
    assert limits(agent(), 10) == (0, 1)
    update = {"maxUnavailable": "25%"}
    assert limits(agent(updateStrategy={"rollingUpdate": update}), 10) == (0, 3)
    update = {"maxSurge": "25%", "maxUnavailable": 0}
    assert limits(agent(updateStrategy={"rollingUpdate": update}), 10) == (3, 0)


def test_a_pod_that_names_its_node_runs_there_only() -> None:
    item = agent(pod={"nodeName": "worker-2"})
    found = [
        config.name
        for config in node_configs(3)
        if runs_on(item, Node.model_validate({"metadata": {"name": config.name}}))
    ]
    assert found == ["worker-2"]
