"""Sending TCP segments: what the windows allow, acknowledgements, resets, retransmissions.

Called by `tcp.py`, `tcp_input.py`, `tcp_timer.py` and `tcp_listen.py`; hands packets to `Namespace.output`.
Sources: RFC 9293 section 3.8, RFC 6298, net/ipv4/tcp_output.c.

A local error of `output` other than for the first SYN is treated as a lost segment, as Linux does: retransmission
goes on.
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel.tcp_options import syn_options
from netsim.kernel.tcp_state import (
    CLOSED,
    SYN_RECEIVED,
    SYN_SENT,
)
from netsim.wire.packet import ACK, FIN, PSH, RST, SYN, Packet, TcpSegment

if TYPE_CHECKING:
    from netsim.kernel.errno import Errno
    from netsim.kernel.tcp import TcpConnection

MASK: Final = 0xFFFFFFFF
OPENING: Final = frozenset({SYN_SENT, SYN_RECEIVED})

# Acknowledged bytes are cut off the send buffer in steps, so that a long transfer does not copy it for every ACK.
_TRIM: Final = 1 << 17


def transmit(conn: "TcpConnection", seq: int, flags: int, payload: bytes, now: int) -> "Errno | None":
    """Send one segment with the present acknowledgement and window."""
    conn.unacked = conn.ack_at = 0
    ns = conn.ns
    segment = TcpSegment(seq, conn.rcv_nxt, flags, conn.window, b"", payload)
    return ns.output(Packet(conn.flow, segment, next(ns.uids)), now)


def send_ack(conn: "TcpConnection", now: int) -> None:
    """A pure acknowledgement."""
    conn.unacked = conn.ack_at = 0
    ns = conn.ns
    ns.output(Packet(conn.flow, TcpSegment(conn.snd_max, conn.rcv_nxt, ACK, conn.window), next(ns.uids)), now)


def send_reset(conn: "TcpConnection", now: int) -> None:
    """RST for a connection that the peer may still believe in."""
    transmit(conn, conn.snd_max, RST | ACK, b"", now)


def send_syn(conn: "TcpConnection", now: int) -> "Errno | None":
    """SYN, or SYN-ACK once the peer's SYN is known; the window of a SYN is not scaled."""
    ns = conn.ns
    mss = conn.sockets.route(conn.flow.dst).mss
    if conn.state is SYN_SENT:
        segment = TcpSegment(conn.iss, 0, SYN, conn.window, syn_options(mss))
    else:
        # Offers only what the peer's SYN offered (RFC 7323 section 2.2, RFC 2018 section 2).
        options = syn_options(mss, conn.rcv_wscale, conn.sack_permitted)
        segment = TcpSegment(conn.iss, conn.rcv_nxt, SYN | ACK, conn.window, options)
    return ns.output(Packet(conn.flow, segment, next(ns.uids)), now)


def send_fin(conn: "TcpConnection", seq: int, now: int) -> None:
    """The usual end: all data has been sent, a FIN of its own follows."""
    conn.snd_nxt = conn.snd_max = end = conn.snd_end
    if not conn.rtt_at:
        conn.rtt_at, conn.rtt_seq = now, end
    conn.stalled_at = conn.stalled_at or now
    conn.unacked = conn.ack_at = 0
    if not conn.rto_at:
        at = conn.rto_at = now + conn.rto_ns
        if not 0 < conn.deadline_ns <= at:
            conn.ns.timers.arm(conn, at)
    ns = conn.ns
    segment = TcpSegment(seq, conn.rcv_nxt, FIN | ACK, conn.window)
    ns.output(Packet(conn.flow, segment, next(ns.uids)), now)


def enqueue(conn: "TcpConnection", data: bytes) -> None:
    """Append to the send buffer."""
    conn.buffer += data
    conn.snd_end = (conn.snd_end + len(data)) & MASK


