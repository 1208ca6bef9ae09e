"""IPVS at the hooks: the way there and back, states and timers, persistence, quiesced and deleted real servers, reused
ports by kernel version."""

from dataclasses import replace
from typing import Any

import pytest
from netlab import Bench, Packet, clone, ping, tcp, udp

from netsim.engine import S
from netsim.kernel.ipvs import Ipvs, IpvsError, IpvsSysctl
from netsim.kernel.ipvs_hooks import enable_ipvs
from netsim.kernel.ipvs_service import DestKey, ServiceKey, VirtualServer
from netsim.kernel.netns import Device
from netsim.wire.addr import ip, ip_text
from netsim.wire.packet import ICMP, TCP, UDP, Flow, IcmpMessage

VIP = "10.96.0.20"
WEB, DNS = ServiceKey(TCP, ip(VIP), 80), ServiceKey(UDP, ip(VIP), 53)
OTHER = ServiceKey(TCP, ip(VIP), 81)
ONE, TWO = DestKey(ip("10.2.0.7"), 8080), DestKey(ip("10.2.0.8"), 8080)
KUBE_PROXY = IpvsSysctl(conntrack=True, expire_nodest_conn=True, expire_quiescent_template=True)


class World(Bench):
    """A node with a virtual server for TCP and one for UDP; clients on the left, real servers on the right."""

    def __init__(self, *dests: DestKey, persistent_s: int = 0, sysctl: IpvsSysctl = KUBE_PROXY) -> None:
        super().__init__()
        self.ipvs: Ipvs = enable_ipvs(self.ns)
        self.ipvs.sysctl = sysctl
        dummy = Device(self.ns, "kube-ipvs0", b"\x02" * 6)
        self.ns.add_device(dummy)
        self.ns.add_address(ip(VIP), dummy)
        for key in (WEB, DNS):
            self.ipvs.add_service(VirtualServer(key, persistent_s=persistent_s))
            for dest in dests or (TWO, ONE):
                self.ipvs.add_dest(key, dest)

    def at(self, now: int) -> "World":
        self.clock.run(now)
        return self

    def ask(self, packet: Packet) -> Packet | None:
        """The packet comes in on the left; what goes out on the right."""
        self.left.arrive(packet, self.clock._now)
        sent = self.right.take()
        return sent[0] if sent else None

    def back(self, request: Packet, flags: str | None = None) -> Packet:
        """The real server's answer to a packet, as it leaves on the left."""
        flow = request.flow
        src, dst = ip_text(flow.dst), ip_text(flow.src)
        answer = (
            udp(src, flow.dport, dst, flow.sport)
            if flags is None
            else tcp(src, flow.dport, dst, flow.sport, flags)
        )
        self.right.arrive(answer, self.clock._now)
        return self.left.one()

    def connect(self, sport: int = 4000) -> Packet:
        """A handshake; the last packet as the real server sees it."""
        syn = self.ask(syn_from(sport))
        assert syn is not None
        self.back(syn, "S.")
        sent = self.ask(tcp("10.1.0.5", sport, VIP, 80, "."))
        assert sent is not None
        return sent

    def state(self, sport: int = 4000) -> str:
        connection = self.ipvs.conns.get(syn_from(sport).flow)
        return "" if connection is None else connection.state_text

    def counts(self, dest: DestKey) -> tuple[int, int]:
        found = self.ipvs.services[WEB].by_key[dest]
        return found.active, found.inactive


def syn_from(sport: int) -> Packet:
    return tcp("10.1.0.5", sport, VIP, 80, "S")


# ------------------------------------------------------------------ there and back
def test_there_and_back() -> None:
    world = World()
    there = world.ask(udp("10.1.0.5", 4000, VIP, 53))
    assert there is not None
    assert (str(there.flow), there.ttl) == ("udp 10.1.0.5:4000 > 10.2.0.7:8080", 63)
    back = world.back(there)
    assert str(back.flow) == "udp 10.96.0.20:53 > 10.1.0.5:4000"
    assert world.ns.drops == {}


