"""Clusters in ipvs mode: names, an exact split, what a service address answers, failover, affinity, load balancers."""

from collections import Counter
from pathlib import Path

import pytest
from systemlab import TOPOLOGIES, Ask, ask, inject, ping, pods, resolve, service_ip, settled

from netsim.cluster.objects import Service
from netsim.engine import MS, S
from netsim.experiment.cluster import Cluster
from netsim.experiment.loader import load_topology
from netsim.fabric.host import PodHost
from netsim.kernel import ipvs_text
from netsim.kernel.ipvs import Ipvs
from netsim.kernel.routing import Route
from netsim.wire.addr import Prefix, ip, ip_text


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return settled("ipvs")


def changed(folder: Path, **texts: str) -> Cluster:
    """The topology with some texts replaced."""
    text = (
        (TOPOLOGIES / "ipvs.yaml")
        .read_text(encoding="utf-8")
        .replace("[manifests/", f"[{TOPOLOGIES}/manifests/")
    )
    text = text.replace(", manifests/", f", {TOPOLOGIES}/manifests/")
    for old, new in texts.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "topology.yaml"
    path.write_text(text, encoding="utf-8")
    made = Cluster(load_topology(path))
    made.settle()
    return made


def ipvs_of(cluster: Cluster, pod: str = "pod/client") -> Ipvs:
    host = cluster.host(pod)
    assert isinstance(host, PodHost)
    assert host.node.ns.ipvs is not None
    return host.node.ns.ipvs


def counts(cluster: Cluster, service: str) -> list[int]:
    """Connections that the client's node has given to each endpoint so far."""
    key = 6, ip(service_ip(cluster, service)), 80
    found = ipvs_of(cluster).services[key]  # type: ignore[index]
    return [dest.stats.conns for dest in found.dests]


def test_names_and_pages(cluster: Cluster) -> None:
    assert resolve(cluster, "pod/client", "my-nginx") == (service_ip(cluster, "my-nginx"),)
    for source in ("pod/client", "node/worker-1", "node/control-plane"):
        assert ask(cluster, source, service_ip(cluster, "my-nginx")).outcome == "ok"
    assert ask(cluster, "pod/client", "my-nginx.default.svc.cluster.local").outcome == "ok"


def test_the_split_is_exact_on_each_node(cluster: Cluster) -> None:
    """Round robin: every node turns its own wheel, so its counts differ by one at most."""
    before = counts(cluster, "my-nginx")
    client = Ask(cluster, "pod/client", "my-nginx")
    assert {client().outcome for _ in range(100)} == {"ok"}
    given = [after - old for after, old in zip(counts(cluster, "my-nginx"), before, strict=True)]
    assert sum(given) == 100
    assert max(given) - min(given) <= 1


def test_a_port_without_service_is_refused_at_once(cluster: Cluster) -> None:
    for source in ("pod/client", "node/worker-1"):
        done = ask(cluster, source, service_ip(cluster, "my-nginx"), 81)
        assert (done.outcome, done.ended_ns - done.started_ns < 10 * MS) == ("refused", True)


def test_the_service_address_refuses_pings_since_1_27(cluster: Cluster) -> None:
    """KUBE-IPVS-FILTER rejects what is new and for no Service, pings too (kubernetes/website issue 41002)."""
    assert ping(cluster, "pod/client", service_ip(cluster, "my-nginx")) == "ECONNREFUSED"


def test_the_service_address_answers_pings_until_1_26(tmp_path: Path) -> None:
    """It is a local address of every node, as the tutorials of that time show."""
    older = changed(tmp_path, **{'"1.34"': '"1.26"'})
    for source in ("pod/client", "node/worker-1"):
        assert ping(older, source, service_ip(older, "my-nginx")) == "reply"
        done = ask(older, source, service_ip(older, "my-nginx"), 81)
        assert (done.outcome, done.ended_ns - done.started_ns < 10 * MS) == ("refused", True)
    assert ask(older, "pod/client", "my-nginx").outcome == "ok"


def test_affinity_is_persistence(cluster: Cluster) -> None:
    before = counts(cluster, "sticky")
    client = Ask(cluster, "pod/client", "sticky")
    assert {client().outcome for _ in range(10)} == {"ok"}
    given = [after - old for after, old in zip(counts(cluster, "sticky"), before, strict=True)]
    assert sorted(given) == [0, 0, 10]
    assert f"TCP  {service_ip(cluster, 'sticky')}:80 rr persistent 10800\n" in ipvs_text.listing(
        ipvs_of(cluster)
    )


def test_node_ports_answer_from_outside(cluster: Cluster) -> None:
    for name in ("worker-1", "worker-2", "control-plane"):
        address = ip_text(cluster.fabric.nodes[name].address)
        assert ask(cluster, "external/laptop", address, 30080).outcome == "ok"
    assert (
        ask(cluster, "external/laptop", ip_text(cluster.fabric.nodes["worker-1"].address), 30081).outcome
        == "refused"
    )


