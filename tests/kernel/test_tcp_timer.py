"""Ladders and time-outs, to the exact time."""

from itertools import pairwise

import pytest
from tcplab import DELAY, MS, B, Recorder, S, Server, Wire, pair, syn

from netsim.kernel.tcp_state import State
from netsim.kernel.tcp_timer import retries_limit_ns

START = 1 * MS

SYN_LADDERS = [
    # tcp_syn_linear_timeouts, SYNs at, given up at (facts tcp.syn_retries and tcp.syn_linear_timeouts)
    (0, [0, 1, 3, 7, 15, 31, 63], 127),
    (4, [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67], 131),
]


@pytest.mark.parametrize(("linear", "seconds", "end"), SYN_LADDERS)
def test_syn_ladder(linear: int, seconds: list[int], end: int) -> None:
    wire = Wire(tcp_syn_linear_timeouts=linear)
    wire.cut()
    client = Recorder()
    wire.now = START
    wire.a.sockets.connect(B, 80, client, START)
    wire.run(START + end * S - 1)
    assert client.events == []
    wire.run(START + end * S)
    assert client.events == ["ETIMEDOUT"]
    assert wire.times() == [START + at * S for at in seconds]
    assert wire.a.sockets.by_key == {}


def test_syn_ladder_with_fewer_retries() -> None:
    wire = Wire(tcp_syn_linear_timeouts=0, tcp_syn_retries=2)
    wire.cut()
    client = Recorder()
    wire.a.sockets.connect(B, 80, client, 0)
    wire.run(10 * S)
    assert wire.times() == [0, S, 3 * S]
    assert client.at == {"ETIMEDOUT": 7 * S}


def test_syn_ack_ladder() -> None:
    wire = Wire()
    Server(wire.b)
    wire.cut()
    wire.b.sockets.deliver(syn(40000), START)
    wire.run(START + 63 * S - 1)
    assert len(wire.b.sockets.by_key) == 1
    wire.run(START + 63 * S)
    assert wire.b.sockets.by_key == {}
    assert wire.times() == [START + at * S for at in (0, 1, 3, 7, 15, 31)]


def test_the_next_syn_gets_through_when_the_path_is_back() -> None:
    wire = Wire()
    Server(wire.b)
    wire.cut()
    client = Recorder()
    wire.a.sockets.connect(B, 80, client, 0)
    wire.run(5 * S + MS)
    wire.mend()
    wire.run(20 * S)
    assert client.at == {"connected": 7 * S + 2 * DELAY}


def test_first_data_time_out_after_a_repeated_syn_is_3_s() -> None:
    wire = Wire()
    Server(wire.b)
    wire.cut()
    conn = wire.a.sockets.connect(B, 80, Recorder(), 0)
    wire.run(MS)
    wire.mend()
    wire.run(2 * S)
    assert conn.state is State.ESTABLISHED
    wire.cut()
    wire.log.clear()
    conn.send(b"x", wire.now)
    wire.run(6 * S)
    assert wire.times() == [2 * S, 5 * S]  # RFC 6298 section 5.7


def test_data_time_outs_double_and_end() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    rto = conn.rto_ns
    assert rto == 2 * DELAY + 200 * MS  # srtt + the floor of the variance
    wire.cut()
    start = wire.now
    conn.send(b"hello", start)
    wire.run(start + 1000 * S)
    gaps = [b - a for a, b in pairwise(wire.times())]
    assert gaps == [min(rto << n, 120 * S) for n in range(len(gaps))]
    assert client.events == ["connected", "ETIMEDOUT"]
    lasted = client.at["ETIMEDOUT"] - start
    # tcp_retries2=15: a lower bound of 924.6 s (fact tcp.retries2), reached by the sixteenth time-out.
    assert 924.6 * S <= lasted < 925 * S
    assert len(wire.times()) == 16


@pytest.mark.parametrize(("retries", "seconds"), [(0, 0.2), (3, 3.0), (8, 102.2), (9, 204.6), (15, 924.6)])
def test_retries_as_time(retries: int, seconds: float) -> None:
    assert retries_limit_ns(retries) == round(seconds * 10) * 100 * MS


def test_a_closed_socket_gives_up_sooner() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    wire.cut()
    start = wire.now
    conn.close(start)
    wire.run(start + 1000 * S)
    assert 102.2 * S <= client.at["ETIMEDOUT"] - start < 103 * S


