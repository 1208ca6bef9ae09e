"""A packet's life in a namespace: where it ends and why, what its sender is told, who answers."""

from typing import Any

import pytest
from netlab import Bench, Clock, Lab, Port, Service, clone, filter, flow, inbox, namespace, ping, tcp, udp
from scapy.layers.inet import ICMP as ScapyICMP
from scapy.layers.inet import IP as ScapyIP
from scapy.layers.inet import UDP as ScapyUDP
from scapy.layers.l2 import Ether

from netsim.kernel.errno import Errno
from netsim.kernel.hooks import STOLEN, DropReason, Hook
from netsim.kernel.journey import Dropped
from netsim.kernel.routing import Route, RouteKind
from netsim.kernel.sysctl import S
from netsim.wire.addr import Prefix, ip, ip_text
from netsim.wire.packet import ICMP, TCP, IcmpMessage, Packet, RawBody

CLIENT, SERVER, VIP = "10.1.0.5", "10.2.0.5", "10.96.0.10"
NODE_LEFT, NODE_RIGHT = "10.1.0.1", "10.2.0.1"


def to_nowhere(kind: RouteKind) -> Route:
    return Route(Prefix.parse("10.9.0.0/16"), kind=kind)


def error(packet: Packet) -> tuple[int, int, str, str]:
    """Type and code of an ICMP error, from whom and to whom."""
    assert isinstance(packet.body, IcmpMessage)
    return packet.body.type, packet.body.code, ip_text(packet.flow.src), ip_text(packet.flow.dst)


def quoted(packet: Packet) -> ScapyIP:
    """The packet inside an ICMP error, dissected by Scapy, which has checked nothing yet."""
    assert isinstance(packet.body, IcmpMessage)
    return ScapyIP(packet.body.payload)


def all_checksums_hold(frame: bytes) -> bool:
    """Scapy builds the same bytes when it has to compute the checksums of headers and quote itself."""
    found = Ether(frame)
    inner = ScapyIP(bytes(found[ScapyICMP].payload))
    for layer in (found[ScapyIP], found[ScapyICMP], inner, inner.payload):
        del layer.chksum
    found[ScapyICMP].remove_payload()
    rebuilt = Ether(bytes(found / bytes(inner)))
    return bytes(rebuilt)[:42] + bytes(inner) == frame


# ---------------------------------------------------------------- the ordinary way
def test_forwarding_takes_one_hop_off_and_changes_the_macs() -> None:
    bench = Bench()
    packet = udp(CLIENT, 1, SERVER, 53)
    before = packet.to_bytes()
    bench.left.arrive(packet, 17)
    ((at, out),) = bench.right.sent
    assert out is packet
    assert (at, out.ttl, out.macs[6:]) == (17, 63, bench.right.device.mac)
    assert out.to_bytes()[26:] == before[26:]
    assert (out.ct, out.mark) == (None, 0)


def test_local_delivery() -> None:
    bench = Bench()
    bench.left.arrive(udp(CLIENT, 1, NODE_RIGHT, 53), 17)
    ((at, packet),) = bench.inbox.got
    assert (at, packet.ttl, packet.ct) == (17, 64, None)
    assert bench.ns.delivered == 1


def test_a_namespace_without_netfilter_forwards_too() -> None:
    bench = Bench(netfilter=False)
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    bench.right.arrive(udp(SERVER, 53, CLIENT, 1))
    assert bench.right.one().flow == flow(CLIENT, 1, SERVER, 53)
    assert bench.left.one().ttl == 63


def test_a_mark_stays_in_its_namespace() -> None:
    """Linux scrubs it when a packet changes namespaces, and a cable does not carry it."""
    bench = Bench()
    bench.rules(filter("-A FORWARD -j MARK --set-mark 0x4000"))
    for _ in range(3):
        bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
        bench.right.arrive(udp(SERVER, 53, CLIENT, 1))
    assert [packet.mark for packet in bench.right.take() + bench.left.take()] == [0] * 6


def test_loopback() -> None:
    bench = Bench()
    for address in ("127.0.0.1", "127.3.2.1", NODE_LEFT, NODE_RIGHT):
        assert bench.ns.output(udp(address, 1, address, 53), 5) is None
    assert len(bench.inbox.got) == 4
    assert bench.left.take() == bench.right.take() == []
    assert bench.ns.sent == bench.ns.delivered == 4


