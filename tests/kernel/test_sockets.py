"""The sockets of a namespace: ports, errors, demultiplexing, processes and namespaces that end."""

import random
from itertools import pairwise

import pytest
from tcplab import DELAY, MS, A, B, Recorder, S, Server, Wire, close_on_end, pair, segment, syn

from netsim.kernel import icmp
from netsim.kernel.errno import Errno
from netsim.kernel.hooks import DropReason
from netsim.kernel.sockets import InUseError, icmp_errno
from netsim.kernel.tcp_ports import EphemeralPorts
from netsim.kernel.tcp_state import State
from netsim.wire.addr import ip
from netsim.wire.packet import ACK, FIN, ICMP, RST, SYN, TCP, Flow, IcmpMessage, Packet, TcpSegment


# ---------------------------------------------------------------------- connect
def test_a_closed_port_refuses_in_one_round_trip() -> None:
    wire = Wire()
    client = Recorder()
    wire.a.sockets.connect(B, 81, client, 0)
    wire.run(S)
    assert client.at == {"ECONNREFUSED": 2 * DELAY}
    assert wire.take() == ["a S", "b R."]
    assert wire.b.drops["INPUT", DropReason.NO_SOCKET] == 1
    assert wire.b.delivered == 0


@pytest.mark.parametrize(
    ("destination", "how", "errno"),
    [
        ("192.0.2.1", {}, "ENETUNREACH"),
        ("10.0.0.2", {"source": ip("10.9.9.9")}, "EADDRNOTAVAIL"),
        ("10.0.0.2", {"sport": 4000}, "EADDRINUSE"),
        ("10.0.0.2", {"sport": 5000}, "EADDRINUSE"),
    ],
)
def test_errors_known_at_once_come_after_connect_has_returned(
    destination: str, how: dict[str, object], errno: str
) -> None:
    wire = Wire()
    wire.cut()
    wire.a.sockets.connect(B, 80, Recorder(), 0, sport=4000)
    Server(wire.a, 5000)
    wire.run(MS)
    client = Recorder()
    conn = wire.a.sockets.connect(ip(destination), 80, client, MS, **how)  # type: ignore[arg-type]
    assert client.events == []
    wire.run(MS)
    assert client.at == {errno: MS}
    assert conn.state is State.CLOSED


def test_an_error_at_time_0() -> None:
    wire = Wire()
    client = Recorder()
    wire.a.sockets.connect(ip("192.0.2.1"), 80, client, 0)
    wire.run(S)
    assert client.at == {"ENETUNREACH": 1}


def test_a_doomed_connection_may_be_closed() -> None:
    wire = Wire()
    client = Recorder()
    conn = wire.a.sockets.connect(ip("192.0.2.1"), 80, client, 0)
    conn.close(0)
    wire.run(S)
    assert client.events == []


def test_to_oneself() -> None:
    wire = Wire()
    server, client = Server(wire.a), Recorder()
    for address in (A, ip("127.0.0.1")):
        wire.a.sockets.connect(address, 80, client, wire.now).send(b"hello", wire.now)
        wire.run(wire.now + MS)
    assert [recorder.data for recorder in server.accepted] == [b"hello"] * 2
    assert wire.log == []


# ---------------------------------------------------------------------- ports
def test_ephemeral_ports_are_even_and_move_on() -> None:
    wire = Wire()
    wire.cut()
    ports = [wire.a.sockets.connect(B, 80, Recorder(), 0).flow.sport for _ in range(100)]
    assert all(32768 <= port <= 60999 and port % 2 == 0 for port in ports)
    assert len(set(ports)) == 100
    steps = {(b - a) % 28232 for a, b in pairwise(ports)}
    assert steps <= set(range(2, 18, 2))  # two, and up to fourteen of noise


def test_ports_differ_by_namespace_and_repeat_by_seed() -> None:
    def ports(seed: int) -> list[int]:
        wire = Wire(seed=seed)
        return [wire.a.sockets.connect(B, port, Recorder(), 0).flow.sport for port in (80, 81, 80)]

    assert ports(1) == ports(1) != ports(3)


