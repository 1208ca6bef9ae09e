"""Data coming in: order, the receive window, acknowledgements, FIN, and an application that does not read.

Called by `tcp.py` and `tcp_input.py`. Sources: RFC 9293 section 3.10.7.4 (seventh and eighth check), RFC 5681 section
4.2, net/ipv4/tcp_input.c. The rules of delayed acknowledgements stand in the docstring of `tcp.py`.
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import tcp_output
from netsim.kernel.errno import Errno
from netsim.kernel.tcp_state import (
    CAN_RECEIVE,
    CLOSE_WAIT,
    CLOSED,
    ON_FIN,
    TIME_WAIT,
    TRANSITIONS,
)

if TYPE_CHECKING:
    from netsim.kernel.tcp import TcpConnection

MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31
DELAYED_ACK_NS: Final = 40_000_000  # TCP_DELACK_MIN
MAX_WINDOW: Final = 3 << 20  # tcp_rmem[2] is 6 MiB; half of it is window


def data_arrives(conn: "TcpConnection", seq: int, payload: bytes, fin: bool, now: int) -> None:
    """Seventh and eighth check: payload and FIN, in order or not."""
    if conn.state not in CAN_RECEIVE:
        return
    if payload and conn.rcv_closed:
        tcp_output.send_reset(conn, now)  # nobody will ever read this (RFC 2525 section 2.17; TCPAbortOnData)
        conn.fail(Errno.ECONNRESET, now)
        return
    behind = (conn.rcv_nxt - seq) & MASK
    if fin and not payload and not behind and conn.out_of_order is None:
        _fin_arrives(conn, payload, now)
        return
    if behind >= _HALF:
        _keep(conn, seq, payload, fin)
        tcp_output.send_ack(
            conn, now
        )  # at once: the duplicate tells the sender of the hole (RFC 5681 section 4.2)
        return
    had_gap = conn.out_of_order is not None
    payload, fin = _join(conn, payload[behind:], fin)
    room = free_window(conn)
    if len(payload) > room:
        payload, fin = payload[:room], False
    _take(conn, payload, fin, had_gap, now)


def _keep(conn: "TcpConnection", seq: int, payload: bytes, fin: bool) -> None:
    """Hold a segment until the gap before it is filled."""
    queue = conn.out_of_order = conn.out_of_order or []
    if all(entry[0] != seq or len(entry[1]) < len(payload) for entry in queue):
        queue.append((seq, payload, fin))
        queue.sort(key=lambda entry: (entry[0] - conn.rcv_nxt) & MASK)


def _join(conn: "TcpConnection", payload: bytes, fin: bool) -> tuple[bytes, bool]:
    """Add what came before its time and now follows on."""
    queue = conn.out_of_order
    if queue is None:
        return payload, fin
    pieces = [payload]
    end = (conn.rcv_nxt + len(payload)) & MASK
    while queue and not fin and (end - queue[0][0]) & MASK < _HALF:
        seq, data, its_fin = queue.pop(0)
        overlap = (end - seq) & MASK
        if overlap <= len(data):
            pieces.append(data[overlap:])
            end = (seq + len(data)) & MASK
            fin = its_fin
    conn.out_of_order = queue if queue and not fin else None
    return b"".join(pieces), fin


def _take(conn: "TcpConnection", payload: bytes, fin: bool, had_gap: bool, now: int) -> None:
    """The next bytes in order."""
    conn.rcv_nxt = (conn.rcv_nxt + len(payload)) & MASK
    conn.unacked += len(payload)
    if payload:
        conn.received_at = now
        if len(payload) >= conn.mss:
            grow_window(conn)
        if conn.paused:
            _put_aside(conn, payload)
    if fin:
        _fin_arrives(conn, payload, now)
        return
    if conn.quick_acks or had_gap or conn.unread_length:
        conn.quick_acks -= conn.quick_acks > 0
        tcp_output.send_ack(conn, now)
    if payload and not conn.paused:
        conn.handler.received(conn, payload, now)
    if conn.unacked:
        delay_ack(conn, now)


def _fin_arrives(conn: "TcpConnection", payload: bytes, now: int) -> None:
    """The peer's last: hand over the data before it, then the end."""
    if payload and not conn.paused:
        conn.handler.received(conn, payload, now)
        if conn.state not in CAN_RECEIVE:
            return  # the application has reset the connection
    conn.rcv_nxt = (conn.rcv_nxt + 1) & MASK
    conn.unacked += 1
    conn.state = TRANSITIONS[conn.state][ON_FIN]
    if conn.state is CLOSE_WAIT:
        _peer_closed(conn, now)
        if conn.unacked:
            delay_ack(conn, now)  # it may still go with the application's own FIN (tcp_fin: pingpong mode)
        return
    tcp_output.send_ack(conn, now)
    if conn.state is TIME_WAIT:
        conn.sockets.enter_time_wait(conn, now)


def _peer_closed(conn: "TcpConnection", now: int) -> None:
    conn.fin_unread = conn.paused
    if not conn.paused and conn.state is not CLOSED:
        conn.handler.peer_closed(conn, now)


def delay_ack(conn: "TcpConnection", now: int) -> None:
    """More than one full segment is acknowledged at once, less may wait 40 ms (RFC 9293 section 3.8.6.3)."""
    if conn.unacked > conn.mss:
        tcp_output.send_ack(conn, now)
    elif not conn.ack_at:
        conn.ack_at = now + DELAYED_ACK_NS
        conn.arm(conn.ack_at)


# ---------------------------------------------------------------------- the receive window
def free_window(conn: "TcpConnection") -> int:
    """Bytes of receive window left."""
    free = conn.rcv_wnd - conn.unread_length
    return free if free > 0 else 0


def set_window(conn: "TcpConnection") -> None:
    """The window field of the segments to come."""
    window = free_window(conn) >> conn.rcv_wscale
    conn.window = window if window < 65535 else 65535


def grow_window(conn: "TcpConnection") -> None:
    """Receive buffer auto-tuning, simplified: a reader that keeps up gets two segments more per full segment."""
    if conn.rcv_wscale > 0 and conn.rcv_wnd < MAX_WINDOW and not conn.paused:
        conn.rcv_wnd = min(conn.rcv_wnd + 2 * conn.mss, MAX_WINDOW)
        set_window(conn)


def _put_aside(conn: "TcpConnection", payload: bytes) -> None:
    assert conn.unread is not None
    conn.unread.append(payload)
    conn.unread_length += len(payload)
    set_window(conn)


def deliver_unread(conn: "TcpConnection", now: int) -> None:
    """The application reads again: tell the peer when the window opens noticeably (tcp_cleanup_rbuf), hand over."""
    data = b"".join(conn.unread or ())
    conn.unread, conn.unread_length = None, 0
    if conn.state is CLOSED:
        return
    opened = -(conn.window << conn.rcv_wscale)
    set_window(conn)
    opened += conn.window << conn.rcv_wscale
    if opened >= min(conn.rcv_wnd // 2, 2 * conn.mss) and conn.state in CAN_RECEIVE:
        tcp_output.send_ack(conn, now)
    if data:
        conn.handler.received(conn, data, now)
    if conn.fin_unread:
        _peer_closed(conn, now)
