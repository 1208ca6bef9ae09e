"""`netsim explain`: each packet of a request through every hook, rule, rewrite and link, with times, there and back."""

from itertools import pairwise

import pytest
from systemlab import TOPOLOGIES, ping, service_ip, settled

from netsim.cli.main import main
from netsim.experiment.cluster import Cluster
from netsim.experiment.explain import Explained
from netsim.kernel.journey import Step
from netsim.measure.journey import PacketJourney
from netsim.wire.addr import ip_text
from netsim.wire.packet import ACK, FIN, ICMP, SYN, TCP, UDP, TcpSegment

CLIENT = "default/test-pod"


Case = tuple[Cluster, Explained]


@pytest.fixture(scope="module")
def case() -> Case:
    """A request whose DNS server and whose nginx are both on another node than the client."""
    for seed in range(1, 50):
        cluster = settled("tutorial-nginx", seed)
        explained = cluster.explain("pod/test-pod", "http://nginx-service:5000/")
        there = {"10.244." + str(cluster.host("pod/test-pod").address[2])}
        ends = [_packet(explained, UDP).last.flow.dst, _packet(explained, TCP, SYN).last.flow.dst]
        if not there & {ip_text(end).rsplit(".", 1)[0] for end in ends}:
            return cluster, explained
    raise AssertionError("the pods are always on the client's node")


@pytest.fixture(scope="module")
def cluster(case: Case) -> Cluster:
    return case[0]


@pytest.fixture(scope="module")
def explained(case: Case) -> Explained:
    return case[1]


def _packet(explained: Explained, proto: int, flags: int | None = None) -> PacketJourney:
    """The first one of its kind."""
    for packet in explained.journey.packets:
        body = packet.first.body
        given = body.flags if isinstance(body, TcpSegment) else None
        if packet.first.flow.proto == proto and given == flags:
            return packet
    raise AssertionError(f"no packet {proto} {flags}")


def _short(step: Step) -> str:
    """What a step is, without names, addresses and numbers."""
    if step.kind == "rule":
        target = step.detail.split(" -j ")[1].split()[0]
        table = step.detail.split(":")[0]
        return f"{step.where} {table} {target[:8] if target[:8] in ('KUBE-SVC', 'KUBE-SEP') else target}"
    if step.kind == "conntrack":
        return f"{step.where} conntrack {step.detail.split()[0]}"
    where = "veth" if step.where.startswith("veth") else step.where
    return where if step.kind == "hook" else f"{where} {step.kind}".strip()


FILTER_NEW = [
    "FORWARD filter KUBE-PROXY-FIREWALL",
    "FORWARD filter KUBE-FORWARD",
    "FORWARD filter KUBE-SERVICES",
    "FORWARD filter KUBE-EXTERNAL-SERVICES",
]
NOT_MASQUERADED = [
    "POSTROUTING nat KUBE-POSTROUTING",
    "POSTROUTING nat RETURN",
    "POSTROUTING nat CNI-MASQ",
    "POSTROUTING nat RETURN",
    "POSTROUTING conntrack confirmed",
]
OUT_OF_THE_POD = ["send", "OUTPUT route", "eth0 transmit"]
THROUGH_THE_CLIENTS_NODE = [
    "veth receive", "PREROUTING", "PREROUTING conntrack NEW", "PREROUTING nat KUBE-SERVICES",
    "PREROUTING nat KUBE-SVC", "PREROUTING nat KUBE-SEP", "PREROUTING nat DNAT", "PREROUTING dnat",
    "FORWARD route", "FORWARD", *FILTER_NEW, "POSTROUTING", *NOT_MASQUERADED,
]  # fmt: skip
THROUGH_THE_SERVERS_NODE = [
    "eth0 receive", "PREROUTING", "PREROUTING conntrack NEW", "PREROUTING nat KUBE-SERVICES",
    "FORWARD route", "FORWARD", *FILTER_NEW, "POSTROUTING", *NOT_MASQUERADED, "veth transmit",
]  # fmt: skip
INTO_THE_POD = ["eth0 receive", "deliver"]
ANSWERS_FILTER = ["FORWARD filter KUBE-FORWARD", "FORWARD filter ACCEPT"]