def test_all_ports_used_up_and_given_back() -> None:
    wire = Wire(ip_local_port_range=(40000, 40003))
    server = Server(wire.b)
    server.setup = close_on_end
    conns = [wire.a.sockets.connect(B, 80, Recorder(), 0) for _ in range(4)]
    assert sorted(conn.flow.sport for conn in conns) == [40000, 40001, 40002, 40003]
    assert {conn.flow.sport % 2 for conn in conns[:2]} == {0}
    full = Recorder()
    wire.a.sockets.connect(B, 80, full, 0)
    elsewhere = wire.a.sockets.connect(B, 81, Recorder(), 0)
    wire.run(MS)
    assert full.events == ["EADDRNOTAVAIL"]
    assert 40000 <= elsewhere.flow.sport <= 40003
    conns[2].abort(wire.now)  # free at once
    assert wire.a.sockets.connect(B, 80, Recorder(), wire.now).flow.sport == conns[2].flow.sport
    conns[1].close(wire.now)
    wire.run(S)
    assert wire.a.sockets.connect(B, 80, Recorder(), wire.now).doomed is Errno.EADDRNOTAVAIL  # TIME_WAIT
    wire.run(62 * S)
    assert wire.a.sockets.connect(B, 80, Recorder(), wire.now).doomed is None


def test_a_listeners_port_is_not_given_out() -> None:
    wire = Wire(ip_local_port_range=(40000, 40001))
    Server(wire.a, 40000)
    assert wire.a.sockets.connect(B, 80, Recorder(), 0).flow.sport == 40001


def test_a_port_may_serve_several_destinations() -> None:
    ports = EphemeralPorts((40000, 40001), random.Random(1))
    taken = {(B, A, 80, 40000, TCP), (B, A, 80, 40001, TCP)}
    assert ports.towards(A, B, 80).free_port(taken, {}) == 0
    assert ports.towards(A, B, 81).free_port(taken, {}) == 40000


# ---------------------------------------------------------------------- segments for nobody
@pytest.mark.parametrize(
    ("flags", "seq", "ack", "payload", "answer"),
    [
        (SYN, 100, 0, b"", (RST | ACK, 0, 101)),
        (ACK, 100, 200, b"data", (RST, 200, 0)),
        (FIN | ACK, 100, 200, b"", (RST, 200, 0)),
        (FIN, 100, 0, b"abc", (RST | ACK, 0, 104)),
        (RST, 100, 0, b"", None),
        (RST | ACK, 100, 5, b"", None),
    ],
)
@pytest.mark.parametrize("listening", [False, True])
def test_resets(
    flags: int, seq: int, ack: int, payload: bytes, answer: tuple[int, int, int] | None, listening: bool
) -> None:
    wire = Wire()
    if listening:
        if flags == SYN:
            return
        Server(wire.b)
    packet = Packet(Flow(A, B, 999, 80, TCP), TcpSegment(seq, ack, flags, 100, b"", payload))
    reason = wire.b.sockets.deliver(packet, 0)
    assert reason is not None
    sent = [(body.flags, body.seq, body.ack) for _, p in wire.log if isinstance(body := p.body, TcpSegment)]
    if listening and flags == FIN:
        assert sent == [(RST | ACK, 0, 104)]
    else:
        assert sent == ([answer] if answer else [])


# ---------------------------------------------------------------------- ICMP errors
@pytest.mark.parametrize(
    ("kind", "code", "errno"),
    [
        (3, 0, "ENETUNREACH"),
        (3, 1, "EHOSTUNREACH"),
        (3, 3, "ECONNREFUSED"),
        (3, 9, "ENETUNREACH"),
        (3, 10, "EHOSTUNREACH"),
        (3, 13, "EHOSTUNREACH"),
        (11, 0, "EHOSTUNREACH"),
    ],
)
def test_icmp_errors_abort_a_connect(kind: int, code: int, errno: str) -> None:
    wire = Wire()
    wire.cut()
    client = Recorder()
    conn = wire.a.sockets.connect(B, 80, client, 0)
    wire.a.sockets.icmp_error(conn.flow, kind, code, MS)
    wire.run(S)
    assert client.at == {errno: MS}


@pytest.mark.parametrize(("kind", "code"), [(4, 0), (5, 1), (12, 0)])
def test_other_messages_are_ignored(kind: int, code: int) -> None:
    wire = Wire()
    wire.cut()
    client = Recorder()
    conn = wire.a.sockets.connect(B, 80, client, 0)
    wire.a.sockets.icmp_error(conn.flow, kind, code, MS)
    wire.run(S)
    assert client.events == []
    assert icmp_errno(kind, code) is None


