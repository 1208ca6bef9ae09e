"""How conntrack follows associations: states, time-outs, verification tags, NAT; the state table is upstream's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netlab import Bench

from netsim.kernel.conntrack import SctpEntry
from netsim.kernel.conntrack_sctp import TIMEOUTS_NS, TRANSITIONS, Fit, SctpState, Track
from netsim.kernel.sysctl import S
from netsim.wire import sctp
from netsim.wire.addr import ip
from netsim.wire.packet import SCTP, Flow, Packet, RawBody
from netsim.wire.sctp import Chunk, Init, SctpPacket

A, B = 0xAAAA, 0xBBBB  # the tags that packets to the client and to the server carry
INIT = SctpPacket(0, sctp.init_chunk(sctp.INIT, Init(A, 1000, 1)))
INIT_ACK = SctpPacket(A, sctp.init_chunk(sctp.INIT_ACK, Init(B, 1000, 1, b"cookie")))
THERE = {"echo": Chunk(sctp.COOKIE_ECHO, 0, b"cookie"), "data": sctp.data_chunk(sctp.Data(1, 0, 3, b"x")),
         "shutdown": sctp.shutdown_chunk(1), "complete": Chunk(sctp.SHUTDOWN_COMPLETE), "abort": Chunk(sctp.ABORT),
         "ack": Chunk(sctp.SHUTDOWN_ACK), "cookie ack": Chunk(sctp.COOKIE_ACK)}  # fmt: skip


def there(name: str) -> SctpPacket:
    return SctpPacket(B, THERE[name])


def back(name: str) -> SctpPacket:
    return SctpPacket(A, THERE[name])


# What passes, in which direction, and the state and seconds after it.
ORDERLY: list[tuple[int, SctpPacket, str, int]] = [
    (0, INIT, "CLOSED", 10),
    (1, INIT_ACK, "COOKIE_WAIT", 3),
    (0, there("echo"), "COOKIE_ECHOED", 3),
    (1, back("cookie ack"), "ESTABLISHED", 210),
    (0, there("data"), "ESTABLISHED", 210),
    (0, there("shutdown"), "SHUTDOWN_SENT", 3),
    (1, back("ack"), "SHUTDOWN_ACK_SENT", 3),
    (0, there("complete"), "CLOSED", 10),
]


def established() -> Track:
    track = Track()
    assert track.begin(INIT) is Fit.ACCEPT
    for direction, packet, _, _ in ORDERLY[1:4]:
        assert track.follow(direction, packet) is Fit.ACCEPT
    return track


class Node:
    """A router with NAT between two networks."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.bench.rules(
            "-A PREROUTING -d 10.9.9.9 -p sctp -m sctp --dport 7 -j DNAT --to-destination 10.2.0.5:70"
        )

    def pass_(self, direction: int, body: SctpPacket, now: int, raw: bool = False) -> Packet | None:
        """Send a packet of the association; what comes out on the other side."""
        ends = ("10.1.0.9", 5, "10.9.9.9", 7), ("10.2.0.5", 70, "10.1.0.9", 5)
        src, sport, dst, dport = ends[direction]
        packet = Packet(Flow(ip(src), ip(dst), sport, dport, SCTP), body)
        if raw:
            packet = Packet(packet.flow, RawBody(packet.to_bytes()[14:]))
        into, out = (self.bench.left, self.bench.right)[:: 1 - 2 * direction]
        into.arrive_fast(packet, now)
        sent = out.take()
        return sent[0] if sent else None

    @property
    def entry(self) -> Any:
        entries = list(self.bench.ct.entries(0))
        assert len(entries) == 1
        return entries[0]


@pytest.mark.parametrize("raw", [False, True], ids=["modelled", "a user's bytes"])
def test_an_orderly_life_through_nat(raw: bool) -> None:
    node = Node()
    for number, (direction, body, state, seconds) in enumerate(ORDERLY):
        now = number * S
        sent = node.pass_(direction, body, now, raw)
        assert sent is not None
        assert (sent.flow.src, sent.flow.dst) == (
            (ip("10.1.0.9"), ip("10.2.0.5")) if direction == 0 else (ip("10.9.9.9"), ip("10.1.0.9"))
        )
        assert sent.to_scapy().haslayer("SCTP")
        entry = node.entry
        assert isinstance(entry, SctpEntry)
        assert (entry.state_name, entry.expires_ns) == (state, now + seconds * S)
        assert entry.assured is (number >= 3)


