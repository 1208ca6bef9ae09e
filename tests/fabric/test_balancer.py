"""The load balancer without Kubernetes: choice of nodes, flows that stay, health checks and their arithmetic."""

from collections import Counter
from dataclasses import replace

import pytest
from httplab import HttpLab
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.engine import S
from netsim.fabric.balancer import Balancer
from netsim.fabric.balancer_health import HealthCheck, NodeCheck, Target
from netsim.fabric.balancer_spec import PRESETS, Frontend, Listener
from netsim.kernel.routing import Route, RouteKind
from netsim.kernel.tcp_handler import ORPHAN
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import ACK, TCP, Flow, Packet, TcpSegment

VIP = ip("203.0.113.128")
TARGET = Target(10256)
ALWAYS = HealthCheck(1 * S, 1 * S, 1, 1)


def lab_with(preset: str) -> tuple[HttpLab, Balancer]:
    lab = HttpLab()
    lab.fabric.add_node("n3", ip("172.18.0.4"), Prefix.parse("10.244.3.0/24"))
    lab.fabric.add_outside("laptop", ip("203.0.113.10"))
    for node in lab.fabric.nodes.values():
        node.ns.sockets.listen(10256, lambda _conn, _now: ORPHAN)
    spec = replace(PRESETS[preset], check=ALWAYS)
    vips = Prefix.parse("203.0.113.128/28")
    balancer = Balancer(lab.fabric, "lb", ip("172.18.255.254"), vips, spec)
    names = tuple(sorted(lab.fabric.nodes))
    balancer.ensure(Frontend("default/web", VIP, (Listener(80, TCP, 30080),), names, TARGET))
    lab.engine.run(lab.engine.now + 3 * S)
    return lab, balancer


def flow(port: int, dport: int = 80) -> Flow:
    return Flow(ip("203.0.113.10"), VIP, port, dport, TCP)


@pytest.fixture(scope="module")
def balancer() -> Balancer:
    return lab_with("gce")[1]


def test_all_nodes_are_healthy(balancer: Balancer) -> None:
    (frontend,) = balancer.frontends()
    assert balancer.healthy(frontend) == list(frontend.nodes)
    assert balancer.waiting() == []


def test_flows_spread_evenly(balancer: Balancer) -> None:
    (frontend,) = balancer.frontends()
    chosen = Counter(balancer.choose(frontend, flow(port)) for port in range(20_000, 23_000))
    assert len(chosen) == 3
    assert all(900 < n < 1100 for n in chosen.values())


@settings(max_examples=60)
@given(port=st.integers(1, 65535), gone=st.integers(0, 2))
def test_a_node_that_goes_moves_no_other_flow(balancer: Balancer, port: int, gone: int) -> None:
    (frontend,) = balancer.frontends()
    before = balancer.choose(frontend, flow(port))
    left = tuple(node for number, node in enumerate(frontend.nodes) if number != gone)
    after = balancer.choose(replace(frontend, nodes=left), flow(port))
    assert after == before or before == frontend.nodes[gone]


def test_other_ports_and_addresses_have_no_listener(balancer: Balancer) -> None:
    assert balancer.listener(flow(1, 81)) is None
    assert balancer.listener(flow(1)._replace(proto=17)) is None
    assert balancer.listener(flow(1)) is not None


@pytest.mark.parametrize(
    ("preset", "open_"), [("gce", True), ("nlb", True), ("clb", False), ("azure", False)]
)
def test_without_a_healthy_node(preset: str, open_: bool) -> None:
    lab, balancer = lab_with(preset)
    for node in lab.fabric.nodes.values():
        node.ns.sockets.destroy()
    lab.engine.run(lab.engine.now + 3 * S)
    (frontend,) = balancer.frontends()
    assert balancer.healthy(frontend) == []
    assert (balancer.choose(frontend, flow(1)) is not None) == open_


