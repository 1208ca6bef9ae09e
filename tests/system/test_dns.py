"""Service discovery of running clusters: CoreDNS, kube-dns, names outside, DNS policies, TCP, NodeLocal DNSCache."""

from pathlib import Path

import pytest
from systemlab import TOPOLOGIES, pods, resolve, service_ip, settled, wait

from netsim.cluster.records import ClusterEvent
from netsim.engine import MS, S
from netsim.experiment.cluster import Cluster
from netsim.kernel.journey import Step
from netsim.wire.addr import ip
from netsim.wire.packet import TCP, UDP
from netsim.workload.resolver_lookup import LookupResult


@pytest.fixture(scope="module")
def coredns() -> Cluster:
    return settled("dns-outside")


@pytest.fixture(scope="module")
def kube_dns() -> Cluster:
    return settled("kube-dns")


@pytest.fixture(scope="module")
def cached() -> Cluster:
    return settled("dns-race")


def lookup(cluster: Cluster, source: str, name: str, style: str = "", family: str = "ipv4") -> LookupResult:
    done: list[LookupResult] = []
    resolver = cluster.resolver_for(cluster.host(source), style)
    resolver.lookup(name, lambda result, _now: done.append(result), family)
    wait(cluster, done, 30 * S)
    return done[0]


def followed(cluster: Cluster, source: str, name: str, style: str = "") -> list[Step]:
    steps: list[Step] = []
    stop = cluster.follow(steps.append)
    lookup(cluster, source, name, style)
    cluster.run(50 * MS)
    stop()
    return steps


def asked(cluster: Cluster, server: str) -> int:
    """Packets that a host outside has got so far."""
    return cluster.fabric.outside[server].ns.delivered


# -- CoreDNS -----------------------------------------------------------------------------------------------------------


def test_an_external_name_is_chased_outside(coredns: Cluster) -> None:
    """CNAME in the cluster, CNAME and address outside, in one reply; the second time from CoreDNS's cache."""
    before = coredns.now_ns
    found = lookup(coredns, "pod/cluster-first", "shop")
    assert (found.addresses, found.canonical) == ((ip("203.0.113.80"),), "shop.example.org.")
    assert coredns.now_ns - before >= 10 * MS
    before = coredns.now_ns
    lookup(coredns, "pod/cluster-first", "shop")
    assert coredns.now_ns - before < 10 * MS


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("www.shop.example.org", ("203.0.113.80",)),
        ("foo.acme.local", ("10.150.0.1",)),
        ("www.example.com", ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")),
        ("old-shop", ("203.0.113.80",)),
        ("nope.acme.local", ("NXDOMAIN",)),
        ("nope.example.com", ("NXDOMAIN",)),
    ],
)
def test_names_outside(coredns: Cluster, name: str, addresses: tuple[str, ...]) -> None:
    assert resolve(coredns, "pod/cluster-first", name) == addresses


def test_the_stub_domains_server_is_asked_and_nobody_else(coredns: Cluster) -> None:
    before, router = asked(coredns, "acme-dns"), coredns.fabric.router.ns.delivered
    resolve(coredns, "pod/cluster-first", "other.acme.local.")
    assert asked(coredns, "acme-dns") == before + 2  # A and AAAA
    assert coredns.fabric.router.ns.delivered == router


def test_too_large_for_udp_comes_over_tcp(coredns: Cluster) -> None:
    steps = followed(coredns, "pod/cluster-first", "many")
    assert {step.flow.proto for step in steps if step.flow.dport == 53} == {UDP, TCP}
    assert len(lookup(coredns, "pod/cluster-first", "many").addresses) == 40


@pytest.mark.parametrize(("style", "complete"), [("musl", False), ("musl-1.2.4", True), ("nslookup", True)])
def test_old_musl_uses_what_fits(coredns: Cluster, style: str, complete: bool) -> None:
    addresses = lookup(coredns, "pod/cluster-first", "many", style).addresses
    assert (len(addresses) == 40) is complete
    assert 20 <= len(addresses) <= 40


