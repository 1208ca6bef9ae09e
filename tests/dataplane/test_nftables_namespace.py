"""The rules of the nftables dataplane in a real namespace: there, back, refused, affinity, and how long it takes."""

from collections import Counter

import pytest
from netlab import Bench, ping, tcp, udp

from netsim.dataplane.nftables import NftablesDataplane
from netsim.dataplane.nftables_config import NftablesConfig
from netsim.dataplane.node_view import LocalDetector, NodeView
from netsim.dataplane.service_table import (
    Endpoint,
    ServicePort,
    ServicePortName,
    ServiceTable,
    order_endpoints,
)
from netsim.kernel.cost import LinuxCost
from netsim.kernel.routing import Route
from netsim.kernel.xtables_outcomes import outcomes
from netsim.wire.addr import Prefix, ip, ip_text
from netsim.wire.packet import Flow, IcmpMessage

NODE = NodeView(
    "node-1",
    ip("10.1.0.1"),
    (ip("10.1.0.1"), ip("10.2.0.1")),
    local_detector=LocalDetector(prefix=Prefix.parse("10.1.0.4/30")),
    node_port_addresses=(Prefix.parse("10.1.0.1/32"),),
)
CLIENT, SERVICE = "10.1.0.5", "10.96.0.7"
S = 1_000_000_000


def service(*lasts, protocol="TCP", node_port=0, address=SERVICE, name="web", affinity=0):
    found = order_endpoints(Endpoint(ip(f"10.2.0.{last}"), 8080, "node-2") for last in lasts)
    return ServicePort(
        ServicePortName("default", name, "", protocol), ip(address), 80, node_port,
        affinity_timeout_s=affinity, endpoints=found,
    )  # fmt: skip


class World:
    """A node with kube-proxy's rules."""

    def __init__(self, *ports):
        self.bench = Bench()
        default = Route(Prefix.parse("0.0.0.0/0"), self.bench.right.device, ip("10.2.0.254"))
        self.bench.ns.add_route(default)
        config = NftablesConfig(service_cidrs=(Prefix.parse("10.96.0.0/16"),))
        self.proxier = NftablesDataplane(config).on_node(NODE)
        self.table = ServiceTable(ports)
        self.proxier.sync(self.bench.ns, None, self.table)

    def change(self, *ports):
        new = self.table.with_changes({port.name: port for port in ports})
        self.proxier.sync(self.bench.ns, self.table, new)
        self.table = new

    def told(self):
        """The ICMP errors that the client got."""
        return [(p.body.type, p.body.code) for p in self.bench.left.take() if isinstance(p.body, IcmpMessage)]


def test_there_and_back():
    bench = World(service(20)).bench
    bench.left.arrive(tcp(CLIENT, 40000, SERVICE, 80, "S"))
    assert bench.right.one().flow == tcp(CLIENT, 40000, "10.2.0.20", 8080, "S").flow
    bench.right.arrive(tcp("10.2.0.20", 8080, CLIENT, 40000, "S."))
    assert bench.left.one().flow == tcp(SERVICE, 80, CLIENT, 40000, "S.").flow


def test_outsiders_are_masqueraded_fully_at_random():
    bench = World(service(20)).bench
    bench.left.arrive(tcp("203.0.113.9", 40000, SERVICE, 80, "S"))
    found = bench.right.one().flow
    assert ip_text(found.src) == "10.2.0.1"
    assert found.sport != 40000


@pytest.mark.parametrize(
    ("packet", "drop", "told"),
    [
        (tcp(CLIENT, 40000, SERVICE, 80, "S"), "NETFILTER_REJECT", [(3, 3)]),  # no endpoints
        (tcp(CLIENT, 40000, "10.96.0.8", 81, "S"), "NETFILTER_REJECT", [(3, 3)]),  # no such port
        (ping(CLIENT, "10.96.0.8"), "NETFILTER_REJECT", [(3, 3)]),  # nor a port at all
        (tcp(CLIENT, 40000, "10.96.0.9", 80, "S"), "NETFILTER_DROP", []),  # nobody's address
    ],
)
def test_refused_and_dropped(packet, drop, told):
    world = World(service(), service(20, address="10.96.0.8", name="other"))
    world.bench.left.arrive(packet)
    world.bench.ended("FORWARD", drop)
    assert world.told() == told