def test_masqueraded_there_and_back() -> None:
    """Conntrack knows the real server's answers, so MASQUERADE in POSTROUTING works (ip_vs_update_conntrack)."""
    world = World()
    world.rules(":POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE")
    there = world.ask(udp("10.1.0.5", 4000, VIP, 53))
    assert there is not None
    assert str(there.flow) == "udp 10.2.0.1:4000 > 10.2.0.7:8080"
    assert str(world.back(there).flow) == "udp 10.96.0.20:53 > 10.1.0.5:4000"
    assert "src=10.1.0.5 dst=10.96.0.20" in world.ct.render(0)
    assert "src=10.2.0.7 dst=10.2.0.1" in world.ct.render(0)


def test_without_conntrack_masquerade_does_nothing() -> None:
    world = World(sysctl=replace(KUBE_PROXY, conntrack=False))
    world.rules(":POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE")
    there = world.ask(udp("10.1.0.5", 4000, VIP, 53))
    assert there is not None
    assert str(there.flow) == "udp 10.1.0.5:4000 > 10.2.0.7:8080"
    assert list(world.ct.entries(0)) == []


def test_round_robin_is_exact() -> None:
    world = World()
    reached = [world.ask(syn_from(sport)) for sport in range(4000, 4010)]
    assert [p.flow.dst[3] for p in reached if p is not None] == [7, 8] * 5


def test_filter_rules_see_the_virtual_address_in_input_and_the_real_one_in_output() -> None:
    world = World()
    world.rules(
        "*filter\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n-A INPUT -d 10.96.0.20\n-A OUTPUT -d 10.2.0.7\n-A FORWARD\nCOMMIT"
    )
    world.ask(syn_from(4000))
    assert world.ns.xtables is not None
    counts = [
        world.ns.xtables.counters("filter", chain)[0].packets for chain in ("INPUT", "OUTPUT", "FORWARD")
    ]
    assert counts == [1, 1, 0]


def test_the_node_itself_is_a_client() -> None:
    world = World()
    world.ns.output(udp("10.2.0.1", 4000, VIP, 53), 0)
    there = world.right.one()
    assert str(there.flow) == "udp 10.2.0.1:4000 > 10.2.0.7:8080"
    world.right.arrive(udp("10.2.0.7", 8080, "10.2.0.1", 4000))
    assert [str(flow) for flow in world.inbox.flows] == ["udp 10.96.0.20:53 > 10.2.0.1:4000"]


def test_the_node_itself_is_a_real_server() -> None:
    world = World(DestKey(ip("10.1.0.1"), 9053))
    world.left.arrive(udp("10.1.0.5", 4000, VIP, 53))
    assert [str(flow) for flow in world.inbox.flows] == ["udp 10.1.0.5:4000 > 10.1.0.1:9053"]
    world.ns.output(udp("10.1.0.1", 9053, "10.1.0.5", 4000), 0)
    assert str(world.left.one().flow) == "udp 10.96.0.20:53 > 10.1.0.5:4000"


def test_a_loopback_source_does_not_leave() -> None:
    world = World()
    world.ns.output(udp("127.0.0.1", 4000, VIP, 53), 0)
    world.ended("OUTPUT", "IPVS_LOOPBACK")


def test_time_to_live_ends_at_the_node() -> None:
    world = World()
    packet = udp("10.1.0.5", 4000, VIP, 53)
    packet.ttl = 1
    assert world.ask(packet) is None
    error = world.left.one()
    assert isinstance(error.body, IcmpMessage)
    assert (error.body.type, ip_text(error.flow.src)) == (11, VIP)