def push(conn: "TcpConnection", now: int) -> None:
    """Send from `snd_nxt` on, segment by segment, as far as the peer's window and the congestion window allow."""
    while conn.snd_nxt != conn.snd_end and conn.state is not CLOSED:
        size = _next_size(conn)
        if size < 0:
            break
        send_from(conn, conn.snd_nxt, size, now)
    if conn.snd_una != conn.snd_end and not conn.rto_at and conn.state is not CLOSED:
        conn.rto_at = now + conn.rto_ns  # outstanding segments, or a closed window to probe
        conn.arm(conn.rto_at)


def _next_size(conn: "TcpConnection") -> int:
    """Payload bytes of the next segment; 0 for a bare FIN, -1 when the windows do not allow one."""
    in_flight = (conn.snd_nxt - conn.snd_una) & MASK
    left = len(conn.buffer) - ((conn.snd_nxt - conn.buffer_seq) & MASK)
    if left == 0:
        return 0 if conn.snd_wnd > in_flight else -1
    room = min(conn.snd_wnd, conn.cwnd) - in_flight
    size = min(left, conn.mss, room)
    if size <= 0:
        return -1
    # Silly window avoidance (RFC 9293 section 3.8.6.2.1): no part of a segment while an ACK may open the window.
    return -1 if size < min(left, conn.mss) and in_flight else size


def send_from(conn: "TcpConnection", seq: int, size: int, now: int) -> None:
    """Send `size` buffered bytes from sequence number `seq` on, with the FIN if they are the last."""
    offset = (seq - conn.buffer_seq) & MASK
    payload = conn.buffer[offset : offset + size]
    flags = ACK
    last = offset + size == len(conn.buffer)
    if payload and last:
        flags |= PSH
    end = (seq + size) & MASK
    if last and conn.fin_queued:
        flags |= FIN
        end = conn.snd_end
    _account(conn, seq, end, now)
    transmit(conn, seq, flags, payload, now)


def _account(conn: "TcpConnection", seq: int, end: int, now: int) -> None:
    """Note what goes out: sequence space, RTT measurement (never of a retransmission: Karn), timer."""
    if seq == conn.snd_una:
        conn.stalled_at = conn.stalled_at or now
    if conn.snd_nxt == seq:
        conn.snd_nxt = end
    if seq == conn.snd_max:
        conn.snd_max = end
        if not conn.rtt_at:
            conn.rtt_at, conn.rtt_seq = now, end
        if now - conn.received_at < 40_000_000:
            conn.quick_acks = 0  # an answer: interactive from now on, see the docstring of tcp.py
    else:
        conn.rtt_at = 0
    if not conn.rto_at:
        conn.rto_at = now + conn.rto_ns
        conn.arm(conn.rto_at)


def retransmit_head(conn: "TcpConnection", now: int) -> None:
    """Send the oldest unacknowledged segment again, whatever the windows say."""
    offset = (conn.snd_una - conn.buffer_seq) & MASK
    send_from(conn, conn.snd_una, min(conn.mss, len(conn.buffer) - offset), now)


def probe(conn: "TcpConnection", now: int) -> None:
    """An acknowledged sequence number that makes the peer answer: window probes and keep-alives
    (tcp_xmit_probe_skb)."""
    transmit(conn, (conn.snd_una - 1) & MASK, ACK, b"", now)


def release(conn: "TcpConnection", ack: int) -> None:
    """Forget acknowledged bytes."""
    offset = (ack - conn.buffer_seq) & MASK
    if offset >= len(conn.buffer):
        conn.buffer_seq = (conn.buffer_seq + len(conn.buffer)) & MASK
        conn.buffer = b""
    elif offset >= _TRIM:
        conn.buffer = conn.buffer[offset:]
        conn.buffer_seq = ack


def mtu_changed(conn: "TcpConnection", now: int) -> None:
    """A router said "fragmentation needed": shrink the segments and send the oldest again (RFC 1191)."""
    mss = conn.sockets.route(conn.flow.dst).mss
    if mss >= conn.mss:
        return
    conn.mss = mss
    if conn.snd_una != conn.snd_max and conn.state not in OPENING:
        conn.snd_nxt = conn.snd_una
        push(conn, now)