@pytest.mark.parametrize(("address", "reached"), [("10.1.0.1", True), ("10.2.0.1", False)])
def test_node_ports_answer_on_the_primary_address(address, reached):
    bench = World(service(20, node_port=30080)).bench
    bench.left.arrive(tcp("203.0.113.9", 40000, address, 30080, "S"))
    assert len(bench.right.take()) == reached
    assert len(bench.inbox.got) == (not reached)


def test_a_node_port_without_endpoints_is_refused():
    world = World(service(node_port=30080))
    world.bench.left.arrive(tcp(CLIENT, 40000, "10.1.0.1", 30080, "S"))
    assert world.bench.drops() == {("INPUT", "NETFILTER_REJECT"): 1}


def test_a_pod_that_meets_itself_is_masqueraded():
    bench = World(service(20)).bench
    bench.right.arrive(tcp("10.2.0.20", 40000, SERVICE, 80, "S"))
    assert ip_text(bench.right.one().flow.src) == "10.2.0.1"


def test_a_connection_stays_with_its_endpoint_after_a_change():
    world = World(service(20))
    world.bench.left.arrive(tcp(CLIENT, 40000, SERVICE, 80, "S"))
    world.bench.right.take()
    world.change(service(21))
    for port, endpoint in ((40000, "10.2.0.20"), (40001, "10.2.0.21")):
        world.bench.left.arrive(tcp(CLIENT, port, SERVICE, 80, "S"))
        assert ip_text(world.bench.right.one().flow.dst) == endpoint


def test_affinity_lasts_as_long_as_it_is_renewed():
    """The time-out counts from the client's last new connection."""
    world = World(service(20, 21, 22, 23, affinity=10))
    reached = []
    times = [0, *(9 * S * n for n in range(1, 8)), *(63 * S + 10 * S * n for n in range(1, 30))]
    for number, now in enumerate(times):
        world.bench.left.arrive(tcp(CLIENT, 40000 + number, SERVICE, 80, "S"), now)
        reached.append(world.bench.right.one().flow.dst)
    assert len(set(reached[:8])) == 1
    assert len(set(reached[8:])) == 4


def test_an_endpoint_that_left_is_not_used_again():
    world = World(service(20, 21, affinity=100))
    world.bench.left.arrive(tcp(CLIENT, 40000, SERVICE, 80, "S"))
    first = world.bench.right.one().flow.dst[-1]
    world.change(service(41 - first, affinity=100))
    world.bench.left.arrive(tcp(CLIENT, 40001, SERVICE, 80, "S"))
    assert world.bench.right.one().flow.dst[-1] == 41 - first


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_split_is_the_one_to_expect(protocol):
    bench = World(service(20, 21, 22, protocol=protocol)).bench
    make = (
        (lambda port: tcp(CLIENT, port, SERVICE, 80, "S"))
        if protocol == "TCP"
        else (lambda port: udp(CLIENT, port, SERVICE, 80))
    )
    for port in range(20000, 23000):
        bench.left.arrive(make(port))
    split = Counter(ip_text(packet.flow.dst) for packet in bench.right.take())
    found = outcomes(bench.ns, Flow(*make(1).flow), device="left")
    assert [outcome.probability for outcome in found] == pytest.approx([1 / 3] * 3)
    for outcome in found:
        assert split[ip_text(outcome.flow.dst)] == pytest.approx(1000, abs=130)


@pytest.mark.parametrize("services", [1, 3000])
def test_first_packets_take_12_us_however_many_services_there_are(services):
    """V30: p50 12 us with 5,000, 10,000 and 30,000 Services."""
    others = (
        service(20, address=f"10.96.{1 + n // 250}.{n % 250}", name=f"other-{n}") for n in range(services - 1)
    )
    bench = World(*others, service(20)).bench
    bench.ns.cost = LinuxCost()
    bench.left.arrive(tcp(CLIENT, 40000, SERVICE, 80, "S"))
    [(started_ns, _)] = bench.right.sent
    assert started_ns == pytest.approx(12_000, rel=0.05)
    assert (
        started_ns == 1_700 + 10_000 + (2 + 6 + 5 + 2) * 6
    )  # rules before, in and after nat, and in postrouting
