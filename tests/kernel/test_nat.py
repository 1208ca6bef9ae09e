"""NAT through a router: DNAT, SNAT, MASQUERADE, both at once, taken ports, hairpins; there and back, byte by byte."""

import random
from typing import Any

import pytest
from netlab import Bench, Lab, Service, clone, filter, flow, inbox, ping, tcp, udp

from netsim.kernel import nat
from netsim.kernel.conntrack import Conntrack, Entry
from netsim.kernel.nat import with_destination, with_source
from netsim.kernel.routing import Route
from netsim.kernel.sysctl import S, Sysctl
from netsim.wire.addr import Prefix, ip
from netsim.wire.checksum import ones_sum
from netsim.wire.packet import ICMP, TCP, UDP, Flow, Packet

CLIENT, SERVER, VIP = "10.1.0.5", "10.2.0.5", "10.96.0.10"
NODE_LEFT, NODE_RIGHT = "10.1.0.1", "10.2.0.1"


def valid(packet: Packet) -> bool:
    """Whether the IP and the UDP or TCP checksum of the rendered packet are right (RFC 1071)."""
    data = packet.to_bytes()[14:]
    segment = data[20:]
    pseudo = data[12:20] + bytes([0, packet.flow.proto]) + len(segment).to_bytes(2)
    return ones_sum(data[:20]) % 0xFFFF == 0 and ones_sum(pseudo + segment) % 0xFFFF == 0


def there(bench: Bench, packet: Packet, now: int = 0) -> Flow:
    """Send it in from the left; how it comes out on the right."""
    bench.left.arrive(packet, now)
    found = bench.right.one()
    assert found.flow.proto == ICMP or valid(found)
    return found.flow


def back(bench: Bench, request: Flow, now: int = 0) -> Flow:
    """The answer to what came out on the right; how it comes out on the left."""
    twin = udp(CLIENT, 1, SERVER, 2) if request.proto == UDP else tcp(CLIENT, 1, SERVER, 2, "S.")
    twin.flow = request.reverse()
    bench.right.arrive(twin, now)
    found = bench.left.one()
    assert valid(found)
    return found.flow


@pytest.mark.parametrize(
    ("rules", "sent", "seen"),
    [
        (
            f"-A PREROUTING -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353",
            flow(CLIENT, 1000, VIP, 53),
            flow(CLIENT, 1000, SERVER, 5353),
        ),
        (
            f"-A PREROUTING -d {VIP} -j DNAT --to-destination {SERVER}",
            flow(CLIENT, 1000, VIP, 53),
            flow(CLIENT, 1000, SERVER, 53),
        ),
        (
            "-A POSTROUTING -o right -j MASQUERADE",
            flow(CLIENT, 1000, SERVER, 53),
            flow(NODE_RIGHT, 1000, SERVER, 53),
        ),
        (
            "-A POSTROUTING -p udp -j SNAT --to-source 10.2.0.77:4000",
            flow(CLIENT, 1000, SERVER, 53),
            flow("10.2.0.77", 4000, SERVER, 53),
        ),
        (
            f"-A PREROUTING -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353\n"
            "-A POSTROUTING -j MASQUERADE",
            flow(CLIENT, 1000, VIP, 53),
            flow(NODE_RIGHT, 1000, SERVER, 5353),
        ),
        (
            "-A PREROUTING -d 10.9.9.9 -j DNAT --to-destination 10.8.8.8",
            *[flow(CLIENT, 1000, SERVER, 53)] * 2,
        ),
    ],
    ids=["dnat-port", "dnat", "masquerade", "snat-port", "both", "none"],
)
@pytest.mark.parametrize("proto", [UDP, TCP])
def test_there_and_back(rules: str, sent: Flow, seen: Flow, proto: int) -> None:
    bench = Bench()
    bench.rules(rules if proto == UDP else rules.replace("udp", "tcp"))
    sent, seen = sent._replace(proto=proto), seen._replace(proto=proto)
    make = udp if proto == UDP else (lambda *where: tcp(*where, "S"))
    first = clone(make(CLIENT, 1, SERVER, 2), **sent._asdict())
    assert there(bench, first) == seen
    assert back(bench, seen) == sent.reverse()
    (entry,) = bench.ct.entries(0)
    assert entry.original.flow == sent
    assert entry.reply.flow == seen.reverse()


