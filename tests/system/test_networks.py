"""The tutorials' cluster on each pod network: names, Services, hairpin, host ports, host network, a node that dies.

What differs between the networks is said by their own tests in tests/cni; here all must give the user the same.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from systemlab import TOPOLOGIES, ask, inject, ping, pods, resolve, service_ip, settled

from netsim.cluster.objects import Pod
from netsim.engine import S
from netsim.experiment.cluster import Cluster
from netsim.fabric.host import HostNetworkPod

NETWORKS = ("flat", "vxlan", "bridge")
TEXT = (TOPOLOGIES / "vxlan.yaml").read_text(encoding="utf-8")


def booted(folder: Path, network: str, options: str = "", extra: str = "") -> Cluster:
    """topologies/vxlan.yaml on another network."""
    text = TEXT.replace("{cni: vxlan}", f"{{cni: {network}{options}}}")
    text = text.replace("manifests/", f"{TOPOLOGIES.as_posix()}/manifests/") + extra
    path = folder / f"{network}.yaml"
    path.write_text(text, encoding="utf-8")
    made = Cluster(path)
    made.settle()
    return made


@pytest.fixture(scope="module", params=NETWORKS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = booted(tmp_path_factory.mktemp("networks"), request.param)
    yield made
    assert made.books().closes


def servers(cluster: Cluster, source: str) -> set[str]:
    """Nodes of the my-nginx pods that have answered 20 requests to their Service."""
    found = set()
    for _ in range(20):
        done = ask(cluster, source, "my-nginx")
        assert done.outcome == "ok"
        assert done.flow is not None
        half = next(
            half
            for node in cluster.fabric.nodes.values()
            if (half := node.ns.conntrack.table.get(done.flow)) is not None and half.entry.nat  # type: ignore[union-attr]
        )
        found.add(cluster.containers.owner(half.entry.reply.flow.src, 80)[1])
    return found


def test_names_and_a_service_on_both_nodes(cluster: Cluster) -> None:
    assert resolve(cluster, "pod/client", "my-nginx") == (service_ip(cluster, "my-nginx"),)
    assert servers(cluster, "pod/client") == {"worker-1", "worker-2"}


@pytest.mark.parametrize(
    "source", ["pod/client", "pod/edge", "pod/node-agent", "node/worker-1", "node/control-plane"]
)
def test_every_pod_answers_everybody(cluster: Cluster, source: str) -> None:
    for pod in pods(cluster, run="my-nginx"):
        assert ask(cluster, source, pod.status.podIP).outcome == "ok"
        assert ping(cluster, source, pod.status.podIP) == "reply"
    for _ in range(6):
        assert ask(cluster, source, service_ip(cluster, "my-nginx")).outcome == "ok"


def test_a_pod_reaches_itself_through_its_service(cluster: Cluster) -> None:
    for pod in pods(cluster, run="my-nginx"):
        own = f"pod/{pod.metadata.name}"
        for _ in range(6):
            assert ask(cluster, own, service_ip(cluster, "my-nginx"), timeout_ns=S).outcome == "ok"


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("external/laptop", "172.18.0.3"),
        ("node/worker-2", "172.18.0.3"),
        ("node/worker-1", "172.18.0.3"),
        ("node/worker-1", "127.0.0.1"),
        ("pod/client", "172.18.0.3"),
        ("pod/edge", "172.18.0.3"),
        ("pod/node-agent", "172.18.0.3"),
    ],
)
def test_a_host_port_answers_from_everywhere(cluster: Cluster, source: str, address: str) -> None:
    assert ask(cluster, source, address, 8080, timeout_ns=S).outcome == "ok"


def test_a_host_port_is_on_one_node_only(cluster: Cluster) -> None:
    assert ask(cluster, "external/laptop", "172.18.0.4", 8080, timeout_ns=S).outcome == "refused"
    assert ask(cluster, "node/worker-2", "127.0.0.1", 8080, timeout_ns=S).outcome == "refused"


def test_a_pod_in_the_nodes_network(cluster: Cluster) -> None:
    agent = cluster.host("pod/node-agent")
    assert isinstance(agent, HostNetworkPod)
    assert agent.ns is cluster.fabric.nodes["worker-2"].ns
    assert agent.hostname == "worker-2"
    found = cluster.api.get(Pod, "default", "node-agent")
    assert found is not None
    assert found.status.podIP == "172.18.0.4"
    for source in ("external/laptop", "pod/client", "node/worker-1"):
        assert ask(cluster, source, "172.18.0.4", 9100, timeout_ns=S).outcome == "ok"
    # dnsPolicy ClusterFirstWithHostNet
    assert resolve(cluster, "pod/node-agent", "my-nginx") == (service_ip(cluster, "my-nginx"),)
    assert resolve(cluster, "node/worker-2", "my-nginx") == ("NXDOMAIN",)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_node_dies(network: str, tmp_path: Path) -> None:
    """Its tunnel leads nowhere; when the Service has forgotten its pods, all is well again."""
    cluster = booted(tmp_path, network)
    client = next(pod for pod in pods(cluster, run="client"))
    dying = "worker-1" if client.spec.nodeName == "worker-2" else "worker-2"
    gone = next(pod.status.podIP for pod in pods(cluster, run="my-nginx") if pod.spec.nodeName == dying)
    inject(cluster, {"at": "1s", "action": "node-crash", "selector": {"node": dying}})
    cluster.run("2s")
    assert ask(cluster, "pod/client", gone, timeout_ns=S).outcome == "timeout"
    cluster.run("60s")
    for _ in range(8):
        assert ask(cluster, "pod/client", service_ip(cluster, "my-nginx"), timeout_ns=S).outcome == "ok"
    assert cluster.books().closes


CLASH = """
---
apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {run: NAME}}
spec:
  hostNetwork: true
  nodeSelector: {kubernetes.io/hostname: worker-2}
  containers:
  - {name: nginx, image: nginx}
