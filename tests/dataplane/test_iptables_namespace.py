"""The rules of the iptables dataplane in a real namespace: there, back, refused, and after a change."""

from collections import Counter

import pytest
from netlab import Bench, tcp, udp

from netsim.dataplane.iptables import IptablesDataplane
from netsim.dataplane.node_view import LocalDetector, NodeView
from netsim.dataplane.service_table import (
    Endpoint,
    ServicePort,
    ServicePortName,
    ServiceTable,
    order_endpoints,
)
from netsim.kernel.routing import Route
from netsim.kernel.xtables_outcomes import outcomes
from netsim.wire.addr import Prefix, ip, ip_text
from netsim.wire.packet import Flow, IcmpMessage

NODE = NodeView(
    "node-1",
    ip("10.1.0.1"),
    (ip("10.1.0.1"), ip("10.2.0.1")),
    local_detector=LocalDetector(prefix=Prefix.parse("10.1.0.4/30")),
)
CLIENT, SERVICE = "10.1.0.5", "10.96.0.7"


def service(*lasts, protocol="TCP", node_port=0):
    found = order_endpoints(Endpoint(ip(f"10.2.0.{last}"), 8080, "node-2") for last in lasts)
    return ServicePort(
        ServicePortName("default", "web", "", protocol), ip(SERVICE), 80, node_port, endpoints=found
    )


class World:
    """A node with kube-proxy's rules."""

    def __init__(self, *ports):
        self.bench = Bench()
        # The first packet to a clusterIP is routed before it is translated, or rejected, so there must be a route.
        default = Route(Prefix.parse("0.0.0.0/0"), self.bench.right.device, ip("10.2.0.254"))
        self.bench.ns.add_route(default)
        self.proxier = IptablesDataplane().on_node(NODE)
        self.table = ServiceTable(ports)
        self.proxier.sync(self.bench.ns, None, self.table)

    def change(self, *ports):
        new = self.table.with_changes({port.name: port for port in ports})
        self.proxier.sync(self.bench.ns, self.table, new)
        self.table = new


def test_there_and_back():
    bench = World(service(20)).bench
    bench.left.arrive(tcp(CLIENT, 40000, SERVICE, 80, "S"))
    there = bench.right.one()
    assert there.flow == tcp(CLIENT, 40000, "10.2.0.20", 8080, "S").flow
    bench.right.arrive(tcp("10.2.0.20", 8080, CLIENT, 40000, "S."))
    back = bench.left.one()
    assert back.flow == tcp(SERVICE, 80, CLIENT, 40000, "S.").flow


def test_outsiders_are_masqueraded():
    bench = World(service(20)).bench
    bench.left.arrive(tcp("203.0.113.9", 40000, SERVICE, 80, "S"))
    assert ip_text(bench.right.one().flow.src) == "10.2.0.1"


def test_no_endpoints():
    world = World(service())
    world.bench.left.arrive(tcp(CLIENT, 40000, SERVICE, 80, "S"))
    answer = world.bench.left.one()
    assert isinstance(answer.body, IcmpMessage)
    assert (answer.body.type, answer.body.code) == (3, 3)
    assert world.bench.drops() == {("FORWARD", "NETFILTER_REJECT"): 1}


def test_node_port_and_the_node_itself():
    bench = World(service(20, node_port=30080)).bench
    bench.left.arrive(tcp(CLIENT, 40000, "10.1.0.1", 30080, "S"))
    assert ip_text(bench.right.one().flow.dst) == "10.2.0.20"
    bench.ns.output(tcp("10.1.0.1", 40001, SERVICE, 80, "S"), 0)
    sent = bench.right.one()
    assert (ip_text(sent.flow.src), ip_text(sent.flow.dst)) == ("10.2.0.1", "10.2.0.20")


def test_a_connection_stays_with_its_endpoint_after_a_change():
    world = World(service(20))
    bench = world.bench
    bench.left.arrive_fast(tcp(CLIENT, 40000, SERVICE, 80, "S"))
    bench.right.arrive_fast(tcp("10.2.0.20", 8080, CLIENT, 40000, "S."))
    bench.left.arrive_fast(tcp(CLIENT, 40000, SERVICE, 80, "."))
    bench.right.take()
    world.change(service(21))
    bench.left.arrive_fast(tcp(CLIENT, 40000, SERVICE, 80, "."))
    assert ip_text(bench.right.one().flow.dst) == "10.2.0.20"
    bench.left.arrive_fast(tcp(CLIENT, 40001, SERVICE, 80, "S"))
    assert ip_text(bench.right.one().flow.dst) == "10.2.0.21"


def test_established_packets_are_counted_by_the_forward_rules():
    bench = World(service(20)).bench
    bench.left.arrive_fast(udp(CLIENT, 40000, "10.2.0.9", 53))
    for _ in range(10):
        bench.right.arrive_fast(udp("10.2.0.9", 53, CLIENT, 40000))
    bench.ct.settle()
    established = bench.ns.xtables.counters("filter", "KUBE-FORWARD")[2]
    assert established.packets == 10


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
    first = make(1).flow
    for outcome in outcomes(bench.ns, Flow(*first), device="left"):
        assert split[ip_text(outcome.flow.dst)] == pytest.approx(outcome.probability * 3000, abs=130)