def test_rules_are_asked_once_per_connection() -> None:
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -p udp -j DNAT --to-destination {SERVER}:5353")
    for _ in range(3):
        assert there(bench, udp(CLIENT, 1000, VIP, 53)) == flow(CLIENT, 1000, SERVER, 5353)
    bench.rules(f"-F PREROUTING\n-A PREROUTING -d {VIP} -p udp -j DNAT --to-destination 10.2.0.6:1")
    assert there(bench, udp(CLIENT, 1000, VIP, 53)) == flow(CLIENT, 1000, SERVER, 5353)  # pinned by conntrack
    assert there(bench, udp(CLIENT, 1001, VIP, 53)) == flow(CLIENT, 1001, "10.2.0.6", 1)
    assert there(bench, udp(CLIENT, 1000, VIP, 53), 60 * S) == flow(
        CLIENT, 1000, "10.2.0.6", 1
    )  # entry expired


def test_an_answer_before_any_request_is_not_translated() -> None:
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -p udp -j DNAT --to-destination {SERVER}:5353")
    bench.right.arrive(udp(SERVER, 5353, CLIENT, 1000))
    assert bench.left.one().flow == flow(SERVER, 5353, CLIENT, 1000)


# ---------------------------------------------------------------- taken ports
def masqueraded(bench: Bench, client: str, port: int, to: str = SERVER) -> int:
    return there(bench, udp(client, port, to, 53)).sport


@pytest.mark.parametrize(
    ("port", "low", "high"),
    [(1, 1, 511), (511, 1, 511), (512, 600, 1023), (1023, 600, 1023), (1024, 1024, 65535)],
)
def test_a_taken_port_is_replaced_by_one_of_its_range(port: int, low: int, high: int) -> None:
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    assert masqueraded(bench, "10.1.0.5", port) == port
    others = [masqueraded(bench, f"10.1.0.{host}", port) for host in range(6, 36)]
    assert len({port, *others}) == 31
    assert all(low <= other <= high for other in others)


def test_the_same_port_serves_other_destinations() -> None:
    """Not the port has to be unique, but the tuple."""
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    assert [masqueraded(bench, f"10.1.0.{host}", 4000, f"10.2.0.{host}") for host in range(5, 9)] == [
        4000
    ] * 4


def test_answers_to_clashing_ports_find_their_clients() -> None:
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    clients = [f"10.1.0.{host}" for host in range(5, 25)]
    seen = [there(bench, udp(client, 4000, SERVER, 53)) for client in clients]
    for client, request in zip(clients, seen, strict=True):
        assert back(bench, request) == flow(SERVER, 53, client, 4000)


def test_random_fully_never_keeps_the_port() -> None:
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -j MASQUERADE --random-fully")
    ports = {masqueraded(bench, CLIENT, port) for port in range(2000, 2100)}
    assert len(ports) == 100
    assert not ports <= set(range(2000, 2100))
    assert all(1024 <= port <= 65535 for port in ports)


def test_a_port_is_free_again_when_its_entry_is_dead() -> None:
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    assert masqueraded(bench, "10.1.0.5", 4000) == 4000
    assert there(bench, udp("10.1.0.6", 4000, SERVER, 53), 31 * S).sport == 4000


def test_no_free_port_drops_the_packet() -> None:
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    for port in range(1, 512):  # all of the lowest range towards that server
        assert masqueraded(bench, CLIENT, port) == port
    bench.left.arrive(udp("10.1.0.6", 7, SERVER, 53))
    assert bench.right.take() == []
    assert bench.drops() == {("POSTROUTING", "NAT_NO_PORT"): 1}


def test_a_nearly_full_range_is_searched_in_runs() -> None:
    """Linux looks at 128 neighbouring ports from a random one on, not at 128 random ones."""
    conntrack, rng = Conntrack(Sysctl()), random.Random(3)
    tried: list[int] = []

    class Watching(Conntrack):
        __slots__ = ()

        def lookup(self, found: Flow, now: int) -> Any:
            tried.append(found.dport)
            return object()

    conntrack = Watching(Sysctl())
    assert nat._unique(conntrack, rng, flow(SERVER, 53, NODE_RIGHT, 4000), False, 0) is None
    assert tried[0] == 4000
    runs = [tried[1:129], tried[129:193], tried[193:225], tried[225:241], tried[241:]]
    assert [len(run) for run in runs] == [128, 64, 32, 16, 8]
    for run in runs:
        assert [(port - 1024 - run[0] + 1024) % 64512 for port in run] == list(range(len(run)))