def test_a_reject_on_the_way_out_does_not_surprise_connect() -> None:
    wire = Wire()
    client = Recorder()
    output = wire.a.devices["eth0"].transmit

    def reject(packet: Packet, now: int) -> None:
        icmp.send_error(wire.a, packet, 3, 3, now)

    wire.a.devices["eth0"].transmit = reject
    conn = wire.a.sockets.connect(B, 80, client, MS)
    assert (client.events, conn.state) == ([], State.SYN_SENT)
    wire.a.devices["eth0"].transmit = output
    wire.run(S)
    assert client.at == {"ECONNREFUSED": MS}


def test_in_established_an_icmp_error_is_soft_but_names_the_end() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    wire.cut()
    conn.send(b"x", wire.now)
    wire.a.sockets.icmp_error(conn.flow, 3, 1, wire.now)
    wire.run(wire.now + 60 * S)
    assert conn.state is State.ESTABLISHED
    wire.run(wire.now + 2000 * S)
    assert client.events == ["connected", "EHOSTUNREACH"]


def test_a_soft_error_is_forgotten_when_data_gets_through() -> None:
    wire = Wire()
    conn, _, _, _ = pair(wire)
    conn.send(b"x", wire.now)
    wire.a.sockets.icmp_error(conn.flow, 3, 1, wire.now)
    wire.run(wire.now + S)
    assert conn.soft_error is None


def test_an_icmp_error_ends_a_half_open_passive_connection() -> None:
    wire = Wire()
    Server(wire.b)
    wire.cut()
    wire.b.sockets.deliver(syn(40000), 0)
    [conn] = wire.b.sockets.connections()
    wire.b.sockets.icmp_error(conn.flow, 3, 1, MS)
    assert wire.b.sockets.by_key == {}


def test_fragmentation_needed_shrinks_the_segments() -> None:
    wire = Wire()
    conn, _, _, server = pair(wire)
    conn.send(bytes(5000), wire.now)
    wire.cut()
    wire.a.devices["eth0"].mtu = 1000
    wire.a.changed()
    wire.log.clear()
    wire.mend()
    wire.a.sockets.icmp_error(conn.flow, 3, 4, wire.now)
    wire.run(wire.now + S)
    assert len(server.data) == 5000
    assert wire.log[0][1].size == 1000 + 14
    assert conn.mss == 960


def test_errors_about_unknown_flows_are_ignored() -> None:
    wire = Wire()
    for proto in (TCP, 17, ICMP, 132):
        wire.a.sockets.icmp_error(Flow(A, B, 1, 2, proto), 3, 3, 0)


# ---------------------------------------------------------------------- the end of processes and namespaces
def test_a_dying_process_closes_its_sockets() -> None:
    wire = Wire()
    process = object()
    server = Server(wire.b, owner=process)
    udp = wire.b.sockets.open_udp(lambda *_: None, 53, owner=process)
    echo = wire.b.sockets.open_icmp(lambda *_: None, 7, owner=process)
    clients = [Recorder() for _ in range(3)]
    conns = [wire.a.sockets.connect(B, 80, client, 0) for client in clients]
    wire.run(MS)
    server.connections[1].pause()
    for conn in conns:
        conn.send(b"request", wire.now)
    server.connections[2].owner = None  # another process's
    wire.run(wire.now + MS)
    wire.b.sockets.close_all(process, wire.now)
    wire.run(wire.now + S)
    assert [client.events[1:] for client in clients] == [["peer_closed"], ["ECONNRESET"], []]
    assert all(recorder.events == [] for recorder in server.accepted)
    refused = Recorder()
    wire.a.sockets.connect(B, 80, refused, wire.now)
    wire.run(wire.now + S)
    assert refused.events == ["ECONNREFUSED"]
    Server(wire.b)
    wire.b.sockets.open_udp(udp.on_datagram, 53)
    wire.b.sockets.open_icmp(echo.on_echo, 7)


