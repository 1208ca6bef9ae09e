"""Host ports: who wants which, which clash, and what the scheduler makes of it."""

import pytest
from clusterlab import make_world

from netsim.cluster.hostports import NO_FREE_PORTS, HostPort, UsedPorts, host_ports
from netsim.cluster.objects import ObjectMeta, Pod, PodSpec
from netsim.engine import S


def pod(name: str, *ports: dict[str, object], **spec: object) -> Pod:
    containers = ({"name": "c", "image": "nginx", "ports": ports},)
    return Pod(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=PodSpec.model_validate({"containers": containers, **spec}),
    )


def test_which_ports_a_pod_wants() -> None:
    side = {"name": "s", "image": "envoy", "ports": ({"containerPort": 1, "hostPort": 11},)}
    found = pod(
        "p",
        {"containerPort": 80},
        {"containerPort": 53, "hostPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1"},
        initContainers=({**side, "restartPolicy": "Always"}, {**side, "name": "setup"}),
    )
    assert host_ports(found) == (
        HostPort("0.0.0.0", "TCP", 11, 1),
        HostPort("127.0.0.1", "UDP", 5353, 53),
    )


def test_with_host_network_every_port_is_the_nodes() -> None:
    assert host_ports(pod("p", {"containerPort": 80}, hostNetwork=True)) == (
        HostPort("0.0.0.0", "TCP", 80, 80),
    )


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "TCP", 80), True),
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "TCP", 81), False),
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "UDP", 80), False),
        (("127.0.0.1", "TCP", 80), ("0.0.0.0", "TCP", 80), True),
        (("127.0.0.1", "TCP", 80), ("127.0.0.1", "TCP", 80), True),
        (("127.0.0.1", "TCP", 80), ("172.18.0.3", "TCP", 80), False),
    ],
)
def test_clashes(one: tuple[str, str, int], other: tuple[str, str, int], clash: bool) -> None:
    """HostPortInfo.CheckConflict; the container's port does not matter."""
    first, second = HostPort(*one, 1), HostPort(*other, 2)
    assert first.clashes(second) is second.clashes(first) is clash
    used = UsedPorts()
    used.place("n", [first])
    assert used.clash("n", [second]) is clash
    assert not used.clash("m", [second])
    used.take("n", [first])
    assert not used.clash("n", [second])


def test_equal_ports_of_two_pods_are_counted() -> None:
    """Two pods bound by hand may have the same port; it is free when both have gone."""
    port = HostPort("0.0.0.0", "TCP", 80, 80)
    used = UsedPorts()
    used.place("n", [port])
    used.place("n", [port])
    used.take("n", [port])
    assert used.clash("n", [port])
    used.take("n", [port])
    assert not used.clash("n", [port])


@pytest.mark.parametrize(
    "wanted", [{"hostPort": 8080, "containerPort": 80}, {"hostPort": 8080, "containerPort": 81}]
)
def test_one_pod_per_node_and_the_next_waits_until_one_goes(wanted: dict[str, object]) -> None:
    world = make_world(workers=2)
    world.plane.apply([pod(name, wanted) for name in "abc"])
    world.plane.start()
    world.run(30 * S)
    placed = {p.metadata.name: p.spec.nodeName for p in world.pods()}
    assert {placed["a"], placed["b"]} == {"worker-1", "worker-2"}
    assert placed["c"] is None or placed["c"] == ""
    message = world.recorded.of("FailedScheduling")[-1].detail["message"]
    assert message.startswith("0/3 nodes are available: ")
    assert f"2 {NO_FREE_PORTS}" in message
    world.plane.delete_pod(next(p for p in world.pods() if p.metadata.name == "a"), 0)
    world.run(30 * S)
    assert {p.metadata.name: p.spec.nodeName for p in world.pods()}["c"] == placed["a"]


def test_host_network_and_host_port_clash() -> None:
    world = make_world(workers=1)
    world.plane.apply([
        pod("net", {"containerPort": 8080}, hostNetwork=True),
        pod("port", {"containerPort": 80, "hostPort": 8080}),
        pod("other", {"containerPort": 80, "hostPort": 8081}),
    ])  # fmt: skip
    world.plane.start()
    world.run(30 * S)
    placed = {p.metadata.name: bool(p.spec.nodeName) for p in world.pods()}
    assert placed == {"net": True, "port": False, "other": True}
