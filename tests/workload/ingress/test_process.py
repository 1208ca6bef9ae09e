"""The controller process in a cluster: late endpoints, two replicas, a cut-off node, rolling restarts."""

import pytest
from systemlab import ask, settled

from netsim.cluster.objects import Deployment, Pod, evolve
from netsim.engine import MS, S
from netsim.experiment.cluster import Cluster
from netsim.workload.ingress.process import SYNC_GAP_NS, TICK_NS, IngressNginx
from netsim.workload.ingress.records import ProxiedRequest


def process(cluster: Cluster) -> IngressNginx:
    return cluster.containers.ingress.running[0]


def upstreams(cluster: Cluster) -> list[int]:
    """How many endpoints of `shop` each worker of the first controller uses."""
    nginx = process(cluster).nginx
    assert nginx is not None
    return [len(worker.balancers.peers("default-shop-80")) for worker in nginx.workers]


def scale(cluster: Cluster, replicas: int) -> None:
    cluster.api.patch(Deployment, "default", "shop", lambda old: evolve(old, spec__replicas=replicas))


def test_syncs_are_rare_and_workers_follow_at_their_tick() -> None:
    cluster = settled("ingress", seed=4)
    cluster.run(10 * S)
    assert upstreams(cluster) == [3, 3]
    scale(cluster, 2)
    cluster.run(150 * MS)
    scale(cluster, 1)
    begun = cluster.engine.now
    seen: list[tuple[int, list[int]]] = []
    while upstreams(cluster) != [1, 1]:
        cluster.run(10 * MS)
        seen.append((cluster.engine.now - begun, upstreams(cluster)))
        assert seen[-1][0] < SYNC_GAP_NS + TICK_NS + 1 * S, seen[-1]
    assert seen[-1][0] > 100 * MS  # not at once
    assert process(cluster).settled


def test_a_cut_off_controller_grows_old_and_catches_up() -> None:
    cluster = settled("ingress", seed=4)
    node = cluster.api.get(Pod, *process(cluster).pod).spec.nodeName  # type: ignore[union-attr]
    cluster.containers.disconnect_node(node)
    scale(cluster, 1)
    cluster.run(20 * S)
    assert upstreams(cluster) == [3, 3]
    cluster.containers.reconnect_node(node)
    cluster.run(10 * S)
    assert upstreams(cluster) == [1, 1]


def test_replicas_have_one_leader_and_both_answer() -> None:
    cluster = settled("ingress", seed=2)
    cluster.api.patch(
        Deployment, "ingress-nginx", "ingress-nginx-controller", lambda old: evolve(old, spec__replicas=2)
    )
    cluster.run(90 * S)
    processes = cluster.containers.ingress.running
    assert len(processes) == 2
    assert cluster.containers.ingress.leader is processes[0]
    log: list[ProxiedRequest] = []
    cluster.engine.bus.subscribe(ProxiedRequest, log.append)
    for _ in range(12):
        exchange = ask(
            cluster,
            "pod/client",
            "ingress-nginx-controller.ingress-nginx",
            headers=(("Host", "shop.example.com"),),
        )
        assert exchange.status == 200
    assert len({record.controller for record in log}) == 2


@pytest.mark.parametrize("grace", [None, 0])
def test_a_deleted_controller_is_replaced(grace: int | None) -> None:
    cluster = settled("ingress", seed=3)
    old = process(cluster)
    pod = cluster.api.get(Pod, *old.pod)
    assert pod is not None
    cluster.control_plane.delete_pod(pod, grace)
    cluster.run(90 * S)
    assert not old.running
    assert process(cluster) is not old
    assert ask(cluster, "external/laptop", "shop.example.com", 30080).status == 200
