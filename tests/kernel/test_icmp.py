"""What senders are told: REJECT, ICMP errors made here or passing through NAT, and who answers a ping."""

from typing import Any

import pytest
from netlab import (
    Bench,
    Lab,
    Service,
    all_checksums_hold,
    clone,
    error,
    filter,
    flow,
    inbox,
    ping,
    quoted,
    tcp,
    udp,
)
from scapy.layers.inet import UDP as ScapyUDP

from netsim.kernel.hooks import DropReason
from netsim.kernel.routing import Route
from netsim.kernel.sysctl import S
from netsim.wire.addr import Prefix, ip, ip_text
from netsim.wire.packet import ICMP, TCP, IcmpMessage, Packet

CLIENT, SERVER, VIP = "10.1.0.5", "10.2.0.5", "10.96.0.10"
NODE_LEFT, NODE_RIGHT = "10.1.0.1", "10.2.0.1"


# ---------------------------------------------------------------- REJECT
def test_reject_tells_the_sender() -> None:
    bench = Bench()
    bench.rules(filter("-A FORWARD -d 10.2.0.0/16 -j REJECT"))
    bench.left.arrive(udp(CLIENT, 4000, SERVER, 53))
    bench.ended("FORWARD", "NETFILTER_REJECT")
    answer = bench.left.one()
    assert error(answer) == (3, 3, NODE_LEFT, CLIENT)
    assert (quoted(answer).src, quoted(answer).dst) == (CLIENT, SERVER)
    assert (quoted(answer)[ScapyUDP].sport, quoted(answer)[ScapyUDP].dport) == (4000, 53)
    assert all_checksums_hold(answer.to_bytes())
    assert answer.tos == 0xC0


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("icmp-net-unreachable", 0),
        ("icmp-host-unreachable", 1),
        ("icmp-host-prohibited", 10),
        ("icmp-admin-prohibited", 13),
    ],
)
def test_reject_with(how: str, code: int) -> None:
    bench = Bench()
    bench.rules(filter(f"-A INPUT -j REJECT --reject-with {how}"))
    bench.left.arrive(tcp(CLIENT, 4000, NODE_LEFT, 80, "S"))
    bench.ended("INPUT", "NETFILTER_REJECT")
    assert error(bench.left.one())[:2] == (3, code)


def test_reject_of_a_translated_packet_shows_it_as_it_was_sent() -> None:
    """kube-proxy rejects after DNAT only in odd set-ups, but the client must recognise its packet then."""
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353")
    bench.rules(filter(f"-A FORWARD -d {SERVER} -j REJECT"))
    bench.left.arrive(udp(CLIENT, 4000, VIP, 53))
    answer = bench.left.one()
    assert error(answer) == (3, 3, VIP, CLIENT)
    assert (quoted(answer).dst, quoted(answer)[ScapyUDP].dport) == (VIP, 53)
    assert all_checksums_hold(answer.to_bytes())


def test_reject_of_a_local_packet_reaches_the_socket_at_once() -> None:
    bench = Bench()
    bench.rules(filter(f"-A OUTPUT -d {SERVER} -j REJECT"))
    bench.ns.output(udp(NODE_RIGHT, 4000, SERVER, 53), 7)
    assert bench.inbox.errors == [(7, flow(NODE_RIGHT, 4000, SERVER, 53), 3, 3)]
    bench.ended("OUTPUT", "NETFILTER_REJECT")


def test_reject_with_a_reset() -> None:
    bench = Bench()
    bench.rules(filter("-A FORWARD -p tcp -j REJECT --reject-with tcp-reset"))
    bench.left.arrive(tcp(CLIENT, 4000, SERVER, 80, "S"))
    assert bench.left.one().flow == flow(SERVER, 80, CLIENT, 4000, TCP)


# ---------------------------------------------------------------- ICMP errors that pass through NAT
def trouble(about: Packet, source: str, type: int = 3, code: int = 3) -> Packet:
    """An ICMP error that somebody on the right sends about a packet that came out there."""
    message = IcmpMessage(type, code, 0, about.to_bytes()[14:][:128])
    return Packet(flow(source, 0, ip_text(about.flow.src), type << 8 | code, ICMP), message)


def test_error_about_a_dnatted_packet() -> None:
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353")
    bench.left.arrive(udp(CLIENT, 4000, VIP, 53))
    bench.right.arrive(trouble(bench.right.one(), SERVER))
    answer = bench.left.one()
    assert error(answer) == (3, 3, VIP, CLIENT)
    inner = quoted(answer)
    assert (inner.src, inner.dst, inner[ScapyUDP].sport, inner[ScapyUDP].dport) == (CLIENT, VIP, 4000, 53)
    assert all_checksums_hold(answer.to_bytes())
    assert answer.ttl == 63