@pytest.mark.parametrize("preset", ["gce", "clb"])
def test_a_syn_sent_again_may_move_where_the_balancer_passes_packets_on(preset: str) -> None:
    """The chosen node is left out meanwhile: a proxy's connection entry holds, a passthrough balancer chooses anew."""
    lab, balancer = lab_with(preset)
    (frontend,) = balancer.frontends()
    for node in lab.fabric.nodes.values():  # silence instead of a RST
        for prefix in ("203.0.113.128/32", "172.18.255.254/32"):
            node.ns.add_route(Route(Prefix.parse(prefix), kind=RouteKind.BLACKHOLE))
    client = lab.fabric.outside["laptop"]
    conns = [client.ns.sockets.connect(VIP, 80, ORPHAN, lab.now) for _ in range(12)]
    lab.run(S // 2)
    before = {conn.flow: balancer.way(conn.flow) for conn in conns}
    victim = frontend.nodes[0]
    assert any(way.node == victim for way in before.values() if way)
    balancer.ensure(replace(frontend, nodes=frontend.nodes[1:]))
    lab.run(2 * S)
    for sent, way in before.items():
        after = balancer.way(sent)
        assert way is not None
        assert after is not None
        moved = preset == "gce" and way.node == victim
        assert (after.node != way.node) == moved


@pytest.mark.parametrize(("idle_s", "moves"), [(59, False), (61, True)])
def test_a_flow_keeps_its_node_until_it_is_idle(idle_s: int, moves: bool) -> None:
    lab, balancer = lab_with("gce")
    (frontend,) = balancer.frontends()
    client = lab.fabric.outside["laptop"]
    segments = [Packet(flow(port), TcpSegment(1, 1, ACK, 100), port) for port in range(1, 13)]
    for packet in segments:
        client.ns.output(packet.copy(packet.uid), lab.now)
    lab.run(S)
    before = [balancer.way(packet.flow) for packet in segments]
    balancer.ensure(replace(frontend, nodes=frontend.nodes[1:]))
    lab.run((idle_s - 1) * S)
    for packet in segments:
        client.ns.output(packet.copy(packet.uid), lab.now)
    lab.run(S)
    for packet, way in zip(segments, before, strict=True):
        after = balancer.way(packet.flow)
        assert way is not None
        assert after is not None
        assert (after.node != way.node) == (moves and way.node == frontend.nodes[0])


# ---------------------------------------------------------------------- one node's checks
RESULTS = [
    # unhealthy, healthy, what the checks say (+ good, - bad), the verdicts that follow
    (3, 1, "+--+---", "+-"),
    (3, 2, "+---+-++", "+-+"),
    (1, 1, "-+-", "-+-"),
    (2, 2, "-++--", "-+-"),  # the first check alone decides
    (6, 2, "+-----+------", "+-"),
]


@pytest.mark.parametrize(("unhealthy", "healthy", "checks", "verdicts"), RESULTS)
def test_thresholds_count_results_in_a_row(unhealthy: int, healthy: int, checks: str, verdicts: str) -> None:
    told: list[bool] = []
    lab = HttpLab()
    node = lab.fabric.nodes["n1"]
    spec = HealthCheck(10 * S, 5 * S, healthy, unhealthy)
    check = NodeCheck(
        lab.fabric.router, node.address, TARGET, spec, 0, lambda good, _first: told.append(good)
    )
    for sign in checks:
        check._count(sign == "+")
    assert "".join("+" if good else "-" for good in told) == verdicts


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_silent_node_is_noticed_within_the_published_bounds(preset: str) -> None:
    """U(0, I) + (U - 1) I + T after the node falls silent."""
    spec = PRESETS[preset].check
    for phase in (0, spec.interval_ns // 2, spec.interval_ns - 1):
        lab = HttpLab()
        node = lab.fabric.nodes["n1"]
        node.ns.sockets.listen(10256, lambda _conn, _now: ORPHAN)
        told: list[tuple[bool, int]] = []
        router = lab.fabric.router
        NodeCheck(
            router, node.address, TARGET, spec, phase,
            lambda good, _first, told=told, lab=lab: told.append((good, lab.engine.now)),
        )  # fmt: skip
        died = lab.now + 2 * spec.interval_ns
        lab.engine.run(died)
        lab.fabric.crash_node(node.name)
        lab.engine.run(died + 200 * S)
        (first, _), (last, at) = told
        assert (first, last) == (True, False)
        least = (spec.unhealthy - 1) * spec.interval_ns
        assert least <= at - died <= least + spec.interval_ns + spec.timeout_ns
