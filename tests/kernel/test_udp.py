"""UDP sockets: ports, delivery, errors."""

import pytest
from tcplab import DELAY, MS, A, B, S, Wire

from netsim.kernel.errno import Errno
from netsim.kernel.hooks import DropReason
from netsim.kernel.sockets import InUseError
from netsim.kernel.udp import UdpSocket
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import UDP, Flow, Packet, UdpDatagram

Heard = list[tuple[bytes, bytes, int, int]]


def listen(wire: Wire, heard: Heard, **how: object) -> UdpSocket:
    def on_datagram(_sock: UdpSocket, payload: bytes, src: bytes, sport: int, now: int) -> None:
        heard.append((payload, src, sport, now))

    return wire.b.sockets.open_udp(on_datagram, **how)  # type: ignore[arg-type]


def ignore(_sock: UdpSocket, _payload: bytes, _src: bytes, _sport: int, _now: int) -> None:
    """A client that hears nothing."""


def test_there_and_back() -> None:
    wire = Wire()
    answers: Heard = []
    wire.b.sockets.open_udp(lambda s, payload, src, sport, now: s.send(payload.upper(), src, sport, now), 53)
    client = wire.a.sockets.open_udp(lambda _s, *rest: answers.append(rest))
    assert 32768 <= client.port <= 60999
    assert client.send(b"hello", B, 53, 0) is None
    wire.run(S)
    assert answers == [(b"HELLO", B, 53, 2 * DELAY)]
    [question, answer] = [packet for _, packet in wire.log]
    assert question.flow == Flow(A, B, client.port, 53, UDP) == answer.flow.reverse()


def test_a_closed_port_is_told_after_send_has_returned() -> None:
    wire = Wire()
    client = wire.a.sockets.open_udp(ignore)
    told: list[tuple[Errno, Flow, int]] = []
    client.on_error = lambda _sock, errno, flow, now: told.append((errno, flow, now))
    client.send(b"anyone?", B, 53, 0)
    wire.run(S)
    assert told == [(Errno.ECONNREFUSED, Flow(A, B, client.port, 53, UDP), 2 * DELAY)]
    assert wire.b.drops["INPUT", DropReason.NO_SOCKET] == 1
    wire.a.sockets.icmp_error(told[0][1], 3, 1, wire.now)
    assert len(told) == 1
    wire.run(wire.now + 1)
    assert told[1][0] is Errno.EHOSTUNREACH


def test_errors_without_anyone_to_tell() -> None:
    wire = Wire()
    client = wire.a.sockets.open_udp(ignore)
    flow = Flow(A, B, client.port, 53, UDP)
    wire.a.sockets.icmp_error(flow, 3, 3, 0)
    told: list[Errno] = []
    client.on_error = lambda _sock, errno, _flow, _now: told.append(errno)
    wire.a.sockets.icmp_error(flow, 3, 3, MS)
    client.close()
    wire.a.sockets.icmp_error(flow, 3, 3, MS)
    wire.run(S)
    assert told == []


def test_addresses() -> None:
    wire = Wire()
    everywhere: Heard = []
    here: Heard = []
    any_socket = listen(wire, everywhere, port=53)
    one_socket = listen(wire, here, port=53, address=B)
    wire.b.add_address(ip("10.0.0.3"), wire.b.devices["eth0"])
    client = wire.a.sockets.open_udp(ignore)
    client.send(b"1", B, 53, 0)
    client.send(b"2", ip("10.0.0.3"), 53, 0)
    wire.run(S)
    assert ([h[0] for h in here], [h[0] for h in everywhere]) == ([b"1"], [b"2"])
    assert (one_socket.arrived_at, any_socket.arrived_at) == (B, ip("10.0.0.3"))
    wire.log.clear()
    any_socket.send(b"from where I was asked", A, client.port, wire.now, source=any_socket.arrived_at)
    any_socket.send(b"by routing", A, client.port, wire.now)
    assert [packet.flow.src for _, packet in wire.log] == [ip("10.0.0.3")] * 2
    any_socket.send(b"bound", A, 1, wire.now)
    one_socket.send(b"bound", A, 1, wire.now)
    assert [packet.flow.src for _, packet in wire.log[2:]] == [B, B]


@pytest.mark.parametrize(
    ("size", "destination", "errno"),
    [
        (1472, "10.0.0.2", None),
        (1473, "10.0.0.2", Errno.EMSGSIZE),
        (65508, "10.0.0.2", Errno.EMSGSIZE),
        (10, "192.0.2.1", Errno.ENETUNREACH),
    ],
)
def test_errors_of_send(size: int, destination: str, errno: Errno | None) -> None:
    wire = Wire()
    assert wire.a.sockets.open_udp(ignore).send(bytes(size), ip(destination), 53, 0) is errno


def test_ports_in_use() -> None:
    wire = Wire(ip_local_port_range=(40000, 40001))
    wire.a.sockets.open_udp(ignore, 53)
    with pytest.raises(InUseError, match="UDP port 53"):
        wire.a.sockets.open_udp(ignore, 53)
    taken = [wire.a.sockets.open_udp(ignore) for _ in range(2)]
    assert {sock.port for sock in taken} == {40000, 40001}
    with pytest.raises(InUseError):
        wire.a.sockets.open_udp(ignore)
    taken[0].close()
    assert wire.a.sockets.open_udp(ignore).port == taken[0].port


def test_a_socket_closed_twice_does_not_take_anothers_port_away() -> None:
    wire = Wire()
    heard: Heard = []
    first = listen(wire, heard, port=53)
    first.close()
    listen(wire, heard, port=53)
    first.close()
    assert wire.b.sockets.deliver(Packet(Flow(A, B, 1, 53, UDP), UdpDatagram(b"x")), 0) is None
    assert len(heard) == 1


def test_a_new_route_changes_the_source() -> None:
    wire = Wire()
    sock = wire.a.sockets.open_udp(ignore)
    sock.send(b"1", B, 53, 0)
    wire.a.remove_route(Prefix.parse("10.0.0.0/24"))
    assert sock.send(b"2", B, 53, 0) is Errno.ENETUNREACH


def test_a_server_of_many_forgets_flows() -> None:
    wire = Wire()
    sock = wire.a.sockets.open_udp(ignore)
    for port in range(1, 3000):
        sock.send(b"x", B, port, 0)
    assert len(sock._flows) <= 1026