def test_edns_makes_room(coredns: Cluster) -> None:
    pod = coredns.host("pod/none").address  # options edns0
    steps = [step for step in followed(coredns, "pod/none", "foo") if pod in (step.flow.src, step.flow.dst)]
    assert {step.flow.proto for step in steps} == {UDP}
    [query, *_] = [step for step in steps if step.kind == "send" and step.flow.dport == 53]
    assert b"\0\0\x29\x04\xb0" in query.body.payload  # an OPT of 1200 bytes


def test_policies(coredns: Cluster) -> None:
    """The files, and what they mean for a short name, a Service and a name outside."""
    conf = {name: coredns.host(f"pod/{name}").resolv_conf.render() for name in POLICIES}
    assert conf == POLICIES
    assert resolve(coredns, "pod/cluster-first", "many")[0].startswith("10.244.9.")
    assert resolve(coredns, "pod/default-policy", "many") == ("NXDOMAIN",)
    assert resolve(coredns, "pod/default-policy", "shop.example.org") == ("203.0.113.80",)
    assert resolve(coredns, "pod/none", "foo") == ("10.150.0.1",)
    assert resolve(coredns, "pod/none", "shop.example.org")[0] == "REFUSED"  # not that server's zone
    assert resolve(coredns, "pod/extended", "foo") == ("10.150.0.1",)


POLICIES = {
    "cluster-first": (
        "search default.svc.cluster.local svc.cluster.local cluster.local\n"
        "nameserver 10.96.0.10\noptions ndots:5\n"
    ),
    "default-policy": "nameserver 172.18.0.1\n",
    "none": "search acme.local\nnameserver 1.2.3.4\noptions ndots:2 edns0\n",
    "extended": (
        "search default.svc.cluster.local svc.cluster.local cluster.local acme.local\n"
        "nameserver 10.96.0.10\nnameserver 1.2.3.4\noptions ndots:1 timeout:2\n"
    ),
}


def test_the_annotation_chooses_the_resolver(coredns: Cluster) -> None:
    assert coredns.resolver_of(coredns.host("pod/alpine")).style.socket_per_server is False
    assert coredns.resolver_of(coredns.host("pod/cluster-first")).style.socket_per_server is True


def test_a_and_aaaa_leave_from_one_port(coredns: Cluster) -> None:
    steps: list[Step] = []
    stop = coredns.follow(steps.append)
    resolve(coredns, "pod/cluster-first", "many.default.svc.cluster.local.")
    stop()
    sent = [
        step for step in steps if step.kind == "send" and step.flow.dport == 53 and step.flow.proto == UDP
    ]
    assert len(sent) == 2
    assert sent[0].at_ns == sent[1].at_ns
    assert sent[0].flow == sent[1].flow


LIMITS = """
apiVersion: netsim/v1
kind: Cluster
metadata: {name: limits}
spec: {kubernetesVersion: "1.24", nodes: [{role: control-plane}]}
---
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  dnsConfig:
    nameservers: [10.0.0.1, 10.0.0.2, 10.0.0.3]
    searches: [a.example, b.example, c.example, d.example]
  containers: [{name: sh, image: busybox}]
"""


def test_the_kubelet_keeps_what_fits_and_says_so(tmp_path: Path) -> None:
    """Three name servers; six search paths before Kubernetes 1.26."""
    path = tmp_path / "limits.yaml"
    path.write_text(LIMITS, encoding="utf-8")
    cluster, events = Cluster(path), []
    assert [note for note in cluster.topology.notes if "the kubelet keeps" in note] == [
        "Pod/greedy: 4 name servers with those of dnsPolicy: the kubelet keeps 3",
        "Pod/greedy: 7 search paths in all: the kubelet keeps 6",
    ]
    cluster.engine.bus.subscribe(ClusterEvent, events.append)
    cluster.settle()
    conf = cluster.host("pod/greedy").resolv_conf
    assert conf.nameservers == ("10.96.0.10", "10.0.0.1", "10.0.0.2")
    assert conf.searches[3:] == ("a.example", "b.example", "c.example")
    said = [event for event in events if event.reason == "DNSConfigForming"]
    assert [(event.component, event.name, event.node) for event in said] == [
        ("kubelet", "greedy", "control-plane")
    ] * 2


