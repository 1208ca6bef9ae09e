"""A TCP connection: its state, its system calls, and the fast branches for the usual segments.

Made by `sockets.Sockets.connect` (active) and `tcp_listen.TcpListener` (passive); segments come in through
`Sockets.deliver`, go out through `Namespace.output`. Sans-IO and synchronous: time is an argument, whatever
happens is told to the handler by a call. Everything that is not the most usual case is elsewhere: `tcp_input.py`
(segments), `tcp_open.py`, `tcp_data.py`, `tcp_output.py` (sending), `tcp_timer.py` (timers), `tcp_listen.py`,
`tcp_timewait.py`; the state table is `tcp_state.py`.

Sources: RFC 9293 and Linux 6.8's net/ipv4/tcp*.c where Linux decides what the RFC leaves open.

Simplified, against Linux: no timestamps, no SACK blocks (loss is repaired as NewReno does, RFC 6582), no tail loss
probe, no congestion control beyond slow start from 10 segments (the window only grows, except that a
retransmission time-out starts over with one segment), one RTT sample at a time (RFC 6298 with Karn's rule), no
Nagle (HTTP stacks and proxies set TCP_NODELAY), no urgent data, no fast open.

Delayed acknowledgements (after tcp_input.c __tcp_ack_snd_check): the first 16 data segments are acknowledged at
once, before the application sees them, until the application answers within 40 ms of data arriving; from then on
the connection counts as interactive and data is acknowledged by the answer, by a second full segment, or after 40
ms.
"""

from typing import TYPE_CHECKING, Any, Final

from netsim.kernel import tcp_data, tcp_input, tcp_output, tcp_timer
from netsim.kernel.errno import Errno
from netsim.kernel.tcp_handler import ORPHAN, TcpHandler
from netsim.kernel.tcp_state import (
    CAN_SEND,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_2,
    ON_CLOSE,
    ON_KILL,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    TRANSITIONS,
    Event,
    State,
)
from netsim.wire.packet import ACK, PSH, Flow, Packet, TcpSegment, endpoint_text

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace
    from netsim.kernel.sockets import Sockets
    from netsim.kernel.tcp_listen import TcpListener
    from netsim.kernel.tcp_ports import PortUse

__all__ = ["ORPHAN", "TcpConnection", "TcpHandler"]

MASK: Final = 0xFFFFFFFF

# TCP_MAX_QUICKACKS and TCP_ATO_MIN (include/net/tcp.h; HZ/25).
QUICK_ACKS: Final = 16
DELAYED_ACK_NS: Final = 40_000_000

# RFC 6928; TCP_INIT_CWND.
INITIAL_SEGMENTS: Final = 10

_PSH_ACK: Final = PSH | ACK