"""


def test_two_pods_in_one_nodes_network_cannot_share_a_port(tmp_path: Path) -> None:
    """They do not say that they listen on port 80, so the scheduler cannot know. The second process cannot bind, and is
    started again and again; it takes over when the first goes."""
    text = TEXT.replace("manifests/", f"{TOPOLOGIES.as_posix()}/manifests/")
    path = tmp_path / "clash.yaml"
    path.write_text(text + CLASH.replace("NAME", "one") + CLASH.replace("NAME", "two"), encoding="utf-8")
    cluster = Cluster(path)
    cluster.start()
    cluster.engine.run(90 * S)
    states = {
        pod.metadata.name: pod.status.containerStatuses[0]
        for pod in cluster.api.list(Pod)
        if pod.metadata.name in ("one", "two")
    }
    loser, winner = sorted(states, key=lambda name: -states[name].restartCount)
    assert states[winner].restartCount == 0
    assert states[loser].restartCount > 1
    assert states[loser].lastState.terminated is not None
    assert states[loser].lastState.terminated.exitCode == 1
    cluster.epoch_ns = cluster.engine.now
    inject(cluster, {"at": "0s", "action": "pod-delete", "selector": {"pod": f"default/{winner}"}})
    cluster.run("300s")
    assert ask(cluster, "external/laptop", "172.18.0.4", 80, timeout_ns=S).outcome == "ok"


def test_a_host_port_goes_with_its_pod() -> None:
    cluster = settled("vxlan")
    node = cluster.fabric.nodes["worker-1"].ns
    assert node.xtables is not None
    assert "CNI-DN-" in node.xtables.save()
    inject(
        cluster,
        {"at": "0s", "action": "pod-delete", "selector": {"pod": "default/edge"}, "gracePeriod": "0s"},
    )
    cluster.run("10s")
    assert "CNI-DN-" not in node.xtables.save()
    assert "CNI-HOSTPORT-DNAT" in node.xtables.save()
    assert ask(cluster, "external/laptop", "172.18.0.3", 8080, timeout_ns=S).outcome == "refused"


def test_a_hostnetwork_pod_goes_and_the_node_stays() -> None:
    cluster = settled("vxlan")
    assert ask(cluster, "pod/client", "172.18.0.4", 9100, timeout_ns=S).outcome == "ok"
    inject(cluster, {"at": "0s", "action": "pod-delete", "selector": {"pod": "default/node-agent"}})
    cluster.run("40s")
    assert "default/node-agent" not in cluster.fabric.nodes["worker-2"].pods
    assert ask(cluster, "pod/client", "172.18.0.4", 9100, timeout_ns=S).outcome == "refused"
    assert ping(cluster, "pod/client", "172.18.0.4") == "reply"
    assert servers(cluster, "pod/client") == {"worker-1", "worker-2"}


@pytest.mark.parametrize(
    ("options", "outcomes"), [("", {"ok"}), (", bridgeNfCallIptables: false", {"ok", "timeout"})]
)
def test_the_classic_lab_of_br_netfilter(options: str, outcomes: set[str], tmp_path: Path) -> None:
    """Without it, a Service hangs whenever it leads to a pod on the client's own node."""
    cluster = booted(tmp_path, "bridge", options)
    mine = next(pod.spec.nodeName for pod in pods(cluster, run="client"))
    found = set()
    for _ in range(12):
        done = ask(cluster, "pod/client", service_ip(cluster, "my-nginx"), timeout_ns=S)
        found.add(done.outcome)
        assert done.flow is not None
        conntrack = cluster.fabric.nodes[mine or ""].ns.conntrack
        assert conntrack is not None
        half = conntrack.table.get(done.flow)
        if half is not None and done.outcome == "timeout":
            assert cluster.containers.owner(half.entry.reply.flow.src, 80)[1] == mine
    assert found == outcomes
    assert cluster.books().closes


