"""The remembered path of established flows: when it is taken, when not, and that it says what the full path says.

`tests/properties` compares whole fabrics; here one router sees dense scripts of packets, with time as an argument.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netlab import Bench, filter, flow, ping, tcp, udp

from netsim.kernel.conntrack_tcp import TcpState
from netsim.kernel.cost import LinuxCost
from netsim.kernel.routing import Route, RouteKind
from netsim.kernel.sysctl import S
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import TCP, IcmpMessage, Packet, RawBody

CLIENT, SERVER, VIP = "10.1.0.5", "10.2.0.5", "10.96.0.10"
DNAT = (
    "-A PREROUTING -d 10.96.0.10 -j DNAT --to-destination 10.2.0.5\n-A POSTROUTING -s 10.1.0.6 -j MASQUERADE"
)


class Flow:
    """A UDP flow through DNAT that has been answered, so both directions are remembered."""

    def __init__(self, **bench: Any) -> None:
        self.bench = Bench(**bench)
        self.bench.rules(DNAT)
        self.there()
        self.back()
        self.there()

    def there(self, now: int = 0, size: int = 10, ttl: int = 64) -> list[Packet]:
        packet = udp(CLIENT, 4000, VIP, 53, b"x" * size)
        packet.ttl = ttl
        self.bench.left.arrive_fast(packet, now)
        return self.bench.right.take()

    def back(self, now: int = 0) -> list[Packet]:
        self.bench.right.arrive_fast(udp(SERVER, 53, CLIENT, 4000), now)
        return self.bench.left.take()

    @property
    def remembered(self) -> int:
        """Packets that took a remembered path so far."""
        halves = self.bench.ct.table.values()
        return sum(half.path.packets for half in halves if half.path is not None)


def test_taken_when_both_sides_have_spoken() -> None:
    talk = Flow()
    assert talk.remembered == 0
    assert talk.there()[0].flow == flow(CLIENT, 4000, SERVER, 53)
    assert talk.back()[0].flow == flow(VIP, 53, CLIENT, 4000)
    assert talk.remembered == 2


def test_it_rewrites_as_the_full_path_does() -> None:
    talk = Flow()
    (fast,) = talk.there()
    assert talk.remembered == 1
    full = udp(CLIENT, 4000, VIP, 53, b"x" * 10)
    talk.bench.left.arrive(full)
    assert fast.to_bytes() == full.to_bytes()


def test_unanswered_flows_are_not_remembered() -> None:
    bench = Bench()
    for _ in range(3):
        bench.left.arrive_fast(udp(CLIENT, 4000, SERVER, 53))
    assert all(half.path is None for half in bench.ct.table.values())


@pytest.mark.parametrize(
    "change",
    [
        lambda ns: ns.xtables.restore(filter("-A FORWARD -p icmp -j DROP")),
        lambda ns: ns.add_route(Route(Prefix.parse("192.0.2.0/24"), kind=RouteKind.BLACKHOLE)),
        lambda ns: ns.remove_route(Prefix.parse("192.0.2.0/24")),
        lambda ns: ns.add_address(ip("192.0.2.1"), None),
        lambda ns: ns.neighbours.permanent(ns.devices["left"], ip("10.1.0.9"), b"\2\0\0\0\0\7"),
        lambda ns: ns.follow(lambda step: None),
    ],
    ids=["rules", "route", "route-removed", "address", "neighbour", "follow"],
)
def test_forgotten_at_every_change(change: Any) -> None:
    talk = Flow()
    change(talk.bench.ns)
    assert talk.there()
    assert talk.remembered == 0


def test_a_rule_change_takes_effect_with_the_next_packet() -> None:
    talk = Flow()
    talk.bench.rules(filter("-A FORWARD -d 10.2.0.5 -j DROP"))
    assert talk.there() == []
    assert len(talk.back()) == 1


def test_a_device_that_goes_down() -> None:
    talk = Flow()
    talk.bench.left.device.up = False
    talk.bench.ns.changed()
    assert talk.there() == []
    assert talk.bench.drops() == {("PREROUTING", "DEVICE_DOWN"): 1}


def test_another_device_is_another_path() -> None:
    """The client's packets suddenly come in by the other side: rules may ask for the device (-i)."""
    talk = Flow()
    talk.bench.rules(filter("-A FORWARD -i right -j DROP"))
    talk.there()
    talk.bench.right.arrive_fast(udp(CLIENT, 4000, VIP, 53))
    assert talk.bench.right.take() == []
    assert talk.bench.drops() == {("FORWARD", "NETFILTER_DROP"): 1}