def test_null_binding_a_dnatted_flow_that_would_clash() -> None:
    """A client talks to a backend directly and through the Service, from the same port: the second gets another one."""
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -p udp -j DNAT --to-destination {SERVER}:53")
    assert there(bench, udp(CLIENT, 4000, SERVER, 53)) == flow(CLIENT, 4000, SERVER, 53)
    seen = there(bench, udp(CLIENT, 4000, VIP, 53))
    assert seen._replace(sport=0) == flow(CLIENT, 0, SERVER, 53)
    assert seen.sport != 4000
    assert back(bench, seen) == flow(VIP, 53, CLIENT, 4000)
    assert back(bench, flow(CLIENT, 4000, SERVER, 53)) == flow(SERVER, 53, CLIENT, 4000)


def test_null_binding_of_a_flow_without_any_nat() -> None:
    """A pod's masqueraded connection has the port that the node itself uses next."""
    bench = Bench()
    bench.rules(f"-A POSTROUTING -s {CLIENT} -o right -j MASQUERADE")
    assert there(bench, udp(CLIENT, 4000, SERVER, 53)) == flow(NODE_RIGHT, 4000, SERVER, 53)
    bench.ns.output(udp(NODE_RIGHT, 4000, SERVER, 53), 0)
    seen = bench.right.one().flow
    assert seen.sport != 4000
    bench.right.arrive(clone(udp(SERVER, 1, CLIENT, 1), **seen.reverse()._asdict()))
    assert bench.inbox.flows == [flow(SERVER, 53, NODE_RIGHT, 4000)]
    assert back(bench, flow(NODE_RIGHT, 4000, SERVER, 53)) == flow(SERVER, 53, CLIENT, 4000)


# ---------------------------------------------------------------- ICMP
def test_masqueraded_pings_keep_apart_by_identifier() -> None:
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    seen = []
    for host in (5, 6):
        bench.left.arrive(ping(f"10.1.0.{host}", SERVER, identifier=7))
        request = bench.right.one()
        assert request.to_bytes()[38:40] == request.flow.sport.to_bytes(2)
        seen.append(request.flow)
    assert seen[0] == flow(NODE_RIGHT, 7, SERVER, 8 << 8, ICMP)
    assert seen[1].sport != 7
    for host, request_flow in zip((5, 6), seen, strict=True):
        reply = ping(SERVER, NODE_RIGHT)
        reply.flow = request_flow.reverse()
        bench.right.arrive(reply)
        assert bench.left.one().flow == flow(SERVER, 7, f"10.1.0.{host}", 0, ICMP)


def test_a_port_does_not_matter_to_a_ping() -> None:
    entry = Entry(ping(CLIENT, VIP, identifier=7).flow, 0)
    nat.dnat(entry, ip(SERVER), 8080)
    assert entry.original.rewritten == flow(CLIENT, 7, SERVER, 8 << 8, ICMP)


@pytest.mark.parametrize("proto", [UDP, TCP, ICMP])
def test_rewriting_one_side_leaves_the_other(proto: int) -> None:
    before, like = flow(CLIENT, 1, VIP, 2, proto), flow("9.9.9.9", 3, SERVER, 4, proto)
    expected_dst = flow(CLIENT, 3, SERVER, 2, proto) if proto == ICMP else flow(CLIENT, 1, SERVER, 4, proto)
    assert with_destination(before, like) == expected_dst
    assert with_source(before, like) == flow("9.9.9.9", 3, VIP, 2, proto)


# ---------------------------------------------------------------- where the nat table is asked
def test_local_connections_are_translated_at_output() -> None:
    bench = Bench()
    bench.rules(f"-A OUTPUT -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353")
    bench.ns.add_route(default_route(bench))
    bench.ns.output(udp(NODE_RIGHT, 4000, VIP, 53), 0)
    assert bench.right.one().flow == flow(NODE_RIGHT, 4000, SERVER, 5353)
    bench.right.arrive(udp(SERVER, 5353, NODE_RIGHT, 4000))
    assert bench.inbox.flows == [flow(VIP, 53, NODE_RIGHT, 4000)]


def default_route(bench: Bench) -> Route:
    return Route(Prefix(b"\0\0\0\0", 0), bench.right.device, ip("10.2.0.254"), ip(NODE_RIGHT))


def test_redirected_to_the_node_itself() -> None:
    """DNAT to a local address: INPUT instead of FORWARD, and answers that look as if the Service had sent them."""
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -p udp --dport 53 -j DNAT --to-destination {NODE_LEFT}:5353")
    bench.inbox.echo()
    bench.left.arrive(udp(CLIENT, 4000, VIP, 53))
    assert bench.inbox.flows == [flow(CLIENT, 4000, NODE_LEFT, 5353)]
    assert bench.left.one().flow == flow(VIP, 53, CLIENT, 4000)