@pytest.mark.parametrize(
    ("network", "uplink", "steps"),
    [
        ("flat", [], {"bridge": 0, "encapsulate": 0, "decapsulate": 0}),
        ("bridge", [], {"bridge": 1, "encapsulate": 0, "decapsulate": 0}),
        ("vxlan", ["VXLAN"], {"bridge": 1, "encapsulate": 1, "decapsulate": 1}),
    ],
)
def test_explain_tells_the_way_between_nodes(
    network: str, uplink: list[str], steps: dict[str, int], tmp_path: Path
) -> None:
    """One packet, one journey, with the steps that the network adds; a capture shows what the cable carries."""
    cluster = booted(tmp_path, network)
    client = next(pod for pod in pods(cluster, run="client"))
    there = next(pod for pod in pods(cluster, run="my-nginx") if pod.spec.nodeName != client.spec.nodeName)
    ask(cluster, "pod/client", there.status.podIP)  # neighbours are known from here on
    capture = cluster.capture(f"{there.spec.nodeName}:eth0")
    explained = cluster.explain("pod/client", f"http://{there.status.podIP}/")
    capture.stop()
    syn = next(packet for packet in explained.journey.packets if packet.summary.endswith("Flags [S]"))
    assert syn.fate == f"delivered to default/{there.metadata.name}"
    kinds = [step.kind for step in syn.steps]
    assert {kind: kinds.count(kind) for kind in steps} == steps
    if uplink:
        order = [step.kind for step in syn.steps if step.kind in ("encapsulate", "decapsulate", "bridge")]
        assert order == ["encapsulate", "decapsulate", "bridge"]
        assert "vni 1 in udp 172.18.0." in explained.text()
        assert "Note over h1: ENCAPSULATE" in explained.journey.mermaid()
    frames = [hop.packet().to_scapy() for hop in capture if hop.uid == syn.uid]
    assert len(frames) == 1
    assert [layer.__name__ for layer in frames[0].layers() if layer.__name__ == "VXLAN"] == uplink
    assert dict(frames[0]["TCP"].options)["MSS"] == (1410 if uplink else 1460)


AGENTS = """
---
apiVersion: v1
kind: Service
metadata: {name: agents}
spec:
  selector: {run: node-agent}
  ports: [{port: 80, targetPort: 9100}]
"""


@pytest.mark.parametrize("network", NETWORKS)
def test_a_service_before_a_pod_in_its_nodes_network(network: str, tmp_path: Path) -> None:
    cluster = booted(tmp_path, network, extra=AGENTS)
    on_its_node = next(pod for pod in pods(cluster, run="my-nginx") if pod.spec.nodeName == "worker-2")
    neighbour = f"pod/{on_its_node.metadata.name}"
    for source in ("pod/edge", neighbour, "pod/node-agent", "node/worker-1", "node/worker-2"):
        done = ask(cluster, source, service_ip(cluster, "agents"), timeout_ns=S)
        assert done.outcome == "ok", source
    assert cluster.containers.owner(cluster.host("node/worker-2").address, 9100)[0] == "default/node-agent"
    assert cluster.books().closes
