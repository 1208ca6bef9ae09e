"""Connection tracking: what makes and ends entries, time-outs, a full table, and the text of `conntrack -L`."""

import pytest
from netlab import Bench, flow, namespace, ping, tcp, udp

from netsim.kernel.conntrack import Conntrack, Entry, Half
from netsim.kernel.conntrack_tcp import TcpState
from netsim.kernel.hooks import DropReason
from netsim.kernel.sysctl import S, Sysctl
from netsim.wire.packet import SCTP, Packet, RawBody
from netsim.wire.sctp import INIT, Init, SctpPacket, init_chunk

CLIENT, SERVER = "10.1.0.5", "10.2.0.5"


# ---------------------------------------------------------------- entries
def begun(conntrack: Conntrack, packet: Packet, now: int = 0) -> Half | None:
    return conntrack.begin(packet, now)


def confirmed(conntrack: Conntrack, packet: Packet, now: int = 0) -> Entry:
    half = conntrack.begin(packet, now)
    assert half is not None
    assert conntrack.confirm(half.entry, now)
    return half.entry


def answer(packet: Packet) -> Packet:
    twin = packet.copy(0)
    twin.flow = packet.flow.reverse()
    return twin


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ("S", TcpState.SYN_SENT),
        (".", TcpState.ESTABLISHED),
        ("S.", None),
        ("F.", None),
        ("R", None),
        ("", None),
    ],
)
def test_what_begins_a_tcp_entry(flags: str, state: TcpState | None) -> None:
    half = begun(Conntrack(Sysctl()), tcp(CLIENT, 1, SERVER, 80, flags))
    assert (None if half is None else half.entry.state) == state


def test_without_loose_only_a_syn_begins_one() -> None:
    strict = Conntrack(Sysctl(nf_conntrack_tcp_loose=False))
    assert begun(strict, tcp(CLIENT, 1, SERVER, 80, ".")) is None
    assert begun(strict, tcp(CLIENT, 1, SERVER, 80, "S")) is not None


def test_icmp_begins_with_a_request_only() -> None:
    conntrack = Conntrack(Sysctl())
    request = ping(CLIENT, SERVER)
    assert begun(conntrack, answer(request)) is None
    entry = confirmed(conntrack, request)
    found = conntrack.lookup(answer(request).flow, 1)
    assert found is entry.reply


def test_unconfirmed_is_known_to_nobody() -> None:
    conntrack = Conntrack(Sysctl())
    packet = udp(CLIENT, 1, SERVER, 53)
    half = begun(conntrack, packet)
    assert half is not None
    assert conntrack.lookup(packet.flow, 0) is None
    assert conntrack.table == {}
    assert conntrack.confirm(half.entry, 0)
    assert conntrack.lookup(packet.flow, 0) is half.entry.original
    assert conntrack.lookup(packet.flow.reverse(), 0) is half.entry.reply


