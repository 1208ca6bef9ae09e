"""A listening TCP socket: SYNs become connections, connections wait to be accepted (net/ipv4/tcp_input.c
tcp_conn_request, inet_connection_sock.c).

Called by `sockets.py` with segments that belong to no connection. An application normally accepts at once, within
`on_accept`; after `pause` (it hangs, or is too busy) handshakes still succeed and connections collect in the
accept queue with the data they receive. When that holds more than `backlog` of them, SYNs are dropped and last
ACKs ignored, so that the clients' ladders go on (net.ipv4.tcp_abort_on_overflow=0).

Simplified: half-open connections are not limited, since Linux answers with SYN cookies then
(net.ipv4.tcp_syncookies=1).
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from netsim.kernel import tcp_open
from netsim.kernel.hooks import DropReason
from netsim.kernel.tcp import TcpConnection
from netsim.kernel.tcp_handler import ORPHAN, TcpHandler
from netsim.kernel.tcp_state import HALF_OPEN
from netsim.wire.packet import ACK, RST, SYN, TCP, Flow, Packet, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.sockets import Sockets
    from netsim.wire.addr import Address

OnAccept = Callable[[TcpConnection, int], TcpHandler]


class TcpListener:
    """`on_accept(connection, now)` is called when a handshake is complete and returns the connection's handler.

    `waiting` is the accept queue, in use only while the listener is paused; `backlog` is listen(2)'s, at most
    net.core.somaxconn.
    """

    __slots__ = ("address", "backlog", "on_accept", "owner", "paused", "port", "sockets", "waiting")

    def __init__(
        self,
        sockets: "Sockets",
        address: "Address | None",
        port: int,
        on_accept: OnAccept,
        owner: object,
        backlog: int,
    ) -> None:
        self.sockets = sockets
        self.address = address
        self.port = port
        self.on_accept = on_accept
        self.owner = owner
        self.backlog = backlog
        self.paused = False
        self.waiting: deque[TcpConnection] = deque()

    @property
    def full(self) -> bool:
        """Whether the accept queue takes no more (sk_acceptq_is_full)."""
        return len(self.waiting) > self.backlog

    # ------------------------------------------------------------------ system calls
    def pause(self) -> None:
        """The application stops calling accept."""
        self.paused = True

    def resume(self, now: int) -> None:
        """The application accepts again, first those who waited."""
        self.paused = False
        while self.waiting and not self.paused:
            conn = self.waiting.popleft()
            self._hand_over(conn, now)
            conn.resume(now)

    def close(self, now: int) -> None:
        """Stop listening; whoever was not accepted yet is reset, who is half open forgotten (inet_csk_listen_stop)."""
        self.sockets.forget_listener(self)
        for conn in list(self.waiting):
            conn.abort(now)
        for conn in self.sockets.connections():
            if conn.listener is self:
                conn.kill(now)

    # ------------------------------------------------------------------ segments
    def arrive(self, packet: Packet, now: int, iss: int | None = None) -> DropReason | None:
        """A segment for no connection: a SYN begins one, an ACK is refused."""
        segment = packet.body
        assert isinstance(segment, TcpSegment)
        if segment.flags & RST:
            return DropReason.TCP_ABORTED
        if segment.flags & ACK or not segment.flags & SYN:
            self.sockets.refuse(packet.flow, segment, now)
            return DropReason.TCP_ABORTED
        if self.waiting and self.full:
            return DropReason.TCP_LISTEN_OVERFLOW
        self._open(packet, segment, now, iss)
        return None

    def _open(self, packet: Packet, segment: TcpSegment, now: int, iss: int | None) -> None:
        sockets, key = self.sockets, packet.flow
        flow = tuple.__new__(
            Flow, (key.dst, key.src, key.dport, key.sport, TCP)
        )  # Flow(...), in half the time
        mss = sockets.route(flow.dst).mss
        first = sockets.initial_sequence(key.sport, now) if iss is None else iss
        conn = TcpConnection(sockets, flow, key, HALF_OPEN, ORPHAN, self.owner, mss, first)
        conn.listener = self
        tcp_open.take_syn(conn, segment)
        sockets.by_key[key] = conn
        tcp_open.begin(conn, now)

    def accepted(self, conn: TcpConnection, now: int) -> None:
        """The handshake is complete."""
        if self.paused:
            conn.pause()
            self.waiting.append(conn)
        else:
            self._hand_over(conn, now)

    def _hand_over(self, conn: TcpConnection, now: int) -> None:
        conn.listener = None
        conn.owner = self.owner
        conn.handler = self.on_accept(conn, now)

    def child_gone(self, conn: TcpConnection) -> None:
        """A connection was lost before it was accepted."""
        if conn in self.waiting:
            self.waiting.remove(conn)
