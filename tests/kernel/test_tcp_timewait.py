"""TIME_WAIT: how long, what is answered, who may take the port over."""

from tcplab import DELAY, MS, A, B, Recorder, S, Server, Wire, close_on_end, pair, segment

from netsim.kernel.tcp import TcpConnection
from netsim.kernel.tcp_state import State
from netsim.kernel.tcp_timewait import TimeWait
from netsim.wire.packet import ACK, FIN, RST, SYN, TCP, Flow, Packet, TcpSegment

MASK = 0xFFFFFFFF


def waiting(wire: Wire) -> tuple[TcpConnection, TimeWait]:
    """A connection that a closed first: the connection object, and what has replaced it."""
    conn, _, _, server = pair(wire)
    close_on_end(server)
    conn.close(wire.now)
    wire.run(wire.now + MS)
    wire.log.clear()
    [entry] = wire.a.sockets.by_key.values()
    assert isinstance(entry, TimeWait)
    return conn, entry


def test_lasts_60_s_to_the_nanosecond() -> None:
    wire = Wire()
    conn, entry = waiting(wire)
    ends = entry.expires_ns
    assert conn.state is State.TIME_WAIT
    assert ends - wire.now == 60 * S - MS + 2 * DELAY
    wire.run(ends - 1)
    assert wire.a.sockets.by_key
    wire.run(ends)
    assert not wire.a.sockets.by_key


def test_each_is_over_in_its_time_although_the_timer_rings_once_a_second() -> None:
    wire = Wire()
    Server(wire.b).setup = close_on_end
    ends = []
    for number in range(5):
        client = Recorder()
        conn = wire.a.sockets.connect(B, 80, client, wire.now, sport=1000 + number)
        wire.run(wire.now + MS)
        conn.close(wire.now)
        wire.run(wire.now + 100 * MS)
        ends.append(client.at["closed"] + 60 * S)
    for number, end in enumerate(ends):
        again = wire.a.sockets.connect(B, 80, Recorder(), end - 1, sport=1000 + number)
        assert again.doomed is not None
        again = wire.a.sockets.connect(B, 80, Recorder(), end, sport=1000 + number)
        assert again.doomed is None
        wire.now = end


def test_a_late_fin_is_acknowledged_and_starts_the_minute_anew() -> None:
    wire = Wire()
    conn, entry = waiting(wire)
    begun = entry.expires_ns - 60 * S
    wire.run(begun + 30 * S)
    wire.cut()  # b has forgotten all and would answer by RST
    fin = segment(conn, FIN | ACK, seq=entry.rcv_nxt - 1)
    wire.a.sockets.deliver(fin, wire.now)
    assert wire.take() == ["a ."]
    wire.a.sockets.deliver(fin, wire.now + MS)  # rate-limited
    assert wire.take() == []
    wire.run(begun + 89 * S)
    assert wire.a.sockets.by_key
    wire.run(begun + 92 * S)
    assert not wire.a.sockets.by_key


def test_bare_ack_is_not_answered_and_data_is() -> None:
    wire = Wire()
    conn, _ = waiting(wire)
    wire.a.sockets.deliver(segment(conn, ACK), wire.now)
    assert wire.take() == []
    wire.a.sockets.deliver(segment(conn, ACK, b"late"), wire.now)
    assert wire.take() == ["a ."]


def test_an_exact_reset_ends_it_another_does_not() -> None:
    wire = Wire()
    conn, entry = waiting(wire)
    wire.a.sockets.deliver(segment(conn, RST, seq=entry.rcv_nxt + 1), wire.now)
    assert wire.a.sockets.by_key
    wire.a.sockets.deliver(segment(conn, RST), wire.now)
    assert not wire.a.sockets.by_key
    wire.run(wire.now + 100 * S)


def test_a_segment_after_its_end_finds_nothing() -> None:
    wire = Wire()
    conn, entry = waiting(wire)
    late = entry.expires_ns + 1
    wire.a.sockets.deliver(segment(conn, ACK, b"x"), late)
    assert wire.take() == ["a R"]


def server_waits(wire: Wire) -> tuple[Server, TimeWait]:
    """b, which listens, has closed first: its end is in TIME_WAIT, a's is gone."""
    server = Server(wire.b)
    client = Recorder()
    close_on_end(client)
    wire.a.sockets.connect(B, 80, client, wire.now, sport=5000)
    wire.run(wire.now + MS)
    server.connections[0].close(wire.now)
    wire.run(wire.now + MS)
    wire.log.clear()
    [entry] = wire.b.sockets.by_key.values()
    assert isinstance(entry, TimeWait)
    assert not wire.a.sockets.by_key
    return server, entry


def test_a_new_syn_with_a_higher_sequence_number_takes_the_port_over() -> None:
    wire = Wire()
    server, entry = server_waits(wire)
    client = Recorder()
    conn = wire.a.sockets.connect(B, 80, client, wire.now, sport=5000)
    wire.run(wire.now + MS)
    assert client.events == ["connected"]
    assert wire.take() == ["a S", "b S.", "a ."]
    assert conn.iss > entry.rcv_nxt
    assert server.connections[1].iss == (entry.snd_nxt + 65535 + 2) & MASK


def test_an_old_syn_is_answered_by_the_last_ack_and_the_reset_clears_the_way() -> None:
    wire = Wire()
    _, entry = server_waits(wire)
    wire.a.sockets._secret -= 1 << 24  # as after a reboot of a
    client = Recorder()
    start = wire.now
    wire.a.sockets.connect(B, 80, client, start, sport=5000)
    wire.run(start + 5 * S)
    # The ACK of the old connection is answered by RST, which ends TIME_WAIT; the next SYN succeeds.
    assert wire.take() == ["a S", "b .", "a R", "a S", "b S.", "a ."]
    assert client.at == {"connected": start + S + 2 * DELAY}
    assert entry not in wire.b.sockets.by_key.values()


def test_a_new_syn_finds_no_listener_any_more() -> None:
    wire = Wire()
    server, entry = server_waits(wire)
    server.listener.close(wire.now)
    fresh = TcpSegment((entry.rcv_nxt + 100) & MASK, 0, SYN, 64240)
    wire.b.sockets.deliver(Packet(Flow(A, B, 5000, 80, TCP), fresh), wire.now)
    assert wire.take() == ["b R."]
    assert not wire.b.sockets.by_key