def test_loopback_without_netfilter() -> None:
    ns = namespace()
    ns.output(udp("127.0.0.1", 1, "127.0.0.1", 53), 0)
    assert [packet.flow.dport for _, packet in ns.sockets.got] == [53]  # type: ignore[attr-defined]


# ---------------------------------------------------------------- where packets end
def ends(bench: Bench, hook: str, reason: str) -> None:
    assert bench.drops() == {(hook, reason): 1}
    assert bench.right.take() == []


@pytest.mark.parametrize(
    ("hook", "rule"),
    [
        ("FORWARD", "-A FORWARD -p udp -j DROP"),
        ("INPUT", "-A INPUT -p udp -j DROP"),
        ("OUTPUT", "-A OUTPUT -p udp -j DROP"),
    ],
)
def test_dropped_by_a_rule(hook: str, rule: str) -> None:
    bench = Bench()
    bench.rules(filter(rule))
    if hook == "OUTPUT":
        bench.ns.output(udp(NODE_RIGHT, 1, SERVER, 53), 0)
    else:
        bench.left.arrive(udp(CLIENT, 1, SERVER if hook == "FORWARD" else NODE_LEFT, 53))
    ends(bench, hook, "NETFILTER_DROP")
    assert bench.left.take() == []
    assert bench.inbox.got == bench.inbox.errors == []


def test_ttl_expires() -> None:
    bench = Bench()
    packet = udp(CLIENT, 1, SERVER, 53)
    packet.ttl = 1
    bench.left.arrive(packet)
    ends(bench, "FORWARD", "IP_TTL_EXPIRED")
    answer = bench.left.one()
    assert error(answer) == (11, 0, NODE_LEFT, CLIENT)
    assert quoted(answer).ttl == 1


def test_ttl_does_not_matter_on_arrival() -> None:
    bench = Bench()
    packet = udp(CLIENT, 1, NODE_LEFT, 53)
    packet.ttl = 1
    bench.left.arrive(packet)
    assert len(bench.inbox.got) == 1


def test_too_big_for_the_next_link() -> None:
    bench = Bench(mtu=1000)
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53, b"x" * (1000 - 28)))
    assert bench.right.one()
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53, b"x" * (1000 - 27)))
    ends(bench, "FORWARD", "PKT_TOO_BIG")
    answer = bench.left.one()
    assert error(answer) == (3, 4, NODE_LEFT, CLIENT)
    assert answer.body.rest == 1000  # type: ignore[union-attr]
    assert quoted(answer).ttl == 64  # as it came in
    assert quoted(answer).len == 1001


@pytest.mark.parametrize(
    ("kind", "reason", "answered"),
    [
        (None, "IP_NO_ROUTE", (3, 0)),
        (RouteKind.UNREACHABLE, "IP_UNREACHABLE", (3, 1)),
        (RouteKind.BLACKHOLE, "IP_BLACKHOLE", None),
    ],
)
def test_no_way_on(kind: RouteKind | None, reason: str, answered: tuple[int, int] | None) -> None:
    bench = Bench()
    if kind is not None:
        bench.ns.add_route(to_nowhere(kind))
    bench.left.arrive(udp(CLIENT, 1, "10.9.0.1", 53))
    ends(bench, "FORWARD", reason)
    answers = [error(packet) for packet in bench.left.take()]
    assert answers == ([] if answered is None else [(*answered, NODE_LEFT, CLIENT)])


@pytest.mark.parametrize(
    ("kind", "reason", "errno"),
    [
        (None, "IP_NO_ROUTE", Errno.ENETUNREACH),
        (RouteKind.UNREACHABLE, "IP_UNREACHABLE", Errno.EHOSTUNREACH),
        (RouteKind.BLACKHOLE, "IP_BLACKHOLE", Errno.EINVAL),
    ],
)
def test_no_way_out(kind: RouteKind | None, reason: str, errno: Errno) -> None:
    bench = Bench()
    if kind is not None:
        bench.ns.add_route(to_nowhere(kind))
    assert bench.ns.output(udp(NODE_LEFT, 1, "10.9.0.1", 53), 0) is errno
    ends(bench, "OUTPUT", reason)
    assert bench.inbox.errors == []


