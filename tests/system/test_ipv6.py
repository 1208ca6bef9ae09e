"""IPv6 and dual-stack clusters: names, Services, node ports, pings and failover are those of IPv4."""

from pathlib import Path

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from systemlab import TOPOLOGIES, Ask, ask, loaded, ping, pods, resolve, service_ip, settled

from netsim.cluster.metaproxy import MetaProxy
from netsim.cluster.objects import EndpointSlice, Node, Service
from netsim.engine import MS, S
from netsim.experiment.cluster import Cluster
from netsim.fabric.host import NodeHost
from netsim.wire.addr import ip, ip_text
from netsim.workload.resolver import Resolver

NODES = ("control-plane", "worker-1", "worker-2")


@pytest.fixture(scope="module", params=["iptables", "nftables", "ipvs"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def in_mode(folder: Path, name: str, mode: str) -> Cluster:
    """One of our topologies, booted with its kube-proxies in a mode."""
    text = (TOPOLOGIES / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.count("ipFamily:") == 1
    text = text.replace("ipFamily:", f"kubeProxyMode: {mode}, ipFamily:")
    path = folder / f"{name}.yaml"
    path.write_text(text.replace("manifests/", f"{TOPOLOGIES.as_posix()}/manifests/"), encoding="utf-8")
    cluster = Cluster(path, 1)
    cluster.settle()
    return cluster


@pytest.fixture(scope="module")
def six(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return in_mode(tmp_path_factory.mktemp("six"), "tutorial-ipv6", mode)


@pytest.fixture(scope="module")
def dual(mode: str, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return in_mode(tmp_path_factory.mktemp("dual"), "dual-stack", mode)


def service(cluster: Cluster, name: str) -> Service:
    found = cluster.api.get(Service, "default", name)
    assert found is not None
    return found


# ---------------------------------------------------------------- IPv6 only
def test_every_address_is_ipv6(six: Cluster) -> None:
    addresses = [address for host in six.fabric.hosts() for address in host.addresses]
    addresses += [ip(found.spec.clusterIP) for found in six.api.list(Service)]
    assert {len(address) for address in addresses} == {16}
    assert [node.spec.podCIDR for node in six.api.list(Node) if node.metadata.name == "worker-1"] == [
        "fd00:10:244:1::/64"
    ]


def test_the_tutorial_goes_the_same_way(six: Cluster, mode: str) -> None:
    assert service_ip(six, "nginx-service").startswith("fd00:10:96::")
    assert resolve(six, "pod/test-pod", "nginx-service") == (service_ip(six, "nginx-service"),)
    assert ask(six, "pod/test-pod", "nginx-service", 5000).status == 200
    wrong_port = "timeout" if mode == "iptables" else "refused"
    assert ask(six, "pod/test-pod", "nginx-service", timeout_ns=S).outcome == wrong_port
    pinged = "silence" if mode == "iptables" else "ECONNREFUSED"
    assert ping(six, "pod/test-pod", service_ip(six, "nginx-service")) == pinged


def test_pods_answer_everybody(six: Cluster) -> None:
    targets = [pod.status.podIP for pod in pods(six, app="nginx")]
    for source in [*(f"node/{name}" for name in NODES), *(f"pod/{name}" for name in sorted(six.fabric.pods))]:
        for address in targets:
            assert ask(six, source, address).outcome == "ok", (source, address)
            assert ping(six, source, address) == "reply"


def test_a_closed_port_is_refused_and_a_dead_address_is_silent(six: Cluster) -> None:
    target = pods(six, app="nginx")[0].status.podIP
    assert ask(six, "pod/test-pod", target, 81).outcome == "refused"
    assert ask(six, "pod/test-pod", "fd00:10:244:1::77", timeout_ns=S).outcome == "timeout"
    assert ping(six, "node/worker-1", "fc00:f853:ccd:e793::77", 5 * S) == "EHOSTUNREACH"


def test_environment_and_resolv_conf(six: Cluster) -> None:
    host = six.host("pod/test-pod")
    address = service_ip(six, "nginx-service")
    assert host.env["NGINX_SERVICE_SERVICE_HOST"] == address
    assert host.env["NGINX_SERVICE_PORT"] == f"tcp://[{address}]:5000"
    assert host.resolv_conf.nameservers == ("fd00:10:96::a",)


def test_what_leaves_the_cluster_is_masqueraded(six: Cluster) -> None:
    capture = six.capture("laptop")
    assert ping(six, "pod/test-pod", "2001:db8::10") == "reply"
    capture.stop()
    node = six.host("pod/test-pod").node  # type: ignore[attr-defined]
    assert {hop.packet().flow.src for hop in capture} == {node.address, ip("2001:db8::10")}
    for hop in capture:
        assert hop.packet().to_scapy().haslayer(IPv6)


def test_a_users_own_packet(six: Cluster) -> None:
    capture = six.capture("default/test-pod")
    query = DNS(qd=DNSQR(qname="nginx-service.default.svc.cluster.local", qtype="AAAA"))
    six.send("pod/test-pod", IPv6(dst="fd00:10:96::a") / UDP(sport=5353, dport=53) / query)
    six.run(20 * MS)
    capture.stop()
    answer = next(hop.packet() for hop in capture if hop.packet().flow.sport == 53).to_scapy()
    assert answer[IPv6].src == "fd00:10:96::a"
    assert answer[DNS].an[0].rdata == service_ip(six, "nginx-service")


def test_a_service_without_endpoints_is_rejected(six: Cluster) -> None:
    """ICMPv6 port unreachable from the node, and the connection is refused at once."""
    six.control_plane.apply(
        [Service.model_validate({"metadata": {"name": "empty"}, "spec": {"ports": [{"port": 80}]}})]
    )
    six.run(5 * S)
    done = ask(six, "pod/test-pod", "empty")
    assert done.outcome == "refused"
    assert done.ended_ns - done.resolved_ns < MS


def test_explain_hides_neighbour_discovery(six: Cluster, mode: str) -> None:
    text = six.explain("pod/test-pod", "http://nginx-service:5000/").text()
    assert "HTTP 200" in text
    assert "fd00:10:96::" in text
    assert ("-d fd00:10:96::" in text) is (mode == "iptables")
    assert "neighbor solicitation" not in text


def test_the_books_close(six: Cluster) -> None:
    six.run(S)
    assert six.books().closes


# ---------------------------------------------------------------- both families
@pytest.mark.parametrize(
    ("name", "policy", "families"),
    [
        ("web", "SingleStack", ("IPv4",)),
        ("web-six", "SingleStack", ("IPv6",)),
        ("web-both", "PreferDualStack", ("IPv4", "IPv6")),
        ("web-pods", "RequireDualStack", ("IPv4", "IPv6")),
    ],
)
def test_services_get_the_families_they_ask_for(
    dual: Cluster, name: str, policy: str, families: tuple[str, ...]
) -> None:
    spec = service(dual, name).spec
    assert (spec.ipFamilyPolicy, spec.ipFamilies) == (policy, families)
    slices = [item for item in dual.api.list(EndpointSlice, "default") if item.service_name == name]
    assert sorted(item.addressType for item in slices) == list(families)
    for item in slices:
        assert all((":" in e.addresses[0]) == (item.addressType == "IPv6") for e in item.endpoints)
        assert len(item.endpoints) == 3


def test_pods_and_nodes_have_both(dual: Cluster) -> None:
    for pod in pods(dual):
        assert [":" in entry.ip for entry in pod.status.podIPs] == [False, True]
        assert [":" in entry.ip for entry in pod.status.hostIPs] == [False, True]
        assert pod.status.podIP == pod.status.podIPs[0].ip
    for node in dual.api.list(Node):
        assert [":" in cidr for cidr in node.spec.podCIDRs] == [False, True]
        addresses = [entry.address for entry in node.status.addresses if entry.type == "InternalIP"]
        assert [":" in address for address in addresses] == [False, True]


def test_names_and_what_is_tried_first(dual: Cluster) -> None:
    """glibc tries a unique local address before IPv4, musl (and RFC 6724) after it."""
    four, six = service(dual, "web-both").spec.clusterIPs
    assert resolve(dual, "pod/client", "web-both") == (six, four)
    assert resolve(dual, "pod/client", "web") == (service_ip(dual, "web"),)
    assert resolve(dual, "pod/client", "web-six") == (service_ip(dual, "web-six"),)
    assert len(resolve(dual, "pod/client", "web-pods")) == 6
    host = dual.host("pod/client")
    found: list[tuple[str, ...]] = []
    musl = Resolver(host, host.resolv_conf, "musl")
    musl.lookup("web-both", lambda result, _now: found.append(tuple(map(ip_text, result.addresses))))
    dual.run(S)
    assert found == [(four, six)]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_each_family_leads_to_the_pods(dual: Cluster, family: str) -> None:
    request = Ask(dual, "pod/client", "web-both", family=family)
    done = request()
    assert done.status == 200
    assert done.flow is not None
    assert len(done.flow.dst) == {"ipv4": 4, "ipv6": 16}[family]


def test_a_name_without_the_wanted_family_is_nodata(dual: Cluster) -> None:
    done = Ask(dual, "pod/client", "web", family="ipv6")()
    assert (done.outcome, done.error) == ("dns", "NODATA")


@pytest.mark.parametrize("node", NODES)
def test_node_ports_answer_in_both_families(dual: Cluster, node: str) -> None:
    for address in dual.fabric.nodes[node].addresses:
        assert ask(dual, "external/laptop", ip_text(address), 30080).status == 200


def test_the_second_address_is_tried_when_the_first_fails(dual: Cluster) -> None:
    """Rules of ip6tables refuse what goes to web-both, in ipvs mode at INPUT: connections fall back on IPv4."""
    node = dual.host("pod/client").node  # type: ignore[attr-defined]
    assert isinstance(node, NodeHost)
    assert node.ns.ip6tables is not None
    six = service(dual, "web-both").spec.clusterIPs[1]
    chains = ("FORWARD", "INPUT")
    rules = [f"-I {chain} -p tcp -m conntrack --ctstate NEW -j REJECT\n" for chain in chains]
    saved = [node.ns.ip6tables.tables["filter"][chain] for chain in chains]
    node.ns.ip6tables.restore(f"*filter\n{''.join(rules)}COMMIT\n")
    done = ask(dual, "pod/client", "web-both")
    node.ns.ip6tables.commit("filter", saved)
    assert done.status == 200
    assert done.flow is not None
    assert len(done.flow.dst) == 4
    assert Ask(dual, "pod/client", six)().status == 200


def test_each_proxier_writes_its_own_family(dual: Cluster) -> None:
    proxy = dual.control_plane.proxies["worker-1"]
    assert isinstance(proxy, MetaProxy)
    ports = [{port.name.name for port in proxier.table.values()} for proxier in proxy.proxiers]
    assert ports[0] >= {"web", "web-both", "kube-dns", "kubernetes"}
    assert ports[1] == {"web-six", "web-both"}
    ns = dual.fabric.nodes["worker-1"].ns
    assert ns.xtables is not None
    assert ns.ip6tables is not None
    assert "fd00" not in ns.xtables.save()
    assert "10." not in ns.ip6tables.save()


def test_remembered_ways_lead_where_full_ones_do() -> None:
    """A namespace that is followed takes the full path for every packet: the same packets, times and entries."""
    seen = []
    for followed in (False, True):
        cluster = settled("dual-stack", seed=2)
        if followed:
            cluster.follow(lambda _step: None)
        requests = [Ask(cluster, "pod/client", "web-both", family=family) for family in ("ipv6", "ipv4")]
        ended = [request().ended_ns for _ in range(12) for request in requests]
        entries = [str(node.ns.conntrack.render(cluster.engine.now)) for node in cluster.fabric.nodes.values()
                   if node.ns.conntrack is not None]  # fmt: skip
        firsts = [len(key[0]) for node in cluster.fabric.nodes.values() for key in node.ns.firsts]
        seen.append((ended, entries, cluster.counters()))
        assert (16 in firsts) is not followed
    assert seen[0] == seen[1]


def test_the_dual_books_close(dual: Cluster) -> None:
    dual.run(S)
    assert dual.books().closes


# ---------------------------------------------------------------- failover
LOAD = '{name: shop, from: {run: client}, to: "http://web-both/", rate: 20/s, timeout: 1s, ipFamily: %s}'
FAULT = "{at: 2s, action: pod-kill, selector: {app: web}}"


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_failover_in_either_family(tmp_path: Path, family: str) -> None:
    spec = {"duration": "8s", "seed": "3", "replications": "2"}
    results = loaded(tmp_path, "dual-stack", [LOAD % family], [FAULT], **spec).run(jobs=1)
    assert all(books.closes for books in results.books)
    split = results.load_split("web-both").table
    assert len(split) >= 3
    assert {text.startswith("[fd00") for text in split["endpoint"]} == {family == "ipv6"}
    assert split["expected_share"].sum() == pytest.approx(1)
    assert (split["pod"] != "").all()
    table = results.failover("web-both").table
    assert table["recovered"].all()
    assert (table["outage_ns"] < 3 * S).all()


def test_the_same_seed_gives_the_same_fingerprint(tmp_path: Path) -> None:
    spec = {"duration": "3s", "seed": "5", "replications": "1"}
    made = loaded(tmp_path, "dual-stack", [LOAD % "any"], [FAULT], **spec)
    assert made.run(jobs=1).fingerprint == made.run(jobs=1).fingerprint