def test_insert_clash_loses() -> None:
    """Two packets of one flow race, each with an unconfirmed entry of its own: the second is lost."""
    conntrack = Conntrack(Sysctl())
    first, second = (begun(conntrack, udp(CLIENT, 1, SERVER, 53)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert conntrack.confirm(first.entry, 0)
    assert not conntrack.confirm(second.entry, 0)
    assert conntrack.insert_failed == 1
    assert conntrack.lookup(flow(CLIENT, 1, SERVER, 53), 0) is first


def test_a_dead_entry_does_not_clash() -> None:
    conntrack = Conntrack(Sysctl())
    confirmed(conntrack, udp(CLIENT, 1, SERVER, 53))
    later = begun(conntrack, udp(CLIENT, 1, SERVER, 53), 31 * S)
    assert later is not None
    assert conntrack.confirm(later.entry, 31 * S)


# ---------------------------------------------------------------- time-outs
def test_udp_lives_30_seconds_until_it_is_a_stream() -> None:
    """nf_conntrack_udp_packet: the first answer changes nothing yet; a stream is what still talks after 2 s."""
    conntrack = Conntrack(Sysctl())
    packet = udp(CLIENT, 1, SERVER, 53)
    entry = confirmed(conntrack, packet)

    def at(now: int, half: Half) -> tuple[int, bool]:
        assert conntrack.update(half, packet, now)
        return (entry.expires_ns - now) // S, entry.assured

    assert entry.expires_ns == 30 * S
    assert at(5 * S, entry.original) == (30, False)  # unanswered, however long it lasts
    assert at(6 * S, entry.reply) == (30, False)  # the first answer
    assert at(7 * S, entry.reply) == (120, True)


def test_a_quick_udp_exchange_is_no_stream() -> None:
    conntrack = Conntrack(Sysctl())
    packet = udp(CLIENT, 1, SERVER, 53)
    entry = confirmed(conntrack, packet)
    for now in (1, 2, 2 * S):
        assert conntrack.update(entry.reply, packet, now)
        assert entry.expires_ns == now + 30 * S
    assert not entry.assured
    assert conntrack.update(entry.original, packet, 2 * S + 1)
    assert entry.assured


def test_udp_timeouts_are_sysctls() -> None:
    conntrack = Conntrack(
        Sysctl(nf_conntrack_udp_timeout_ns=7 * S, nf_conntrack_udp_timeout_stream_ns=70 * S)
    )
    packet = udp(CLIENT, 1, SERVER, 53)
    entry = confirmed(conntrack, packet)
    assert entry.expires_ns == 7 * S
    for now in (S, 3 * S):
        conntrack.update(entry.reply, packet, now)
    assert entry.expires_ns == 73 * S


@pytest.mark.parametrize(("packet", "seconds"), [(ping(CLIENT, SERVER), 30), (None, 600)])
def test_other_protocols(packet: Packet | None, seconds: int) -> None:
    if packet is None:
        packet = Packet(flow(CLIENT, 0, SERVER, 0, 47), RawBody(b"\x45" + bytes(27)))
    entry = confirmed(Conntrack(Sysctl()), packet)
    assert entry.expires_ns == seconds * S


def test_dead_at_its_deadline_and_not_before() -> None:
    conntrack = Conntrack(Sysctl())
    packet = udp(CLIENT, 1, SERVER, 53)
    confirmed(conntrack, packet)
    assert conntrack.lookup(packet.flow, 30 * S - 1) is not None
    assert conntrack.lookup(packet.flow, 30 * S) is None
    assert conntrack.table == {}


def test_picked_up_in_the_middle_lives_five_minutes_until_answered() -> None:
    conntrack = Conntrack(Sysctl())
    packet = tcp(CLIENT, 1, SERVER, 80, ".")
    entry = confirmed(conntrack, packet)
    assert entry.expires_ns == 300 * S
    conntrack.update(entry.original, packet, S)
    assert (entry.expires_ns, entry.assured) == (301 * S, False)
    conntrack.update(entry.reply, packet, 2 * S)
    assert (entry.expires_ns, entry.assured) == (302 * S, False)
    conntrack.update(entry.original, packet, 3 * S)
    assert (entry.expires_ns, entry.assured) == (432_003 * S, True)


def test_ignored_and_invalid_segments_do_not_prolong() -> None:
    conntrack = Conntrack(Sysctl())
    entry = confirmed(conntrack, tcp(CLIENT, 1, SERVER, 80, "S"))
    assert conntrack.update(entry.reply, tcp(SERVER, 80, CLIENT, 1, "."), 5 * S)  # ignored
    assert not conntrack.update(entry.original, tcp(CLIENT, 1, SERVER, 80, "."), 5 * S)  # invalid
    assert entry.expires_ns == 120 * S
    assert entry.state == TcpState.SYN_SENT


# ---------------------------------------------------------------- the table
def test_a_full_table_drops_new_flows_only() -> None:
    bench = Bench(nf_conntrack_max=3)
    for port in range(5):
        bench.left.arrive(udp(CLIENT, port, SERVER, 53))
    assert len(bench.right.take()) == 3
    assert bench.drops() == {("PREROUTING", "CONNTRACK_TABLE_FULL"): 2}
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53), S)
    bench.right.arrive(udp(SERVER, 53, CLIENT, 1), S)
    assert len(bench.right.take() + bench.left.take()) == 2


def test_dead_entries_make_room_again() -> None:
    bench = Bench(nf_conntrack_max=3)
    for port in range(4):
        bench.left.arrive(udp(CLIENT, port, SERVER, 53))
    bench.left.arrive(udp(CLIENT, 9, SERVER, 53), 31 * S)
    assert len(bench.right.take()) == 4


def test_a_lasting_flood_does_not_search_the_table_for_each_packet() -> None:
    bench = Bench(nf_conntrack_max=3)
    sweeps: list[int] = []

    class Counting(Conntrack):
        __slots__ = ()

        def sweep(self, now: int) -> None:
            sweeps.append(now)
            super().sweep(now)

    bench.ct.__class__ = Counting
    for index in range(2000):
        bench.left.arrive(udp(CLIENT, index, SERVER, 53), index * S // 1000)
    assert len(sweeps) == 2


def test_sweeping_is_spread_over_inserts() -> None:
    conntrack = Conntrack(Sysctl())
    for index in range(20_000):
        confirmed(conntrack, udp(CLIENT, index % 60_000, SERVER, 53), index * 10**7)  # 3000 live at any time
    assert len(conntrack.table) < 3 * 6000
    assert len(list(conntrack.entries(20_000 * 10**7))) == 3000 - 1


def test_entries_come_in_the_order_of_their_making() -> None:
    conntrack = Conntrack(Sysctl())
    for port in (5, 3, 9, 1):
        confirmed(conntrack, udp(CLIENT, port, SERVER, 53), port)
    assert [entry.original.flow.sport for entry in conntrack.entries(10)] == [5, 3, 9, 1]


def test_delete_picks_by_predicate() -> None:
    """`conntrack -D --orig-dst ...`, as kube-proxy does for UDP."""
    conntrack = Conntrack(Sysctl())
    for port in range(10):
        confirmed(conntrack, udp(CLIENT, port, SERVER, 53))
    assert conntrack.delete(lambda entry: entry.original.flow.sport % 2 == 0, 1) == 5
    assert [entry.original.flow.sport for entry in conntrack.entries(1)] == [1, 3, 5, 7, 9]
    assert len(conntrack.table) == 10
    assert conntrack.delete(lambda entry: True, 31 * S) == 0  # dead ones do not count


def test_a_deleted_flow_begins_anew() -> None:
    bench = Bench()
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53), 0)
    bench.ct.delete(lambda entry: True, S)
    bench.left.arrive_fast(udp(CLIENT, 1, SERVER, 53), S)
    (entry,) = bench.ct.entries(S)
    assert entry.created_ns == S


