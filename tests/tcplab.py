"""A bench for transport tests: two real namespaces joined by a wire, a manual clock, and handlers that write down.

No simulation: `Wire.run(until)` delivers packets and rings timers in the order of their times. `Wire.rule` decides
what the wire does with each packet (deliver, lose, repeat, delay).
"""

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from netlab import Clock

from netsim.kernel import path
from netsim.kernel.errno import Errno
from netsim.kernel.netns import Device, Namespace
from netsim.kernel.routing import Route
from netsim.kernel.sysctl import Sysctl
from netsim.kernel.tcp import TcpConnection
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import TCP, Flow, Packet, TcpSegment, tcp_flags_text

S = 1_000_000_000
MS = 1_000_000
US = 1_000

A, B = ip("10.0.0.1"), ip("10.0.0.2")
DELAY = 50 * US

# What the wire does with a packet: the delays of its copies; empty means lost.
Rule = Callable[[Packet, int], list[int]]


class Wire:
    """Hosts `a` (10.0.0.1) and `b` (10.0.0.2); `log` holds (time sent, packet) of everything put on the wire."""

    def __init__(self, seed: int = 1, mtu: int = 1500, **sysctl: Any) -> None:
        self.clock = Clock()
        self.now = 0
        self.rule: Rule = lambda _packet, _now: [DELAY]
        self.log: list[tuple[int, Packet]] = []
        self._flying: list[tuple[int, int, Device, Packet]] = []
        self._sequence = 0
        self.a = self._host("a", A, seed, mtu, sysctl)
        self.b = self._host("b", B, seed + 1, mtu, sysctl)
        self._plug(self.a, self.b)
        self._plug(self.b, self.a)

    def _host(self, name: str, address: bytes, seed: int, mtu: int, sysctl: dict[str, Any]) -> Namespace:
        ns = Namespace(name, self.clock, random.Random(seed), Sysctl(**sysctl))
        eth0 = Device(ns, "eth0", b"\x02" + address + b"\0", mtu)
        lo = Device(ns, "lo", b"\0" * 6, 65536)
        lo.transmit = lambda packet, at: self._fly(lo, packet, at, US)
        for device in (lo, eth0):
            ns.add_device(device)
        ns.add_address(address, eth0)
        ns.add_route(Route(Prefix(ip("10.0.0.0"), 24), eth0, source=address))
        ns.neighbours.fixed(eth0, b"\x02\0\0\0\0\xff")
        return ns

    def _plug(self, one: Namespace, other: Namespace) -> None:
        target = other.devices["eth0"]

        def transmit(packet: Packet, at: int) -> None:
            self.log.append((at, packet))
            for number, delay in enumerate(self.rule(packet, at)):
                self._fly(target, packet if number == 0 else packet.copy(0), at, delay)

        one.devices["eth0"].transmit = transmit

    def _fly(self, device: Device, packet: Packet, at: int, delay: int) -> None:
        self._sequence += 1
        heappush(self._flying, (at + delay, self._sequence, device, packet))

    def run(self, until: int) -> None:
        """Deliver and ring everything due by then."""
        while True:
            alarm = min(self.clock.alarms, default=until + 1)
            arrival = self._flying[0][0] if self._flying else until + 1
            if min(alarm, arrival) > until:
                break
            if arrival <= alarm:
                self.now, _, device, packet = heappop(self._flying)
                path.receive(device, packet, self.now)
            else:
                self.now = alarm
                self.clock.run(alarm)
        self.now = until

    def cut(self) -> None:
        """From now on everything is lost."""
        self.rule = lambda _packet, _now: []

    def mend(self) -> None:
        """From now on nothing is."""
        self.rule = lambda _packet, _now: [DELAY]

    def take(self) -> list[str]:
        """What was sent since the last time, as `text` gives it."""
        lines = [text(packet) for _, packet in self.log]
        self.log.clear()
        return lines

    def times(self) -> list[int]:
        """When, ns."""
        return [at for at, _ in self.log]


def text(packet: Packet) -> str:
    """`a S`, `b S.`, `a P. 5`: the sender, tcpdump's flags, the payload's length."""
    segment = packet.body
    assert isinstance(segment, TcpSegment)
    sender = "a" if packet.flow.src == A else "b"
    size = f" {len(segment.payload)}" if segment.payload else ""
    return f"{sender} {tcp_flags_text(segment.flags)}{size}"


class Recorder:
    """A handler that writes down what it is told. `on_data` and `on_end` may react."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = b""
        self.at: dict[str, int] = {}
        self.conn: TcpConnection | None = None
        self.on_connected: Callable[[TcpConnection, int], object] | None = None
        self.on_data: Callable[[TcpConnection, bytes, int], object] | None = None
        self.on_end: Callable[[TcpConnection, int], object] | None = None

    def _note(self, event: str, conn: TcpConnection, now: int) -> None:
        self.events.append(event)
        self.at[event] = now
        self.conn = conn

    def connected(self, conn: TcpConnection, now: int) -> None:
        self._note("connected", conn, now)
        if self.on_connected is not None:
            self.on_connected(conn, now)

    def received(self, conn: TcpConnection, data: bytes, now: int) -> None:
        self.data += data
        if self.on_data is not None:
            self.on_data(conn, data, now)

    def peer_closed(self, conn: TcpConnection, now: int) -> None:
        self._note("peer_closed", conn, now)
        if self.on_end is not None:
            self.on_end(conn, now)

    def closed(self, conn: TcpConnection, now: int) -> None:
        self._note("closed", conn, now)

    def failed(self, conn: TcpConnection, errno: Errno, now: int) -> None:
        self._note(errno.name, conn, now)


class Server:
    """Listens on a port of a namespace; `accepted` are the recorders of its connections."""

    def __init__(self, ns: Namespace, port: int = 80, **how: Any) -> None:
        self.accepted: list[Recorder] = []
        self.connections: list[TcpConnection] = []
        self.setup: Callable[[Recorder], None] | None = None
        self.listener = ns.sockets.listen(port, self._accept, **how)

    def _accept(self, conn: TcpConnection, _now: int) -> Recorder:
        recorder = Recorder()
        if self.setup is not None:
            self.setup(recorder)
        self.accepted.append(recorder)
        self.connections.append(conn)
        return recorder


def close_on_end(recorder: Recorder) -> None:
    """Close when the peer has closed."""
    recorder.on_end = lambda conn, now: conn.close(now)


def pair(wire: Wire, at: int = MS) -> tuple[TcpConnection, Recorder, TcpConnection, Recorder]:
    """An established connection from a to b: both ends with their recorders; the log is empty afterwards."""
    server = Server(wire.b)
    wire.run(at)
    client = Recorder()
    conn = wire.a.sockets.connect(B, 80, client, wire.now)
    wire.run(wire.now + MS)
    server.listener.close(wire.now)
    wire.log.clear()
    return conn, client, server.connections[0], server.accepted[0]


def segment(
    conn: TcpConnection, flags: int, payload: bytes = b"", seq: int | None = None, ack: int | None = None
) -> Packet:
    """A segment as the peer of `conn` would send it."""
    seq = conn.rcv_nxt if seq is None else seq & 0xFFFFFFFF
    ack = conn.snd_max if ack is None else ack & 0xFFFFFFFF
    return Packet(conn.key, TcpSegment(seq, ack, flags, 502, b"", payload))


def syn(sport: int, dport: int = 80, seq: int = 1000, options: bytes = b"") -> Packet:
    """A SYN from a to b."""
    return Packet(Flow(A, B, sport, dport, TCP), TcpSegment(seq, 0, 2, 64240, options))
