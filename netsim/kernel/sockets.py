"""The sockets of one namespace: who gets an arriving packet, which ports are taken, what happens when a process dies.

Called by `path.deliver` with packets for this namespace, and by applications. TCP segments are found by their flow as
received, then by listener; UDP datagrams by address and port. Sources: net/ipv4/inet_hashtables.c,
inet_connection_sock.c, udp.c, icmp.c.

Initial sequence numbers follow RFC 6528: a clock that ticks every 64 ns (net/core/secure_seq.c) plus a secret of the
namespace and the peer's or own ephemeral port, so that a port used again always starts higher.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from netsim.kernel import icmp, tcp_open
from netsim.kernel.errno import Errno
from netsim.kernel.hooks import DropReason, Stolen
from netsim.kernel.sctp_sockets import SctpSockets
from netsim.kernel.tcp import TcpConnection
from netsim.kernel.tcp_handler import ORPHAN, TcpHandler
from netsim.kernel.tcp_listen import OnAccept, TcpListener
from netsim.kernel.tcp_ports import EphemeralPorts, PortUse
from netsim.kernel.tcp_state import CLOSED, CONNECTING
from netsim.kernel.tcp_timewait import TimeWait, TimeWaits
from netsim.kernel.udp import IcmpSocket, OnDatagram, OnEcho, UdpSocket
from netsim.wire.addr import Address
from netsim.wire.packet import ACK, FIN, ICMP, ICMPV6, RST, SCTP, SYN, TCP, UDP, Flow, Packet, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

MASK: Final = 0xFFFFFFFF

# icmp_err_convert in net/ipv4/icmp.c and its use in tcp_v4_err, as far as `Errno` has the numbers.
_UNREACHABLE: Final = 3
_TIME_EXCEEDED: Final = 11
_UNREACHABLE_ERRNO: Final = {
    0: Errno.ENETUNREACH,
    2: Errno.ECONNREFUSED,
    3: Errno.ECONNREFUSED,
    4: Errno.EMSGSIZE,
    6: Errno.ENETUNREACH,
    9: Errno.ENETUNREACH,
    11: Errno.ENETUNREACH,
}
# tab_unreach and icmpv6_err_convert in net/ipv6/icmp.c.
_UNREACHABLE_ERRNO_V6: Final = {
    0: Errno.ENETUNREACH,
    1: Errno.EACCES,
    4: Errno.ECONNREFUSED,
    5: Errno.EACCES,
    6: Errno.EACCES,
}
_ERRNO_V6: Final = {2: Errno.EMSGSIZE, 3: Errno.EHOSTUNREACH, 4: Errno.EPROTO}


def icmp_errno(type: int, code: int, family: int = 4) -> Errno | None:
    """What an ICMP error means to a socket; None for messages that sockets ignore."""
    if family == 16:
        if type == icmp.UNREACHABLE_V6:
            return _UNREACHABLE_ERRNO_V6.get(code, Errno.EHOSTUNREACH)
        return _ERRNO_V6.get(type)
    if type == _UNREACHABLE:
        return _UNREACHABLE_ERRNO.get(code, Errno.EHOSTUNREACH)
    return Errno.EHOSTUNREACH if type == _TIME_EXCEEDED else None


class InUseError(OSError):
    """EADDRINUSE: somebody listens there already."""


class Route(NamedTuple):
    """Source address towards a destination (None: unreachable) and the MSS that the MTU allows, bytes."""

    source: Address | None
    mss: int


class Sockets:
    """Sockets of a namespace."""

    __slots__ = (
        "_generation",
        "_icmp",
        "_listeners",
        "_ports",
        "_routes",
        "_secret",
        "_udp",
        "by_key",
        "ns",
        "sctp",
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
        self._routes: dict[Address, Route] = {}
        self.sctp = SctpSockets(self)

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
        self.time_waits.sweep(now)
        route = self.route(dst)
        src = route.source if source is None else source
        errno = None
        if src is None:
            src, errno = dst, Errno.ENETUNREACH
        elif source is not None and not self.ns.is_local(source):
            errno = Errno.EADDRNOTAVAIL
        ports, port = None, sport
        if not sport and errno is None:
            ports = self._ports.towards(src, dst, dport)
            port = ports.free_port(self.by_key, self._listeners)
        # tuple.__new__ makes a Flow in half the time of Flow(...).
        flow = tuple.__new__(Flow, (src, dst, port, dport, TCP))
        key = tuple.__new__(Flow, (dst, src, dport, port, TCP))
        iss = self.initial_sequence(port, now)
        conn = TcpConnection(self, flow, key, CONNECTING, handler, owner, route.mss, iss)
        if errno is None:
            errno = self._begin(conn, ports, now)
        if errno is not None and conn.doomed is None:
            conn.doom(errno, now)
        return conn

    def _begin(self, conn: TcpConnection, ports: PortUse | None, now: int) -> Errno | None:
        key = conn.key
        if key.dport == 0:
            return Errno.EADDRNOTAVAIL
        if ports is not None:
            ports.count(key.dport, 1)
        elif key in self.by_key or self._listener_at(key.dst, key.dport) is not None:
            return Errno.EADDRINUSE
        conn.ports = ports
        self.by_key[key] = conn
        return tcp_open.begin(conn, now)

    def _listener_at(self, address: Address, port: int) -> TcpListener | None:
        return self._listeners.get((address, port)) or self._listeners.get((None, port))

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
    def deliver(self, packet: Packet, now: int) -> DropReason | Stolen | None:
        """Hand a packet to its socket; None, or why nobody took it (its sender has been told). STOLEN: it goes on, out
        of a tunnel."""
        flow = packet.flow
        found = self.by_key.get(flow)
        if found is not None:
            return found.arrive(packet, now)
        if flow.proto == TCP:
            return self._to_listener(packet, now)
        if flow.proto == UDP:
            return self._deliver_udp(packet, now)
        if flow.proto == SCTP:
            return self.sctp.deliver(packet, now)
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

    def _deliver_udp(self, packet: Packet, now: int) -> DropReason | Stolen | None:
        flow = packet.flow
        sock = self._udp.get((flow.dst, flow.dport)) or self._udp.get((None, flow.dport))
        if sock is None:
            self.ns.icmp_error(packet, 3, 3, now)
            return DropReason.NO_SOCKET
        if sock.encap_rcv is not None:
            return sock.encap_rcv(packet, now)
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
        errno = icmp_errno(type, code, len(flow.src))
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
        elif flow.proto == SCTP:
            self.sctp.icmp_error(flow, errno)
        elif flow.proto in (ICMP, ICMPV6) and flow.sport in self._icmp:
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
        self.sctp.close_all(owner, now)
        for conn in self.connections():
            if conn.owner is owner:
                conn.handler = ORPHAN
                conn.close(now)

    def destroy(self) -> None:
        """The namespace is gone: nothing is sent, nobody is told."""
        for conn in self.connections():
            conn.state = CLOSED
            conn.handler = ORPHAN
            conn.stop_timers()
        self.by_key.clear()
        self._listeners.clear()
        self._udp.clear()
        self._icmp.clear()
        self.sctp.destroy()
        self.time_waits.clear()

    # ------------------------------------------------------------------ book-keeping
    def connections(self) -> list[TcpConnection]:
        """All connections, TIME_WAIT excluded, in the order in which they began."""
        return [entry for entry in self.by_key.values() if isinstance(entry, TcpConnection)]

    def forget(self, entry: TcpConnection | TimeWait) -> None:
        """It exists no more; harmless when it is already forgotten."""
        if self.by_key.get(entry.key) is entry:
            del self.by_key[entry.key]
            if entry.ports is not None:
                entry.ports.count(entry.flow.sport, -1)
        entry.stop_timers()

    def enter_time_wait(self, conn: TcpConnection, now: int) -> None:
        """Both halves are closed and we closed first: a small entry takes the connection's place."""
        entry = self.by_key[conn.key] = TimeWait(conn, now)
        self.time_waits.add(entry, now)
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

    def route(self, dst: Address) -> Route:
        """What the routes say about a destination, remembered until something changes."""
        if self._generation != self.ns.generation:
            self._generation = self.ns.generation
            self._routes.clear()
        found = self._routes.get(dst)
        if found is None:
            mss = min(self.ns.mtu_for(dst), 65535) - (40 if len(dst) == 4 else 60)
            found = self._routes[dst] = Route(self.ns.source_for(dst), mss)
        return found

    def free_port(self, is_free: Callable[[int], bool]) -> int:
        """An ephemeral port for a socket of another protocol; 0 if there is none."""
        return self._ports.unbound(is_free)

    def initial_sequence(self, port: int, now: int) -> int:
        """RFC 6528; `port` is the one of the two that is ephemeral."""
        return (self._secret + port * 2654435761 + (now >> 6)) & MASK