def test_the_lookup_passes_every_hook_and_rule(explained: Explained) -> None:
    query = _packet(explained, UDP)
    assert [_short(step) for step in query.steps if step.kind != "neighbour"] == [
        *OUT_OF_THE_POD, *THROUGH_THE_CLIENTS_NODE, "eth0 transmit", *THROUGH_THE_SERVERS_NODE, *INTO_THE_POD
    ]  # fmt: skip
    assert ip_text(query.first.flow.dst) == "10.96.0.10"
    assert query.last.namespace.startswith("kube-system/coredns-")
    assert "DNS A? nginx-service.default.svc.cluster.local." in query.summary


def test_the_connection_is_dnatted_once_and_its_answer_back(explained: Explained, cluster: Cluster) -> None:
    syn = _packet(explained, TCP, SYN)
    assert [_short(step) for step in syn.steps if step.kind != "neighbour"] == [
        *OUT_OF_THE_POD, *THROUGH_THE_CLIENTS_NODE, "eth0 transmit", *THROUGH_THE_SERVERS_NODE, *INTO_THE_POD
    ]  # fmt: skip
    assert ip_text(syn.first.flow.dst) == service_ip(cluster, "nginx-service")
    assert (syn.first.flow.dport, syn.last.flow.dport) == (5000, 80)
    answer = _packet(explained, TCP, SYN | ACK)
    shorts = [_short(step) for step in answer.steps]
    back = ["PREROUTING", "PREROUTING conntrack ESTABLISHED", "FORWARD", *ANSWERS_FILTER, "POSTROUTING"]
    assert [short for short in shorts if short != "FORWARD route"] == [
        *OUT_OF_THE_POD, "veth receive", *back, "eth0 transmit",
        "eth0 receive", *back, "POSTROUTING snat", "veth transmit", *INTO_THE_POD,
    ]  # fmt: skip
    assert answer.first.flow.src == syn.last.flow.dst
    assert answer.last.flow == syn.first.flow.reverse()


def test_a_packet_that_waits_for_arp_is_seen_to_leave_later(explained: Explained) -> None:
    waited = [p for p in explained.journey.packets if any(step.kind == "neighbour" for step in p.steps)]
    for packet in waited:
        [wait] = [step for step in packet.steps if step.kind == "neighbour"]
        [leave] = [s for s in packet.steps if s.kind == "transmit" and s.detail == "after ARP"]
        assert (leave.namespace, leave.where) == (wait.namespace, wait.where)
        assert leave.at_ns > wait.at_ns


def test_the_ttl_falls_at_each_router(explained: Explained) -> None:
    for packet in explained.journey.packets:
        crossed = dict.fromkeys(step.namespace for step in packet.steps)
        assert [step.ttl for step in (packet.first, packet.last)] == [64, 64 - (len(crossed) - 2)]


def test_all_packets_are_delivered_and_no_time_runs_backwards(explained: Explained) -> None:
    assert explained.outcome.startswith("HTTP 200 after ")
    for packet in explained.journey.packets:
        assert packet.fate.startswith("delivered to "), packet.summary
        assert all(before.at_ns <= after.at_ns for before, after in pairwise(packet.steps))
        sent = [step for step in packet.steps if step.kind == "transmit"]
        got = [step for step in packet.steps if step.kind == "receive"]
        # Every link is seen at both of its ends, and takes time.
        assert len(sent) == len(got)
        assert all(out.at_ns < in_.at_ns for out, in_ in zip(sent, got, strict=True))


def test_the_answers_come_from_the_service(explained: Explained, cluster: Cluster) -> None:
    services = {"10.96.0.10", service_ip(cluster, "nginx-service")}
    towards = [p for p in explained.journey.packets if p.last.namespace == CLIENT]
    assert towards
    assert {ip_text(packet.last.flow.src) for packet in towards} == services
    assert all(ip_text(packet.first.flow.src) not in services for packet in towards)


def test_the_connection_is_closed_by_both_sides(explained: Explained) -> None:
    fins = [p for p in explained.journey.packets if getattr(p.first.body, "flags", 0) & FIN]
    assert {packet.first.namespace for packet in fins} == {CLIENT, fins[0].last.namespace}
    assert len(fins) == 2


