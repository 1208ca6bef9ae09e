"""A listening TCP socket: SYNs become connections (net/ipv4/tcp_input.c tcp_conn_request, inet_connection_sock.c).

Simplified: no SYN cookies (a full SYN backlog drops), and the application accepts at once, so that there is no accept queue.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netsim.kernel import tcp_input, tcp_output, tcp_timer
from netsim.kernel.hooks import DropReason
from netsim.kernel.tcp import ORPHAN, TcpConnection, TcpHandler
from netsim.kernel.tcp_state import Event, State
from netsim.wire.packet import ACK, RST, SYN, Packet, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.sockets import Sockets
    from netsim.wire.addr import Address

OnAccept = Callable[[TcpConnection, int], TcpHandler]
MASK: Final = 0xFFFFFFFF


class TcpListener:
    """`on_accept(connection, now)` is called when a handshake is complete and returns the connection's handler."""

    __slots__ = ("address", "half_open", "on_accept", "owner", "port", "sockets")

    def __init__(
        self, sockets: "Sockets", address: "Address | None", port: int, on_accept: OnAccept, owner: object
    ) -> None:
        self.sockets = sockets
        self.address = address
        self.port = port
        self.on_accept = on_accept
        self.owner = owner
        self.half_open: dict[TcpConnection, None] = {}

    def arrive(self, packet: Packet, now: int, iss: int | None = None) -> DropReason | None:
        """A segment for no connection: a SYN begins one, an ACK is refused."""
        segment = packet.body
        assert isinstance(segment, TcpSegment)
        if segment.flags & RST:
            return DropReason.TCP_ABORTED
        if segment.flags & ACK or not segment.flags & SYN:
            self.sockets.refuse(packet.flow, segment, now)
            return DropReason.TCP_ABORTED
        if len(self.half_open) >= self.sockets.ns.sysctl.tcp_max_syn_backlog:
            return DropReason.TCP_LISTEN_OVERFLOW
        self._open(packet, segment, now, iss)
        return None

    def _open(self, packet: Packet, segment: TcpSegment, now: int, iss: int | None) -> None:
        sockets, key = self.sockets, packet.flow
        flow = key.reverse()
        mss = sockets.mss_for(flow.dst)
        first = sockets.initial_sequence(now) if iss is None else iss
        conn = TcpConnection(sockets, flow, key, State.LISTEN, ORPHAN, self.owner, mss, first)
        conn.listener = self
        conn.rcv_nxt = (segment.seq + 1) & MASK
        tcp_input.take_syn(conn, segment)
        conn.move(Event.SYN)
        conn.snd_nxt = conn.snd_max = conn.snd_end
        conn.rtt_at = now
        self.half_open[conn] = None
        sockets.remember(conn)
        conn.rto_at = now + tcp_timer.RTO_INITIAL_NS
        conn.arm(conn.rto_at)
        tcp_output.send_syn(conn, now)

    def accepted(self, conn: TcpConnection, now: int) -> None:
        """The handshake is complete."""
        self.half_open.pop(conn, None)
        conn.listener = None
        conn.handler = self.on_accept(conn, now)

    def child_gone(self, conn: TcpConnection) -> None:
        """A connection was lost before its handshake was complete."""
        self.half_open.pop(conn, None)

    def close(self, now: int) -> None:
        """Stop listening; what is half open is forgotten."""
        self.sockets.forget_listener(self)
        for conn in list(self.half_open):
            conn.kill(now)
