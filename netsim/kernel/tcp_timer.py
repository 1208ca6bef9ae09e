"""TCP's timers: SYN and RTO ladders, window probes, delayed ACK, keep-alive, FIN_WAIT_2, and the RTT estimator.

A connection has one object in the timer queue and three logical timers: `rto_at`, `ack_at`, `idle_at`. Cancelling or
postponing one of them only changes that number; `expired` may therefore be called early, finds nothing due and arms the
next. Called by the timer queue through `TcpConnection.expired`.

Sources: RFC 6298, net/ipv4/tcp_timer.c, include/net/tcp.h, Documentation/networking/ip-sysctl.rst.

- SYN (tcp_syn_retries 6): doubling from 1 s, sent at 0, 1, 3, 7, 15, 31, 63 s and ETIMEDOUT at 127 s; since Linux
  6.5 the first `tcp_syn_linear_timeouts` (4) time-outs do not double: 0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s and
  ETIMEDOUT at 131 s.
- SYN-ACK (tcp_synack_retries 5): 0, 1, 3, 7, 15, 31 s, forgotten at 63 s.
- data (tcp_retries2 15): srtt + max(200 ms, 4 rttvar), doubling up to 120 s. The connection fails with ETIMEDOUT
  at the first time-out after 15 doublings of the minimum would have passed (924.6 s), counted from the first
  transmission; when the application has closed already, after 8 (102.2 s; tcp_orphan_retries).
"""

from typing import TYPE_CHECKING, Final

from netsim.kernel import tcp_output
from netsim.kernel.errno import Errno
from netsim.kernel.tcp_state import (
    CLOSE_WAIT,
    ESTABLISHED,
    FIN_WAIT_2,
    SYN_RECEIVED,
    SYN_SENT,
)

if TYPE_CHECKING:
    from netsim.kernel.tcp import TcpConnection

S: Final = 1_000_000_000

RTO_INITIAL_NS: Final = 1 * S  # TCP_TIMEOUT_INIT, RFC 6298 section 2.1
RTO_MIN_NS: Final = 200_000_000  # TCP_RTO_MIN
RTO_MAX_NS: Final = 120 * S  # TCP_RTO_MAX
RTO_FALLBACK_NS: Final = 3 * S  # TCP_TIMEOUT_FALLBACK: first data after a lost SYN, RFC 6298 section 5.7
ORPHAN_RETRIES: Final = 8  # tcp_orphan_retries() when the sysctl is 0


def rtt_sample(conn: "TcpConnection", rtt_ns: int) -> None:
    """RFC 6298 section 2; the variance term is floored at 200 ms as in Linux's __tcp_set_rto and tcp_rtt_estimator.
    Only a fresh sample ends the doubling of the time-out (section 5.7)."""
    conn.rtt_at = 0
    srtt = conn.srtt_ns
    if srtt:
        conn.rttvar_ns += (abs(srtt - rtt_ns) - conn.rttvar_ns) >> 2
        conn.srtt_ns = srtt + ((rtt_ns - srtt) >> 3)
    else:
        conn.srtt_ns = rtt_ns or 1
        conn.rttvar_ns = rtt_ns >> 1
    variance = conn.rttvar_ns << 2
    rto = conn.srtt_ns + (variance if variance > RTO_MIN_NS else RTO_MIN_NS)
    conn.rto_ns = rto if rto < RTO_MAX_NS else RTO_MAX_NS


def set_rto(conn: "TcpConnection") -> None:
    """The time-out that the estimator asks for, without any doubling."""
    conn.rto_ns = min(conn.srtt_ns + max(conn.rttvar_ns << 2, RTO_MIN_NS), RTO_MAX_NS)


def expired(conn: "TcpConnection", now: int) -> None:
    """See which timer is due, serve it, arm the next."""
    if conn.doomed is not None:
        conn.fail(conn.doomed, now)
        return
    if conn.ack_at and conn.ack_at <= now:
        tcp_output.send_ack(conn, now)
    if conn.rto_at and conn.rto_at <= now:
        conn.rto_at = 0
        _retransmission_due(conn, now)
    if conn.idle_at and conn.idle_at <= now:
        conn.idle_at = 0
        _idle_due(conn, now)
    rearm(conn)


def rearm(conn: "TcpConnection") -> None:
    """Arm the earliest logical timer."""
    due = [at for at in (conn.rto_at, conn.ack_at, conn.idle_at) if at]
    if due:
        conn.arm(min(due))


def _retransmission_due(conn: "TcpConnection", now: int) -> None:
    if conn.state is SYN_SENT:
        _syn_due(conn, now)
    elif conn.state is SYN_RECEIVED:
        _syn_ack_due(conn, now)
    elif conn.snd_una != conn.snd_max:
        _data_due(conn, now)
    elif conn.snd_nxt != conn.snd_end:
        _probe_due(conn, now)


def syn_interval_ns(retries: int, linear_timeouts: int) -> int:
    """Time from a SYN to the next one, the first has number 0."""
    return RTO_INITIAL_NS << max(0, retries - linear_timeouts)


