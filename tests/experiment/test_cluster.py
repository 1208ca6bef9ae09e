"""The cluster as notebooks hold it: time, hosts, packets in and out, captures, names."""

from pathlib import Path

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, UDP
from scapy.utils import rdpcap

import netsim
from netsim.engine import S
from netsim.experiment.spec_select import Selector
from netsim.wire.addr import ip


@pytest.fixture(scope="module")
def cluster(root: Path) -> netsim.Cluster:
    cluster = netsim.Cluster(root / "topologies" / "tutorial-nginx.yaml", seed=3)
    cluster.settle()
    return cluster


def test_zero_is_a_whole_second_after_the_boot(cluster: netsim.Cluster) -> None:
    assert cluster.epoch_ns > 0
    assert cluster.epoch_ns % S == 0


def test_time_goes_forward_only(cluster: netsim.Cluster) -> None:
    now = cluster.now_ns
    assert cluster.run("250ms").now_ns == now + 250_000_000
    with pytest.raises(ValueError, match="later"):
        cluster.at("0s" if now else 0)


@pytest.mark.parametrize("name", ["test-pod", "pod/test-pod", "pod/default/test-pod"])
def test_hosts_have_several_names(cluster: netsim.Cluster, name: str) -> None:
    assert cluster.host(name).name == "default/test-pod"


def test_a_deployments_pod_is_found_by_its_beginning(cluster: netsim.Cluster) -> None:
    assert cluster.host("pod/nginx-deploy").name.startswith("default/nginx-deploy-")


@pytest.mark.parametrize(
    ("name", "says"), [("pod/nobody", "no pod"), ("node/x", "no node"), ("external/x", "no external")]
)
def test_unknown_hosts_are_named_with_those_there_are(cluster: netsim.Cluster, name: str, says: str) -> None:
    with pytest.raises(LookupError, match=says):
        cluster.host(name)


def test_selectors(cluster: netsim.Cluster) -> None:
    assert [host.name for host in cluster.select_hosts(Selector(pod="test-pod"))] == ["default/test-pod"]
    assert len(cluster.select_hosts(Selector(labels={"app": "nginx"}))) == 2
    with pytest.raises(LookupError, match="matches"):
        cluster.select_hosts(Selector(labels={"app": "nothing"}))


def test_scapy_in_and_pcapng_out(cluster: netsim.Cluster, tmp_path: Path) -> None:
    capture = cluster.capture("default/test-pod")
    name = "nginx-service.default.svc.cluster.local"
    cluster.send(
        "pod/test-pod", IP(dst="10.96.0.10") / UDP(sport=4242, dport=53) / DNS(id=7, qd=DNSQR(qname=name))
    )
    cluster.run("50ms")
    capture.stop()
    assert cluster.write_pcapng(capture, tmp_path / "dns.pcapng") == len(capture)
    packets = rdpcap(str(tmp_path / "dns.pcapng"))
    answers = [
        p for p in packets if p.haslayer(DNS) and p[DNS].qr and p[DNS].id == 7 and not p.haslayer(ICMP)
    ]
    service = next(
        address for address, owner in cluster.names().items() if owner == "svc/default/nginx-service"
    )
    assert [ip(answer[DNS].an[0].rdata) for answer in answers] == [service]


def test_the_books_close(cluster: netsim.Cluster) -> None:
    assert cluster.books().closes


def test_a_users_own_simpy_process_can_join_in(cluster: netsim.Cluster) -> None:
    seen: list[int] = []

    def process():  # type: ignore[no-untyped-def]
        yield cluster.env.timeout(1_000_000)
        seen.append(cluster.now_ns)

    before = cluster.now_ns
    cluster.env.process(process())
    cluster.run("2ms")
    assert seen == [before + 1_000_000]
