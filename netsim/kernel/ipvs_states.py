"""The states of IPVS connections, what moves a connection between them, and how long each lasts.

Read by `ipvs_conn.py` and by the remembered way of `ipvs_path.py`. IPVS sees a connection from outside: `INPUT` are the
client's packets, `OUTPUT` the real server's.

Sources: net/netfilter/ipvs/ip_vs_proto_tcp.c (`tcp_states`, `tcp_timeouts`, `tcp_state_active_table`),
ip_vs_proto_udp.c, Linux 6.8. Simplified: SCTP has one state, as UDP has; the state table of `secure_tcp` is left out.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from netsim.wire.packet import ACK, FIN, RST, SYN

S: Final = 1_000_000_000
MINUTE: Final = 60 * S

INPUT: Final = 0
OUTPUT: Final = 1


class TcpState(IntEnum):
    """IP_VS_TCP_S_*, by the kernel's numbers."""

    NONE = 0
    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT = 4
    TIME_WAIT = 5
    CLOSE = 6
    CLOSE_WAIT = 7
    LAST_ACK = 8
    LISTEN = 9
    SYNACK = 10


sNO, sES, sSS, sSR, sFW, sTW, sCL, sCW, sLA, sLI, sSA = (int(state) for state in TcpState)
Row = tuple[int, ...]
# tcp_state_idx: which row a segment's flags choose.
_SYN, _FIN, _ACK, _RST = range(4)

# By direction: rows for syn, fin, ack, rst; columns are the old state in the order of TcpState.
TRANSITIONS: Final[tuple[tuple[Row, ...], ...]] = (
    (
        (sSR, sES, sES, sSR, sSR, sSR, sSR, sSR, sSR, sSR, sSR),
        (sCL, sCW, sSS, sTW, sTW, sTW, sCL, sCW, sLA, sLI, sTW),
        (sES, sES, sSS, sES, sFW, sTW, sCL, sCW, sCL, sLI, sES),
        (sCL, sCL, sCL, sSR, sCL, sCL, sCL, sCL, sLA, sLI, sSR),
    ),
    (
        (sSS, sES, sSS, sSR, sSS, sSS, sSS, sSS, sSS, sLI, sSR),
        (sTW, sFW, sSS, sTW, sFW, sTW, sCL, sTW, sLA, sLI, sTW),
        (sES, sES, sSS, sES, sFW, sTW, sCL, sCW, sLA, sES, sES),
        (sCL, sCL, sSS, sCL, sCL, sTW, sCL, sCL, sCL, sCL, sCL),
    ),
)
_NOTHING: Final[Row] = (sCL,) * len(TcpState)  # a segment without any of the four flags


def _row(rows: tuple[Row, ...], flags: int) -> Row:
    if flags & RST:
        return rows[_RST]
    if flags & SYN:
        return rows[_SYN]
    if flags & FIN:
        return rows[_FIN]
    return rows[_ACK] if flags & ACK else _NOTHING


# The row for each of the 64 combinations of flags, by direction.
BY_FLAGS: Final[tuple[tuple[Row, ...], ...]] = tuple(
    tuple(_row(rows, flags) for flags in range(64)) for rows in TRANSITIONS
)

# Whether a connection in the state counts as active for its real server.
ACTIVE: Final = tuple(
    state in (TcpState.ESTABLISHED, TcpState.SYN_SENT, TcpState.SYN_RECV, TcpState.SYNACK)
    for state in TcpState
)

TCP_TIMEOUTS_NS: Final[Mapping[TcpState, int]] = {
    TcpState.NONE: 2 * S,
    TcpState.ESTABLISHED: 15 * MINUTE,
    TcpState.SYN_SENT: 2 * MINUTE,
    TcpState.SYN_RECV: 1 * MINUTE,
    TcpState.FIN_WAIT: 2 * MINUTE,
    TcpState.TIME_WAIT: 2 * MINUTE,
    TcpState.CLOSE: 10 * S,
    TcpState.CLOSE_WAIT: 60 * S,
    TcpState.LAST_ACK: 30 * S,
    TcpState.LISTEN: 2 * MINUTE,
    TcpState.SYNACK: 120 * S,
}
UDP_TIMEOUT_NS: Final = 5 * MINUTE
SCTP_TIMEOUT_NS: Final = 15 * MINUTE  # IP_VS_SCTP_S_ESTABLISHED
# A template that still controls connections is looked at again after this long (ip_vs_conn_expire).
EXPIRE_LATER_NS: Final = 60 * S
