"""How conntrack follows a TCP connection: Linux's table of states (net/netfilter/nf_conntrack_proto_tcp.c).

Theory of operation: each segment is one of six kinds, told by its flags; the table gives, for its direction, its kind
and the entry's state, the next state, IGNORE (let it pass, change nothing) or INVALID. The time-out of an entry is that
of its state. Not modelled: window tracking (as with nf_conntrack_tcp_be_liberal=1), so a segment outside the window is
not INVALID here, a SYN may reopen an entry that the other side has reset, and a SYN that was IGNOREd does not bring the
entry back in step when it is answered.
"""

from enum import IntEnum
from typing import Final

from netsim.kernel.sysctl import S, Sysctl
from netsim.wire.packet import ACK, FIN, RST, SYN


class TcpState(IntEnum):
    """States of an entry; the names are those that conntrack(8) prints."""

    NONE = 0
    SYN_SENT = 1
    SYN_RECV = 2
    ESTABLISHED = 3
    FIN_WAIT = 4
    CLOSE_WAIT = 5
    LAST_ACK = 6
    TIME_WAIT = 7
    CLOSE = 8
    SYN_SENT2 = 9


IGNORE: Final = 10
INVALID: Final = 11

_NO, _SS, _SR, _ES, _FW, _CW, _LA, _TW, _CL, _S2, _IG, _IV = range(12)

# A connection picked up in the middle (nf_conntrack_tcp_loose) lives this long until answered (TCP_CONNTRACK_UNACK).
UNACKNOWLEDGED_NS: Final = 300 * S

_NEVER: Final = (_IV,) * 10
_RESET: Final = (_IV,) + (_CL,) * 9

# Rows: syn, syn+ack, fin, ack, rst, none. Columns: the state before.
TRANSITIONS: Final = (
    (  # in the original direction
        (_SS, _SS, _IG, _IG, _IG, _IG, _IG, _SS, _SS, _S2),
        (_IV, _IV, _SR, _IV, _IV, _IV, _IV, _IV, _IV, _SR),
        (_IV, _IV, _FW, _FW, _LA, _LA, _LA, _TW, _CL, _IV),
        (_ES, _IV, _ES, _ES, _CW, _CW, _TW, _TW, _CL, _IV),
        _RESET,
        _NEVER,
    ),
    (  # in the reply direction
        (_IV, _S2, _IV, _IV, _IV, _IV, _IV, _SS, _IV, _S2),
        (_IV, _SR, _IG, _IG, _IG, _IG, _IG, _IG, _IG, _SR),
        (_IV, _IV, _FW, _FW, _LA, _LA, _LA, _TW, _CL, _IV),
        (_IV, _IG, _SR, _ES, _CW, _CW, _TW, _TW, _CL, _IG),
        _RESET,
        _NEVER,
    ),
)


def _kind(flags: int) -> int:
    if flags & RST:
        return 4
    if flags & SYN:
        return 1 if flags & ACK else 0
    if flags & FIN:
        return 2
    return 3 if flags & ACK else 5


# The row of TRANSITIONS for each combination of the low six flag bits (get_conntrack_index).
KIND: Final = tuple(_kind(flags) for flags in range(64))


def timeouts(sysctl: Sysctl) -> tuple[int, ...]:
    """Nanoseconds an entry lives in each state (tcp_timeouts; the first and last never apply to a living entry)."""
    return (
        120 * S,
        120 * S,
        60 * S,
        sysctl.nf_conntrack_tcp_timeout_established_ns,
        120 * S,
        sysctl.nf_conntrack_tcp_timeout_close_wait_ns,
        30 * S,
        120 * S,
        10 * S,
        120 * S,
    )