def test_time_to_live_runs_out_there_too() -> None:
    talk = Flow()
    assert talk.there(ttl=1) == []
    assert talk.there(ttl=2)[0].ttl == 1
    assert talk.bench.drops() == {("FORWARD", "IP_TTL_EXPIRED"): 1}


def test_too_big_for_the_remembered_way() -> None:
    talk = Flow(mtu=1000)
    assert talk.there(size=973) == []
    assert talk.bench.drops() == {("FORWARD", "PKT_TOO_BIG"): 1}
    assert talk.there(size=972)


def test_a_dead_entry_is_not_used() -> None:
    """And the rules are asked again, which may say something else by now."""
    talk = Flow()
    (before,) = talk.bench.ct.entries(0)
    assert talk.there(30 * S - 1)
    assert talk.remembered == 1
    talk.there(200 * S)
    (after,) = talk.bench.ct.entries(200 * S)
    assert after is not before
    assert after.created_ns == 200 * S


def test_pings_between_known_hosts() -> None:
    """Their first packets look alike, but are not remembered: an echo is neither a datagram nor a SYN."""
    bench = Bench()
    for identifier in (7, 8, 9):
        bench.left.arrive_fast(ping(CLIENT, SERVER, identifier))
        (asked,) = bench.right.take()
        bench.right.arrive_fast(Packet(asked.flow.reverse(), IcmpMessage(0, 0, 1, b"payload.")))
        (answer,) = bench.left.take()
        assert (answer.flow.dst, answer.flow.sport) == (ip(CLIENT), identifier)


def test_it_keeps_its_entry_alive() -> None:
    """As a stream after two seconds, as the full path does."""
    talk = Flow()
    (entry,) = talk.bench.ct.entries(0)
    talk.there(2 * S)
    assert (entry.expires_ns, entry.assured) == (32 * S, False)
    talk.there(2 * S + 1)
    assert (entry.expires_ns, entry.assured) == (122 * S + 1, True)


def test_a_new_flow_between_known_hosts() -> None:
    """Its first answer may take a path that was foreseen; a late one still makes no stream of it."""
    talk = Flow()
    talk.bench.left.arrive_fast(udp(CLIENT, 4001, VIP, 53))
    talk.bench.right.arrive_fast(udp(SERVER, 53, CLIENT, 4001), 5 * S)
    assert talk.bench.left.one().flow == flow(VIP, 53, CLIENT, 4001)
    (entry,) = (entry for entry in talk.bench.ct.entries(0) if entry.original.flow.sport == 4001)
    assert (entry.expires_ns, entry.assured, entry.seen_reply) == (35 * S, False, True)
    talk.bench.right.arrive_fast(udp(SERVER, 53, CLIENT, 4001), 6 * S)
    assert (entry.expires_ns, entry.assured) == (126 * S, True)


def test_queries_that_are_all_a_client_sends() -> None:
    """One datagram and its answer per flow, as look-ups are: the way back is known, and that is enough."""
    bench = Bench()
    bench.rules(DNAT)
    bench.rules(filter("-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"))
    for port in range(4000, 4004):
        bench.left.arrive_fast(udp(CLIENT, port, VIP, 53))
        assert bench.right.one().flow == flow(CLIENT, port, SERVER, 53)
        bench.right.arrive_fast(udp(SERVER, 53, CLIENT, port))
        assert bench.left.one().flow == flow(VIP, 53, CLIENT, port)
    (first,) = bench.ns.firsts.values()
    assert first.ready
    last = next(entry for entry in bench.ct.entries(0) if entry.original.flow.sport == 4003)
    assert last.reply.path is not None
    assert last.original.path is None
    bench.left.arrive_fast(
        udp(CLIENT, 4003, VIP, 53)
    )  # the first of the packets after that says what they do
    assert bench.right.one().flow == flow(CLIENT, 4003, SERVER, 53)
    assert last.original.path is not None