def test_a_dying_process_with_connections_nobody_has_accepted() -> None:
    wire = Wire()
    process = object()
    server = Server(wire.b, owner=process)
    server.listener.pause()
    client = Recorder()
    wire.a.sockets.connect(B, 80, client, 0)
    wire.run(MS)
    wire.b.sockets.close_all(process, wire.now)
    wire.run(S)
    assert client.events == ["connected", "ECONNRESET"]
    assert wire.b.sockets.by_key == {}


def test_a_destroyed_namespace_says_nothing() -> None:
    wire = Wire()
    conn, client, other, server = pair(wire)
    waiting = wire.b.sockets.connect(A, 81, Recorder(), wire.now)
    conn.send(b"x", wire.now)
    wire.b.sockets.open_udp(lambda *_: None, 53)
    wire.cut()
    wire.run(wire.now + MS)
    wire.log.clear()
    wire.b.sockets.destroy()
    assert other.send(b"y", wire.now) is Errno.EPIPE
    other.close(wire.now)
    wire.run(wire.now + 2000 * S)
    assert {packet.flow.src for _, packet in wire.log} == {A}
    assert (other.state, waiting.state, server.events) == (State.CLOSED, State.CLOSED, [])
    assert client.events == ["connected", "ETIMEDOUT"]


# ---------------------------------------------------------------------- ping
def test_ping() -> None:
    wire = Wire()
    heard: list[tuple[int, bytes, int]] = []

    def on_echo(_sock: object, reply: Packet | None, errno: Errno | None, now: int) -> None:
        assert errno is None
        assert reply is not None
        assert isinstance(reply.body, IcmpMessage)
        heard.append((reply.body.rest, reply.body.payload, now))

    sock = wire.a.sockets.open_icmp(on_echo)
    assert sock.send(B, 1, b"payload", 0) is None
    assert sock.send(B, 2, b"payload", 0) is None
    wire.run(S)
    assert heard == [(1, b"payload", 2 * DELAY), (2, b"payload", 2 * DELAY)]
    assert sock.send(ip("192.0.2.1"), 3, b"", wire.now) is Errno.ENETUNREACH
    sock.close()
    stray = Packet(Flow(B, A, sock.identifier, 0, ICMP), IcmpMessage(0, 0, 9, b""))
    assert wire.a.sockets.deliver(stray, wire.now) is DropReason.ICMP_UNMATCHED


def test_ping_errors() -> None:
    wire = Wire()
    errors: list[Errno | None] = []
    sock = wire.a.sockets.open_icmp(lambda _sock, _reply, errno, _now: errors.append(errno), 99)
    wire.a.sockets.icmp_error(Flow(A, B, 99, 8 << 8, ICMP), 3, 1, 0)
    assert errors == [Errno.EHOSTUNREACH]
    with pytest.raises(InUseError, match="identifier 99"):
        wire.a.sockets.open_icmp(sock.on_echo, 99)


# ---------------------------------------------------------------------- books
def test_every_packet_is_delivered_or_dropped() -> None:
    wire = Wire()
    server = Server(wire.b)
    server.setup = close_on_end
    for port in (80, 81):
        client = Recorder()
        client.on_connected = lambda conn, now: conn.close(now)
        wire.a.sockets.connect(B, port, client, 0)
    wire.run(100 * S)
    sent = wire.a.sent + wire.b.sent
    assert sent == wire.a.delivered + wire.b.delivered + wire.a.drops.total() + wire.b.drops.total()


def test_segment_helper_speaks_for_the_peer() -> None:
    wire = Wire()
    conn, client, _, _ = pair(wire)
    wire.a.sockets.deliver(segment(conn, ACK, b"hello"), wire.now)
    assert client.data == b"hello"


def test_a_full_half_of_the_ports_is_not_searched_again() -> None:
    ports = EphemeralPorts((32768, 60999), random.Random(1))
    use = ports.towards(A, B, 80)
    taken: set[tuple[bytes, bytes, int, int, int]] = set()
    for number in range(28232):
        port = use.free_port(taken, {})
        assert port % 2 == (number >= 14116)
        taken.add((B, A, 80, port, TCP))
        use.count(port, 1)
    assert use.free_port(taken, {}) == 0
    use.count(40001, -1)
    taken.remove((B, A, 80, 40001, TCP))
    assert use.free_port(taken, {}) == 40001