class TcpConnection:
    """One end of a TCP connection (struct tcp_sock). Variable names follow RFC 9293 section 3.3.1.

    Sequence numbers are kept modulo 2**32, times in nanoseconds (0: not set), windows in bytes.

    - `flow` is as this side sends, `key` as it receives (the demultiplexer's key).
    - `snd_nxt` is what is sent next, `snd_max` the highest ever sent plus one (they differ after a time-out),
      `snd_end` the end of what the application has handed over, its FIN included. `buffer` holds the bytes from
      `buffer_seq` on.
    - `rto_at`, `ack_at` and `idle_at` are the times of the three logical timers (retransmission, SYN or window
      probe; delayed ACK; keep-alive or FIN_WAIT_2); `deadline_ns` is never later than the earliest of them.
    """

    __slots__ = (
        "ack_at",
        "armed_ns",
        "buffer",
        "buffer_seq",
        "cwnd",
        "deadline_ns",
        "doomed",
        "dupacks",
        "fin_queued",
        "fin_unread",
        "flow",
        "handler",
        "idle_at",
        "iss",
        "keepalive",
        "key",
        "listener",
        "mss",
        "ns",
        "out_of_order",
        "out_of_window_at",
        "owner",
        "paused",
        "ports",
        "probes",
        "quick_acks",
        "rcv_closed",
        "rcv_nxt",
        "rcv_wnd",
        "rcv_wscale",
        "received_at",
        "recover",
        "retries",
        "rto_at",
        "rto_ns",
        "rtt_at",
        "rtt_seq",
        "rttvar_ns",
        "sack_permitted",
        "seen_at",
        "snd_end",
        "snd_max",
        "snd_nxt",
        "snd_una",
        "snd_wl1",
        "snd_wnd",
        "snd_wscale",
        "sockets",
        "soft_error",
        "srtt_ns",
        "stalled_at",
        "state",
        "unacked",
        "unread",
        "unread_length",
        "user_timeout_ns",
        "window",
    )

    def __init__(
        self,
        sockets: "Sockets",
        flow: Flow,
        key: Flow,
        state: State,
        handler: TcpHandler,
        owner: object,
        mss: int,
        iss: int,
    ) -> None:
        self.sockets = sockets
        self.ns: Namespace = sockets.ns
        self.flow = flow
        self.key = key
        self.state = state
        self.handler = handler
        self.owner = owner
        self.listener: TcpListener | None = None
        self.mss = mss
        self.iss = self.snd_una = self.snd_nxt = self.snd_max = iss
        self.snd_end = self.buffer_seq = self.rtt_seq = (iss + 1) & MASK
        self.buffer = b""
        self.fin_queued = self.fin_unread = self.paused = self.rcv_closed = False
        self.ports: PortUse | None = None
        self.sack_permitted = True
        self.rcv_nxt = self.snd_wl1 = self.snd_wnd = self.snd_wscale = self.rcv_wscale = 0
        # tcp_select_initial_window: 64 KiB less one, rounded down to whole segments; unscaled in a SYN.
        self.rcv_wnd = self.window = 65535 // mss * mss
        self.cwnd = INITIAL_SEGMENTS * mss
        self.recover = -1
        self.deadline_ns = self.armed_ns = self.rto_at = self.ack_at = self.idle_at = 0
        self.rtt_at = self.srtt_ns = self.rttvar_ns = self.stalled_at = self.out_of_window_at = 0
        self.rto_ns = tcp_timer.RTO_INITIAL_NS
        self.retries = self.dupacks = self.probes = self.unacked = self.unread_length = 0
        self.quick_acks = QUICK_ACKS
        self.received_at = -DELAYED_ACK_NS
        self.seen_at = 0
        self.out_of_order: list[tuple[int, bytes, bool]] | None = None
        self.unread: list[bytes] | None = None
        self.keepalive: tuple[int, int, int] | None = None
        self.user_timeout_ns = 0
        self.soft_error: Errno | None = None
        self.doomed: Errno | None = None

    # ------------------------------------------------------------------ system calls
    def send(self, data: bytes, now: int) -> Errno | None:
        """Queue data and send what the windows allow. EPIPE when this side has closed or the connection is gone.
        Before the connection is established the data waits (as a blocking write would)."""
        if (
            self.snd_una == self.snd_end
            and self.state is ESTABLISHED
            and 0 < len(data) <= self.mss
            and len(data) <= self.snd_wnd
        ):
            self._send_alone(data, now)
            return None
        if self.state not in CAN_SEND and (self.state not in tcp_output.OPENING or self.fin_queued):
            return Errno.EPIPE
        tcp_output.enqueue(self, data)
        if self.state in CAN_SEND:
            tcp_output.push(self, now)
        return None

    def _send_alone(self, data: bytes, now: int) -> None:
        """The usual case: nothing is outstanding and the data fits into one segment."""
        seq = self.snd_end
        self.buffer = data
        self.buffer_seq = seq
        self.snd_nxt = self.snd_max = self.snd_end = self.rtt_seq = (seq + len(data)) & MASK
        self.rtt_at = self.stalled_at = now
        self.unacked = self.ack_at = 0
        if now - self.received_at < DELAYED_ACK_NS:
            self.quick_acks = 0
        at = self.rto_at = now + self.rto_ns
        if not 0 < self.deadline_ns <= at:
            self.ns.timers.arm(self, at)
        ns = self.ns
        segment = TcpSegment(seq, self.rcv_nxt, _PSH_ACK, self.window, b"", data)
        ns.output(Packet(self.flow, segment, next(ns.uids)), now)

    def shutdown(self, now: int) -> None:
        """shutdown(SHUT_WR): FIN after the data; the peer may go on sending. Without effect when already closed."""
        state = self.state
        if self.fin_queued or state is CLOSED:
            return
        if state is SYN_SENT:
            self.kill(now)
            return
        seq = self.snd_end
        self.fin_queued = True
        self.snd_end = (seq + 1) & MASK
        if state is SYN_RECEIVED:
            return  # once it is open
        self.state = TRANSITIONS[state][ON_CLOSE]
        if self.snd_nxt == seq and self.snd_wnd > (seq - self.snd_una) & MASK:
            tcp_output.send_fin(self, seq, now)
        else:
            tcp_output.push(self, now)

    def close(self, now: int) -> None:
        """close(2): as `shutdown`, and data arriving later is answered by RST. With data unread the connection is
        reset at once, as Linux does (RFC 2525 section 2.17). The handler still hears `closed` or `failed`."""
        if self.unread_length:
            self.abort(now)
            return
        self.rcv_closed = True
        if not self.fin_queued:
            self.shutdown(now)
        elif self.state is FIN_WAIT_2:
            tcp_timer.start_fin_wait_2(self, now)

    def abort(self, now: int) -> None:
        """close(2) with SO_LINGER 0: RST, and the connection is gone. The handler is not called."""
        if self.state is CLOSED or self.state is TIME_WAIT:
            return
        if self.state is not SYN_SENT:
            tcp_output.send_reset(self, now)
        self.kill(now)

    def pause(self) -> None:
        """The application stops reading: data stays in the kernel and the receive window shrinks."""
        self.paused = True
        if self.unread is None:
            self.unread = []

    def resume(self, now: int) -> None:
        """The application reads on: what has waited is delivered now."""
        self.paused = False
        tcp_data.deliver_unread(self, now)

    def set_keepalive(self, now: int, idle_ns: int = 0, interval_ns: int = 0, count: int = 0) -> None:
        """SO_KEEPALIVE with TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT; 0 means what the namespace's sysctls say."""
        sysctl = self.ns.sysctl
        self.keepalive = (
            idle_ns or sysctl.tcp_keepalive_time_ns,
            interval_ns or sysctl.tcp_keepalive_intvl_ns,
            count or sysctl.tcp_keepalive_probes,
        )
        tcp_timer.start_keepalive(self, now)

    # ------------------------------------------------------------------ segments
    def arrive(self, packet: Packet, now: int) -> None:
        """A packet for this connection. Header prediction: an in-order segment in ESTABLISHED whose ACK either covers
        everything sent or says nothing new is handled here, anything else in `tcp_input`."""
        segment: Any = packet.body
        self.seen_at = now
        if (
            segment.seq == self.rcv_nxt
            and self.state is ESTABLISHED
            and segment.flags | PSH == _PSH_ACK
            and self.out_of_order is None
        ):
            ack = segment.ack
            payload = segment.payload
            if ack == self.snd_end == self.snd_max and self.recover < 0:
                if ack != self.snd_una:
                    self.all_acknowledged(ack, now)
            elif not payload or ack != self.snd_una or self.snd_nxt != self.snd_end:
                tcp_input.segment_arrives(self, segment, now)
                return
            self.snd_wnd = segment.window << self.snd_wscale
            self.snd_wl1 = segment.seq
            if payload:
                self._data_in_order(payload, now)
            return
        tcp_input.segment_arrives(self, segment, now)

    def all_acknowledged(self, ack: int, now: int) -> None:
        """The usual ACK: it covers everything that the application has handed over."""
        self.cwnd += len(self.buffer)  # slow start, RFC 5681 section 3.1
        self.snd_una = self.snd_nxt = self.buffer_seq = ack
        self.buffer = b""
        self.rto_at = self.dupacks = self.retries = self.stalled_at = 0
        self.soft_error = None
        if self.rtt_at:
            tcp_timer.rtt_sample(self, now - self.rtt_at)

    def _data_in_order(self, payload: bytes, now: int) -> None:
        length = len(payload)
        if self.paused or length > self.rcv_wnd:
            tcp_data.data_arrives(self, self.rcv_nxt, payload, False, now)
            return
        self.rcv_nxt = (self.rcv_nxt + length) & MASK
        self.received_at = now
        if length >= self.mss:
            tcp_data.grow_window(self)
        if self.quick_acks:
            self.quick_acks -= 1
            tcp_output.send_ack(self, now)
            self.handler.received(self, payload, now)
            return
        self.unacked += length
        self.handler.received(self, payload, now)
        if self.unacked:
            tcp_data.delay_ack(self, now)

    def icmp_error(self, errno: Errno, too_big: bool, now: int) -> None:
        """An ICMP error for one of our segments came back (`sockets.ICMP_ERRORS`)."""
        if too_big:
            tcp_output.mtu_changed(self, now)
        elif self.state is SYN_SENT or (self.state is SYN_RECEIVED and self.listener is None):
            self.doom(errno, now)
        elif self.state is SYN_RECEIVED:
            self.kill(now)
        else:
            self.soft_error = errno

    def expired(self, now: int) -> None:
        """Timer queue: one of the timers may be due."""
        tcp_timer.expired(self, now)

    # ------------------------------------------------------------------ the state machine
    def move(self, event: Event) -> None:
        """Change the state by the table."""
        self.state = TRANSITIONS[self.state][event]

    def kill(self, now: int) -> None:
        """The connection vanishes: no segment, no call to the handler."""
        self.move(ON_KILL)
        self.sockets.forget(self)
        if self.listener is not None:
            self.listener.child_gone(self)

    def fail(self, errno: Errno, now: int) -> None:
        """The connection vanishes and the application is told."""
        self.kill(now)
        self.handler.failed(self, errno, now)

    def doom(self, errno: Errno, now: int) -> None:
        """Fail at this very time, but only after whatever is running now (such as `connect`) has returned."""
        self.doomed = errno
        self.arm(max(now, 1))

    def stop_timers(self) -> None:
        """Nothing is due any more."""
        self.deadline_ns = self.rto_at = self.ack_at = self.idle_at = self.unacked = 0

    def arm(self, at: int) -> None:
        """Make sure that `expired` is called no later than `at`."""
        if not 0 < self.deadline_ns <= at:
            self.ns.timers.arm(self, at)

    def __repr__(self) -> str:
        flow = self.flow
        ends = f"{endpoint_text(flow.src, flow.sport)} {endpoint_text(flow.dst, flow.dport)}"
        return f"<TcpConnection {self.state} {ends}>"
