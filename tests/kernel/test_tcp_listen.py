"""Listeners: accept queues, overflow, closing."""

import pytest
from tcplab import MS, B, Recorder, S, Server, Wire, close_on_end

from netsim.kernel.hooks import DropReason
from netsim.kernel.sockets import InUseError
from netsim.kernel.tcp_state import State
from netsim.wire.addr import ip


def clients(wire: Wire, number: int) -> list[Recorder]:
    """Clients that connect now."""
    recorders = [Recorder() for _ in range(number)]
    for recorder in recorders:
        recorder.on_connected = lambda conn, now: conn.send(b"request", now)
        wire.a.sockets.connect(B, 80, recorder, wire.now)
    return recorders


def test_a_paused_listener_lets_the_kernel_accept() -> None:
    wire = Wire()
    server = Server(wire.b)
    server.listener.pause()
    [client] = clients(wire, 1)
    wire.run(S)
    assert client.events == ["connected"]
    assert server.accepted == []
    [conn] = server.listener.waiting
    assert (conn.unread_length, conn.snd_una) == (7, conn.snd_end)  # acknowledged, unread
    server.listener.resume(wire.now)
    assert server.accepted[0].data == b"request"


def test_a_client_that_gave_up_is_accepted_with_its_data_and_its_end() -> None:
    wire = Wire()
    server = Server(wire.b)
    server.setup = close_on_end
    server.listener.pause()
    [client] = clients(wire, 1)
    wire.run(MS)
    assert client.conn is not None
    client.conn.close(wire.now)
    wire.run(S)
    server.listener.resume(wire.now)
    assert server.accepted[0].data == b"request"
    assert server.accepted[0].events == ["peer_closed"]
    wire.run(2 * S)
    assert client.events == ["connected", "closed"]


def test_a_reset_connection_leaves_the_queue() -> None:
    wire = Wire()
    server = Server(wire.b)
    server.listener.pause()
    first, _ = clients(wire, 2)
    wire.run(MS)
    assert first.conn is not None
    first.conn.abort(wire.now)
    wire.run(S)
    assert len(server.listener.waiting) == 1
    server.listener.resume(wire.now)
    assert len(server.accepted) == 1


def test_overflow_drops_syns_and_last_acks() -> None:
    wire = Wire()
    server = Server(wire.b, backlog=2)
    server.listener.pause()
    # All SYNs come before the first ACK; the queue holds backlog + 1 (sk_acceptq_is_full).
    early = clients(wire, 5)
    wire.run(10 * MS)
    assert [client.events for client in early] == [["connected"]] * 5
    assert len(server.listener.waiting) == 3
    assert [conn.state for conn in wire.b.sockets.connections()].count(State.SYN_RECEIVED) == 2
    [late] = clients(wire, 1)
    wire.run(20 * MS)
    assert late.events == []
    assert wire.b.drops["INPUT", DropReason.TCP_LISTEN_OVERFLOW] == 1
    server.listener.resume(wire.now)
    wire.run(10 * S)
    assert len(server.accepted) == 6
    assert all(recorder.data == b"request" for recorder in server.accepted)


def test_pausing_while_resuming() -> None:
    wire = Wire()
    server = Server(wire.b)
    server.listener.pause()
    clients(wire, 3)
    wire.run(MS)
    server.setup = lambda _recorder: server.listener.pause()
    server.listener.resume(wire.now)
    assert (len(server.accepted), len(server.listener.waiting)) == (1, 2)


def test_close_resets_the_waiting_and_forgets_the_half_open() -> None:
    wire = Wire()
    server = Server(wire.b)
    server.listener.pause()
    [client] = clients(wire, 1)
    wire.run(MS)
    wire.rule = lambda packet, _now: [] if packet.flow.dst == B else [50_000]
    half_open = Recorder()
    wire.mend()
    wire.a.sockets.connect(B, 80, half_open, wire.now)
    wire.run(wire.now + 60_000)  # the SYN has arrived, its answer has not
    server.listener.close(wire.now)
    assert wire.b.sockets.by_key == {}
    wire.run(S)
    assert client.events == ["connected", "ECONNRESET"]
    # The client believed the SYN-ACK; its first data is answered by RST.
    assert half_open.events == ["connected", "ECONNRESET"]
    Server(wire.b)


def test_backlog_is_cut_to_somaxconn() -> None:
    assert Server(Wire(somaxconn=128).b).listener.backlog == 128
    assert Server(Wire().b, backlog=511).listener.backlog == 511


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        (None, None, True),
        (None, "10.0.0.2", True),
        ("10.0.0.2", None, True),
        ("10.0.0.2", "10.0.0.2", True),
        ("10.0.0.2", "127.0.0.1", False),
    ],
)
def test_ports_in_use(first: str | None, second: str | None, clash: bool) -> None:
    wire = Wire()
    one, two = (ip(address) if address else None for address in (first, second))
    Server(wire.b, address=one)
    if clash:
        with pytest.raises(InUseError, match="TCP port 80 is in use"):
            Server(wire.b, address=two)
    else:
        Server(wire.b, address=two)
    Server(wire.b, 81, address=two)


def test_the_more_specific_listener_wins() -> None:
    wire = Wire()
    other = Server(wire.b, address=ip("127.0.0.1"))
    mine = Server(wire.b, address=B)
    wire.a.sockets.connect(B, 80, Recorder(), 0)
    wire.run(S)
    assert (len(mine.accepted), len(other.accepted)) == (1, 0)
