"""The sockets of one namespace: who gets an arriving packet, which ports are taken, what happens when a process dies.

Called by `path.deliver` with packets for this namespace, and by applications. TCP segments are found by their flow as
received, then by listener; UDP datagrams by address and port. Sources: net/ipv4/inet_hashtables.c,
inet_connection_sock.c, udp.c, icmp.c.

Initial sequence numbers follow RFC 6528: a clock that ticks every 64 ns (net/core/secure_seq.c) plus a secret of the
namespace and the peer's or own ephemeral port, so that a port used again always starts higher.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from netsim.kernel import tcp_open
from netsim.kernel.errno import Errno
from netsim.kernel.hooks import DropReason
from netsim.kernel.tcp import TcpConnection
from netsim.kernel.tcp_handler import ORPHAN, TcpHandler
from netsim.kernel.tcp_listen import OnAccept, TcpListener
from netsim.kernel.tcp_ports import EphemeralPorts
from netsim.kernel.tcp_state import Event, State
from netsim.kernel.tcp_timewait import TimeWait, TimeWaits
from netsim.kernel.udp import IcmpSocket, OnDatagram, OnEcho, UdpSocket
from netsim.wire.addr import Address
from netsim.wire.packet import ACK, FIN, ICMP, RST, SYN, TCP, UDP, Flow, Packet, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

T = TypeVar("T")
MASK: Final = 0xFFFFFFFF

# icmp_err_convert in net/ipv4/icmp.c and its use in tcp_v4_err, as far as `Errno` has the numbers.
_UNREACHABLE: Final = 3
_TIME_EXCEEDED: Final = 11
_TOO_BIG: Final = 4
_UNREACHABLE_ERRNO: Final = {
    0: Errno.ENETUNREACH,
    2: Errno.ECONNREFUSED,
    3: Errno.ECONNREFUSED,
    4: Errno.EMSGSIZE,
    6: Errno.ENETUNREACH,
    9: Errno.ENETUNREACH,
    11: Errno.ENETUNREACH,
}


def icmp_errno(type: int, code: int) -> Errno | None:
    """What an ICMP error means to a socket; None for messages that sockets ignore."""
    if type == _UNREACHABLE:
        return _UNREACHABLE_ERRNO.get(code, Errno.EHOSTUNREACH)
    return Errno.EHOSTUNREACH if type == _TIME_EXCEEDED else None


class InUseError(OSError):
    """EADDRINUSE: somebody listens there already."""


class Sockets:
    """Sockets of a namespace."""

    __slots__ = (
        "_generation",
        "_icmp",
        "_listeners",
        "_mss",
        "_ports",
        "_secret",
        "_sources",
        "_udp",
        "by_key",
        "ns",
        "time_waits",
    )

    def __init__(self, ns: "Namespace") -> None:
        self.ns = ns
        self.by_key: dict[Flow, TcpConnection | TimeWait] = {}
        self.time_waits = TimeWaits(self)
        self._listeners: dict[tuple[Address | None, int], TcpListener] = {}
        self._udp: dict[tuple[Address | None, int], UdpSocket] = {}
        self._icmp: dict[int, IcmpSocket] = {}
        self._ports = EphemeralPorts(ns.sysctl.ip_local_port_range, ns.random)
        self._secret = ns.random.getrandbits(32)
        self._generation = 0
        self._sources: dict[Address, Address | None] = {}
        self._mss: dict[Address, int] = {}

    # ------------------------------------------------------------------ system calls
    def listen(
        self,
        port: int,
        on_accept: OnAccept,
        address: Address | None = None,
        owner: object = None,
        backlog: int = 4096,
    ) -> TcpListener:
        """socket, bind, listen; address None means all. `backlog` is cut to net.core.somaxconn. Raises InUseError."""
        for other_address, other_port in self._listeners:
            if other_port == port and (other_address == address or None in (address, other_address)):
                raise InUseError(f"{self.ns.name}: TCP port {port} is in use")
        backlog = min(backlog, self.ns.sysctl.somaxconn)
        listener = TcpListener(self, address, port, on_accept, owner, backlog)
        self._listeners[address, port] = listener
        return listener

    def connect(
        self,
        dst: Address,
        dport: int,
        handler: TcpHandler,
        now: int,
        source: Address | None = None,
        sport: int = 0,
        owner: object = None,
    ) -> TcpConnection:
        """socket, connect. Whatever happens is told to the handler after this has returned, also an error known at
        once: ENETUNREACH without a route, EADDRNOTAVAIL for a foreign source address or when no ephemeral port is
        left, EADDRINUSE when `sport` is given and taken."""
        found = self.source_for(dst) if source is None or self.ns.is_local(source) else None
        errno = None if found is not None else Errno.ENETUNREACH if source is None else Errno.EADDRNOTAVAIL
        src = source or found or dst
        port = sport or (self._ephemeral(src, dst, dport) if errno is None else 0)
        flow, key = Flow(src, dst, port, dport, TCP), Flow(dst, src, dport, port, TCP)
        first = self.initial_sequence(port, now)
        conn = TcpConnection(self, flow, key, State.CLOSED, handler, owner, self.mss_for(dst), first)
        conn.move(Event.CONNECT)
        if errno is None and (not port or key in self.by_key or (sport and self._listener_at(src, port))):
            errno = Errno.EADDRINUSE if sport else Errno.EADDRNOTAVAIL
        if errno is None:
            conn.ephemeral = not sport
            self.by_key[key] = conn
            errno = tcp_open.begin(conn, now)
        if errno is not None and conn.doomed is None:
            conn.doom(errno, now)
        return conn

    def _listener_at(self, address: Address, port: int) -> TcpListener | None:
        return self._listeners.get((address, port)) or self._listeners.get((None, port))

    def _ephemeral(self, src: Address, dst: Address, dport: int) -> int:
        by_key, listeners = self.by_key, self._listeners

        def is_free(port: int) -> bool:
            return (dst, src, dport, port, TCP) not in by_key and (None, port) not in listeners

        return self._ports.take((src, dst, dport), is_free)

    def open_udp(
        self, on_datagram: OnDatagram, port: int = 0, address: Address | None = None, owner: object = None
    ) -> UdpSocket:
        """socket, bind; port 0 takes an ephemeral one, address None means all. Raises InUseError, also when no
        ephemeral port is left."""
        port = port or self._ports.unbound(lambda free: (address, free) not in self._udp)
        if not port or (address, port) in self._udp:
            raise InUseError(f"{self.ns.name}: UDP port {port or 'range'} is in use")
        sock = self._udp[address, port] = UdpSocket(self, on_datagram, address, port, owner)
        return sock

    def open_icmp(self, on_echo: OnEcho, identifier: int = 0, owner: object = None) -> IcmpSocket:
        """A socket for echo requests (ping); identifier 0 takes a free one. Raises InUseError."""
        if identifier in self._icmp:
            raise InUseError(f"{self.ns.name}: ICMP identifier {identifier} is in use")
        while not identifier or identifier in self._icmp:
            identifier = self.ns.random.randrange(1, 65536)
        sock = self._icmp[identifier] = IcmpSocket(self, identifier, on_echo, owner)
        return sock

    # ------------------------------------------------------------------ arriving packets
    def deliver(self, packet: Packet, now: int) -> DropReason | None:
        """Hand a packet to its socket; None, or why nobody took it (its sender has been told)."""
        flow = packet.flow
        proto = flow.proto
        if proto == TCP:
            found = self.by_key.get(flow)
            return self._to_listener(packet, now) if found is None else found.arrive(packet, now)
        if proto == UDP:
            return self._deliver_udp(packet, now)
        return self._deliver_echo(packet, now)

    def _to_listener(self, packet: Packet, now: int, iss: int | None = None) -> DropReason | None:
        flow = packet.flow
        listener = self._listener_at(flow.dst, flow.dport)
        if listener is not None:
            return listener.arrive(packet, now, iss)
        assert isinstance(packet.body, TcpSegment)
        self.refuse(flow, packet.body, now)
        return DropReason.NO_SOCKET

    def syn_after_time_wait(self, packet: Packet, iss: int, now: int) -> DropReason | None:
        """A SYN that ended a TIME_WAIT."""
        return self._to_listener(packet, now, iss)

    def _deliver_udp(self, packet: Packet, now: int) -> DropReason | None:
        flow = packet.flow
        sock = self._udp.get((flow.dst, flow.dport)) or self._udp.get((None, flow.dport))
        if sock is None:
            self.ns.icmp_error(packet, 3, 3, now)
            return DropReason.NO_SOCKET
        sock.arrived_at = flow.dst
        sock.on_datagram(sock, packet.body.payload, flow.src, flow.sport, now)  # type: ignore[union-attr]
        return None

    def _deliver_echo(self, packet: Packet, now: int) -> DropReason | None:
        sock = self._icmp.get(packet.flow.sport)
        if sock is None:
            return DropReason.ICMP_UNMATCHED
        sock.on_echo(sock, packet, None, now)
        return None

    def icmp_error(self, flow: Flow, type: int, code: int, now: int) -> None:
        """An ICMP error about a packet of `flow`, as this namespace sent it."""
        errno = icmp_errno(type, code)
        if errno is None:
            return
        if flow.proto == TCP:
            conn = self.by_key.get(flow.reverse())
            if isinstance(conn, TcpConnection):
                conn.icmp_error(errno, errno is Errno.EMSGSIZE, now)
        elif flow.proto == UDP:
            sock = self._udp.get((flow.src, flow.sport)) or self._udp.get((None, flow.sport))
            if sock is not None:
                sock.icmp_error(errno, flow, now)
        elif flow.proto == ICMP and flow.sport in self._icmp:
            echo = self._icmp[flow.sport]
            echo.on_echo(echo, None, errno, now)

    def refuse(self, received: Flow, segment: TcpSegment, now: int) -> None:
        """RST for a segment that belongs to nothing (RFC 9293 section 3.10.7.1)."""
        if segment.flags & RST:
            return
        if segment.flags & ACK:
            answer = TcpSegment(segment.ack, 0, RST, 0)
        else:
            length = len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
            answer = TcpSegment(0, (segment.seq + length) & MASK, RST | ACK, 0)
        self.ns.output(Packet(received.reverse(), answer, next(self.ns.uids)), now)

    # ------------------------------------------------------------------ processes and namespaces that end
    def close_all(self, owner: object, now: int) -> None:
        """A process has died: the kernel closes its sockets. Unread data makes that a RST, otherwise it is a FIN."""
        for listener in [entry for entry in self._listeners.values() if entry.owner is owner]:
            listener.close(now)
        for sock in [entry for entry in self._udp.values() if entry.owner is owner]:
            sock.close()
        for echo in [entry for entry in self._icmp.values() if entry.owner is owner]:
            echo.close()
        for conn in self.connections():
            if conn.owner is owner:
                conn.handler = ORPHAN
                conn.close(now)

    def destroy(self) -> None:
        """The namespace is gone: nothing is sent, nobody is told."""
        for conn in self.connections():
            conn.state = State.CLOSED
            conn.handler = ORPHAN
            conn.stop_timers()
        self.by_key.clear()
        self._listeners.clear()
        self._udp.clear()
        self._icmp.clear()
        self.time_waits.clear()

    # ------------------------------------------------------------------ book-keeping
    def connections(self) -> list[TcpConnection]:
        """All connections, TIME_WAIT excluded, in the order in which they began."""
        return [entry for entry in self.by_key.values() if isinstance(entry, TcpConnection)]

    def remember(self, conn: TcpConnection) -> None:
        """A connection exists from now on."""
        self.by_key[conn.key] = conn

    def forget(self, entry: TcpConnection | TimeWait) -> None:
        """It exists no more; harmless when it is already forgotten."""
        key = entry.key
        if self.by_key.get(key) is entry:
            del self.by_key[key]
            if entry.ephemeral:
                self._ports.give_back((key.dst, key.src, key.sport))
        if isinstance(entry, TcpConnection):
            entry.stop_timers()

    def enter_time_wait(self, conn: TcpConnection, now: int) -> None:
        """Both halves are closed and we closed first: a small entry takes the connection's place."""
        entry = self.by_key[conn.key] = TimeWait(conn, now)
        self.time_waits.add(entry)
        conn.stop_timers()
        conn.handler.closed(conn, now)

    def forget_listener(self, listener: TcpListener) -> None:
        """A listener was closed."""
        self._listeners.pop((listener.address, listener.port), None)

    def forget_udp(self, sock: UdpSocket) -> None:
        """A UDP socket was closed."""
        if self._udp.get((sock.address, sock.port)) is sock:
            del self._udp[sock.address, sock.port]

    def forget_icmp(self, sock: IcmpSocket) -> None:
        """An ICMP socket was closed."""
        self._icmp.pop(sock.identifier, None)

    def source_for(self, dst: Address) -> Address | None:
        """The source address towards a destination, remembered until routes change."""
        return self._remembered(self._sources, dst, self.ns.source_for)

    def mss_for(self, dst: Address) -> int:
        """The MSS that the route's MTU allows, bytes."""
        return self._remembered(self._mss, dst, self._mss_of)

    def _mss_of(self, dst: Address) -> int:
        return min(self.ns.mtu_for(dst), 65535) - (40 if len(dst) == 4 else 60)

    def _remembered(self, memory: dict[Address, T], dst: Address, ask: Callable[[Address], T]) -> T:
        if self._generation != self.ns.generation:
            self._generation = self.ns.generation
            self._sources.clear()
            self._mss.clear()
        found = memory.get(dst)
        if found is None:
            found = memory[dst] = ask(dst)
        return found

    def initial_sequence(self, port: int, now: int) -> int:
        """RFC 6528; `port` is the one of the two that is ephemeral."""
        return (self._secret + port * 2654435761 + (now >> 6)) & MASK
