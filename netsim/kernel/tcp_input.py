"""Segment arrival: everything that header prediction in `TcpConnection.arrive` leaves over.

The order of the checks is that of RFC 9293 section 3.10.7, with RFC 5961's challenge ACKs as Linux sends them
(net/ipv4/tcp_input.c), and NewReno's recovery (RFC 6582). Handshakes are in `tcp_open.py`, data and FIN in
`tcp_data.py`.
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import tcp_open, tcp_output, tcp_timer
from netsim.kernel.errno import Errno
from netsim.kernel.tcp_data import data_arrives, free_window
from netsim.kernel.tcp_state import (
    CLOSE_WAIT,
    CLOSING,
    FIN_WAIT_1,
    LAST_ACK,
    ON_FIN_ACKED,
    SYN_RECEIVED,
    SYN_SENT,
    TRANSITIONS,
)
from netsim.wire.packet import ACK, FIN, RST, SYN, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.tcp import TcpConnection

MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31
# net.ipv4.tcp_invalid_ratelimit: ACKs that answer unacceptable segments come at most every 500 ms, so that two
# ends that disagree do not answer each other for ever.
INVALID_RATELIMIT_NS: Final = 500_000_000
_DUPACKS: Final = 3  # RFC 5681 section 3.2


def segment_arrives(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    """SEGMENT ARRIVES of RFC 9293, for every state but LISTEN and TIME_WAIT."""
    state = conn.state
    flags = segment.flags
    if state is SYN_SENT:
        tcp_open.in_syn_sent(conn, segment, now)
        return
    if flags & SYN and state is SYN_RECEIVED and tcp_open.repeated_syn(conn, segment, now):
        return
    if segment.seq != conn.rcv_nxt and not _acceptable(conn, segment):
        _answer_unacceptable(conn, segment, now)
    elif flags & RST:
        _reset_arrives(conn, segment, now)
    elif flags & SYN:
        _challenge(conn, now)
    elif flags & ACK and _acknowledged(conn, segment, now):
        if segment.payload or flags & FIN:
            data_arrives(conn, segment.seq, segment.payload, bool(flags & FIN), now)
        if conn.snd_nxt != conn.snd_end:
            tcp_output.push(conn, now)


# ---------------------------------------------------------------------- acceptability
def _acceptable(conn: "TcpConnection", segment: TcpSegment) -> bool:
    """RFC 9293 section 3.10.7.4, first check. A segment that begins at RCV.NXT is let in even when the window is
    closed: its ACK counts, and of its data none will be taken."""
    length = len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
    window = free_window(conn)
    first = (segment.seq - conn.rcv_nxt) & MASK
    if length == 0:
        return first == 0 or first < window
    last = (segment.seq + length - 1 - conn.rcv_nxt) & MASK
    return window > 0 and (first < window or last < window)


def _answer_unacceptable(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    """Tell the peer where we are; segments with data are no part of an ACK loop and always answered
    (tcp_oow_rate_limited)."""
    if segment.flags & RST:
        return
    if segment.payload and not segment.flags & SYN:
        tcp_output.send_ack(conn, now)
    elif conn.state is not SYN_RECEIVED:
        _challenge(conn, now)


def _challenge(conn: "TcpConnection", now: int) -> None:
    """An ACK that tells where we are (RFC 5961), rate-limited."""
    if conn.out_of_window_at and now - conn.out_of_window_at < INVALID_RATELIMIT_NS:
        return
    conn.out_of_window_at = now
    tcp_output.send_ack(conn, now)


def _reset_arrives(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    if segment.seq != conn.rcv_nxt:
        _challenge(conn, now)
    elif conn.state is SYN_RECEIVED and conn.listener is not None:
        conn.kill(now)
    elif conn.state is SYN_RECEIVED:
        conn.fail(Errno.ECONNREFUSED, now)
    elif conn.state in (CLOSING, LAST_ACK):
        conn.kill(now)
        conn.handler.closed(conn, now)
    else:
        # tcp_reset
        conn.fail(Errno.EPIPE if conn.state is CLOSE_WAIT else Errno.ECONNRESET, now)


# ---------------------------------------------------------------------- acknowledgements
def _acknowledged(conn: "TcpConnection", segment: TcpSegment, now: int) -> bool:
    """Fifth check: the ACK field. False when the segment ends here."""
    if conn.state is SYN_RECEIVED:
        return tcp_open.acknowledged(conn, segment, now)
    ack = segment.ack
    idle = conn.snd_una == conn.snd_max
    if ack == conn.snd_end == conn.snd_max and conn.recover < 0 and not idle:
        conn.all_acknowledged(ack, now)
    elif ack != conn.snd_una:
        advance = (ack - conn.snd_una) & MASK
        if advance > (conn.snd_max - conn.snd_una) & MASK:
            if advance < _HALF:  # something that was never sent
                _challenge(conn, now)
            return advance >= _HALF  # an old acknowledgement; the data may be new
        _advanced(conn, ack, advance, now)
    elif not idle and not segment.payload and not segment.flags & FIN:
        _maybe_duplicate(conn, segment, now)
    if (segment.seq - conn.snd_wl1) & MASK < _HALF:
        conn.snd_wnd, conn.snd_wl1 = segment.window << conn.snd_wscale, segment.seq
    if idle and conn.snd_nxt != conn.snd_end:
        _window_probe_answered(conn)
    if conn.fin_queued and conn.snd_una == conn.snd_end:
        return _fin_acknowledged(conn, segment, now)
    return True


def _window_probe_answered(conn: "TcpConnection") -> None:
    """The peer lives. `push` sets the timer again, for the next probe if the window is still closed (tcp_ack_probe)."""
    conn.retries = conn.rto_at = conn.stalled_at = 0
    if conn.snd_wnd:
        tcp_timer.set_rto(conn)


def _advanced(conn: "TcpConnection", ack: int, advance: int, now: int) -> None:
    conn.snd_una = ack
    if (conn.snd_nxt - ack) & MASK >= _HALF:
        conn.snd_nxt = ack  # what a time-out wanted to send again has arrived meanwhile
    tcp_output.release(conn, ack)
    if conn.rtt_at and (ack - conn.rtt_seq) & MASK < _HALF:
        tcp_timer.rtt_sample(conn, now - conn.rtt_at)
    conn.retries = 0
    conn.soft_error = None
    if conn.snd_una == conn.snd_max:
        conn.rto_at = conn.stalled_at = 0
    else:
        conn.stalled_at = now
        conn.rto_at = now + conn.rto_ns
        conn.arm(conn.rto_at)
    if conn.recover < 0:
        conn.dupacks = 0
        conn.cwnd += advance  # slow start, RFC 5681 section 3.1
    elif (ack - conn.recover) & MASK < _HALF:
        conn.recover, conn.dupacks = -1, 0
    else:
        tcp_output.retransmit_head(conn, now)  # a partial ACK: the next hole


def _maybe_duplicate(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    """RFC 5681: the same ACK and window again, with data outstanding."""
    if segment.window << conn.snd_wscale != conn.snd_wnd:
        return
    conn.dupacks += 1
    if conn.dupacks == _DUPACKS and conn.recover < 0:
        conn.recover = conn.snd_max
        tcp_output.retransmit_head(conn, now)


def _fin_acknowledged(conn: "TcpConnection", segment: TcpSegment, now: int) -> bool:
    """Our half is closed. False when that was the last thing to happen."""
    state = conn.state
    if state is FIN_WAIT_1:
        conn.state = TRANSITIONS[state][ON_FIN_ACKED]
        if conn.rcv_closed and not segment.flags & FIN:
            tcp_timer.start_fin_wait_2(conn, now)
        return True
    if state is CLOSING:
        conn.state = TRANSITIONS[state][ON_FIN_ACKED]
        conn.sockets.enter_time_wait(conn, now)
        return False
    if state is LAST_ACK:
        conn.state = TRANSITIONS[state][ON_FIN_ACKED]
        conn.sockets.forget(conn)
        conn.handler.closed(conn, now)
        return False
    return True