def test_local_client_and_local_server_through_a_service() -> None:
    """Both ends on the node: OUTPUT, lo, INPUT, and back the same way."""
    bench = Bench()
    bench.ns.add_route(default_route(bench))
    bench.rules(f"-A OUTPUT -d {VIP} -p udp --dport 53 -j DNAT --to-destination {NODE_LEFT}:5353")
    answered = []

    def answer(packet: Packet, now: int) -> None:
        if packet.flow.dport == 5353:
            bench.ns.output(clone(packet, **packet.flow.reverse()._asdict()), now)
        else:
            answered.append(packet.flow)

    bench.inbox.answer = answer
    bench.ns.output(udp(NODE_LEFT, 4000, VIP, 53), 0)
    assert answered == [flow(VIP, 53, NODE_LEFT, 4000)]
    assert bench.left.take() == bench.right.take() == []


def test_a_dropped_first_packet_leaves_no_entry() -> None:
    bench = Bench()
    bench.rules(filter("-A FORWARD -p udp --dport 53 -j DROP"))
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    assert bench.ct.table == {}


# ---------------------------------------------------------------- hairpins, in a whole fabric
@pytest.fixture
def lab() -> Lab:
    found = Lab()
    found.pod(1, 5)
    found.pod(1, 6)
    found.pod(2, 7)
    return found


def ask(lab: Lab, name: str) -> list[Flow]:
    """A request to the Service: what its server saw, and what the client got."""
    client = lab.fabric.pods[name]
    lab.send(client, clone(udp(CLIENT, 4000, VIP, 53), src=client.address))
    lab.run(S)
    lab.check_books()
    arrived = [entry for pod in lab.fabric.pods.values() for entry in inbox(pod).got]
    return [packet.flow for _, packet in sorted(arrived, key=lambda entry: entry[0])]


def serve(lab: Lab, name: str) -> None:
    """An echo that only answers requests (a hairpin client hears its own answer in the same inbox)."""
    host = lab.fabric.pods[name]

    def answer(packet: Packet, now: int) -> None:
        if packet.flow.dport == 8053:
            host.ns.output(Packet(packet.flow.reverse(), packet.body), now)

    inbox(host).answer = answer


def test_a_pod_reaches_itself_through_its_service(lab: Lab) -> None:
    """Without the masquerade of KUBE-MARK-MASQ the pod would get a packet from itself and answer it inside."""
    lab.serve(Service(VIP, 53, [("10.244.1.5", 8053)]))
    serve(lab, "p1-5")
    request, reply = ask(lab, "p1-5")
    assert request == flow("172.18.0.2", 4000, "10.244.1.5", 8053)  # the veth has no address: the node's
    assert reply == flow(VIP, 53, "10.244.1.5", 4000)


def test_a_neighbour_on_the_same_node_keeps_its_address(lab: Lab) -> None:
    lab.serve(Service(VIP, 53, [("10.244.1.5", 8053)]))
    serve(lab, "p1-5")
    request, reply = ask(lab, "p1-6")
    assert request == flow("10.244.1.6", 4000, "10.244.1.5", 8053)
    assert reply == flow(VIP, 53, "10.244.1.6", 4000)


def test_a_pod_on_another_node(lab: Lab) -> None:
    lab.serve(Service(VIP, 53, [("10.244.1.5", 8053)]))
    serve(lab, "p1-5")
    request, reply = ask(lab, "p2-7")
    assert request == flow("10.244.2.7", 4000, "10.244.1.5", 8053)
    assert reply == flow(VIP, 53, "10.244.2.7", 4000)


def test_double_nat_on_two_nodes(lab: Lab) -> None:
    """From outside to a node that has no backend: DNAT and masquerade there, answered by the other node's pod."""
    laptop = lab.outside()
    lab.serve(Service("172.18.0.2", 30053, [("10.244.2.7", 8053)]))
    serve(lab, "p2-7")
    lab.send(laptop, udp("203.0.113.10", 4000, "172.18.0.2", 30053))
    lab.run(S)
    assert inbox(lab.fabric.pods["p2-7"]).flows == [flow("172.18.0.2", 4000, "10.244.2.7", 8053)]
    assert inbox(laptop).flows == [flow("172.18.0.2", 30053, "203.0.113.10", 4000)]
    lab.check_books()