def test_error_about_a_masqueraded_packet() -> None:
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    for host in (5, 6):
        bench.left.arrive(udp(f"10.1.0.{host}", 4000, SERVER, 53))
    first, second = bench.right.take()
    for about, client in ((first, "10.1.0.5"), (second, "10.1.0.6")):
        bench.right.arrive(trouble(about, "10.2.0.254", type=11, code=0))
        answer = bench.left.one()
        assert error(answer) == (11, 0, "10.2.0.254", client)  # the router speaks for itself
        assert (quoted(answer).src, quoted(answer)[ScapyUDP].sport) == (client, 4000)
        assert all_checksums_hold(answer.to_bytes())


def test_error_about_a_packet_translated_twice() -> None:
    bench = Bench()
    bench.rules(
        f"-A PREROUTING -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353\n"
        "-A POSTROUTING -j MASQUERADE"
    )
    bench.left.arrive(udp(CLIENT, 4000, VIP, 53))
    bench.right.arrive(trouble(bench.right.one(), "10.2.0.254", type=11, code=0))
    answer = bench.left.one()
    # A translated destination hides the routers behind it, as in a traceroute to a Service.
    assert error(answer) == (11, 0, VIP, CLIENT)
    inner = quoted(answer)
    assert (inner.src, inner.dst, inner[ScapyUDP].sport, inner[ScapyUDP].dport) == (CLIENT, VIP, 4000, 53)


def test_error_about_an_answer() -> None:
    """The client is gone; the server gets to know, in terms of the connection as it sees it."""
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    bench.left.arrive(udp(CLIENT, 4000, SERVER, 53))
    bench.right.arrive(udp(SERVER, 53, NODE_RIGHT, 4000))
    bench.right.take()
    bench.left.arrive(trouble(bench.left.one(), CLIENT))
    answer = bench.right.one()
    assert error(answer) == (3, 3, NODE_RIGHT, SERVER)
    assert (quoted(answer).dst, quoted(answer)[ScapyUDP].dport) == (NODE_RIGHT, 4000)


def test_error_about_a_local_connection_to_a_service() -> None:
    bench = Bench()
    bench.ns.add_route(Route(Prefix(b"\0" * 4, 0), bench.right.device, ip("10.2.0.254"), ip(NODE_RIGHT)))
    bench.rules(f"-A OUTPUT -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353")
    bench.ns.output(udp(NODE_RIGHT, 4000, VIP, 53), 0)
    bench.right.arrive(trouble(bench.right.one(), SERVER), 9)
    assert bench.inbox.errors == [(9, flow(NODE_RIGHT, 4000, VIP, 53), 3, 3)]


@pytest.mark.parametrize("changes", [{"src": ip("10.1.0.66")}, {"dport": 54}, {"sport": 4001}])
def test_an_error_about_nothing_known_is_invalid(changes: dict[str, Any]) -> None:
    bench = Bench()
    bench.rules(filter("-A FORWARD -m conntrack --ctstate INVALID -j DROP"))
    bench.left.arrive(udp(CLIENT, 4000, SERVER, 53))
    bench.right.arrive(trouble(clone(bench.right.one(), **changes), SERVER))
    assert bench.left.take() == []


def test_an_error_sent_to_another_than_the_quoted_sender_is_invalid() -> None:
    bench = Bench()
    bench.rules(filter("-A FORWARD -m conntrack --ctstate INVALID -j DROP"))
    bench.left.arrive(udp(CLIENT, 4000, SERVER, 53))
    bench.right.arrive(clone(trouble(bench.right.one(), SERVER), dst=ip("10.1.0.66")))
    assert bench.left.take() == []


@pytest.mark.parametrize("rejected", [True, False])
def test_errors_are_related(rejected: bool) -> None:
    """Also those that the node makes itself, for the rules of its OUTPUT chain."""
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353")
    chain = "OUTPUT" if rejected else "FORWARD"
    rules = [f"-A {chain} -p icmp -m conntrack --ctstate RELATED -j ACCEPT", f"-A {chain} -p icmp -j DROP"]
    bench.rules(filter("\n".join([*rules, *(["-A FORWARD -p udp -j REJECT"] if rejected else [])])))
    bench.left.arrive(udp(CLIENT, 4000, VIP, 53))
    if not rejected:
        bench.right.arrive(trouble(bench.right.one(), SERVER))
    assert error(bench.left.one()) == (3, 3, VIP, CLIENT)


def test_no_error_about_an_error() -> None:
    bench = Bench()
    bench.left.arrive(udp(CLIENT, 4000, SERVER, 53))
    message = trouble(bench.right.one(), SERVER)
    message.ttl = 1
    bench.right.arrive(message)
    bench.ended("FORWARD", "IP_TTL_EXPIRED")
    assert bench.left.take() == []


