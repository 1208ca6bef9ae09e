"""Connections between two namespaces: handshake, data, windows, closing, resets, segments that should not be."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from tcplab import (
    DELAY,
    MS,
    A,
    B,
    Recorder,
    S,
    Server,
    Wire,
    close_on_end,
    pair,
    segment,
    syn,
)

from netsim.kernel.errno import Errno
from netsim.kernel.tcp import TcpConnection
from netsim.kernel.tcp_options import parse_syn_options, syn_options
from netsim.kernel.tcp_state import State
from netsim.wire.packet import ACK, FIN, PSH, RST, SYN, Packet, TcpSegment

REQUEST, RESPONSE = b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"


def tcp(packet: Packet) -> TcpSegment:
    assert isinstance(packet.body, TcpSegment)
    return packet.body


# ---------------------------------------------------------------------- the usual life of a connection
def test_a_request_takes_ten_segments() -> None:
    wire = Wire()
    server, client = Server(wire.b), Recorder()

    def answer(conn: TcpConnection, _data: bytes, now: int) -> None:
        conn.send(RESPONSE, now)
        conn.close(now)

    def setup(recorder: Recorder) -> None:
        recorder.on_data = answer

    server.setup = setup
    client.on_connected = lambda conn, now: conn.send(REQUEST, now)
    close_on_end(client)
    conn = wire.a.sockets.connect(B, 80, client, 0)
    wire.run(S)
    assert wire.take() == [
        "a S",
        "b S.",
        "a .",
        f"a P. {len(REQUEST)}",
        "b .",
        f"b P. {len(RESPONSE)}",
        "b F.",
        "a .",
        "a F.",
        "b .",
    ]
    assert client.data == RESPONSE
    assert client.events == ["connected", "peer_closed", "closed"]
    assert server.accepted[0].data == REQUEST
    assert server.accepted[0].events == ["closed"]
    assert client.at["connected"] == 2 * DELAY
    assert conn.state is State.CLOSED
    assert server.connections[0].state is State.TIME_WAIT
    assert wire.a.sockets.by_key == {}
    wire.run(61 * S)
    assert wire.b.sockets.by_key == {}


def test_syns_look_like_linux() -> None:
    wire = Wire()
    Server(wire.b)
    wire.a.sockets.connect(B, 80, Recorder(), 0)
    wire.run(MS)
    first, second, third = (tcp(packet) for _, packet in wire.log)
    assert (first.flags, first.window, first.ack) == (SYN, 64240, 0)
    assert (second.flags, second.window, second.ack) == (SYN | ACK, 64240, first.seq + 1)
    assert first.options == second.options == syn_options(1460)
    assert (third.flags, third.window, third.options) == (ACK, 502, b"")


@pytest.mark.parametrize(("mtu", "window"), [(1500, 64240), (1450, 64860), (9000, 62720)])
def test_mss_and_window_follow_the_mtu(mtu: int, window: int) -> None:
    wire = Wire(mtu=mtu)
    wire.a.sockets.connect(B, 80, Recorder(), 0)
    first = tcp(wire.log[0][1])
    assert parse_syn_options(first.options).mss == mtu - 40
    assert first.window == window == 65535 // (mtu - 40) * (mtu - 40)


@pytest.mark.parametrize(
    ("options", "mss", "scale", "answer"),
    [
        (syn_options(1000), 1000, 7, syn_options(1460)),
        (b"", 536, 0, syn_options(1460, -1, False)),
        (syn_options(9000, 2, False), 1460, 2, syn_options(1460, 7, False)),
    ],
)
def test_peers_options_are_honoured(options: bytes, mss: int, scale: int, answer: bytes) -> None:
    wire = Wire()
    server = Server(wire.b)
    wire.b.sockets.deliver(syn(40000, options=options), 0)
    syn_ack = tcp(wire.log[0][1])
    assert syn_ack.options == answer
    [conn] = wire.b.sockets.connections()
    wire.b.sockets.deliver(segment(conn, ACK), MS)
    assert server.connections == [conn]
    assert (conn.mss, conn.snd_wscale, conn.snd_wnd) == (mss, scale, 502 << scale)


def test_data_before_the_connection_is_open_waits() -> None:
    wire = Wire()
    server = Server(wire.b)
    conn = wire.a.sockets.connect(B, 80, Recorder(), 0)
    assert conn.send(b"early ", 0) is None
    assert conn.send(b"bird", 0) is None
    wire.run(S)
    assert server.accepted[0].data == b"early bird"


@pytest.mark.parametrize("size", [1, 1460, 1461, 100_000, 1_000_000])
def test_any_amount_of_data_arrives(size: int) -> None:
    wire = Wire()
    conn, client, other, server = pair(wire)
    close_on_end(server)
    data = bytes(range(256)) * (size // 256 + 1)
    conn.send(data[:size], wire.now)
    conn.close(wire.now)
    wire.run(wire.now + 10 * S)
    assert server.data == data[:size]
    assert server.events == ["peer_closed", "closed"]
    assert client.events == ["connected", "closed"]
    payloads = [len(tcp(packet).payload) for _, packet in wire.log]
    assert max(payloads) <= 1460
    assert other.state is State.CLOSED


def test_slow_start() -> None:
    """Ten segments at first; every acknowledged one makes room for two more."""
    wire = Wire()
    conn, _, _, _ = pair(wire)
    start = wire.now
    conn.send(bytes(200 * 1460), start)
    rounds = [0] * 4
    wire.run(start + S)
    for at, packet in wire.log:
        number = (at - start) // (2 * DELAY)
        if packet.flow.src == A and number < len(rounds):
            rounds[number] += 1
    assert rounds[0] == 10
    assert rounds[1] == 20
    assert rounds[2] == 40


# ---------------------------------------------------------------------- acknowledgements
def test_quick_acks_until_the_application_answers() -> None:
    wire = Wire()
    conn, _, other, server = pair(wire)
    conn.send(b"one", wire.now)
    wire.run(wire.now + 100 * MS)
    assert wire.take() == ["a P. 3", "b ."]  # acknowledged at once
    server.on_data = lambda c, _data, now: c.send(b"pong", now)
    conn.send(b"two", wire.now)
    wire.run(wire.now + 100 * MS)
    assert wire.take() == ["a P. 3", "b .", "b P. 4", "a ."]
    conn.send(b"three", wire.now)  # interactive now: the answer carries the ACK
    wire.run(wire.now + 100 * MS)
    assert wire.take() == ["a P. 5", "b P. 4", "a ."]
    server.on_data = None
    start = wire.now
    conn.send(b"four", start)
    wire.run(start + 100 * MS)
    assert wire.times() == [start, start + DELAY + 40 * MS]  # TCP_DELACK_MIN
    assert other.unacked == 0


def test_sixteen_quick_acks_then_every_second_segment() -> None:
    wire = Wire()
    conn, _, other, _ = pair(wire)
    for _ in range(16):
        conn.send(b"x", wire.now)
        wire.run(wire.now + MS)
    assert wire.take() == ["a P. 1", "b ."] * 16
    assert other.quick_acks == 0
    conn.send(bytes(3 * 1460), wire.now)
    wire.run(wire.now + MS)
    assert wire.take() == ["a . 1460", "a . 1460", "a P. 1460", "b ."]


def test_fin_waits_for_the_applications_own() -> None:
    wire = Wire()
    conn, _, _, server = pair(wire)
    close_on_end(server)
    conn.close(wire.now)
    wire.run(wire.now + S)
    assert wire.take() == ["a F.", "b F.", "a ."]


# ---------------------------------------------------------------------- loss
def lose(*numbers: int) -> Callable[[Packet, int], list[int]]:
    """Lose the packets with payload of these numbers, counted from 0."""
    seen = [-1]

    def rule(packet: Packet, _now: int) -> list[int]:
        if tcp(packet).payload:
            seen[0] += 1
            if seen[0] in numbers:
                return []
        return [DELAY]

    return rule


def test_fast_retransmit_on_the_third_duplicate() -> None:
    wire = Wire()
    conn, _, _, server = pair(wire)
    wire.rule = lose(2)
    start = wire.now
    conn.send(bytes(10 * 1460), start)
    wire.run(start + S)
    assert len(server.data) == 10 * 1460
    again = [
        at for at, packet in wire.log if tcp(packet).seq == tcp(wire.log[2][1]).seq and packet.flow.src == A
    ]
    assert again == [start, start + 2 * DELAY]


def test_several_holes_are_filled_one_per_round_trip() -> None:
    wire = Wire()
    conn, _, _, server = pair(wire)
    wire.rule = lose(2, 4, 5)
    start = wire.now
    conn.send(bytes(10 * 1460), start)
    wire.run(start + 6 * DELAY + DELAY)
    assert len(server.data) == 10 * 1460  # RFC 6582: well before any time-out


def test_lost_fin_and_lost_last_ack() -> None:
    wire = Wire()
    conn, client, _, server = pair(wire)
    close_on_end(server)
    fins = []

    def rule(packet: Packet, _now: int) -> list[int]:
        if tcp(packet).flags & FIN:
            fins.append(packet)
            return [] if len(fins) in (1, 3) else [DELAY]
        return [DELAY]

    wire.rule = rule
    conn.close(wire.now)
    wire.run(wire.now + 5 * S)
    assert client.events == ["connected", "closed"]
    assert server.events == ["peer_closed", "closed"]
    assert conn.state is State.TIME_WAIT


def test_go_back_after_a_time_out() -> None:
    wire = Wire()
    conn, _, _, server = pair(wire)
    wire.cut()
    conn.send(bytes(range(200)) * 100, wire.now)
    wire.run(wire.now + 100 * MS)
    wire.mend()
    wire.run(wire.now + S)
    assert server.data == bytes(range(200)) * 100
    assert conn.snd_una == conn.snd_end == conn.snd_nxt == conn.snd_max


# ---------------------------------------------------------------------- a reader that does not read
def test_window_closes_is_probed_and_opens() -> None:
    wire = Wire()
    conn, _, other, server = pair(wire)
    other.pause()
    data = bytes(range(250)) * 400  # 100 kB, more than the window
    conn.send(data, wire.now)
    wire.run(wire.now + 10 * S)
    assert server.data == b""
    assert 64000 <= other.unread_length <= 64256
    assert conn.snd_wnd < 1460
    wire.log.clear()
    wire.run(wire.now + 5 * S)
    assert {line for line in wire.take() if line.startswith("a")} == {"a ."}  # window probes
    other.resume(wire.now)
    wire.run(wire.now + S)
    assert server.data == data


def test_window_probes_back_off_and_never_end_while_answered() -> None:
    wire = Wire()
    conn, client, other, _ = pair(wire)
    other.pause()
    conn.send(bytes(70_000), wire.now)
    wire.run(wire.now + 10_000 * S)
    assert client.events == ["connected"]
    probes = [at for at, packet in wire.log if packet.flow.src == A][-3:]
    # RTO_MAX after each answer
    assert [b - a for a, b in pairwise(probes)] == [120 * S + 2 * DELAY, 120 * S + 2 * DELAY]


def test_window_probes_without_answer_end() -> None:
    wire = Wire()
    conn, client, other, _ = pair(wire)
    other.pause()
    conn.send(bytes(70_000), wire.now)
    wire.run(wire.now + S)
    wire.cut()
    wire.run(wire.now + 2000 * S)
    assert client.events == ["connected", "ETIMEDOUT"]


def test_fin_and_data_wait_for_a_paused_reader() -> None:
    wire = Wire()
    conn, _, other, server = pair(wire)
    other.pause()
    conn.send(b"last words", wire.now)
    conn.close(wire.now)
    wire.run(wire.now + S)
    assert (server.data, server.events) == (b"", [])
    assert other.state is State.CLOSE_WAIT
    other.resume(wire.now)
    assert (server.data, server.events) == (b"last words", ["peer_closed"])


def test_the_window_grows_for_a_reader_that_keeps_up() -> None:
    wire = Wire()
    conn, _, other, _ = pair(wire)
    conn.send(bytes(300_000), wire.now)
    wire.run(wire.now + S)
    assert other.rcv_wnd > 500_000
    assert tcp(wire.log[-1][1]).window == other.window == other.rcv_wnd >> 7


# ---------------------------------------------------------------------- closing
def test_half_close() -> None:
    wire = Wire()
    conn, client, other, server = pair(wire)
    conn.send(b"question", wire.now)
    conn.shutdown(wire.now)
    assert conn.send(b"more", wire.now) is Errno.EPIPE
    wire.run(wire.now + S)
    assert (conn.state, other.state) == (State.FIN_WAIT_2, State.CLOSE_WAIT)
    other.send(b"a long answer", wire.now)
    other.close(wire.now)
    wire.run(wire.now + S)
    assert client.data == b"a long answer"
    assert client.events == ["connected", "closed"]
    assert server.events == ["peer_closed", "closed"]


def test_simultaneous_close() -> None:
    wire = Wire()
    conn, client, other, server = pair(wire)
    conn.close(wire.now)
    other.close(wire.now)
    wire.run(wire.now + DELAY)
    assert [conn.state, other.state] == [State.CLOSING] * 2
    wire.run(wire.now + S)
    assert [conn.state, other.state] == [State.TIME_WAIT] * 2
    assert client.events[-1] == server.events[-1] == "closed"
    wire.run(wire.now + 60 * S)
    assert wire.a.sockets.by_key == wire.b.sockets.by_key == {}


def test_simultaneous_open() -> None:
    wire = Wire()
    one, two = Recorder(), Recorder()
    a = wire.a.sockets.connect(B, 2000, one, 0, sport=1000)
    b = wire.b.sockets.connect(A, 1000, two, 0, sport=2000)
    wire.run(DELAY)
    assert [a.state, b.state] == [State.SYN_RECEIVED] * 2
    wire.run(S)
    assert [a.state, b.state] == [State.ESTABLISHED] * 2
    assert one.events == two.events == ["connected"]
    assert len(wire.take()) <= 6
    a.send(b"hello", wire.now)
    wire.run(wire.now + S)
    assert two.data == b"hello"


def test_simultaneous_open_closed_before_it_is_open() -> None:
    wire = Wire()
    one, two = Recorder(), Recorder()
    a = wire.a.sockets.connect(B, 2000, one, 0, sport=1000)
    wire.b.sockets.connect(A, 1000, two, 0, sport=2000)
    close_on_end(two)
    wire.run(DELAY)
    a.close(wire.now)
    assert a.state is State.SYN_RECEIVED
    wire.run(S)
    assert one.events == ["closed"]
    assert two.events == ["connected", "peer_closed", "closed"]


def test_data_after_close_is_reset() -> None:
    wire = Wire()
    conn, client, other, server = pair(wire)
    conn.close(wire.now)
    wire.run(wire.now + S)
    other.send(b"too late", wire.now)
    wire.run(wire.now + S)
    assert client.events == ["connected", "ECONNRESET"]
    assert server.events == ["peer_closed", "EPIPE"]
    assert wire.take()[-1] == "a R."


def test_close_with_unread_data_resets() -> None:
    wire = Wire()
    conn, client, other, server = pair(wire)
    other.pause()
    conn.send(b"unheard", wire.now)
    wire.run(wire.now + MS)
    other.close(wire.now)
    wire.run(wire.now + MS)
    assert client.events == ["connected", "ECONNRESET"]
    assert server.events == []


def test_abort() -> None:
    wire = Wire()
    conn, client, other, server = pair(wire)
    conn.abort(wire.now)
    assert conn.state is State.CLOSED
    wire.run(wire.now + S)
    assert wire.take() == ["a R."]
    assert (client.events, server.events) == (["connected"], ["ECONNRESET"])
    conn.abort(wire.now)
    conn.close(wire.now)
    conn.resume(wire.now)
    assert conn.send(b"x", wire.now) is Errno.EPIPE
    wire.run(wire.now + 200 * S)
    assert wire.take() == []
    assert other.state is State.CLOSED


def test_close_while_connecting_is_silent() -> None:
    wire = Wire()
    wire.cut()
    client = Recorder()
    conn = wire.a.sockets.connect(B, 80, client, 0)
    conn.close(MS)
    wire.run(200 * S)
    assert (conn.state, client.events, wire.take()) == (State.CLOSED, [], ["a S"])


# ---------------------------------------------------------------------- odd segments
STRANGE = [
    # what arrives in ESTABLISHED (relative seq, relative ack, flags, payload), what is answered, the state after
    ("exact reset", 0, 0, RST, b"", [], State.CLOSED),
    ("reset in the window", 100, 0, RST, b"", ["a ."], State.ESTABLISHED),
    ("reset outside", -100, 0, RST, b"", [], State.ESTABLISHED),
    ("SYN in the window", 0, 0, SYN, b"", ["a ."], State.ESTABLISHED),
    ("old SYN", -1, 0, SYN, b"", ["a ."], State.ESTABLISHED),
    ("no ACK flag", 0, 0, PSH, b"x", [], State.ESTABLISHED),
    ("ACK of the unsent", 0, 1000, ACK, b"", ["a ."], State.ESTABLISHED),
    ("old ACK", 0, -1, ACK, b"", [], State.ESTABLISHED),
    ("old data", -5, 0, ACK, b"12345", ["a ."], State.ESTABLISHED),
    ("data beyond the window", 1 << 20, 0, ACK, b"x", ["a ."], State.ESTABLISHED),
    ("a gap", 10, 0, ACK, b"x", ["a ."], State.ESTABLISHED),
    ("FIN", 0, 0, FIN | ACK, b"", ["a ."], State.CLOSE_WAIT),
    ("keep-alive", -1, 0, ACK, b"", ["a ."], State.ESTABLISHED),
    ("nothing new", 0, 0, ACK, b"", [], State.ESTABLISHED),
]


@pytest.mark.parametrize(
    ("seq", "ack", "flags", "payload", "answers", "state"),
    [row[1:] for row in STRANGE],
    ids=[str(row[0]) for row in STRANGE],
)
def test_strange_segments(
    seq: int, ack: int, flags: int, payload: bytes, answers: list[str], state: State
) -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    packet = segment(conn, flags, payload, conn.rcv_nxt + seq, conn.snd_max + ack)
    wire.cut()
    assert wire.a.sockets.deliver(packet, wire.now) is None
    wire.run(wire.now + 45 * MS)
    assert wire.take() == answers
    assert conn.state is state
    assert client.data == b""


def test_two_ends_that_disagree_do_not_talk_for_ever() -> None:
    wire = Wire()
    conn, _, other, _ = pair(wire)
    other.rcv_nxt = (other.rcv_nxt + 10_000) & 0xFFFFFFFF
    other.snd_max = other.snd_nxt = other.snd_una = (other.snd_una + 10_000) & 0xFFFFFFFF
    other.snd_end = other.snd_una
    wire.a.sockets.deliver(segment(conn, ACK, b"", conn.rcv_nxt - 1), wire.now)
    wire.run(wire.now + 10 * S)
    assert len(wire.take()) < 50


def test_syn_sent_ignores_and_refuses() -> None:
    wire = Wire()
    wire.cut()
    client = Recorder()
    conn = wire.a.sockets.connect(B, 80, client, 0)
    wire.take()
    wire.a.sockets.deliver(segment(conn, SYN | ACK, ack=conn.iss + 99), MS)
    assert tcp(wire.log[0][1]).flags == RST
    assert tcp(wire.log[0][1]).seq == (conn.iss + 99) & 0xFFFFFFFF
    for flags, ack in ((RST, None), (RST | ACK, conn.iss), (ACK, None), (FIN, None)):
        wire.a.sockets.deliver(segment(conn, flags, ack=ack), MS)
    assert (conn.state, client.events) == (State.SYN_SENT, [])
    wire.a.sockets.deliver(segment(conn, RST | ACK), MS)
    assert client.events == ["ECONNREFUSED"]


def test_repeated_syn_and_bad_ack_in_syn_received() -> None:
    wire = Wire()
    server = Server(wire.b)
    for _ in range(2):
        wire.b.sockets.deliver(syn(40000, options=syn_options(1460)), MS)
    assert wire.take() == ["b S.", "b S."]
    [conn] = wire.b.sockets.connections()
    wire.b.sockets.deliver(segment(conn, ACK, ack=conn.iss + 5), MS)
    assert wire.take() == ["b R"]
    assert conn.state is State.SYN_RECEIVED
    wire.b.sockets.deliver(segment(conn, RST), MS)
    assert wire.b.sockets.by_key == {}
    assert server.accepted == []


def test_lost_syn_ack_and_lost_last_ack_of_the_handshake() -> None:
    wire = Wire()
    server = Server(wire.b)
    client = Recorder()
    lost = iter([False, True, False, False, True])
    wire.rule = lambda _packet, _now: [] if next(lost, False) else [DELAY]
    wire.a.sockets.connect(B, 80, client, 0)
    wire.run(10 * S)
    assert client.events == ["connected"]
    assert len(server.accepted) == 1


def test_data_in_the_segment_that_completes_the_handshake() -> None:
    wire = Wire()
    server = Server(wire.b)
    wire.b.sockets.deliver(syn(40000), MS)
    [conn] = wire.b.sockets.connections()
    wire.b.sockets.deliver(segment(conn, ACK | PSH | FIN, b"all at once"), MS)
    assert server.accepted[0].data == b"all at once"
    assert server.accepted[0].events == ["peer_closed"]


def test_overlapping_segments() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    text = b"abcdefghijklmnopqrstuvwxyz"
    base = conn.rcv_nxt
    for start, end in ((4, 8), (20, 26), (6, 12), (18, 22), (2, 5), (0, 3), (10, 19)):
        wire.a.sockets.deliver(segment(conn, ACK, text[start:end], base + start), wire.now)
    assert client.data == text
    assert conn.out_of_order is None


@pytest.mark.parametrize("before", [0, 1, 700, 5000])
def test_sequence_numbers_wrap(before: int) -> None:
    wire = Wire()
    server, client = Server(wire.b), Recorder()
    server.setup = close_on_end
    sport = 40000
    for ns in (wire.a, wire.b):
        ns.sockets._secret = 0xFFFFFFFF - before - ns.sockets.initial_sequence(sport, 0) + ns.sockets._secret
    conn = wire.a.sockets.connect(B, 80, client, 0, sport=sport)
    assert conn.iss == 0xFFFFFFFF - before
    data = bytes(range(256)) * 400
    conn.send(data, 0)
    wire.rule = lose(3, 5)
    wire.run(S)
    conn.close(wire.now)
    wire.run(2 * S)
    assert server.accepted[0].data == data
    assert client.events == ["connected", "closed"]


def test_handler_exceptions_are_loud() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)

    def broken(_conn: TcpConnection, _data: bytes, _now: int) -> None:
        raise RuntimeError("bug")

    client.on_data = broken
    with pytest.raises(RuntimeError, match="bug"):
        wire.a.sockets.deliver(segment(conn, ACK, b"x"), wire.now)


def test_repr_says_what_ss_says() -> None:
    wire = Wire()
    conn, _, _, _ = pair(wire)
    assert repr(conn) == f"<TcpConnection ESTABLISHED 10.0.0.1:{conn.flow.sport} 10.0.0.2:80>"


# ---------------------------------------------------------------------- corners
def test_only_what_fits_into_the_window_is_taken() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    conn.pause()
    window = conn.rcv_wnd
    wire.cut()
    wire.a.sockets.deliver(segment(conn, ACK, bytes(window - 10)), wire.now)
    wire.a.sockets.deliver(segment(conn, ACK | FIN, b"0123456789ABCDEF"), wire.now)
    assert (conn.unread_length, conn.window, conn.state) == (window, 0, State.ESTABLISHED)
    conn.resume(wire.now)
    assert client.data[-10:] == b"0123456789"
    wire.a.sockets.deliver(segment(conn, ACK | FIN, b"ABCDEF"), wire.now)
    assert client.data[-6:] == b"ABCDEF"
    assert conn.state is State.CLOSE_WAIT


def test_data_after_the_peers_fin_is_ignored() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    wire.cut()
    wire.a.sockets.deliver(segment(conn, ACK | FIN), wire.now)
    wire.a.sockets.deliver(segment(conn, ACK, b"impossible"), wire.now)
    assert (client.data, conn.state) == (b"", State.CLOSE_WAIT)


def test_a_reset_while_both_open_and_while_the_last_ack_is_missing() -> None:
    wire = Wire()
    wire.cut()
    client = Recorder()
    conn = wire.a.sockets.connect(B, 2000, client, 0, sport=1000)
    wire.a.sockets.deliver(segment(conn, SYN, seq=77, ack=0), MS)
    assert conn.state is State.SYN_RECEIVED
    wire.a.sockets.deliver(segment(conn, RST), MS)
    assert client.events == ["ECONNREFUSED"]

    wire = Wire()
    conn, client, _, _ = pair(wire)
    close_on_end(client)
    wire.cut()
    wire.a.sockets.deliver(segment(conn, ACK | FIN), wire.now)
    assert conn.state is State.LAST_ACK
    wire.a.sockets.deliver(segment(conn, RST), wire.now)
    assert client.events == ["connected", "peer_closed", "closed"]


def test_both_open_and_one_vanishes() -> None:
    wire = Wire()
    wire.cut()
    client = Recorder()
    conn = wire.a.sockets.connect(B, 2000, client, 0, sport=1000)
    wire.a.sockets.deliver(segment(conn, SYN, seq=77, ack=0), MS)
    wire.run(100 * S)
    assert client.at == {"ETIMEDOUT": MS + 63 * S}


def test_close_after_a_half_close_whose_fin_is_acknowledged() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    conn.shutdown(wire.now)
    wire.run(wire.now + S)
    assert conn.state is State.FIN_WAIT_2
    conn.close(wire.now)
    end = wire.now + 60 * S
    wire.run(end)
    assert client.at["closed"] == end


def test_an_application_that_aborts_on_the_last_data() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    client.on_data = lambda c, _data, now: c.abort(now)
    wire.a.sockets.deliver(segment(conn, ACK | FIN, b"bye"), wire.now)
    assert (client.data, client.events, conn.state) == (b"bye", ["connected"], State.CLOSED)
    assert wire.take() == ["a R."]