@pytest.mark.parametrize("netfilter", [True, False])
def test_too_big_to_send(netfilter: bool) -> None:
    bench = Bench(netfilter, mtu=1000)
    assert bench.ns.output(udp(NODE_RIGHT, 1, SERVER, 53, b"x" * 972), 0) is None
    assert bench.right.one()
    assert bench.ns.output(udp(NODE_RIGHT, 1, SERVER, 53, b"x" * 973), 0) is Errno.EMSGSIZE
    ends(bench, "OUTPUT", "PKT_TOO_BIG")


def test_a_host_does_not_forward() -> None:
    bench = Bench(ip_forward=False)
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    ends(bench, "FORWARD", "IP_NOT_FORWARDING")
    assert bench.left.take() == []


def test_a_device_that_is_down_receives_nothing() -> None:
    bench = Bench()
    bench.left.device.up = False
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    ends(bench, "PREROUTING", "DEVICE_DOWN")


def test_a_device_without_a_cable_sends_nothing() -> None:
    ns = namespace()
    clock = Clock()
    eth0 = Port(ns, "eth0", clock).device
    eth0.transmit = eth0._unplugged
    ns.add_address(ip("10.0.0.1"), eth0)
    ns.add_route(Route(Prefix.parse("10.0.0.0/24"), eth0))
    ns.neighbours.fixed(eth0, b"\2\0\0\0\0\1")
    ns.output(udp("10.0.0.1", 1, "10.0.0.2", 53), 0)
    assert ns.drops == {("POSTROUTING", DropReason.DEVICE_DOWN): 1}


def test_a_protocol_that_nobody_speaks() -> None:
    bench = Bench()
    raw = ScapyIP(src=CLIENT, dst=NODE_LEFT, proto=132) / (b"\0\1\0\2" + bytes(20))
    bench.left.arrive(Packet(flow(CLIENT, 1, NODE_LEFT, 2, 132), RawBody(bytes(raw))))
    ends(bench, "INPUT", "IP_UNKNOWN_PROTOCOL")
    assert error(bench.left.one()) == (3, 2, NODE_LEFT, CLIENT)


def test_a_malformed_packet() -> None:
    bench = Bench()
    raw = bytes(ScapyIP(src=CLIENT, dst=NODE_LEFT, proto=17) / b"\0\1\0")
    bench.left.arrive(Packet(flow(CLIENT, 0, NODE_LEFT, 0), RawBody(raw)))
    ends(bench, "INPUT", "IP_MALFORMED")
    assert bench.left.take() == []


def test_closed_port() -> None:
    bench = Bench()
    bench.inbox.refuse = True
    bench.left.arrive(udp(CLIENT, 1, NODE_LEFT, 53))
    ends(bench, "INPUT", "NO_SOCKET")
    assert error(bench.left.one()) == (3, 3, NODE_LEFT, CLIENT)
    assert bench.ns.delivered == 0


def test_a_closed_port_of_another_of_our_addresses_answers_itself() -> None:
    """Who was addressed is the error's source, not the address towards the sender (icmp_send)."""
    bench = Bench()
    bench.inbox.refuse = True
    bench.left.arrive(udp(CLIENT, 1, NODE_RIGHT, 53))
    assert error(bench.left.one()) == (3, 3, NODE_RIGHT, CLIENT)


def test_a_hook_may_steal_a_packet() -> None:
    bench = Bench()
    kept = []
    bench.ns.hooks[Hook.FORWARD] = (lambda t: kept.append(t.packet) or STOLEN,)
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    assert len(kept) == 1
    assert bench.drops() == {}
    assert bench.right.take() == []


def test_drops_are_told_to_subscribers() -> None:
    bench = Bench(ip_forward=False)
    told: list[Dropped] = []
    bench.ns.drop_subscribers.append(told.append)
    packet = udp(CLIENT, 1, SERVER, 53)
    packet.uid = 77
    bench.left.arrive(packet, 5)
    assert told == [
        Dropped(5, "node", "FORWARD", DropReason.IP_NOT_FORWARDING, flow(CLIENT, 1, SERVER, 53), 77, "left")
    ]


def test_rules_see_whether_a_flow_is_translated() -> None:
    """Two flows that look alike after DNAT."""
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -j DNAT --to-destination {SERVER}")
    bench.rules(filter("-A FORWARD -m conntrack --ctstate DNAT -j DROP"))
    for target in (VIP, SERVER, VIP, SERVER):
        bench.left.arrive(udp(CLIENT, 4000, target, 53))
    assert len(bench.right.take()) == 2
    assert bench.drops() == {("FORWARD", "NETFILTER_DROP"): 2}