def test_an_error_quotes_at_most_548_bytes() -> None:
    bench = Bench(mtu=1000)
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53, b"x" * 1400))
    answer = bench.left.one()
    assert answer.size == 14 + 576
    assert len(answer.to_bytes()) == answer.size


# ---------------------------------------------------------------- ping
def test_every_address_of_ours_answers_a_ping() -> None:
    bench = Bench()
    for address in (NODE_LEFT, NODE_RIGHT):
        bench.left.arrive(ping(CLIENT, address, identifier=9, sequence=3))
        reply = bench.left.one()
        assert reply.flow == flow(address, 9, CLIENT, 0, ICMP)
        assert (reply.body.type, reply.body.rest, reply.body.payload) == (0, 3, b"payload.")  # type: ignore[union-attr]


def test_a_reply_goes_to_the_sockets() -> None:
    bench = Bench()
    bench.ns.output(ping(NODE_RIGHT, SERVER), 0)
    request = bench.right.one()
    reply = ping(SERVER, NODE_RIGHT)
    reply.flow, reply.body = request.flow.reverse(), IcmpMessage(0, 0, 1, b"payload.")
    bench.right.arrive(reply)
    assert bench.inbox.flows == [request.flow.reverse()]


@pytest.mark.parametrize("type", [13, 17, 3])
def test_other_messages_concern_nobody(type: int) -> None:
    bench = Bench()
    bench.left.arrive(Packet(flow(CLIENT, 0, NODE_LEFT, type << 8, ICMP), IcmpMessage(type, 0, 0, b"short")))
    bench.ended("INPUT", "ICMP_UNMATCHED")


@pytest.fixture(scope="module")
def lab() -> Lab:
    found = Lab(nodes=2)
    for node, number in ((1, 5), (1, 6), (2, 7)):
        found.pod(node, number)
    found.outside()
    found.serve(Service(VIP, 53, [("10.244.1.5", 8053)]))
    return found


@pytest.mark.parametrize("target", ["10.244.1.5", "10.244.2.7", "172.18.0.2", "172.18.0.3", "203.0.113.10"])
@pytest.mark.parametrize("source", ["p1-5", "p1-6", "p2-7", "n1", "n2"])
def test_ping_of_pods_and_nodes_from_anywhere(lab: Lab, source: str, target: str) -> None:
    host = {**lab.fabric.pods, **lab.fabric.nodes}[source]
    inbox(host).got.clear()
    lab.send(host, ping(ip_text(host.address), target, identifier=len(source), sequence=5))
    lab.run(5 * S)
    ((_, reply),) = inbox(host).got
    assert reply.flow == flow(target, len(source), ip_text(host.address), 0, ICMP)
    lab.check_books()


@pytest.mark.parametrize("source", ["p1-5", "p2-7", "n1"])
def test_a_cluster_ip_answers_no_ping(lab: Lab, source: str) -> None:
    """Nobody has the address: the request leaves by the default route and is never heard of again."""
    host = {**lab.fabric.pods, **lab.fabric.nodes}[source]
    inbox(host).got.clear()
    lab.send(host, ping(ip_text(host.address), VIP))
    lab.run(5 * S)
    assert inbox(host).got == []
    assert lab.fabric.drops()["router", "FORWARD", DropReason.IP_BLACKHOLE] > 0
    lab.check_books()


def test_a_node_reaches_a_cluster_ip(lab: Lab) -> None:
    """From the node itself: OUTPUT, a new route, and the pod sees the node's address."""
    node, pod = lab.fabric.nodes["n2"], lab.fabric.pods["p1-5"]
    inbox(node).got.clear()
    inbox(pod).got.clear()
    inbox(pod).echo()
    lab.send(node, udp("172.18.0.3", 4000, VIP, 53))
    lab.run(5 * S)
    inbox(pod).answer = None
    assert inbox(pod).flows == [flow("172.18.0.3", 4000, "10.244.1.5", 8053)]
    assert inbox(node).flows == [flow(VIP, 53, "172.18.0.3", 4000)]


def test_the_node_of_the_pod_reaches_it_through_the_cluster_ip(lab: Lab) -> None:
    node, pod = lab.fabric.nodes["n1"], lab.fabric.pods["p1-5"]
    inbox(node).got.clear()
    inbox(pod).echo()
    lab.send(node, udp("172.18.0.2", 4000, VIP, 53))
    lab.run(5 * S)
    inbox(pod).answer = None
    assert inbox(node).flows == [flow(VIP, 53, "172.18.0.2", 4000)]
