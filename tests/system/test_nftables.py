"""kube-proxy in nftables mode, seen from the pods: names, HTTP, the split, failover, and what is refused at once."""

from pathlib import Path

import pytest
from systemlab import TOPOLOGIES, ask, inject, ping, pods, resolve, service_ip

import netsim
from netsim.engine import MS, S
from netsim.experiment.cluster import Cluster
from netsim.experiment.results import Results

LIMIT = 13.816  # the 0.1 % point of the chi-square distribution with two degrees of freedom


def in_nftables_mode(folder: Path, name: str, version: str = "1.34") -> Path:
    """One of our topologies with the other mode."""
    text = (TOPOLOGIES / f"{name}.yaml").read_text(encoding="utf-8")
    text = text.replace("kubeProxyMode: iptables, ", "").replace("iptables: {minSync", "nftables: {minSync")
    text = text.replace("manifests/", f"{(TOPOLOGIES / 'manifests').as_posix()}/")
    if "networking: {" in text:
        text = text.replace("networking: {", "networking: {kubeProxyMode: nftables, ")
    else:
        text = text.replace("\nspec:\n", "\nspec:\n  networking: {kubeProxyMode: nftables}\n", 1)
    text = text.replace('kubernetesVersion: "1.34"', f'kubernetesVersion: "{version}"')
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    made = Cluster(in_nftables_mode(tmp_path_factory.mktemp("nft"), "my-nginx"), 1)
    made.settle()
    return made


def test_names_and_pages(cluster: Cluster) -> None:
    address = service_ip(cluster, "my-nginx")
    assert resolve(cluster, "pod/client", "my-nginx") == (address,)
    answer = ask(cluster, "pod/client", "my-nginx")
    assert (answer.outcome, answer.status) == ("ok", 200)
    assert all(node.ns.nft is not None and node.ns.nft.bases for node in cluster.fabric.nodes.values())


def test_no_kube_proxy_chain_is_in_iptables(cluster: Cluster) -> None:
    for node in cluster.fabric.nodes.values():
        assert node.ns.xtables is not None
        assert "KUBE-" not in node.ns.xtables.save()
        assert "CNI-MASQ" in node.ns.xtables.save()


@pytest.mark.parametrize(("last", "error"), [(None, "ECONNREFUSED"), (250, "silence")])
def test_ping_of_a_service_address_is_refused_and_of_a_free_one_dropped(
    cluster: Cluster, last: int | None, error: str
) -> None:
    """In iptables mode both are silence."""
    address = service_ip(cluster, "my-nginx") if last is None else f"10.96.255.{last}"
    assert ping(cluster, "pod/client", address) == error


def test_a_port_that_no_service_has_is_refused_at_once(cluster: Cluster) -> None:
    answer = ask(cluster, "pod/client", "my-nginx", 81)
    assert answer.outcome != "ok"
    assert answer.ended_ns - answer.started_ns < 100 * MS


def test_explain_shows_the_rules_as_nft_prints_them(cluster: Cluster) -> None:
    text = cluster.explain("pod/client", "http://my-nginx/").text()
    addresses = [pod.status.podIP for pod in pods(cluster, run="my-nginx")]
    assert "services rule ip daddr . meta l4proto . th dport vmap @service-ips (verdict goto service-" in text
    assert "numgen random mod 2 vmap { 0 : goto endpoint-" in text
    assert f"meta l4proto tcp dnat to {addresses[0]}:80" in text or f"dnat to {addresses[1]}:80" in text


def test_a_deleted_pod_leaves_the_rules_of_every_node(tmp_path: Path) -> None:
    made = Cluster(in_nftables_mode(tmp_path, "my-nginx"), 2)
    made.settle()
    gone, stays = (pod.status.podIP for pod in pods(made, run="my-nginx"))
    inject(made, {"at": "1ms", "action": "pod-delete", "selector": {"run": "my-nginx"}})
    made.run(20 * S)
    left = {pod.status.podIP for pod in pods(made, run="my-nginx")}
    for node in made.fabric.nodes.values():
        assert node.ns.nft is not None
        text = node.ns.nft.list_ruleset()
        for address in (gone, stays):
            assert (f"dnat to {address}:80" in text) is (address in left)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("split")
    topology = in_nftables_mode(folder, "three-nodes")
    path = folder / "split.yaml"
    path.write_text(
        "apiVersion: netsim/v1\nkind: Experiment\nmetadata: {name: split}\nspec:\n"
        f'  topology: "{topology.as_posix()}"\n  seed: 4\n  duration: 10s\n  load:\n'
        '  - {name: each, from: {run: client}, to: "http://my-nginx/", rate: 300/s, arrivals: constant}\n',
        encoding="utf-8",
    )
    return netsim.load(path).run(jobs=1)


def test_a_third_each(results: Results) -> None:
    split = results.load_split("my-nginx")
    counts = split.table["connections"].tolist()
    assert len(counts) == 3
    assert sum(counts) == 3000
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < LIMIT
    assert (split.verdict.word, split.verdict.reason) == ("chance", "even")
    assert set(results.requests["outcome"]) == {"ok"}


@pytest.mark.parametrize("version", ["1.34", "1.30"])
def test_failover(tmp_path: Path, version: str) -> None:
    """A killed pod: detected, taken out of every node's rules, and over; also where each sync is a full one."""
    topology = in_nftables_mode(tmp_path, "failover", version)
    path = tmp_path / "kill.yaml"
    path.write_text(
        "apiVersion: netsim/v1\nkind: Experiment\nmetadata: {name: kill}\nspec:\n"
        f'  topology: "{topology.as_posix()}"\n  seed: 21\n  duration: 8s\n  replications: 4\n  load:\n'
        '  - {name: shop, from: {run: client}, to: "http://my-nginx/", rate: 20/s, timeout: 1s}\n'
        "  faults:\n  - {at: 2s, action: pod-kill, selector: {run: my-nginx}}\n",
        encoding="utf-8",
    )
    results = netsim.load(path).run(jobs=1)
    assert all(books.closes for books in results.books)
    table = results.failover("my-nginx").table
    assert table["recovered"].all()
    assert (table["outage_ns"] < 4 * S).all()
    synced = results.events[results.events["reason"] == "RulesSynced"]
    assert len(synced) > 0