def test_load_balancer_addresses(tmp_path: Path) -> None:
    """Pods reach it on their own node, the laptop by whichever node the router chooses; ranges keep others out."""
    cluster = changed(tmp_path)
    service = cluster.api.get(Service, "default", "outside")
    assert service is not None
    spec = service.spec.model_copy(
        update={"type": "LoadBalancer", "loadBalancerSourceRanges": ("203.0.113.0/24", "10.244.0.0/16")}
    )
    status = service.status.model_validate({"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}})
    cluster.api.update(service.model_copy(update={"spec": spec, "status": status}))
    cluster.run(2 * S)
    router = cluster.fabric.router.ns
    route = Route(
        Prefix.parse("192.0.2.10/32"), router.devices["eth0"], cluster.fabric.nodes["worker-2"].address
    )
    router.add_route(route)
    assert ask(cluster, "pod/client", "192.0.2.10").outcome == "ok"
    assert ask(cluster, "external/laptop", "192.0.2.10").outcome == "ok"
    spec = spec.model_copy(update={"loadBalancerSourceRanges": ("198.51.100.0/24",)})
    service = cluster.api.get(Service, "default", "outside")
    assert service is not None
    cluster.api.update(service.model_copy(update={"spec": spec}))
    cluster.run(2 * S)
    assert ask(cluster, "external/laptop", "192.0.2.10", timeout_ns=S).outcome == "timeout"
    assert (
        ask(cluster, "external/laptop", ip_text(cluster.fabric.nodes["worker-1"].address), 30080).outcome
        == "ok"
    )


@pytest.mark.parametrize("action", ["pod-kill", "pod-delete"])
def test_failover(action: str) -> None:
    """What dies without a word is given to new connections until it leaves the list; then nobody notices."""
    cluster = settled("ipvs", seed=3)
    victim = pods(cluster, run="my-nginx")[0]
    client = Ask(cluster, "pod/client", "my-nginx", timeout_ns=200 * MS)
    inject(cluster, {"at": "0s", "action": action, "selector": {"pod": victim.metadata.name}})
    cluster.run(MS)
    during = Counter(client().outcome for _ in range(9))
    assert during["ok"] >= 6
    assert during["ok"] + during["refused"] == 9  # the rules are changed within a second, nothing hangs
    assert during["refused"]
    cluster.run(5 * S)
    assert {client().outcome for _ in range(9)} == {"ok"}


def test_round_robin_is_blind() -> None:
    """A pod that hangs, and that no probe asks, gets every third connection for ever."""
    cluster = settled("ipvs", seed=3)
    victim = pods(cluster, run="my-nginx")[0]
    client = Ask(cluster, "pod/client", "my-nginx", timeout_ns=200 * MS)
    inject(cluster, {"at": "0s", "action": "pod-hang", "selector": {"pod": victim.metadata.name}})
    cluster.run(MS)
    assert Counter(client().outcome for _ in range(9)) == {"ok": 6, "timeout": 3}


def test_quiesced_real_servers_are_looked_after_once_a_minute() -> None:
    cluster = settled("ipvs", seed=3)
    victim = pods(cluster, run="my-nginx")[0]
    client = Ask(cluster, "pod/client", "my-nginx")
    assert {client().outcome for _ in range(3)} == {"ok"}
    inject(cluster, {"at": "0s", "action": "pod-delete", "selector": {"pod": victim.metadata.name}})
    cluster.run(5 * S)
    place = f"{victim.status.podIP}:80"
    key = 6, ip(service_ip(cluster, "my-nginx")), 80

    def weight() -> int | None:
        dests = {str(ip_text(d.address)): d.weight for d in ipvs_of(cluster).services[key].dests}  # type: ignore[index]
        return dests.get(place.removesuffix(":80"))

    assert weight() == 0
    cluster.run(200 * S)  # TIME_WAIT lasts 120 s, then comes the next look
    assert weight() is None


@pytest.mark.parametrize("scheduler", ["wrr", "lc", "wlc", "sh", "sed", "nq", "mh"])
def test_schedulers(tmp_path: Path, scheduler: str) -> None:
    cluster = changed(tmp_path, **{"scheduler: rr": f"scheduler: {scheduler}"})
    client = Ask(cluster, "pod/client", "my-nginx")
    assert {client().outcome for _ in range(12)} == {"ok"}
    given = sorted(counts(cluster, "my-nginx"))
    if scheduler == "sh":
        assert given == [0, 0, 12]  # one client
    elif scheduler != "mh":
        assert given == [4, 4, 4] if scheduler in ("wrr", "lc", "wlc") else sum(given) == 12
    else:
        assert sum(given) == 12


def test_the_books_close(cluster: Cluster) -> None:
    hosts = list(cluster.fabric.hosts())
    made = sum(host.ns.sent for host in hosts) + cluster.fabric.copies()
    ended = (
        sum(host.ns.delivered for host in hosts) + cluster.fabric.drops().total() + cluster.fabric.in_flight()
    )
    assert made == ended


def test_deprecation_is_noted(tmp_path: Path) -> None:
    text = (
        (TOPOLOGIES / "ipvs.yaml")
        .read_text(encoding="utf-8")
        .replace("manifests: [manifests", f"manifests: [{TOPOLOGIES}/manifests")
    )
    text = text.replace(", manifests/", f", {TOPOLOGIES}/manifests/")
    for version, noted in (("1.34", False), ("1.35", True)):
        path = tmp_path / "topology.yaml"
        path.write_text(text.replace('"1.34"', f'"{version}"'), encoding="utf-8")
        assert any("ipvs is deprecated" in note for note in load_topology(path).notes) is noted