@pytest.mark.parametrize("rule", ["-m statistic --mode random --probability 0.5", "-m recent --name X --set"])
def test_rules_that_draw_lots_or_remember_are_asked_each_time(rule: str) -> None:
    talk = Flow()
    talk.bench.rules(filter(f"-A FORWARD {rule} -j DROP"))
    for _ in range(200):
        talk.there()
    assert talk.remembered == 0
    dropped = talk.bench.drops()["FORWARD", "NETFILTER_DROP"]
    assert 60 < dropped < 140 if "statistic" in rule else dropped == 200


def test_counters_of_the_rules_are_made_up_for() -> None:
    talk = Flow()
    talk.bench.rules(filter("-A FORWARD -p udp -j ACCEPT\n-A FORWARD -p tcp -j ACCEPT"))
    for _ in range(10):
        talk.there()
    talk.bench.ct.settle()
    talk.bench.ct.settle()  # once is enough
    found = talk.bench.ns.xtables.counters("filter", "FORWARD")
    assert [(counter.packets, counter.bytes) for counter in found] == [(10, 380), (0, 0)]


def test_counters_survive_the_entry() -> None:
    talk = Flow()
    talk.bench.rules(filter("-A FORWARD -p udp -j ACCEPT"))
    for _ in range(10):
        talk.there()
    talk.bench.ct.delete(lambda entry: True, 0)
    assert talk.bench.ns.xtables.counters("filter", "FORWARD")[0].packets == 10


