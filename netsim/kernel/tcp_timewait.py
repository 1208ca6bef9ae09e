"""TIME_WAIT: what remains of a connection for a minute, so that late segments find an answer
(net/ipv4/tcp_minisocks.c).

All last equally long (TCP_TIMEWAIT_LEN, 60 s), so they expire in the order in which they began: one queue per
namespace, swept whenever it is used, and by a timer once a second at most. A SYN with a higher sequence number
takes the port over at once (RFC 9293 section 3.10.7.4, RFC 6191).
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from netsim.kernel.hooks import DropReason, Stolen
from netsim.wire.packet import ACK, FIN, RST, SYN, Flow, Packet, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.sockets import Sockets
    from netsim.kernel.tcp import TcpConnection

TIME_WAIT_NS: Final = 60_000_000_000
_INVALID_RATELIMIT_NS: Final = 500_000_000  # net.ipv4.tcp_invalid_ratelimit
_SWEEP_NS: Final = 1_000_000_000
MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31


class TimeWait:
    """One connection in TIME_WAIT (struct tcp_timewait_sock)."""

    __slots__ = (
        "answered_at",
        "expires_ns",
        "flow",
        "key",
        "owner",
        "ports",
        "rcv_nxt",
        "snd_nxt",
        "sockets",
        "window",
    )

    def __init__(self, conn: "TcpConnection", now: int) -> None:
        self.sockets: Sockets = conn.sockets
        self.flow: Flow = conn.flow
        self.key: Flow = conn.key
        self.ports = conn.ports
        self.owner = conn.owner
        self.snd_nxt = conn.snd_max
        self.rcv_nxt = conn.rcv_nxt
        self.window = conn.window
        self.expires_ns = now + TIME_WAIT_NS
        self.answered_at = 0

    def arrive(self, packet: Packet, now: int) -> DropReason | Stolen | None:
        """tcp_timewait_state_process: a late segment is answered by the last ACK; a new SYN opens the port again."""
        if self.expires_ns <= now:
            self.sockets.forget(self)
            return self.sockets.deliver(packet, now)
        segment = packet.body
        assert isinstance(segment, TcpSegment)
        flags = segment.flags
        ahead = (segment.seq - self.rcv_nxt) & MASK
        if flags & RST:
            if not ahead:
                self.sockets.forget(self)  # net.ipv4.tcp_rfc1337=0
            return None
        if flags & (SYN | ACK) == SYN and 0 < ahead < _HALF:
            self.sockets.forget(self)
            return self.sockets.syn_after_time_wait(packet, (self.snd_nxt + 65535 + 2) & MASK, now)
        if flags & ACK:
            self.expires_ns = now + TIME_WAIT_NS
            self.sockets.time_waits.add(self, now)
        if ahead or segment.payload or flags & (SYN | FIN):
            self._answer(segment, now)
        return None

    def stop_timers(self) -> None:
        """It has none of its own."""

    def _answer(self, segment: TcpSegment, now: int) -> None:
        if not segment.payload and self.answered_at and now - self.answered_at < _INVALID_RATELIMIT_NS:
            return
        self.answered_at = now
        ns = self.sockets.ns
        ns.output(
            Packet(self.flow, TcpSegment(self.snd_nxt, self.rcv_nxt, ACK, self.window), next(ns.uids)), now
        )


class TimeWaits:
    """Those of one namespace, in the order of their end, and their one timer. An entry that begins its minute anew is
    added again; the older place in the queue then no longer agrees with the entry and is skipped."""

    __slots__ = ("_queue", "_sockets", "armed_ns", "deadline_ns")

    def __init__(self, sockets: "Sockets") -> None:
        self._queue: deque[tuple[int, TimeWait]] = deque()
        self._sockets = sockets
        self.deadline_ns = 0
        self.armed_ns = 0

    def add(self, entry: TimeWait, now: int) -> None:
        """Let an entry begin, or begin anew."""
        self.sweep(now)
        self._queue.append((entry.expires_ns, entry))
        if not self.deadline_ns:
            self._sockets.ns.timers.arm(self, entry.expires_ns)

    def sweep(self, now: int) -> None:
        """Forget those that are over."""
        queue = self._queue
        while queue and queue[0][0] <= now:
            at_ns, entry = queue.popleft()
            if at_ns == entry.expires_ns:
                self._sockets.forget(entry)

    def expired(self, now: int) -> None:
        """Timer queue: it is time to sweep."""
        self.sweep(now)
        if self._queue:
            self._sockets.ns.timers.arm(self, max(self._queue[0][0], now + _SWEEP_NS))

    def clear(self) -> None:
        """The namespace is gone."""
        self._queue.clear()
        self.deadline_ns = 0
