"""How conntrack follows TCP: Linux's table, cell by cell, and whole connections through a router."""

import pytest
from netlab import Bench, clone, flow, tcp

from netsim.kernel.conntrack import Conntrack, Entry
from netsim.kernel.conntrack_tcp import IGNORE, INVALID, KIND, TRANSITIONS, TcpState, timeouts
from netsim.kernel.sysctl import S, Sysctl
from netsim.wire.packet import ACK, FIN, PSH, RST, SYN, TCP, Packet, RawBody

CLIENT, SERVER = "10.1.0.5", "10.2.0.5"

# tcp_conntracks of net/netfilter/nf_conntrack_proto_tcp.c (Linux 6.8), one column per state in the enum's order:
# NOne, SynSent, SynRecv, EStablished, FinWait, CloseWait, LastAck, TimeWait, CLose, SynSent2; -- invalid, ~~ ignored.
STATES = ["NO", "SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "S2"]
LINUX = {
    ("original", "syn"): "SS SS ~~ ~~ ~~ ~~ ~~ SS SS S2",
    ("original", "synack"): "-- -- SR -- -- -- -- -- -- SR",
    ("original", "fin"): "-- -- FW FW LA LA LA TW CL --",
    ("original", "ack"): "ES -- ES ES CW CW TW TW CL --",
    ("original", "rst"): "-- CL CL CL CL CL CL CL CL CL",
    ("original", "none"): "-- -- -- -- -- -- -- -- -- --",
    ("reply", "syn"): "-- S2 -- -- -- -- -- SS -- S2",
    ("reply", "synack"): "-- SR ~~ ~~ ~~ ~~ ~~ ~~ ~~ SR",
    ("reply", "fin"): "-- -- FW FW LA LA LA TW CL --",
    ("reply", "ack"): "-- ~~ SR ES CW CW TW TW CL ~~",
    ("reply", "rst"): "-- CL CL CL CL CL CL CL CL CL",
    ("reply", "none"): "-- -- -- -- -- -- -- -- -- --",
}
FLAGS = {"syn": SYN, "synack": SYN | ACK, "fin": FIN | ACK, "ack": ACK, "rst": RST, "none": 0}
CELLS = [
    (direction, kind, before, after)
    for (direction, kind), row in LINUX.items()
    for before, after in zip(STATES, row.split(), strict=True)
]


@pytest.mark.parametrize(("direction", "kind", "before", "after"), CELLS)
def test_the_table_is_linuxs(direction: str, kind: str, before: str, after: str) -> None:
    found = TRANSITIONS[("original", "reply").index(direction)][KIND[FLAGS[kind]]][STATES.index(before)]
    assert {IGNORE: "~~", INVALID: "--"}.get(found) or STATES[found] == after


@pytest.mark.parametrize(
    ("direction", "kind", "before", "after"), [cell for cell in CELLS if cell[2] != "NO"]
)
def test_every_transition_of_a_living_entry(direction: str, kind: str, before: str, after: str) -> None:
    """The same cells through `update`, with what Linux does beside the state: time-out, ASSURED, removal."""
    conntrack = Conntrack(Sysctl())
    entry = confirmed(conntrack, tcp(CLIENT, 1000, SERVER, 80, "S"))
    entry.state, entry.seen_reply, entry.expires_ns = STATES.index(before), True, 5 * S
    half = entry.original if direction == "original" else entry.reply
    packet = tcp(CLIENT, 1000, SERVER, 80, "S")
    packet.body.flags = FLAGS[kind]

    assert conntrack.update(half, packet, 3 * S) is (after != "--")

    changes = after not in ("--", "~~")
    assert STATES[entry.state] == (after if changes else before)
    assert entry.expires_ns == (3 * S + LIFETIMES[after] if changes else 5 * S)
    assert entry.assured is (before in ("SR", "ES") and after == "ES")
    assert conntrack.table[half.flow] is half


LIFETIMES = {
    "SS": 120 * S,
    "SR": 60 * S,
    "ES": 432_000 * S,
    "FW": 120 * S,
    "CW": 60 * S,
    "LA": 30 * S,
    "TW": 120 * S,
    "CL": 10 * S,
    "S2": 120 * S,
}


def test_lifetimes_follow_the_sysctls() -> None:
    ours = Sysctl(
        nf_conntrack_tcp_timeout_established_ns=86_400 * S, nf_conntrack_tcp_timeout_close_wait_ns=3600 * S
    )
    changed = {
        STATES[state]: ns
        for state, ns in enumerate(timeouts(ours))
        if state and ns != LIFETIMES[STATES[state]]
    }
    assert changed == {"ES": 86_400 * S, "CW": 3600 * S}


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (SYN, "syn"),
        (SYN | PSH, "syn"),
        (SYN | ACK, "synack"),
        (SYN | FIN, "syn"),
        (FIN, "fin"),
        (FIN | ACK | PSH, "fin"),
        (ACK, "ack"),
        (ACK | PSH, "ack"),
        (RST, "rst"),
        (RST | ACK, "rst"),
        (RST | SYN | FIN, "rst"),
        (PSH, "none"),
        (32, "none"),
        (0, "none"),
    ],
)
def test_kind_of_a_segment(flags: int, kind: str) -> None:
    assert KIND[flags] == KIND[FLAGS[kind]]