# -- kube-dns ----------------------------------------------------------------------------------------------------------


def test_the_tutorials_kube_dns_has_three_containers(kube_dns: Cluster) -> None:
    [pod] = pods(kube_dns, **{"k8s-app": "kube-dns"})
    assert [(status.name, status.ready) for status in pod.status.containerStatuses] == [
        ("kubedns", True), ("dnsmasq", True), ("sidecar", True),
    ]  # fmt: skip
    kube_dns.run("100s")  # the sidecar's pages keep the liveness probes happy
    assert [
        status.restartCount
        for status in pods(kube_dns, **{"k8s-app": "kube-dns"})[0].status.containerStatuses
    ] == [0] * 3


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("nginx-service.default.svc.cluster.local", None),
        ("foo.acme.local", ("10.150.0.1",)),
        ("mail.acme.local", ("10.150.0.1",)),
        ("widget.com", ("203.0.113.80",)),
        ("nope.widget.com", ("NXDOMAIN",)),
    ],
)
def test_the_tutorials_table_of_names(
    kube_dns: Cluster, name: str, addresses: tuple[str, ...] | None
) -> None:
    assert resolve(kube_dns, "pod/test-pod", name) == (addresses or (service_ip(kube_dns, "nginx-service"),))


def test_the_tutorials_external_name(kube_dns: Cluster) -> None:
    found = resolve(kube_dns, "pod/test-pod", "external-service")
    assert len(found) == 8
    assert "185.199.108.153" in found


def test_dnsmasq_remembers_and_asks_the_upstream_of_the_config_map(kube_dns: Cluster) -> None:
    google, router = asked(kube_dns, "google-1"), kube_dns.fabric.router.ns.delivered
    for _ in range(3):
        assert resolve(kube_dns, "pod/test-pod", "github.com.") == ("140.82.121.4",)
    # A once; AAAA is NODATA, which --no-negcache does not keep.
    assert asked(kube_dns, "google-1") - google == 1 + 3
    assert kube_dns.fabric.router.ns.delivered == router


# -- NodeLocal DNSCache ------------------------------------------------------------------------------------------------


def test_pods_ask_the_cache_on_their_node_past_conntrack(cached: Cluster) -> None:
    assert cached.host("pod/local").resolv_conf.nameservers == ("169.254.20.10",)
    node = cached.host("node/worker-1")
    assert node.ns.conntrack is not None
    steps = followed(cached, "pod/local", "my-nginx")
    pod = cached.host("pod/local").address
    mine = [step for step in steps if step.namespace == "worker-1" and pod in (step.flow.src, step.flow.dst)]
    assert {step.detail for step in mine if step.kind == "conntrack"} == {"UNTRACKED"}
    assert not [half for half in node.ns.conntrack.table if pod in (half.src, half.dst)]
    # To CoreDNS over TCP, from the node's address.
    upstream = {step.flow.proto for step in steps if step.flow.src == node.address and step.flow.dport == 53}
    assert upstream == {TCP}


def test_the_cache_answers_again_without_coredns(cached: Cluster) -> None:
    first, again = (
        followed(cached, "pod/local", name) for name in ("my-nginx.default.svc.cluster.local.",) * 2
    )
    assert first
    assert not [step for step in again if step.flow.proto == TCP]
    assert resolve(cached, "pod/local", "www.example.com")[0] == "93.184.215.14"


def test_the_caches_rules_as_iptables_prints_them(cached: Cluster) -> None:
    ns = cached.host("node/worker-1").ns
    assert ns.xtables is not None
    saved = ns.xtables.save()
    assert "-A PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -j NOTRACK" in saved
    assert "-A OUTPUT -s 169.254.20.10/32 -p tcp -m tcp --sport 53 -j NOTRACK" in saved


def test_shipped_topologies_are_used() -> None:
    assert {path.stem for path in TOPOLOGIES.glob("*dns*.yaml")} >= {
        "dns",
        "dns-outside",
        "dns-race",
        "kube-dns",
    }