def test_the_virtual_address_is_local() -> None:
    """It answers pings, and what has no virtual server goes to the node's own sockets."""
    world = World()
    world.left.arrive(ping("10.1.0.5", VIP))
    assert world.left.one().flow.src == ip(VIP)
    assert world.ask(tcp("10.1.0.5", 4000, VIP, 81, "S")) is None
    assert [flow.dport for flow in world.inbox.flows] == [81]


def test_a_segment_without_syn_schedules_nothing() -> None:
    world = World()
    assert world.ask(tcp("10.1.0.5", 4000, VIP, 80, ".")) is None
    assert len(world.inbox.got) == 1
    world.ipvs.sysctl = replace(KUBE_PROXY, sloppy_tcp=True)
    assert world.ask(tcp("10.1.0.5", 4001, VIP, 80, ".")) is not None
    assert world.ask(tcp("10.1.0.5", 4002, VIP, 80, "R")) is None


def test_without_real_server_the_client_is_refused() -> None:
    world = World()
    for dest in (ONE, TWO):
        world.ipvs.delete_dest(WEB, dest)
    assert world.ask(syn_from(4000)) is None
    world.ended("INPUT", "IPVS_NO_REAL_SERVER")
    error = world.left.one()
    assert isinstance(error.body, IcmpMessage)
    assert (error.body.type, error.body.code, ip_text(error.flow.src)) == (3, 3, VIP)


def test_icmp_errors_reach_both_ends() -> None:
    """About a request, from a router behind the node; about an answer, from the client."""
    world = World()
    there = world.ask(udp("10.1.0.5", 4000, VIP, 53))
    assert there is not None
    back = world.back(there)
    quoted = clone(there).to_bytes()[14:]
    world.right.arrive(
        Packet(Flow(ip("10.2.0.99"), ip("10.1.0.5"), 0, 3 << 8 | 1, ICMP), IcmpMessage(3, 1, 0, quoted))
    )
    error = world.left.one()
    assert isinstance(error.body, IcmpMessage)
    assert (ip_text(error.flow.src), ip_text(error.flow.dst)) == (VIP, "10.1.0.5")
    assert error.body.payload[16:20] == ip(VIP)
    quoted = clone(back).to_bytes()[14:]
    world.left.arrive(
        Packet(Flow(ip("10.1.0.5"), ip(VIP), 0, 3 << 8 | 3, ICMP), IcmpMessage(3, 3, 0, quoted))
    )
    error = world.right.one()
    assert isinstance(error.body, IcmpMessage)
    assert ip_text(error.flow.dst) == "10.2.0.7"
    assert error.body.payload[12:16] == ip("10.2.0.7")


# ------------------------------------------------------------------ states and timers
# Who sends which flags; then the state, the seconds that it lasts, and the real server's active and inactive ones.
LIFE: list[tuple[str, str, str, int, tuple[int, int]]] = [
    ("client", "S", "SYN_RECV", 60, (1, 0)),
    ("server", "S.", "SYN_RECV", 60, (1, 0)),
    ("client", ".", "ESTABLISHED", 900, (1, 0)),
    ("server", ".", "ESTABLISHED", 900, (1, 0)),
    ("client", "F.", "CLOSE_WAIT", 60, (0, 1)),
    ("server", "F.", "TIME_WAIT", 120, (0, 1)),
    ("client", ".", "TIME_WAIT", 120, (0, 1)),
]


def test_states_follow_the_segments() -> None:
    world = World(ONE)
    there: Packet | None = None
    for who, flags, state, seconds, counts in LIFE:
        if who == "client":
            there = world.ask(tcp("10.1.0.5", 4000, VIP, 80, flags))
        else:
            assert there is not None
            world.back(there, flags)
        connection = world.ipvs.conns[syn_from(4000).flow]
        assert (connection.state_text, connection.timeout_ns) == (state, seconds * S)
        assert world.counts(ONE) == counts
    world.at(119 * S)
    assert world.state() == "TIME_WAIT"
    world.at(121 * S)
    assert (world.state(), world.counts(ONE)) == ("", (0, 0))
    assert list(world.ct.entries(121 * S)) == []  # conntrack's entry goes with it


