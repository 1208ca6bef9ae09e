"""The TCP state machine as a table: who may go where, and on what event.

Used by `tcp.py`, `tcp_input.py`, `tcp_listen.py` and `tcp_timer.py`; it knows no packets, timers or sockets.
Source: RFC 9293, figure 5 and section 3.10.

Theory of operation
-------------------
Rule 1: everything that changes a state goes through `TRANSITIONS`; a move that the table lacks is a `KeyError`, that is
a bug here and never a peer's fault. Rule 2: the table does not know which end opened the connection.

A connection has two halves that open and close separately. An event says what happened to one of them:

- our half opens: CONNECT (SYN sent), SYN_ACKED (the peer acknowledged our SYN);
- the peer's half opens: SYN (received while LISTENing, or in SYN_SENT: both opened at once), SYN_ACK (both things
  in one segment, the usual answer to a connect);
- our half closes: CLOSE (the application has sent all it wants; a FIN is queued behind the data), FIN_ACKED;
- the peer's half closes: FIN (received in order, that is after all data before it);
- the whole connection vanishes: KILL (reset by either side, an ICMP error while connecting, retries used up,
  closed before it was open), or EXPIRE (TIME_WAIT is over).

FIN_WAIT_1, FIN_WAIT_2, CLOSING and TIME_WAIT belong to the side that closes first, CLOSE_WAIT and LAST_ACK to the
other. A passive open makes its connection in LISTEN, a state that only lasts until the SYN is processed; the
listener itself is another object (`tcp_listen.TcpListener`) and never changes.

A CLOSE in SYN_RECEIVED waits until the connection is ESTABLISHED (the RFC's second alternative), so it has no entry.

Admitted: the entry into TIME_WAIT hands the connection's port over to a small `tcp_timewait.TimeWait` (as Linux
does with its timewait socket), so EXPIRE happens outside the connection object.
"""

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """Connection states of RFC 9293; an IntEnum because its hash is computed in C."""

    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10

    def __str__(self) -> str:
        return self.name.replace("_", "-")


class Event(IntEnum):
    """What can happen to a connection; see the theory of operation."""

    CONNECT = 0
    SYN = 1
    SYN_ACK = 2
    SYN_ACKED = 3
    CLOSE = 4
    FIN = 5
    FIN_ACKED = 6
    KILL = 7
    EXPIRE = 8


TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    State.CLOSED: {
        Event.CONNECT: State.SYN_SENT,
    },
    State.LISTEN: {
        Event.SYN: State.SYN_RECEIVED,
    },
    State.SYN_SENT: {
        Event.SYN_ACK: State.ESTABLISHED,
        Event.SYN: State.SYN_RECEIVED,
        Event.KILL: State.CLOSED,
    },
    State.SYN_RECEIVED: {
        Event.SYN_ACKED: State.ESTABLISHED,
        Event.KILL: State.CLOSED,
    },
    State.ESTABLISHED: {
        Event.CLOSE: State.FIN_WAIT_1,
        Event.FIN: State.CLOSE_WAIT,
        Event.KILL: State.CLOSED,
    },
    State.FIN_WAIT_1: {
        Event.FIN_ACKED: State.FIN_WAIT_2,
        Event.FIN: State.CLOSING,
        Event.KILL: State.CLOSED,
    },
    State.FIN_WAIT_2: {
        Event.FIN: State.TIME_WAIT,
        Event.KILL: State.CLOSED,
    },
    State.CLOSE_WAIT: {
        Event.CLOSE: State.LAST_ACK,
        Event.KILL: State.CLOSED,
    },
    State.CLOSING: {
        Event.FIN_ACKED: State.TIME_WAIT,
        Event.KILL: State.CLOSED,
    },
    State.LAST_ACK: {
        Event.FIN_ACKED: State.CLOSED,
        Event.KILL: State.CLOSED,
    },
    State.TIME_WAIT: {
        Event.EXPIRE: State.CLOSED,
    },
}

# States in which the application may send, and in which the peer may.
CAN_SEND: Final = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})
CAN_RECEIVE: Final = frozenset({State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2})

# The members as module constants: on the packet path, looking one up on its Enum class costs more than the comparison.
CLOSED: Final = State.CLOSED
LISTEN: Final = State.LISTEN
SYN_SENT: Final = State.SYN_SENT
SYN_RECEIVED: Final = State.SYN_RECEIVED
ESTABLISHED: Final = State.ESTABLISHED
FIN_WAIT_1: Final = State.FIN_WAIT_1
FIN_WAIT_2: Final = State.FIN_WAIT_2
CLOSE_WAIT: Final = State.CLOSE_WAIT
CLOSING: Final = State.CLOSING
LAST_ACK: Final = State.LAST_ACK
TIME_WAIT: Final = State.TIME_WAIT
ON_CONNECT: Final = Event.CONNECT
ON_SYN: Final = Event.SYN
ON_SYN_ACK: Final = Event.SYN_ACK
ON_SYN_ACKED: Final = Event.SYN_ACKED
ON_CLOSE: Final = Event.CLOSE
ON_FIN: Final = Event.FIN
ON_FIN_ACKED: Final = Event.FIN_ACKED
ON_KILL: Final = Event.KILL

# Where the two ways of opening a connection begin.
CONNECTING: Final = TRANSITIONS[CLOSED][ON_CONNECT]
HALF_OPEN: Final = TRANSITIONS[LISTEN][ON_SYN]
