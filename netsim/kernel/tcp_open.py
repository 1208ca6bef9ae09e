"""Opening a connection: segments in SYN_SENT and SYN_RECEIVED, and what the two SYNs say to each other.

Called by `tcp_input.py` and `tcp_listen.py`. Sources: RFC 9293 sections 3.5 and 3.10.7, RFC 7323 section 2, RFC 6298
section 5.7, net/ipv4/tcp_input.c.
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import tcp_output, tcp_timer
from netsim.kernel.errno import Errno
from netsim.kernel.tcp_options import DEFAULT_MSS_V4, DEFAULT_MSS_V6, WINDOW_SCALE, parse_syn_options
from netsim.kernel.tcp_state import (
    CLOSED,
    ON_CLOSE,
    ON_SYN,
    ON_SYN_ACK,
    ON_SYN_ACKED,
    TRANSITIONS,
)
from netsim.wire.packet import ACK, RST, SYN, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.tcp import TcpConnection

MASK: Final = 0xFFFFFFFF
INITIAL_SEGMENTS: Final = 10  # RFC 6928, TCP_INIT_CWND


def begin(conn: "TcpConnection", now: int) -> "Errno | None":
    """Send our SYN or SYN-ACK for the first time and watch over it; a local error is returned. That a rule has dropped
    the SYN is none: it will be sent again (tcp_connect)."""
    conn.snd_nxt = conn.snd_max = conn.snd_end
    conn.rtt_at = conn.stalled_at = now or 1  # 0 would mean: not set
    conn.rto_at = now + tcp_timer.RTO_INITIAL_NS
    # Earlier than needed: data sent soon will want this time, and one place in the heap is enough for both.
    conn.ns.timers.arm(conn, now + tcp_timer.RTO_MIN_NS)
    errno = tcp_output.send_syn(conn, now)
    return None if errno is Errno.EPERM else errno


def take_syn(conn: "TcpConnection", segment: TcpSegment) -> None:
    """What a SYN says about its sender: sequence number, MSS, window scaling, SACK, window (unscaled)."""
    mss, scale, conn.sack_permitted = parse_syn_options(segment.options)
    if not mss:
        mss = DEFAULT_MSS_V4 if len(conn.flow.src) == 4 else DEFAULT_MSS_V6
    if mss < conn.mss:
        conn.mss = mss
        conn.cwnd = INITIAL_SEGMENTS * mss
    if scale >= 0:
        conn.snd_wscale, conn.rcv_wscale = scale, WINDOW_SCALE
    else:
        conn.snd_wscale, conn.rcv_wscale = 0, -1  # -1: our SYN-ACK must not mention it
    conn.rcv_nxt = (segment.seq + 1) & MASK
    conn.snd_wnd = segment.window
    conn.snd_wl1 = segment.seq


def in_syn_sent(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    """A segment arrives while we wait for an answer to our SYN (RFC 9293 section 3.10.7.3)."""
    flags = segment.flags
    if flags & ACK and segment.ack != conn.snd_max:
        conn.sockets.refuse(conn.key, segment, now)
    elif flags & RST:
        if flags & ACK:
            conn.fail(Errno.ECONNREFUSED, now)
    elif flags & SYN:
        take_syn(conn, segment)
        if flags & ACK:
            _connected(conn, segment, now)
        else:  # both ends opened at once
            conn.move(ON_SYN)
            conn.retries = 0
            conn.rto_at = now + tcp_timer.RTO_INITIAL_NS
            conn.arm(conn.rto_at)
            tcp_output.send_syn(conn, now)


def _connected(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    """The usual answer to our SYN: acknowledge, tell the application, send what it had queued before."""
    conn.state = TRANSITIONS[conn.state][ON_SYN_ACK]
    _syn_acknowledged(conn, segment, now)
    tcp_output.send_ack(conn, now)
    conn.handler.connected(conn, now)
    if conn.snd_nxt != conn.snd_end:
        tcp_output.push(conn, now)


def _syn_acknowledged(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    """Our SYN got through: both ends know each other."""
    conn.snd_una = segment.ack
    if conn.rtt_at:
        tcp_timer.rtt_sample(conn, now - conn.rtt_at)
    else:
        conn.rto_ns = tcp_timer.RTO_FALLBACK_NS  # the SYN was repeated: no sample (Karn)
    conn.rto_at = conn.stalled_at = conn.retries = 0
    conn.soft_error = None
    # __tcp_select_window rounds a scaled window up to a whole unit: 64240 becomes the familiar "win 502".
    if conn.rcv_wscale > 0:
        scale = conn.rcv_wscale
        conn.window = (conn.rcv_wnd + (1 << scale) - 1) >> scale
        conn.rcv_wnd = conn.window << scale
    else:
        conn.rcv_wscale = 0


def repeated_syn(conn: "TcpConnection", segment: TcpSegment, now: int) -> bool:
    """In SYN_RECEIVED: whether this is the peer's SYN once more, because it has not heard our answer, or, when
    both ends opened at once, its SYN-ACK. It has been dealt with then."""
    if segment.flags & (SYN | RST) != SYN or (segment.seq + 1) & MASK != conn.rcv_nxt:
        return False
    if not segment.flags & ACK:
        tcp_output.send_syn(conn, now)
    elif segment.ack == conn.snd_max and conn.listener is None:
        tcp_output.send_ack(conn, now)
        _opened_by_both(conn, segment, now)
        if conn.snd_nxt != conn.snd_end:
            tcp_output.push(conn, now)
    return True


def acknowledged(conn: "TcpConnection", segment: TcpSegment, now: int) -> bool:
    """In SYN_RECEIVED: an ACK, hopefully of our SYN. False when the segment must not be processed further: it is
    odd, or the accept queue is full (then the ACK is as good as lost, and the SYN-ACK will be repeated)."""
    if segment.ack != conn.snd_max:
        conn.sockets.refuse(conn.key, segment, now)
        return False
    if conn.listener is None:
        _opened_by_both(conn, segment, now)
    elif conn.listener.full:
        return False
    else:
        conn.state = TRANSITIONS[conn.state][ON_SYN_ACKED]
        _syn_acknowledged(conn, segment, now)
        conn.snd_wnd = segment.window << conn.snd_wscale
        conn.listener.accepted(conn, now)
    return conn.state is not CLOSED


def _opened_by_both(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    """An active open that met another; the application may have closed it meanwhile."""
    conn.move(ON_SYN_ACKED)
    _syn_acknowledged(conn, segment, now)
    if conn.fin_queued:
        conn.move(ON_CLOSE)
    else:
        conn.handler.connected(conn, now)