def test_the_text_has_a_block_per_packet_with_its_fate(explained: Explained) -> None:
    head, *blocks = explained.text().rstrip().split("\n\n")
    assert head.startswith("pod/test-pod asks http://nginx-service:5000/\nHTTP 200 after ")
    assert len(blocks) == len(explained.journey)
    for number, block in enumerate(blocks, 1):
        lines = block.splitlines()
        assert lines[0].split(".")[0].strip() == str(number)
        assert lines[-1].strip().startswith("=> delivered to ")
        assert all(line == line.rstrip() for line in lines)


def test_nothing_is_followed_afterwards(explained: Explained, cluster: Cluster) -> None:
    before = sum(len(packet.steps) for packet in explained.journey.packets)
    assert ping(cluster, "pod/test-pod", "172.18.0.2") == "reply"
    assert sum(len(packet.steps) for packet in explained.journey.packets) == before
    assert all(not host.ns.journeys for host in cluster.fabric.hosts())


def test_a_wrong_port_ends_without_an_answer() -> None:
    told = settled("tutorial-nginx").explain("pod/test-pod", "http://nginx-service/", timeout_ns=10**9)
    assert told.outcome.startswith("timeout after 1s")
    syns = [p for p in told.journey.packets if p.first.flow.proto == TCP]
    assert syns
    assert all("IP_BLACKHOLE" in packet.fate for packet in syns)
    assert not any(step.kind == "dnat" for packet in syns for step in packet.steps)


def test_ping_looks_names_up_and_the_cluster_ip_stays_silent() -> None:
    told = settled("tutorial-nginx").explain("pod/test-pod", "ping://nginx-service", timeout_ns=10**9)
    assert told.outcome == "no answer within 1s"
    assert {packet.first.flow.proto for packet in told.journey.packets} == {UDP, ICMP}
    told = settled("tutorial-nginx").explain("pod/test-pod", "ping://no-such-service", timeout_ns=10**10)
    assert told.outcome.startswith("no address of no-such-service")


@pytest.mark.parametrize(("name", "questions"), [("no-such", 8), ("www.exmaple.com", 8), ("exmaple.com.", 2)])
def test_a_name_outside_is_asked_after_the_search_list_and_does_not_exist(name: str, questions: int) -> None:
    told = settled("tutorial-nginx").explain("pod/test-pod", f"http://{name}/", timeout_ns=10**9)
    assert told.outcome.startswith("dns after")
    assert told.outcome.endswith("NXDOMAIN")
    assert sum(packet.first.flow.dport == 53 for packet in told.journey.packets) == questions


@pytest.mark.parametrize(
    ("target", "outcome", "questions"),
    [
        ("dns://nginx-service", "10.96.", 2),
        ("dns://www.example.com?type=A", "93.184.215.14 after", 4),
        ("dns://www.example.com.?type=AAAA", "2606:2800:21f:cb07:6820:80da:af6b:8b2c after", 1),
        ("dns://exmaple.com.", "NXDOMAIN after", 2),
    ],
)
def test_a_look_up_alone(target: str, outcome: str, questions: int) -> None:
    told = settled("tutorial-nginx").explain("pod/test-pod", target)
    assert told.outcome.startswith(outcome)
    assert told.outcome.endswith(f" and {questions} queries")
    assert sum(packet.first.flow.dport == 53 for packet in told.journey.packets) == questions


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "pod/nobody", "--to", "http://nginx-service/"], "nobody"),
        (["--from", "pod/test-pod", "--to", "gopher://nginx-service/"], "gopher"),
        (["--from", "pod/test-pod", "--to", "ping://"], "ping://"),
    ],
)
def test_the_command_refuses_what_it_cannot_ask(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(TOPOLOGIES / "tutorial-nginx.yaml"), *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert said in err


@pytest.mark.parametrize("form", ["text", "mermaid", "svg"])
def test_the_command_prints_the_journey(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    topology = str(TOPOLOGIES / "tutorial-nginx.yaml")
    arguments = ["--from", "pod/test-pod", "--to", "http://nginx-service:5000/", "-o", form]
    assert main(["explain", topology, *arguments]) == 0
    out = capsys.readouterr().out
    begins = {"mermaid": "sequenceDiagram", "text": "pod/test-pod asks", "svg": "<?xml"}
    assert out.startswith(begins[form])
    assert "DNAT" in out