# ---------------------------------------------------------------- TCP
class Tcp:
    """A connection whose segments are all handed to the receiver."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.bench.rules(DNAT)

    def client(self, flags: str, now: int = 0) -> bool:
        self.bench.left.arrive_fast(tcp(CLIENT, 4000, VIP, 80, flags), now)
        return len(self.bench.right.take()) == 1

    def server(self, flags: str, now: int = 0) -> bool:
        self.bench.right.arrive_fast(tcp(SERVER, 80, CLIENT, 4000, flags), now)
        return len(self.bench.left.take()) == 1

    @property
    def entry(self) -> Any:
        (entry,) = self.bench.ct.entries(0)
        return entry

    def open(self) -> "Tcp":
        assert self.client("S")
        assert self.server("S.")
        assert self.client(".")
        assert self.server(".")
        return self


def test_states_and_lifetimes_go_on_along_the_remembered_path() -> None:
    talk = Tcp().open()
    assert (talk.entry.state, talk.entry.assured) == (TcpState.ESTABLISHED, True)
    for now, side, flags, state, lifetime in [
        (1, talk.client, ".", TcpState.ESTABLISHED, 432_000),
        (2, talk.client, "F.", TcpState.FIN_WAIT, 120),
        (3, talk.server, ".", TcpState.CLOSE_WAIT, 60),
        (4, talk.server, "F.", TcpState.LAST_ACK, 30),
        (5, talk.client, ".", TcpState.TIME_WAIT, 120),
    ]:
        assert side(flags, now * S)
        assert (talk.entry.state, talk.entry.expires_ns) == (state, (now + lifetime) * S)


def test_assured_by_the_third_segment_of_the_handshake() -> None:
    """Also when that takes a remembered path, because the client has sent its SYN twice."""
    for syns_after in (0, 1):
        talk = Tcp()
        talk.client("S")
        talk.server("S.")
        for _ in range(syns_after):
            talk.client("S")
        assert not talk.entry.assured
        talk.client(".")
        assert talk.entry.assured


def test_picked_up_in_the_middle() -> None:
    """Not remembered before ASSURED: until then each segment may still change the entry."""
    talk = Tcp()
    for side, assured in [
        (talk.client, False),
        (talk.server, False),
        (talk.server, True),
        (talk.server, True),
    ]:
        side(".")
        assert talk.entry.assured is assured
    assert talk.entry.reply.path.packets == 1


def test_a_syn_on_a_remembered_path_reopens_time_wait() -> None:
    talk = Tcp().open()
    for side, flags in [(talk.client, "F."), (talk.server, "F."), (talk.client, ".")]:
        side(flags)
    old = talk.entry
    assert old.state == TcpState.TIME_WAIT
    assert talk.client("S", S)
    assert talk.entry is not old
    assert talk.entry.state == TcpState.SYN_SENT


def test_an_ignored_segment_passes_and_prolongs_nothing() -> None:
    talk = Tcp().open()
    expires = talk.entry.expires_ns
    assert talk.client("S", S)
    assert (talk.entry.state, talk.entry.expires_ns) == (TcpState.ESTABLISHED, expires)


def test_an_invalid_segment_leaves_the_remembered_path() -> None:
    talk = Tcp().open()
    talk.bench.rules(filter("-A FORWARD -m conntrack --ctstate INVALID -j DROP"))
    assert talk.client(".")
    assert not talk.client("S.")
    assert talk.bench.drops() == {("FORWARD", "IP_NO_ROUTE"): 1}  # untranslated: the VIP leads nowhere


def test_raw_segments_take_it_too() -> None:
    talk = Tcp().open()
    segment = tcp(CLIENT, 4000, VIP, 80, "F.")
    talk.bench.left.arrive_fast(Packet(segment.flow, RawBody(segment.to_bytes()[14:])))
    assert talk.entry.state == TcpState.FIN_WAIT
    assert talk.bench.right.one().flow == flow(CLIENT, 4000, SERVER, 80, TCP)


# ---------------------------------------------------------------- dense scripts through one router
steps = st.tuples(
    st.sampled_from(["left", "left", "left", "right", "right", "rules", "delete"]),
    st.sampled_from(["udp", "udp", "udp", ".", ".", ".", "S", "S.", "F.", "R", ""]),
    st.sampled_from(
        [
            ("10.1.0.5", 4000, VIP),
            ("10.1.0.5", 4000, VIP),
            ("10.1.0.5", 4001, VIP),
            ("10.1.0.6", 4000, VIP),
            ("10.1.0.5", 4000, SERVER),
        ]
    ),
    st.sampled_from([64, 64, 64, 2, 1]),
    st.sampled_from([10, 10, 980]),
    st.sampled_from([0, 0, 1, S, 9 * S, 29 * S, 59 * S, 125 * S]),
)
RULES = [
    "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
    "-A FORWARD -m conntrack --ctstate ESTABLISHED -j MARK --set-mark 1",
    "-A FORWARD -p tcp --dport 80 -m conntrack --ctstate DNAT -j DROP",
    "-A FORWARD -m statistic --mode random --probability 0.5 -j DROP",
    "-F FORWARD",
]


MAIN = ("10.1.0.5", 4000, VIP)
OPENING = [
    (side, kind, MAIN, 64, 10, 0)
    for side, kind in [("left", "udp"), ("right", "udp"), ("left", "S"), ("right", "S."), ("left", ".")]
]


def play(script: list[tuple[Any, ...]], full: bool) -> tuple[Any, ...]:
    """What comes out of the router, and what it knows in the end."""
    bench = Bench(mtu=1000)
    bench.ns.cost = LinuxCost()
    bench.rules(DNAT)
    if full:
        bench.ns.follow(lambda step: None)
    now = 1
    script = [*OPENING, *script]
    for number, (what, kind, (client, sport, target), ttl, size, wait) in enumerate(script):
        now += wait
        if what == "rules":
            bench.rules(filter(RULES[(size + ttl + len(kind)) % len(RULES)]))
        elif what == "delete":
            bench.ct.delete(lambda entry: entry.proto != TCP, now)
        else:
            port, ends = bench.left, (client, sport, target, 80)
            if what == "right":
                port = bench.right
                ends = (SERVER, 80, client if client == "10.1.0.5" else "10.2.0.1", sport)
            packet = udp(*ends, b"x" * size) if kind == "udp" else tcp(*ends, kind, b"x" * size)
            packet.ttl, packet.uid = ttl, number
            (port.arrive if full else port.arrive_fast)(packet, now)
    bench.ct.settle()
    sent = [
        [(at, p.uid, p.ttl, p.mark, p.to_bytes()) for at, p in port.sent if p.uid < len(script)]
        for port in (bench.left, bench.right)
    ]
    entries = [(entry.text(now), entry.expires_ns, entry.nat) for entry in bench.ct.entries(0)]
    return sent, bench.drops(), entries, bench.ns.xtables.save(counters=True)


@settings(max_examples=200)
@given(st.lists(steps, max_size=30))
def test_dense_scripts_give_the_same(script: list[tuple[Any, ...]]) -> None:
    assert play(script, full=False) == play(script, full=True)