def test_no_conntrack_where_no_rule_asks_for_it() -> None:
    assert namespace("pod").conntrack is None


# ---------------------------------------------------------------- conntrack -L
def test_text_of_every_kind() -> None:
    conntrack = Conntrack(Sysctl())
    confirmed(conntrack, tcp("10.244.1.5", 40000, "10.96.0.10", 80, "S"))
    entry = confirmed(conntrack, tcp("10.244.1.6", 40001, "10.244.2.7", 8080, "S"))
    conntrack.update(entry.reply, tcp("10.244.2.7", 8080, "10.244.1.6", 40001, "S."), S)
    conntrack.update(entry.original, tcp("10.244.1.6", 40001, "10.244.2.7", 8080, "."), S)
    confirmed(conntrack, udp("10.244.1.5", 5353, "10.96.0.10", 53))
    confirmed(conntrack, ping("10.244.1.5", "10.244.2.7", identifier=77))
    init = SctpPacket(0, init_chunk(INIT, Init(7, 1000, 1)))
    confirmed(conntrack, Packet(flow("10.1.0.1", 1, "10.1.0.2", 2, SCTP), init))
    confirmed(conntrack, Packet(flow("10.1.0.1", 0, "10.1.0.2", 0, 47), RawBody(b"\x45" + bytes(27))))
    assert conntrack.render(S) == (
        "tcp      6 119 SYN_SENT src=10.244.1.5 dst=10.96.0.10 sport=40000 dport=80 [UNREPLIED] "
        "src=10.96.0.10 dst=10.244.1.5 sport=80 dport=40000 mark=0 use=1\n"
        "tcp      6 432000 ESTABLISHED src=10.244.1.6 dst=10.244.2.7 sport=40001 dport=8080 "
        "src=10.244.2.7 dst=10.244.1.6 sport=8080 dport=40001 [ASSURED] mark=0 use=1\n"
        "udp      17 29 src=10.244.1.5 dst=10.96.0.10 sport=5353 dport=53 [UNREPLIED] "
        "src=10.96.0.10 dst=10.244.1.5 sport=53 dport=5353 mark=0 use=1\n"
        "icmp     1 29 src=10.244.1.5 dst=10.244.2.7 type=8 code=0 id=77 [UNREPLIED] "
        "src=10.244.2.7 dst=10.244.1.5 type=0 code=0 id=77 mark=0 use=1\n"
        "sctp     132 9 CLOSED src=10.1.0.1 dst=10.1.0.2 sport=1 dport=2 [UNREPLIED] "
        "src=10.1.0.2 dst=10.1.0.1 sport=2 dport=1 mark=0 use=1\n"
        "unknown  47 599 src=10.1.0.1 dst=10.1.0.2 [UNREPLIED] src=10.1.0.2 dst=10.1.0.1 mark=0 use=1\n"
    )


def test_text_of_a_translated_flow() -> None:
    bench = Bench()
    bench.rules(f"-A PREROUTING -d 10.96.0.1/32 -p udp --dport 53 -j DNAT --to-destination {SERVER}:5353\n")
    bench.left.arrive(udp(CLIENT, 1000, "10.96.0.1", 53))
    assert bench.ct.render(0) == (
        "udp      17 30 src=10.1.0.5 dst=10.96.0.1 sport=1000 dport=53 [UNREPLIED] "
        "src=10.2.0.5 dst=10.1.0.5 sport=5353 dport=1000 mark=0 use=1\n"
    )


def test_drop_reason_of_a_lost_race() -> None:
    """Another connection has taken the answers' tuple since NAT looked: seen with a port that NAT was told to use."""
    bench = Bench()
    bench.rules("-A POSTROUTING -o right -p udp -j SNAT --to-source 10.2.0.1:5000\n")
    bench.left.arrive(udp(CLIENT, 1, SERVER, 53))
    bench.left.arrive(udp(CLIENT, 2, SERVER, 53))
    assert len(bench.right.take()) == 1
    assert bench.ns.drops["POSTROUTING", DropReason.CONNTRACK_INSERT_FAILED] == 1
    assert bench.ct.insert_failed == 1
