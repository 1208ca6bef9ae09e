"""The sockets of one namespace: who gets an arriving packet, which ports are taken, what happens when a process dies.

Called by `path.deliver` with packets for this namespace, and by applications. TCP segments are found by their flow as received, then by
listener; UDP datagrams by address and port. Sources: net/ipv4/inet_hashtables.c, inet_connection_sock.c, udp.c.

Ephemeral ports (net.ipv4.ip_local_port_range) are taken per destination: from a random start every second port, then the others, as
__inet_hash_connect does (there the start is a hash with a secret).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from netsim.kernel import tcp_output, tcp_timer
from netsim.kernel.errno import Errno
from netsim.kernel.hooks import DropReason
from netsim.kernel.tcp import ORPHAN, TcpConnection, TcpHandler
from netsim.kernel.tcp_listen import OnAccept, TcpListener
from netsim.kernel.tcp_state import Event, State
from netsim.kernel.tcp_timewait import TimeWait, TimeWaits
from netsim.kernel.udp import IcmpSocket, OnDatagram, OnEcho, UdpSocket
from netsim.wire.addr import Address
from netsim.wire.packet import ACK, FIN, ICMP, RST, SYN, TCP, UDP, Flow, Packet, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

MASK: Final = 0xFFFFFFFF

# icmp_err_convert in net/ipv4/icmp.c; (3, 4) is "fragmentation needed".
_TOO_BIG: Final = (3, 4)
ICMP_ERRORS: Final = {
    (3, 0): Errno.ENETUNREACH,
    (3, 1): Errno.EHOSTUNREACH,
    (3, 2): Errno.ECONNREFUSED,
    (3, 3): Errno.ECONNREFUSED,
    (3, 9): Errno.ENETUNREACH,
    (3, 10): Errno.EHOSTUNREACH,
    (3, 13): Errno.EHOSTUNREACH,
    (11, 0): Errno.EHOSTUNREACH,
}


class InUseError(OSError):
    """EADDRINUSE: somebody listens there already."""


class Sockets:
    """Sockets of a namespace."""

    __slots__ = ("_generation", "_icmp", "_listeners", "_mss", "_next_port", "_secret", "_sources", "_time_waits", "_udp",
                 "by_key", "ns")  # fmt: skip

    def __init__(self, ns: "Namespace") -> None:
        self.ns = ns
        self.by_key: dict[Flow, TcpConnection | TimeWait] = {}
        self._listeners: dict[tuple[Address | None, int], TcpListener] = {}
        self._udp: dict[tuple[Address | None, int], UdpSocket] = {}
        self._icmp: dict[int, IcmpSocket] = {}
        self._next_port: dict[tuple[int, Address, int], int] = {}
        self._secret = ns.random.getrandbits(32)
        self._time_waits = TimeWaits(self)
        self._generation = 0
        self._sources: dict[Address, Address | None] = {}
        self._mss: dict[Address, int] = {}

    # ------------------------------------------------------------------ system calls
    def listen(
        self, port: int, on_accept: OnAccept, address: Address | None = None, owner: object = None
    ) -> TcpListener:
        """socket, bind, listen. Raises InUseError."""
        if (address, port) in self._listeners or (None, port) in self._listeners:
            raise InUseError(f"{self.ns.name}: port {port} is in use")
        listener = TcpListener(self, address, port, on_accept, owner)
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
        """socket, connect. Whatever happens is told to the handler; an error known at once, before this returns."""
        chosen = source if source is not None else self.source_for(dst)
        port = sport or (self._free_port(chosen, dst, dport) if chosen is not None else 0)
        flow = Flow(chosen or dst, dst, port, dport, TCP)
        conn = TcpConnection(
            self, flow, flow.reverse(), State.CLOSED, handler, owner, self.mss_for(dst), self.initial_sequence(now)
        )
        conn.move(Event.CONNECT)
        if chosen is None or not port:
            conn.fail(Errno.ENETUNREACH if chosen is None else Errno.EADDRNOTAVAIL, now)
            return conn
        self.by_key[conn.key] = conn
        conn.snd_nxt = conn.snd_max = conn.snd_end
        conn.rtt_at = conn.stalled_at = now
        conn.rto_at = now + tcp_timer.RTO_INITIAL_NS
        self.ns.timers.arm(conn, conn.rto_at)
        error = tcp_output.send_syn(conn, now)
        if error is not None and conn.state is not State.CLOSED:
            conn.fail(error, now)
        return conn

    def open_udp(
        self, on_datagram: OnDatagram, port: int = 0, address: Address | None = None, owner: object = None
    ) -> UdpSocket:
        """socket, bind; port 0 takes an ephemeral one. Raises InUseError."""
        port = port or self._free_udp_port()
        if (address, port) in self._udp:
            raise InUseError(f"{self.ns.name}: UDP port {port} is in use")
        sock = self._udp[address, port] = UdpSocket(self, on_datagram, address, port, owner)
        return sock

    def open_icmp(self, on_echo: OnEcho, identifier: int = 0, owner: object = None) -> IcmpSocket:
        """A socket for echo requests (ping)."""
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
            if found is not None:
                return found.arrive(packet, now)
            return self._to_listener(packet, now)
        if proto == UDP:
            return self._deliver_udp(packet, now)
        return self._deliver_echo(packet, now)

    def _to_listener(self, packet: Packet, now: int, iss: int | None = None) -> DropReason | None:
        flow = packet.flow
        listener = self._listeners.get((flow.dst, flow.dport)) or self._listeners.get((None, flow.dport))
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
        sock.on_datagram(sock, packet.body.payload, flow.src, flow.sport, now)  # type: ignore[union-attr]
        return None

    def _deliver_echo(self, packet: Packet, now: int) -> DropReason | None:
        sock = self._icmp.get(packet.flow.sport)
        if sock is None:
            return DropReason.ICMP_UNMATCHED
        sock.on_echo(sock, packet, None, now)
        return None

    def icmp_error(self, flow: Flow, type: int, code: int, now: int) -> None:  # noqa: A002 - RFC 792
        """An ICMP error about a packet of `flow`, as this namespace sent it."""
        errno = ICMP_ERRORS.get((type, code), Errno.EHOSTUNREACH)
        if flow.proto == TCP:
            conn = self.by_key.get(flow.reverse())
            if isinstance(conn, TcpConnection):
                conn.icmp_error(errno, (type, code) == _TOO_BIG, now)
        elif flow.proto == UDP:
            sock = self._udp.get((flow.src, flow.sport)) or self._udp.get((None, flow.sport))
            if sock is not None and sock.on_error is not None:
                sock.on_error(sock, errno, flow, now)
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
        for conn in [entry for entry in self.by_key.values() if entry.owner is owner]:
            if isinstance(conn, TcpConnection):
                conn.handler = ORPHAN
                conn.close(now)

    def destroy(self) -> None:
        """The namespace is gone: nothing is sent, nobody is told."""
        for conn in self.by_key.values():
            if isinstance(conn, TcpConnection):
                conn.state = State.CLOSED
                conn.deadline_ns = 0
                conn.handler = ORPHAN
        self.by_key.clear()
        self._listeners.clear()
        self._udp.clear()
        self._icmp.clear()
        self._time_waits.clear()

    # ------------------------------------------------------------------ book-keeping
    def remember(self, conn: TcpConnection) -> None:
        """A connection exists from now on."""
        self.by_key[conn.key] = conn

    def forget(self, conn: TcpConnection | TimeWait) -> None:
        """It exists no more."""
        if self.by_key.get(conn.key) is conn:
            del self.by_key[conn.key]
        if isinstance(conn, TcpConnection):
            conn.deadline_ns = conn.rto_at = conn.ack_at = conn.idle_at = 0

    def enter_time_wait(self, conn: TcpConnection, now: int) -> None:
        """Both halves are closed and we closed first."""
        self.forget(conn)
        entry = TimeWait(conn, now)
        self.by_key[conn.key] = entry
        self._time_waits.add(entry)
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

    def _remembered(self, memory: dict[Address, Any], dst: Address, ask: Callable[[Address], Any]) -> Any:
        if self._generation != self.ns.generation:
            self._generation = self.ns.generation
            self._sources.clear()
            self._mss.clear()
        found = memory.get(dst)
        if found is None:
            found = memory[dst] = ask(dst)
        return found

    def initial_sequence(self, now: int) -> int:
        """A clock that ticks every 64 ns from a secret start (net/core/secure_seq.c seq_scale)."""
        return (self._secret + (now >> 6)) & MASK

    def _free_port(self, source: Address, dst: Address, dport: int) -> int:
        """An ephemeral port that makes the connection unique; 0 when all are in use."""
        low, high = self.ns.sysctl.ip_local_port_range
        size = high - low + 1
        start = self._next_port.get((TCP, dst, dport))
        if start is None:
            start = self.ns.random.randrange(size) & ~1
        for step in range(size):
            offset = (start + 2 * step) % size if 2 * step < size else (start + 1 + 2 * step) % size
            port = low + offset
            if Flow(dst, source, dport, port, TCP) not in self.by_key:
                self._next_port[TCP, dst, dport] = (offset + 2) % size
                return port
        return 0

    def _free_udp_port(self) -> int:
        low, high = self.ns.sysctl.ip_local_port_range
        for _ in range(256):
            port = self.ns.random.randint(low, high)
            if (None, port) not in self._udp:
                return port
        return next(port for port in range(low, high + 1) if (None, port) not in self._udp)
