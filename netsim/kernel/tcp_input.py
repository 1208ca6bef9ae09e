"""Segments that are not the most usual case: handshakes, acknowledgements of a part, gaps, FIN, RST.

Called by `TcpConnection.arrive`, which handles header prediction itself. The order of the checks is that of RFC 9293 section 3.10.7, with
RFC 5961's challenge ACKs as Linux sends them (net/ipv4/tcp_input.c), and NewReno's recovery (RFC 6582).
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import tcp_output, tcp_timer
from netsim.kernel.errno import Errno
from netsim.kernel.tcp_options import DEFAULT_MSS_V4, DEFAULT_MSS_V6, WINDOW_SCALE, parse_syn_options
from netsim.kernel.tcp_state import CAN_RECEIVE, Event, State
from netsim.wire.packet import ACK, FIN, RST, SYN, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.tcp import TcpConnection

MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31
DELAYED_ACK_NS: Final = 40_000_000
# net.ipv4.tcp_invalid_ratelimit: ACKs that answer unacceptable segments come at most every 500 ms.
INVALID_RATELIMIT_NS: Final = 500_000_000
# tcp_rmem[2] is 6 MiB; half of it is window.
MAX_WINDOW: Final = 3 << 20
_DUPACKS: Final = 3


def segment_arrives(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    """SEGMENT ARRIVES of RFC 9293, for every state but LISTEN and TIME_WAIT."""
    if conn.state is State.SYN_SENT:
        _syn_sent(conn, segment, now)
        return
    if not _acceptable(conn, segment):
        _answer_unacceptable(conn, segment, now)
        return
    flags = segment.flags
    if flags & RST:
        _reset_arrives(conn, segment, now)
        return
    if flags & SYN:
        _challenge(conn, now)
        return
    if not flags & ACK:
        return
    if conn.state is State.SYN_RECEIVED and not _handshake_done(conn, segment, now):
        return
    if not _acknowledged(conn, segment, now):
        return
    if segment.payload or flags & FIN:
        data_arrives(conn, segment.seq, segment.payload, bool(flags & FIN), now)
    if conn.state is not State.CLOSED and conn.snd_nxt != conn.snd_end:
        tcp_output.push(conn, now)


# ---------------------------------------------------------------------- handshakes
def _syn_sent(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    flags = segment.flags
    acknowledged = bool(flags & ACK) and segment.ack == conn.snd_max
    if flags & ACK and not acknowledged:
        if not flags & RST:
            conn.sockets.refuse(conn.key, segment, now)
        return
    if flags & RST:
        if acknowledged:
            conn.fail(Errno.ECONNREFUSED, now)
        return
    if not flags & SYN:
        return
    conn.rcv_nxt = (segment.seq + 1) & MASK
    take_syn(conn, segment)
    if not acknowledged:
        conn.move(Event.SYN)
        tcp_output.send_syn(conn, now)
        return
    conn.move(Event.SYN_ACK)
    _syn_acknowledged(conn, segment, now)
    tcp_output.send_ack(conn, now)
    conn.handler.connected(conn, now)
    if conn.state is not State.CLOSED and conn.snd_nxt != conn.snd_end:
        tcp_output.push(conn, now)


def take_syn(conn: "TcpConnection", segment: TcpSegment) -> None:
    """What a SYN says about its sender: MSS, window scaling, window (unscaled)."""
    said = parse_syn_options(segment.options)
    default = DEFAULT_MSS_V4 if len(conn.flow.src) == 4 else DEFAULT_MSS_V6
    conn.mss = min(conn.mss, said.mss or default)
    scaling = said.window_scale >= 0
    conn.snd_wscale = said.window_scale if scaling else 0
    conn.rcv_wscale = WINDOW_SCALE if scaling else -1
    conn.snd_wnd = segment.window
    conn.snd_wl1 = segment.seq
    conn.cwnd = 10 * conn.mss


def _syn_acknowledged(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    conn.snd_una = segment.ack
    conn.rto_at = 0
    conn.stalled_at = 0
    conn.rcv_wscale = max(conn.rcv_wscale, 0)
    conn.window = min(conn.rcv_wnd >> conn.rcv_wscale, 65535)
    if conn.rtt_at and not conn.retries:
        tcp_timer.rtt_sample(conn, now - conn.rtt_at)
    elif conn.retries:
        conn.rto_ns = tcp_timer.RTO_FALLBACK_NS
    conn.retries = 0
    conn.rtt_at = 0


def _handshake_done(conn: "TcpConnection", segment: TcpSegment, now: int) -> bool:
    """The ACK of our SYN-ACK, or of our SYN when both sides opened."""
    if segment.ack != conn.snd_max:
        conn.sockets.refuse(conn.key, segment, now)
        return False
    conn.move(Event.SYN_ACKED)
    _syn_acknowledged(conn, segment, now)
    conn.snd_wnd = segment.window << conn.snd_wscale
    if conn.listener is not None:
        conn.listener.accepted(conn, now)
    else:
        conn.handler.connected(conn, now)
    return conn.state is not State.CLOSED  # type: ignore[comparison-overlap, unused-ignore]


# ---------------------------------------------------------------------- acceptability
def _acceptable(conn: "TcpConnection", segment: TcpSegment) -> bool:
    """RFC 9293 section 3.10.7.4, first check."""
    length = len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
    window = _free(conn)
    first = (segment.seq - conn.rcv_nxt) & MASK
    if length == 0:
        return first == 0 or first < window
    last = (segment.seq + length - 1 - conn.rcv_nxt) & MASK
    return window > 0 and (first < window or last < window)


def _free(conn: "TcpConnection") -> int:
    """Bytes of receive window left."""
    return max(0, conn.rcv_wnd - conn.unread_length)


def _answer_unacceptable(conn: "TcpConnection", segment: TcpSegment, now: int) -> None:
    if segment.flags & RST:
        return
    if conn.state is State.SYN_RECEIVED and segment.flags & SYN:
        tcp_output.send_syn(conn, now)  # our SYN-ACK was lost
    elif segment.payload or segment.flags & FIN or segment.seq == (conn.rcv_nxt - 1) & MASK:
        tcp_output.send_ack(conn, now)  # a repetition, or a probe
    else:
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
    elif conn.state is State.SYN_RECEIVED and conn.listener is not None:
        conn.kill(now)
    elif conn.state is State.SYN_RECEIVED:
        conn.fail(Errno.ECONNREFUSED, now)
    elif conn.state in (State.CLOSING, State.LAST_ACK):
        conn.kill(now)
        conn.handler.closed(conn, now)
    else:
        conn.fail(Errno.EPIPE if conn.state is State.CLOSE_WAIT else Errno.ECONNRESET, now)


# ---------------------------------------------------------------------- acknowledgements
def _acknowledged(conn: "TcpConnection", segment: TcpSegment, now: int) -> bool:
    """Fifth check: the ACK field. False when the segment ends here."""
    advance = (segment.ack - conn.snd_una) & MASK
    outstanding = (conn.snd_max - conn.snd_una) & MASK
    if advance > outstanding:
        if advance < _HALF:  # something that was never sent
            _challenge(conn, now)
            return False
        return True  # an old acknowledgement; the data may be new
    if advance:
        _advanced(conn, segment.ack, advance, now)
    elif outstanding and not segment.payload and not segment.flags & FIN:
        _maybe_duplicate(conn, segment, now)
    if (segment.seq - conn.snd_wl1) & MASK < _HALF:
        conn.snd_wnd, conn.snd_wl1 = segment.window << conn.snd_wscale, segment.seq
    if conn.fin_queued and conn.snd_una == conn.snd_end:
        return _fin_acknowledged(conn, now)
    return True


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
        conn.cwnd += advance
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
        conn.rtt_at = 0
        tcp_output.retransmit_head(conn, now)


def _fin_acknowledged(conn: "TcpConnection", now: int) -> bool:
    """Our half is closed. False when that was the last thing to happen."""
    state = conn.state
    if state is State.FIN_WAIT_1:
        conn.move(Event.FIN_ACKED)
        if conn.rcv_closed:
            tcp_timer.start_fin_wait_2(conn, now)
        return True
    if state is State.CLOSING:
        conn.move(Event.FIN_ACKED)
        conn.sockets.enter_time_wait(conn, now)
        return False
    if state is State.LAST_ACK:
        conn.move(Event.FIN_ACKED)
        conn.sockets.forget(conn)
        conn.handler.closed(conn, now)
        return False
    return True


# ---------------------------------------------------------------------- data
def data_arrives(conn: "TcpConnection", seq: int, payload: bytes, fin: bool, now: int) -> None:
    """Seventh and eighth check: payload and FIN, in order or not."""
    if conn.state not in CAN_RECEIVE:
        if fin or payload:
            tcp_output.send_ack(conn, now)
        return
    if payload and conn.rcv_closed:
        tcp_output.send_reset(conn, now)  # RFC 2525 section 2.16: nobody will ever read this
        conn.kill(now)
        conn.handler.closed(conn, now)
        return
    old = (conn.rcv_nxt - seq) & MASK
    if old and old < _HALF:
        payload, seq = payload[old:], conn.rcv_nxt
    if seq != conn.rcv_nxt:
        _keep(conn, seq, payload, fin)
        tcp_output.send_ack(conn, now)
        return
    filled_gap = conn.out_of_order is not None
    _take(conn, payload, fin, now)
    while conn.out_of_order and conn.state is not State.CLOSED:
        seq, payload, fin = conn.out_of_order[0]
        behind = (conn.rcv_nxt - seq) & MASK
        if behind >= _HALF:
            break
        conn.out_of_order.pop(0)
        if behind <= len(payload):
            _take(conn, payload[behind:], fin, now)
    conn.out_of_order = conn.out_of_order or None
    if filled_gap and conn.state is not State.CLOSED and conn.unacked:
        tcp_output.send_ack(conn, now)


def _keep(conn: "TcpConnection", seq: int, payload: bytes, fin: bool) -> None:
    """Hold a segment until the gap before it is filled."""
    queue = conn.out_of_order = conn.out_of_order or []
    if all(entry[0] != seq or len(entry[1]) < len(payload) for entry in queue):
        queue.append((seq, payload, fin))
        queue.sort(key=lambda entry: (entry[0] - conn.rcv_nxt) & MASK)


def _take(conn: "TcpConnection", payload: bytes, fin: bool, now: int) -> None:
    """The next bytes in order."""
    room = _free(conn)
    if len(payload) > room:
        payload, fin = payload[:room], False
    if payload:
        conn.rcv_nxt = (conn.rcv_nxt + len(payload)) & MASK
        conn.received_at = now
        conn.unacked += len(payload)
        grow_window(conn)
        _hand_over(conn, payload, now)
        if conn.state is State.CLOSED:
            return
    if fin:
        _fin_arrives(conn, now)
    elif conn.unacked:
        if conn.quick_acks:
            conn.quick_acks -= 1
            tcp_output.send_ack(conn, now)
        else:
            delay_ack(conn, now)


def _hand_over(conn: "TcpConnection", payload: bytes, now: int) -> None:
    if conn.paused:
        assert conn.unread is not None
        conn.unread.append(payload)
        conn.unread_length += len(payload)
        conn.window = min(_free(conn) >> conn.rcv_wscale, 65535)
    else:
        conn.handler.received(conn, payload, now)


def _fin_arrives(conn: "TcpConnection", now: int) -> None:
    conn.rcv_nxt = (conn.rcv_nxt + 1) & MASK
    conn.unacked += 1
    was = conn.state
    conn.move(Event.FIN)
    if was is State.FIN_WAIT_2:
        tcp_output.send_ack(conn, now)
        conn.sockets.enter_time_wait(conn, now)
        return
    if conn.paused:
        conn.fin_unread = True
    elif not conn.rcv_closed:
        conn.handler.peer_closed(conn, now)
    if conn.unacked and conn.state is not State.CLOSED:
        tcp_output.send_ack(conn, now)  # unless the application's own FIN has said it


def deliver_unread(conn: "TcpConnection", now: int) -> None:
    """The application reads again."""
    waiting, conn.unread = conn.unread or [], None
    was_closed = _free(conn) < conn.mss
    conn.unread_length = 0
    conn.window = min(conn.rcv_wnd >> conn.rcv_wscale, 65535)
    if was_closed and conn.state is not State.CLOSED:
        tcp_output.send_ack(conn, now)  # a window update
    for position, payload in enumerate(waiting):
        if conn.paused:  # the application stopped again
            conn.unread = waiting[position:]
            conn.unread_length = sum(map(len, conn.unread))
            return
        if conn.state is not State.CLOSED:
            conn.handler.received(conn, payload, now)
    if conn.fin_unread and conn.state is not State.CLOSED:
        conn.fin_unread = False
        conn.handler.peer_closed(conn, now)


def delay_ack(conn: "TcpConnection", now: int) -> None:
    """Acknowledge at the second full segment, or after 40 ms (RFC 9293 section 3.8.6.3)."""
    if conn.unacked >= 2 * conn.mss:
        tcp_output.send_ack(conn, now)
    elif not conn.ack_at:
        conn.ack_at = now + DELAYED_ACK_NS
        conn.arm(conn.ack_at)


def grow_window(conn: "TcpConnection") -> None:
    """Receive buffer auto-tuning, simplified: a reader that keeps up gets two segments more per full segment."""
    if conn.rcv_wscale > 0 and conn.rcv_wnd < MAX_WINDOW and not conn.paused:
        conn.rcv_wnd = min(conn.rcv_wnd + 2 * conn.mss, MAX_WINDOW)
        conn.window = min(conn.rcv_wnd >> conn.rcv_wscale, 65535)