RESETS = [("client", "R", "CLOSE", 10), ("server", "R", "CLOSE", 10), ("server", "F.", "FIN_WAIT", 120)]


@pytest.mark.parametrize(("who", "flags", "state", "seconds"), RESETS)
def test_ends(who: str, flags: str, state: str, seconds: int) -> None:
    world = World(ONE)
    there = world.connect()
    if who == "client":
        world.ask(tcp("10.1.0.5", 4000, VIP, 80, flags))
    else:
        world.back(there, flags)
    assert world.state() == state
    assert world.ipvs.conns[syn_from(4000).flow].timeout_ns == seconds * S


@pytest.mark.parametrize(("wanted", "lasts"), [((0, 0, 0), (900, 120, 300)), ((60, 30, 10), (60, 30, 10))])
def test_timeouts_can_be_set(wanted: tuple[int, int, int], lasts: tuple[int, int, int]) -> None:
    """`ipvsadm --set`: 0 leaves a value as it is."""
    world = World(ONE)
    tcp_s, fin_s, udp_s = wanted
    world.ipvs.timeouts.set(tcp_s * S, fin_s * S, udp_s * S)
    there = world.connect()
    world.ask(udp("10.1.0.5", 4000, VIP, 53))
    found = [
        world.ipvs.conns[p.flow].timeout_ns // S for p in (syn_from(4000), udp("10.1.0.5", 4000, VIP, 53))
    ]
    world.back(there, "F.")
    found.insert(1, world.ipvs.conns[syn_from(4000).flow].timeout_ns // S)
    assert tuple(found) == lasts


def test_udp_outlives_conntrack() -> None:
    """IPVS remembers a UDP flow for 300 s, conntrack for 30: the flow keeps its real server."""
    world = World()
    first = world.ask(udp("10.1.0.5", 4000, VIP, 53))
    again = world.at(200 * S).ask(udp("10.1.0.5", 4000, VIP, 53))
    assert first is not None
    assert again is not None
    assert again.flow == first.flow
    assert str(world.back(again).flow) == "udp 10.96.0.20:53 > 10.1.0.5:4000"


@pytest.mark.parametrize("follow", [False, True])
def test_late_answers_still_come_from_the_service(follow: bool) -> None:
    """Conntrack takes a real server's datagram after 30 s for a new flow; IPVS knows better, also on the remembered
    way."""
    world = World(ONE)
    if follow:
        world.ns.follow(lambda _step: None)
    world.ask(udp("10.1.0.5", 4000, VIP, 53))
    for seconds in (40, 41, 42, 43):
        world.at(seconds * S)
        world.right.arrive_fast(udp("10.2.0.7", 8080, "10.1.0.5", 4000), seconds * S)
        assert str(world.left.one().flow) == "udp 10.96.0.20:53 > 10.1.0.5:4000"
        world.left.arrive_fast(udp("10.1.0.5", 4000, VIP, 53), seconds * S)
        assert str(world.right.one().flow) == "udp 10.1.0.5:4000 > 10.2.0.7:8080"
    world.ct.settle()
    assert world.ipvs.services[DNS].stats.row()[:3] == (1, 5, 4)
    remembered = [half.path is not None for half in world.ct.table.values()]
    assert remembered == [not follow] * 2


# ------------------------------------------------------------------ persistence
def test_a_client_keeps_its_real_server() -> None:
    world = World(persistent_s=100)
    reached = {world.ask(syn_from(sport)).flow.dst for sport in range(4000, 4010)}  # type: ignore[union-attr]
    assert len(reached) == 1
    other = world.ask(tcp("10.1.0.6", 4000, VIP, 80, "S"))
    assert other is not None
    assert {other.flow.dst} != reached
    assert len(world.ipvs.templates) == 2


def test_a_template_lives_while_its_connections_do_and_the_timeout_after() -> None:
    world = World(persistent_s=100)
    world.connect()
    (template,) = world.ipvs.templates.values()
    assert template.state_text == "ASSURED"
    world.ask(tcp("10.1.0.6", 4000, VIP, 80, "S"))
    other = world.ipvs.templates[tcp("10.1.0.6", 0, VIP, 80, "S").flow]
    assert other.state_text == "NONE"
    world.at(850 * S)
    assert world.state() == "ESTABLISHED"
    assert list(world.ipvs.templates.values()) == [template]
    world.at(1000 * S)
    assert world.ipvs.templates == {}
    assert [dest.refs for dest in world.ipvs.services[WEB].dests] == [0, 0]


@pytest.mark.parametrize("expire", [True, False])
def test_a_quiesced_real_server_loses_its_templates_if_told_so(expire: bool) -> None:
    world = World(persistent_s=100, sysctl=replace(KUBE_PROXY, expire_quiescent_template=expire))
    first = world.ask(syn_from(4000))
    assert first is not None
    chosen = DestKey(first.flow.dst, 8080)
    world.ipvs.edit_dest(WEB, chosen, 0)
    second = world.ask(syn_from(4001))
    assert second is not None
    assert (second.flow.dst == first.flow.dst) is not expire


# ------------------------------------------------------------------ quiesced and deleted
def test_weight_0_keeps_connections_and_gets_no_new_ones() -> None:
    world = World()
    there = world.connect()
    world.ipvs.edit_dest(WEB, DestKey(there.flow.dst, 8080), 0)
    again = world.ask(tcp("10.1.0.5", 4000, VIP, 80, ".", b"more"))
    assert again is not None
    assert again.flow.dst == there.flow.dst
    fresh = {world.ask(syn_from(sport)).flow.dst for sport in range(5000, 5005)}  # type: ignore[union-attr]
    assert there.flow.dst not in fresh


# Kernel, expire_nodest_conn; what becomes of the first and the second packet after the real server is deleted.
GONE: list[tuple[tuple[int, int], bool, str, str]] = [
    ((6, 8), True, "stack", "stack"),  # flushed at once: an ACK that nobody knows
    ((5, 4), True, "IPVS_NO_DEST", "stack"),
    ((6, 8), False, "IPVS_NO_DEST", "IPVS_NO_DEST"),
]


@pytest.mark.parametrize(("release", "expire", "first", "second"), GONE)
def test_a_deleted_real_server(release: tuple[int, int], expire: bool, first: str, second: str) -> None:
    world = World(sysctl=replace(KUBE_PROXY, release=release, expire_nodest_conn=expire))
    there = world.connect()
    world.ipvs.delete_dest(WEB, DestKey(there.flow.dst, 8080))
    for expected in (first, second):
        world.ns.drops.clear()
        world.inbox.got.clear()
        assert world.ask(tcp("10.1.0.5", 4000, VIP, 80, ".")) is None
        dropped = [reason.name for _, reason in world.ns.drops]
        assert (dropped or ["stack"]) == [expected]
        assert bool(world.inbox.got) is (expected == "stack")


def test_udp_goes_elsewhere_when_its_real_server_is_deleted() -> None:
    world = World()
    first = world.ask(udp("10.1.0.5", 4000, VIP, 53))
    assert first is not None
    world.ipvs.delete_dest(DNS, DestKey(first.flow.dst, 8080))
    second = world.ask(udp("10.1.0.5", 4000, VIP, 53))
    assert second is not None
    assert second.flow.dst != first.flow.dst
    assert str(world.back(second).flow) == "udp 10.96.0.20:53 > 10.1.0.5:4000"


def test_a_real_server_comes_back_with_its_connections() -> None:
    world = World(sysctl=replace(KUBE_PROXY, expire_nodest_conn=False))
    there = world.connect()
    dest = DestKey(there.flow.dst, 8080)
    world.ipvs.delete_dest(WEB, dest)
    assert world.ask(tcp("10.1.0.5", 4000, VIP, 80, ".")) is None
    world.ipvs.add_dest(WEB, dest)
    assert world.counts(dest) == (1, 0)
    assert world.ask(tcp("10.1.0.5", 4000, VIP, 80, ".")) is not None


# ------------------------------------------------------------------ reused ports
# Kernel and conn_reuse_mode (0 is what kube-proxy sets before 5.9); state of the old connection and weight of its real
# server; what the next SYN of the same port meets: the old real server, a new one, or the drop that costs a second.
REUSED: list[tuple[tuple[int, int], int, str, int, str]] = [
    ((5, 4), 1, "TIME_WAIT", 1, "dropped"),
    ((5, 4), 0, "TIME_WAIT", 1, "old"),
    ((5, 4), 0, "TIME_WAIT", 0, "old"),
    ((5, 9), 1, "TIME_WAIT", 1, "new"),
    ((5, 9), 0, "TIME_WAIT", 0, "old"),
    ((5, 16), 0, "TIME_WAIT", 0, "new"),
    ((6, 8), 1, "TIME_WAIT", 1, "new"),
    ((6, 8), 1, "TIME_WAIT", 0, "new"),
    ((6, 8), 1, "ESTABLISHED", 1, "old"),
    ((6, 8), 1, "ESTABLISHED", 0, "dropped"),
]


def _old_connection(world: World, state: str) -> Packet:
    there = world.connect()
    if state == "TIME_WAIT":
        world.ask(tcp("10.1.0.5", 4000, VIP, 80, "F."))
        world.back(there, "F.")
        world.ask(tcp("10.1.0.5", 4000, VIP, 80, "."))
    assert world.state() == state
    return there


@pytest.mark.parametrize(("release", "mode", "state", "weight", "expected"), REUSED)
def test_a_syn_on_a_reused_port(
    release: tuple[int, int], mode: int, state: str, weight: int, expected: str
) -> None:
    world = World(sysctl=replace(KUBE_PROXY, release=release, conn_reuse_mode=mode))
    there = _old_connection(world, state)
    world.ipvs.edit_dest(WEB, DestKey(there.flow.dst, 8080), weight)
    syn = world.ask(syn_from(4000))
    if syn is None:
        assert expected == "dropped"
        assert [reason.name for _, reason in world.ns.drops] == ["IPVS_PORT_REUSED"]
        retried = world.at(S).ask(syn_from(4000))
        assert retried is not None
        assert retried.flow.dst != there.flow.dst
        return
    assert ("old" if syn.flow.dst == there.flow.dst else "new") == expected
    assert str(world.back(syn, "S.").flow) == "tcp 10.96.0.20:80 > 10.1.0.5:4000"


# ------------------------------------------------------------------ what ipvsadm refuses
REFUSED: list[tuple[str, Any]] = [
    ("Service already exists", lambda i: i.add_service(VirtualServer(WEB))),
    ("No such service", lambda i: i.delete_service(OTHER)),
    ("Destination already exists", lambda i: i.add_dest(WEB, ONE)),
    ("No such destination", lambda i: i.delete_dest(WEB, DestKey(ip("10.2.0.9"), 1))),
    ("Scheduler or persistence engine not found", lambda i: i.add_service(VirtualServer(OTHER, "fo"))),
]


@pytest.mark.parametrize(("message", "change"), REFUSED)
def test_refused(message: str, change: Any) -> None:
    with pytest.raises(IpvsError, match=message):
        change(World().ipvs)


def test_deleting_a_virtual_server_ends_its_connections() -> None:
    world = World()
    world.connect()
    world.ipvs.delete_service(WEB)
    assert world.ipvs.conns == {}
    assert enable_ipvs(world.ns) is world.ipvs
