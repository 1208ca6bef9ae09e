"""The whole control plane: boot, apply, settle, determinism."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clusterlab import World, container, deployment, make_world, node_configs, service

from netsim.cluster.dns.manifests import dns_objects
from netsim.cluster.errors import InvalidError
from netsim.cluster.objects import (
    Deployment,
    EndpointSlice,
    HTTPGetAction,
    Lease,
    Namespace,
    Node,
    ObjectMeta,
    Pod,
    PodSpec,
    Probe,
    Service,
    evolve,
)
from netsim.cluster.timing import Timing
from netsim.engine import S


def test_what_every_cluster_has() -> None:
    world = make_world(2)
    world.boot()
    assert [item.metadata.name for item in world.api.list(Namespace)] == [
        "default",
        "kube-system",
        "kube-public",
        "kube-node-lease",
    ]
    assert sorted(node.metadata.name for node in world.api.list(Node)) == [
        "control-plane",
        "worker-1",
        "worker-2",
    ]
    assert len(world.api.list(Lease)) == 3
    kubernetes = world.api.get(Service, "default", "kubernetes")
    assert kubernetes.spec.clusterIP == "10.96.0.1"
    (servers,) = world.api.list(EndpointSlice)
    assert servers.endpoints[0].addresses == ("172.18.0.2",)
    node = world.api.get(Node, "", "worker-1")
    assert node.status.internal_ip == "172.18.0.4"
    assert node.spec.podCIDR == "10.244.1.0/24"


def test_settling_says_what_is_missing() -> None:
    world = make_world(2)
    world.plane.apply([deployment(), service()])
    world.plane.start()
    assert "Deployment default/web has 0 of 3 pods available" in world.plane.unsettled()
    assert "Node worker-1 has not registered yet" in world.plane.unsettled()
    world.settle()
    assert world.plane.unsettled() == []


def test_the_first_settling_rests_for_a_random_part_of_a_probe_period() -> None:
    rests = []
    for seed in range(40):
        world = make_world(1, seed)
        probe = Probe(httpGet=HTTPGetAction(port=80))
        world.plane.apply([deployment(replicas=1, probe=probe)])
        world.plane.start()
        while world.plane.unsettled():
            world.run(S // 10)
        ready = world.engine.now
        world.settle()
        rests.append(world.engine.now - ready)
        world.plane.delete_pod(world.pods()[0])
        world.run(30 * S)
        assert world.plane.settled()
    assert max(rests) <= 10.2 * S
    assert 3 * S < sum(rests) / len(rests) < 7 * S


def test_a_pod_that_cannot_be_scheduled_keeps_the_cluster_unsettled() -> None:
    world = make_world(1)
    spec = PodSpec(containers=(container(),), nodeSelector={"disk": "ssd"})
    world.plane.apply([Pod(metadata=ObjectMeta(name="picky"), spec=spec)])
    world.plane.start()
    world.run(20 * S)
    assert world.plane.unsettled() == ["Pod default/picky (not scheduled) is Pending and not ready"]


def test_dns_comes_up_like_any_other_deployment() -> None:
    world = make_world(2)
    world.boot([*dns_objects(), deployment(), service()])
    dns = world.api.get(Service, "kube-system", "kube-dns")
    assert dns.spec.clusterIP == "10.96.0.10"
    (item,) = world.api.list(EndpointSlice, "kube-system")
    assert [endpoint.conditions.ready for endpoint in item.endpoints] == [True, True]


def test_missing_namespaces_are_made() -> None:
    world = make_world(1)
    shop = evolve(deployment(), metadata__namespace="shop")
    world.boot([shop])
    assert world.api.get(Namespace, "", "shop") is not None
    assert len(world.api.list(Pod, "shop")) == 3


def test_applying_again_changes_the_spec_and_keeps_what_was_allocated() -> None:
    world = make_world(2)
    world.boot([deployment(), service(type="NodePort")])
    before = world.api.get(Service, "default", "web")
    world.plane.apply(
        [deployment(replicas=5), evolve(service(type="NodePort"), metadata__labels={"tier": "web"})]
    )
    after = world.api.get(Service, "default", "web")
    assert after.spec == before.spec
    assert after.metadata.labels == {"tier": "web"}
    assert after.metadata.uid == before.metadata.uid
    world.settle()
    assert world.api.get(Deployment, "default", "web").status.availableReplicas == 5


def test_an_invalid_service_is_refused() -> None:
    world = make_world(1)
    with pytest.raises(InvalidError, match=r"192\.168\.0\.1: the provided IP .* is not in the valid range"):
        world.plane.apply([service(clusterIP="192.168.0.1")])


def test_deleting_a_pod_that_is_another_by_now_does_nothing() -> None:
    world = make_world(1)
    world.boot([deployment(replicas=1)])
    stale = evolve(world.pods()[0], metadata__uid="of-an-earlier-one")
    world.plane.delete_pod(stale)
    assert world.pods()[0].metadata.deletionTimestamp is None


def test_faults_before_anything_runs_are_harmless() -> None:
    world = make_world(1)
    world.plane.apply([deployment(replicas=1)])
    world.plane.start()
    world.run(30_000_000)
    for pod in world.pods():
        world.plane.kill_container(pod)
    world.settle()


@pytest.mark.parametrize("version", ["1.12", "1.19", "1.26", "1.31", "1.36"])
def test_every_version_boots_and_repairs(version: str) -> None:
    world = make_world(3, timing=Timing.for_version(version))
    world.boot([deployment(), service()])
    world.plane.kill_container(world.pods()[0])
    world.plane.delete_pod(world.pods()[1])
    world.run(10 * S)
    world.settle()
    assert len(world.pods()) == 3


def history(world: World) -> list[str]:
    return [
        f"{e.at_ns} {e.component} {e.reason} {e.name} {e.node} {sorted(e.detail.items())}"
        for e in world.recorded.events
    ]


def play(seed: int) -> list[str]:
    world = make_world(4, seed)
    world.boot([deployment(replicas=6), service(), deployment("api", 3), service("api"), *dns_objects()])
    world.plane.delete_pod(world.pods()[0])
    world.plane.kill_container(world.pods(run="api")[1])
    world.plane.crash_node("worker-2")
    world.run(80 * S)
    return history(world)


def test_the_same_seed_gives_the_same_history() -> None:
    assert play(5) == play(5)
    assert play(5) != play(6)


def test_the_hash_seed_does_not_matter(root: Path) -> None:
    code = (
        "import hashlib, sys; sys.path[:0] = ['.', 'tests', 'tests/cluster']\n"
        "from test_controlplane import play\n"
        "print(hashlib.sha256('\\n'.join(play(7)).encode()).hexdigest())"
    )
    prints = set()
    for hash_seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        prints.add(done.stdout)
    assert len(prints) == 1


def test_another_entity_does_not_shift_the_draws_of_the_rest() -> None:
    """Common random numbers: the phases of a node's kubelet do not depend on which other nodes there are."""
    phases = []
    for workers in (2, 5):
        world = make_world(nodes=node_configs(workers))
        phases.append(world.plane.kubelets["worker-1"].pleg._phase_ns)
    assert phases[0] == phases[1]


def test_a_hundred_nodes_and_five_hundred_pods() -> None:
    timing = Timing.for_version("1.34", {"kube-api-qps": 1000.0, "kube-api-burst": 2000})
    world = make_world(100, timing=timing)
    world.boot([deployment(f"web-{number}", 10) for number in range(50)], limit_ns=120 * S)
    assert len(world.api.list(Pod)) == 500
    assert all(kubelet.workers for name, kubelet in world.plane.kubelets.items() if name != "control-plane")