# ---------------------------------------------------------------- REJECT
def test_reject_tells_the_sender() -> None:
    bench = Bench()
    bench.rules(filter("-A FORWARD -d 10.2.0.0/16 -j REJECT"))
    bench.left.arrive(udp(CLIENT, 4000, SERVER, 53))
    ends(bench, "FORWARD", "NETFILTER_REJECT")
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
    ends(bench, "INPUT", "NETFILTER_REJECT")
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
    ends(bench, "OUTPUT", "NETFILTER_REJECT")


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
    ends(bench, "FORWARD", "IP_TTL_EXPIRED")
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
    ends(bench, "INPUT", "ICMP_UNMATCHED")


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


# ---------------------------------------------------------------- journeys
def story(bench: Bench, packet: Packet) -> list[tuple[str, str]]:
    steps: list[Any] = []
    bench.ns.follow(steps.append)
    packet.uid = 5
    bench.left.arrive(packet)
    return [(step.kind, step.where) for step in steps if step.uid == 5]


def test_a_journey_tells_every_step_once() -> None:
    bench = Bench()
    bench.rules(f"-A PREROUTING -d {VIP} -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353")
    bench.rules("-A POSTROUTING -o right -j MASQUERADE")
    bench.rules(filter("-A FORWARD -d 10.2.0.0/16 -j ACCEPT"))
    assert story(bench, udp(CLIENT, 4000, VIP, 53)) == [
        ("receive", "left"),
        ("hook", "PREROUTING"),
        ("conntrack", "PREROUTING"),
        ("rule", "PREROUTING"),
        ("dnat", "PREROUTING"),
        ("route", "FORWARD"),
        ("hook", "FORWARD"),
        ("rule", "FORWARD"),
        ("hook", "POSTROUTING"),
        ("rule", "POSTROUTING"),
        ("snat", "POSTROUTING"),
        ("conntrack", "POSTROUTING"),
        ("transmit", "right"),
    ]


def test_a_journey_that_ends_here() -> None:
    bench = Bench()
    assert story(bench, udp(CLIENT, 4000, NODE_LEFT, 53))[-3:] == [
        ("hook", "INPUT"),
        ("conntrack", "INPUT"),
        ("deliver", ""),
    ]


def test_a_journey_of_a_drop_and_of_an_invalid_packet() -> None:
    bench = Bench()
    bench.rules(filter("-A FORWARD -m conntrack --ctstate INVALID -j DROP"))
    steps = story(bench, tcp(CLIENT, 4000, SERVER, 80, "S."))
    assert steps == [
        ("receive", "left"),
        ("hook", "PREROUTING"),
        ("conntrack", "PREROUTING"),
        ("route", "FORWARD"),
        ("hook", "FORWARD"),
        ("rule", "FORWARD"),
        ("drop", "FORWARD"),
    ]


def test_following_changes_nothing_else() -> None:
    plain, followed = Bench(), Bench()
    followed.ns.follow(lambda step: None)
    for bench in (plain, followed):
        bench.rules("-A POSTROUTING -o right -j MASQUERADE")
        for port in (1, 2, 1):
            bench.left.arrive(udp(CLIENT, port, SERVER, 53))
    assert [(at, p.flow, p.ttl) for at, p in plain.right.sent] == [
        (at, p.flow, p.ttl) for at, p in followed.right.sent
    ]


def test_hooks_are_called_in_the_order_of_the_diagram() -> None:
    bench = Bench()
    seen: list[str] = []

    def watch(hook: Hook) -> Any:
        return lambda t: seen.append(f"{t.hook.name}:{t.in_dev}>{t.out_dev}")

    bench.ns.hooks = [(watch(hook),) for hook in Hook]
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    assert seen == ["PREROUTING:left>", "FORWARD:left>right", "POSTROUTING:left>right"]
    seen.clear()
    bench.left.arrive(udp(CLIENT, 1, NODE_LEFT, 53))
    assert seen == ["PREROUTING:left>", "INPUT:left>"]
    seen.clear()
    bench.ns.output(udp(NODE_RIGHT, 1, SERVER, 53), 0)
    assert seen == ["OUTPUT:>right", "POSTROUTING:>right"]