def test_user_timeout() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    conn.user_timeout_ns = 5 * S
    wire.cut()
    start = wire.now
    conn.send(b"x", start)
    wire.run(start + 60 * S)
    assert client.at["ETIMEDOUT"] == start + 5 * S


def test_user_timeout_while_connecting() -> None:
    wire = Wire()
    wire.cut()
    client = Recorder()
    wire.now = START
    conn = wire.a.sockets.connect(B, 80, client, START)
    conn.user_timeout_ns = 2500 * MS
    wire.run(START + 60 * S)
    assert client.at == {"ETIMEDOUT": START + 2500 * MS}


def test_an_acknowledgement_starts_the_count_anew() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    conn.user_timeout_ns = 5 * S
    for _ in range(4):
        wire.cut()
        conn.send(b"x", wire.now)
        wire.run(wire.now + 2 * S)
        wire.mend()
        wire.run(wire.now + 4 * S)
        conn.send(b"y", wire.now)  # a fresh sample ends the doubling (Karn)
        wire.run(wire.now + S)
    assert client.events == ["connected"]
    assert conn.snd_una == conn.snd_end


def test_keepalive_probes_an_idle_connection_and_gives_up() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    conn.set_keepalive(wire.now)
    idle_since = wire.now
    wire.run(idle_since + 7201 * S)
    assert wire.times()[0] == idle_since + 7200 * S
    assert wire.take() == ["a .", "b ."]
    wire.cut()
    wire.run(wire.now + 20_000 * S)
    seen = idle_since + 7200 * S + 2 * DELAY
    probes = [seen + 7200 * S + n * 75 * S for n in range(9)]
    assert [at for at, p in wire.log if p.body.flags == 16] == probes  # type: ignore[union-attr]
    assert client.at["ETIMEDOUT"] == probes[-1] + 75 * S
    assert wire.take()[-1] == "a R."


def test_keepalive_is_off_by_default_and_waits_for_traffic() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    wire.run(wire.now + 10_000 * S)
    assert wire.take() == []
    conn.set_keepalive(wire.now, idle_ns=10 * S, interval_ns=S, count=3)
    for _ in range(5):
        wire.run(wire.now + 9 * S)
        conn.send(b"x", wire.now)
        wire.run(wire.now + S // 2)
    assert wire.take() == ["a P. 1", "b ."] * 5
    assert client.events == ["connected"]


def test_fin_wait_2_of_a_closed_socket_ends() -> None:
    wire = Wire()
    conn, client, _, server = pair(wire)
    conn.close(wire.now)
    start = wire.now
    wire.run(start + S)
    assert conn.state is State.FIN_WAIT_2
    assert server.events == ["peer_closed"]
    wire.run(start + 61 * S)
    assert (
        client.at["closed"] == start + 2 * DELAY + 40 * MS + 60 * S
    )  # its ACK was delayed; net.ipv4.tcp_fin_timeout
    assert wire.a.sockets.by_key == {}


def test_fin_wait_2_of_a_half_closed_socket_lasts() -> None:
    wire = Wire()
    conn, _, _, _ = pair(wire)
    conn.shutdown(wire.now)
    wire.run(wire.now + 1000 * S)
    assert conn.state is State.FIN_WAIT_2


def test_nothing_is_left_in_the_timer_queue_but_lazy_places() -> None:
    wire = Wire()
    conn, _, _, _ = pair(wire)
    for _ in range(100):
        conn.send(b"x", wire.now)
        wire.run(wire.now + 10 * MS)
    assert len(wire.clock.queue) <= 2


def test_keepalive_leaves_outstanding_data_to_retransmission_and_obeys_a_user_timeout() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    conn.set_keepalive(wire.now, idle_ns=10 * S, interval_ns=S, count=100)
    wire.cut()
    conn.send(b"x", wire.now)
    wire.run(wire.now + 30 * S)
    assert {packet.size for _, packet in wire.log} == {55}  # the data again and again, no probe
    wire.mend()
    wire.run(wire.now + 60 * S)
    conn.user_timeout_ns = 15 * S
    wire.cut()
    wire.run(wire.now + 60 * S)
    assert client.events == ["connected", "ETIMEDOUT"]
    assert 15 * S <= client.at["ETIMEDOUT"] - conn.seen_at <= 16 * S