def test_text() -> None:
    node = Node()
    node.pass_(0, INIT, 0)
    assert node.entry.text(0) == (
        "sctp     132 10 CLOSED src=10.1.0.9 dst=10.9.9.9 sport=5 dport=7 [UNREPLIED]"
        " src=10.2.0.5 dst=10.1.0.9 sport=70 dport=5 mark=0 use=1"
    )


def test_an_idle_association_is_forgotten_and_its_packets_are_invalid() -> None:
    """210 s: shorter than any TCP connection. What comes later is not translated any more."""
    node = Node()
    for number, (direction, body, _, _) in enumerate(ORDERLY[:4]):
        node.pass_(direction, body, number)
    assert node.pass_(0, there("data"), 209 * S) is not None
    assert node.pass_(0, there("data"), 500 * S) is None
    assert node.bench.ct.table == {}


def test_a_repeated_init_does_not_keep_an_entry_alive() -> None:
    node = Node()
    node.pass_(0, INIT, 0)
    assert node.pass_(0, INIT, 5 * S) is not None
    assert node.entry.expires_ns == 10 * S


@pytest.mark.parametrize("name", THERE)
def test_what_begins_something(name: str) -> None:
    """Beside INIT only a SHUTDOWN ACK out of the blue: it may be answered by a SHUTDOWN COMPLETE (RFC 9260, 8.4)."""
    assert (Track().begin(there(name)) is Fit.ACCEPT) is (name == "ack")


@pytest.mark.parametrize(
    ("direction", "body", "fits"),
    [
        (0, there("data"), True),
        (0, back("data"), False),
        (1, back("data"), True),
        (1, there("data"), False),
        (0, SctpPacket(B, Chunk(sctp.ABORT)), True),
        (0, SctpPacket(A, Chunk(sctp.ABORT)), False),
        (0, SctpPacket(A, Chunk(sctp.ABORT, sctp.REFLECTED)), True),
        (0, SctpPacket(B, Chunk(sctp.ABORT, sctp.REFLECTED)), False),
        (0, SctpPacket(7, *INIT.chunks), False),
        (0, SctpPacket(A, Chunk(sctp.COOKIE_ECHO)), False),
        (0, SctpPacket(B, Chunk(sctp.HEARTBEAT)), True),
        (0, SctpPacket(A, Chunk(sctp.HEARTBEAT)), False),
        (0, SctpPacket(B), False),
        (0, SctpPacket(0, *INIT.chunks, THERE["data"]), False),
        (0, SctpPacket(B, THERE["data"], THERE["echo"]), False),
        (0, SctpPacket(B, THERE["echo"], THERE["data"]), True),
        (0, SctpPacket(0, Chunk(sctp.INIT, 0, b"")), False),
        (1, SctpPacket(A, sctp.init_chunk(sctp.INIT_ACK, Init(0xCCCC, 1, 1))), False),
    ],
    ids=lambda value: repr(value) if isinstance(value, SctpPacket) else str(value),
)
def test_tags_and_company(direction: int, body: SctpPacket, fits: bool) -> None:
    assert (established().follow(direction, body) is not Fit.INVALID) is fits


def test_invalid_packets_change_no_time_out() -> None:
    node = Node()
    for number, (direction, body, _, _) in enumerate(ORDERLY[:4]):
        node.pass_(direction, body, number)
    before = node.entry.expires_ns
    node.pass_(0, back("data"), 9 * S)
    assert node.entry.expires_ns == before


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("state", SctpState)
def test_the_table_is_whole(direction: int, state: SctpState) -> None:
    for kind, row in TRANSITIONS[direction].items():
        assert len(row) == len(SctpState) == len(TIMEOUTS_NS), kind
        assert row[state] in (*SctpState, 9)
        if direction == 1:
            assert (row[SctpState.NONE] == 9) is True  # a reply begins nothing
    assert TRANSITIONS[direction][sctp.ABORT][state] in (SctpState.CLOSED, 9)


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(sorted(THERE)), st.booleans()), max_size=12))
def test_states_are_always_known_and_closed_is_the_end(steps: list[tuple[int, str, bool]]) -> None:
    track = established()
    for direction, name, right in steps:
        was = track.state
        fit = track.follow(direction, SctpPacket((B, A)[direction] if right else 0x1234, THERE[name]))
        assert track.state in range(9)
        if fit is Fit.INVALID:
            assert track.state == was
        if was == SctpState.CLOSED:
            assert track.state == SctpState.CLOSED
