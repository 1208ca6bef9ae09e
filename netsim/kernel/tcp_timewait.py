"""TIME_WAIT: what remains of a connection for a minute, so that late segments find an answer (net/ipv4/tcp_minisocks.c).

All last equally long (TCP_TIMEWAIT_LEN, 60 s), so they expire in the order in which they began: one queue and one timer per namespace. A
SYN with a higher sequence number takes the port over at once (RFC 9293 section 3.10.7.4, RFC 6191).
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from netsim.kernel.hooks import DropReason
from netsim.wire.packet import ACK, FIN, RST, SYN, Flow, Packet, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.sockets import Sockets
    from netsim.kernel.tcp import TcpConnection

TIME_WAIT_NS: Final = 60_000_000_000
MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31


class TimeWait:
    """One connection in TIME_WAIT (struct tcp_timewait_sock)."""

    __slots__ = ("expires_ns", "flow", "key", "owner", "rcv_nxt", "snd_nxt", "sockets", "window")

    def __init__(self, conn: "TcpConnection", now: int) -> None:
        self.sockets: Sockets = conn.sockets
        self.flow: Flow = conn.flow
        self.key: Flow = conn.key
        self.owner = conn.owner
        self.snd_nxt = conn.snd_max
        self.rcv_nxt = conn.rcv_nxt
        self.window = conn.window
        self.expires_ns = now + TIME_WAIT_NS

    def arrive(self, packet: Packet, now: int) -> DropReason | None:
        """A late segment: repeat the last ACK; or a new connection on the old port."""
        segment = packet.body
        assert isinstance(segment, TcpSegment)
        newer = 0 < (segment.seq - self.rcv_nxt) & MASK < _HALF
        if segment.flags & RST:
            self.sockets.forget(self)
            return None
        if segment.flags & (SYN | ACK) == SYN and newer:
            self.sockets.forget(self)
            # Linux continues above the old sequence numbers: tcp_timewait_state_process.
            return self.sockets.syn_after_time_wait(packet, (self.snd_nxt + 65535 + 2) & MASK, now)
        if segment.payload or segment.flags & (SYN | FIN):
            answer = TcpSegment(self.snd_nxt, self.rcv_nxt, ACK, self.window)
            self.sockets.ns.output(Packet(self.flow, answer, next(self.sockets.ns.uids)), now)
        return None


class TimeWaits:
    """Those of one namespace, in the order of their end; its own timer."""

    __slots__ = ("_queue", "_sockets", "armed_ns", "deadline_ns")

    def __init__(self, sockets: "Sockets") -> None:
        self._queue: deque[TimeWait] = deque()
        self._sockets = sockets
        self.deadline_ns = 0
        self.armed_ns = 0

    def add(self, entry: TimeWait) -> None:
        """Let an entry begin."""
        self._queue.append(entry)
        if not self.deadline_ns:
            self._sockets.ns.timers.arm(self, entry.expires_ns)

    def expired(self, now: int) -> None:
        """Timer queue: the oldest ones are over."""
        queue = self._queue
        while queue and queue[0].expires_ns <= now:
            entry = queue.popleft()
            if self._sockets.by_key.get(entry.key) is entry:
                self._sockets.forget(entry)
        if queue:
            self._sockets.ns.timers.arm(self, queue[0].expires_ns)

    def clear(self) -> None:
        """The namespace is gone."""
        self._queue.clear()
        self.deadline_ns = 0