def confirmed(conntrack: Conntrack, packet: Packet, now: int = 0) -> Entry:
    half = conntrack.begin(packet, now)
    assert half is not None
    assert conntrack.confirm(half.entry, now)
    return half.entry


# ---------------------------------------------------------------- a connection's life, through a router
class Talk:
    """One TCP connection through a router; each call sends a segment and checks that it comes out."""

    def __init__(self, bench: Bench, port: int = 1000) -> None:
        self.bench, self.port, self.now = bench, port, 0

    def client(self, flags: str, now: int | None = None) -> "Talk":
        self.now = self.now + S if now is None else now
        self.bench.left.arrive(tcp(CLIENT, self.port, SERVER, 80, flags), self.now)
        assert self.bench.right.one()
        return self

    def server(self, flags: str) -> "Talk":
        self.now += S
        self.bench.right.arrive(tcp(SERVER, 80, CLIENT, self.port, flags), self.now)
        assert self.bench.left.one()
        return self

    @property
    def entry(self) -> Entry | None:
        half = self.bench.ct.lookup(flow(CLIENT, self.port, SERVER, 80, TCP), self.now)
        return None if half is None else half.entry

    @property
    def state(self) -> str:
        return "gone" if self.entry is None else TcpState(self.entry.state).name


def test_open_and_close() -> None:
    talk = Talk(Bench())
    story = []
    for word in ["cS", "sS.", "c.", "s.", "cF.", "s.", "sF.", "c."]:
        (talk.client if word[0] == "c" else talk.server)(word[1:])
        assert talk.entry is not None
        story.append((talk.state, talk.entry.assured))
    assert story == [
        ("SYN_SENT", False),
        ("SYN_RECV", False),
        ("ESTABLISHED", True),
        ("ESTABLISHED", True),
        ("FIN_WAIT", True),
        ("CLOSE_WAIT", True),
        ("LAST_ACK", True),
        ("TIME_WAIT", True),
    ]


def test_a_syn_reopens_time_wait() -> None:
    """The entry is a new one: NAT decides anew. This is how a reused port reaches another pod."""
    talk = Talk(Bench()).client("S").server("S.").client(".").client("F.").server("F.").client(".")
    old = talk.entry
    assert talk.state == "TIME_WAIT"
    talk.client("S")
    assert talk.state == "SYN_SENT"
    assert talk.entry is not old
    assert talk.entry is not None
    assert talk.entry.created_ns == talk.now
    assert not talk.entry.assured


def test_the_server_may_reopen_time_wait_too() -> None:
    talk = Talk(Bench()).client("S").server("S.").client(".").client("F.").server("F.").client(".")
    talk.server("S")
    assert talk.entry is not None
    assert talk.entry.original.flow == flow(SERVER, 80, CLIENT, 1000, TCP)


@pytest.mark.parametrize("flags", ["S.", ".", "F.", "R"])
def test_nothing_else_reopens_it(flags: str) -> None:
    talk = Talk(Bench()).client("S").server("S.").client(".").client("F.").server("F.").client(".")
    old = talk.entry
    talk.server(flags)
    assert talk.entry is old


def test_a_reset_of_an_unanswered_connection_forgets_it() -> None:
    """Port closed: the RST is the first answer, and the entry is gone with it (nf_ct_kill_acct)."""
    talk = Talk(Bench()).client("S").server("R.")
    assert talk.state == "gone"
    talk = Talk(Bench()).client("S").client("R")
    assert talk.state == "gone"


def test_a_reset_of_an_answered_connection_closes_it() -> None:
    talk = Talk(Bench()).client("S").server("S.").client(".").server("R")
    assert talk.state == "CLOSE"
    assert talk.entry is not None
    assert talk.entry.expires_ns == talk.now + 10 * S


def test_an_invalid_segment_passes_untranslated_and_untracked() -> None:
    bench = Bench()
    bench.left.arrive(tcp(CLIENT, 1, SERVER, 80, "S."))
    assert bench.right.one().flow == flow(CLIENT, 1, SERVER, 80, TCP)
    assert bench.ct.table == {}


def test_a_raw_segment_is_tracked_by_its_flags() -> None:
    """A user's packet that our own templates cannot express (IP options, say) is kept as bytes."""
    bench = Bench()
    segment = tcp(CLIENT, 1000, SERVER, 80, "S")
    raw = Packet(segment.flow, RawBody(segment.to_bytes()[14:]))
    for arrive in (bench.left.arrive, bench.left.arrive_fast):
        arrive(clone(raw))
        assert isinstance(bench.right.one().body, RawBody)
    assert [TcpState(entry.state).name for entry in bench.ct.entries(1)] == ["SYN_SENT"]