def _syn_due(conn: "TcpConnection", now: int) -> None:
    sysctl = conn.ns.sysctl
    limit = sysctl.tcp_syn_retries + sysctl.tcp_syn_linear_timeouts
    if conn.retries >= limit or _user_timeout_over(conn, now):
        conn.fail(conn.soft_error or Errno.ETIMEDOUT, now)
        return
    conn.retries += 1
    _rearm_rto(conn, syn_interval_ns(conn.retries, sysctl.tcp_syn_linear_timeouts), now)
    conn.rtt_at = 0
    tcp_output.send_syn(conn, now)


def _syn_ack_due(conn: "TcpConnection", now: int) -> None:
    if conn.retries >= conn.ns.sysctl.tcp_synack_retries:
        if conn.listener is None:
            conn.fail(Errno.ETIMEDOUT, now)  # opened by both sides
        else:
            conn.kill(now)
        return
    conn.retries += 1
    _rearm_rto(conn, RTO_INITIAL_NS << conn.retries, now)
    conn.rtt_at = 0
    tcp_output.send_syn(conn, now)


def retries_limit_ns(retries: int) -> int:
    """How long a given number of doublings from 200 ms lasts (tcp_model_timeout): 15 -> 924.6 s."""
    doublings = (RTO_MAX_NS // RTO_MIN_NS).bit_length() - 1
    if retries <= doublings:
        return ((2 << retries) - 1) * RTO_MIN_NS
    return ((2 << doublings) - 1) * RTO_MIN_NS + (retries - doublings) * RTO_MAX_NS


def _data_due(conn: "TcpConnection", now: int) -> None:
    if _given_up(conn, now) or _user_timeout_over(conn, now):
        conn.fail(conn.soft_error or Errno.ETIMEDOUT, now)
        return
    _back_off(conn, now)
    # Everything in flight is considered lost: start over with one segment (tcp_enter_loss).
    conn.cwnd = conn.mss
    conn.recover = -1
    conn.dupacks = 0
    conn.snd_nxt = conn.snd_una
    tcp_output.retransmit_head(conn, now)


def _probe_due(conn: "TcpConnection", now: int) -> None:
    """The window is closed: ask whether it still is. Given up like data when nothing ever answers."""
    conn.stalled_at = conn.stalled_at or now
    if conn.retries and (_given_up(conn, now) or _user_timeout_over(conn, now)):
        conn.fail(conn.soft_error or Errno.ETIMEDOUT, now)
        return
    _back_off(conn, now)
    tcp_output.probe(conn, now)


def _back_off(conn: "TcpConnection", now: int) -> None:
    conn.retries += 1
    conn.rto_ns = min(conn.rto_ns * 2, RTO_MAX_NS)
    _rearm_rto(conn, conn.rto_ns, now)


def _given_up(conn: "TcpConnection", now: int) -> bool:
    retries = ORPHAN_RETRIES if conn.rcv_closed else conn.ns.sysctl.tcp_retries2
    return now - conn.stalled_at >= retries_limit_ns(retries)


def _user_timeout_over(conn: "TcpConnection", now: int) -> bool:
    return 0 < conn.user_timeout_ns <= now - conn.stalled_at


def _rearm_rto(conn: "TcpConnection", interval_ns: int, now: int) -> None:
    """Next time-out, not later than a user timeout (tcp_clamp_rto_to_user_timeout)."""
    conn.rto_at = now + interval_ns
    if conn.user_timeout_ns:
        conn.rto_at = min(conn.rto_at, max(conn.stalled_at + conn.user_timeout_ns, now + 1))


def start_keepalive(conn: "TcpConnection", now: int) -> None:
    """Probe after the idle time; every segment received postpones it (seen when the timer comes up)."""
    if conn.keepalive is not None and conn.state is ESTABLISHED:
        conn.idle_at = max(conn.seen_at, now) + conn.keepalive[0]
        conn.arm(conn.idle_at)


def start_fin_wait_2(conn: "TcpConnection", now: int) -> None:
    """A closed socket does not wait for the peer's FIN for ever (net.ipv4.tcp_fin_timeout)."""
    conn.idle_at = now + conn.ns.sysctl.tcp_fin_timeout_ns
    conn.arm(conn.idle_at)


def _idle_due(conn: "TcpConnection", now: int) -> None:
    if conn.state is FIN_WAIT_2 and conn.rcv_closed:
        conn.kill(now)
        conn.handler.closed(conn, now)
    elif conn.keepalive is not None and conn.state in (ESTABLISHED, CLOSE_WAIT):
        _keepalive_due(conn, conn.keepalive, now)


def _keepalive_due(conn: "TcpConnection", keepalive: tuple[int, int, int], now: int) -> None:
    idle_ns, interval_ns, count = keepalive
    idle_until = conn.seen_at + idle_ns
    if conn.snd_una != conn.snd_end:  # retransmission decides
        conn.idle_at = now + idle_ns
        return
    if idle_until > now:
        conn.probes = 0
        conn.idle_at = idle_until
        return
    if _keepalive_over(conn, count, now):
        tcp_output.send_reset(conn, now)
        conn.fail(conn.soft_error or Errno.ETIMEDOUT, now)
        return
    conn.probes += 1
    tcp_output.probe(conn, now)
    conn.idle_at = now + interval_ns


def _keepalive_over(conn: "TcpConnection", count: int, now: int) -> bool:
    """A user timeout replaces the number of probes (tcp_keepalive_timer)."""
    if conn.user_timeout_ns:
        return conn.probes > 0 and now - conn.seen_at >= conn.user_timeout_ns
    return conn.probes >= count
