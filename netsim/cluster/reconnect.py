"""When a client that lost the API server reaches it again: what client-go and TCP make of the time in between.

Called by: the fault injector and the control plane, when the way is open again.

==========================================  ==========================================================================
what happened                               when the client goes on
==========================================  ==========================================================================
the API server was down: each attempt is    at the next rung of the reflector's back-off: 0.8 s doubling to 30 s, each
refused at once                             up to twice as long (jitter 1.0)
the way was cut for up to 45 s: the         at the next retransmission: 0.2 s doubling, from the cut on
connection has not been missed
the way was cut for longer: HTTP/2 pings    at the next rung of the back-off, counted from the 45th second
have found the connection dead
==========================================  ==========================================================================

Sources: client-go/tools/cache/reflector.go (NewExponentialBackoffManager 800 ms, 30 s, factor 2.0, jitter 1.0),
apimachinery/pkg/util/net/http.go (ReadIdleTimeout 30 s, PingTimeout 15 s), Linux TCP_RTO_MIN 200 ms.
Simplified: attempts that wait for a connection to be opened (dial time-out 30 s) are not told apart from the waits
between attempts, and writes that failed meanwhile are repeated when the watches are back.
"""

from random import Random
from typing import Final

from netsim.engine import MS, S

_FIRST_NS: Final = 800 * MS
_LONGEST_NS: Final = 30 * S
_NOTICED_NS: Final = 45 * S
_RTO_NS: Final = 200 * MS
_RTO_MAX_NS: Final = 120 * S  # TCP_RTO_MAX


def next_attempt_ns(down_ns: int, random: Random) -> int:
    """How long after the return of an API server that was away for `down_ns` the next attempt is made."""
    at_ns, wait_ns = 0, _FIRST_NS
    while at_ns < down_ns:
        at_ns += int(wait_ns * (1 + random.random()))
        wait_ns = min(2 * wait_ns, _LONGEST_NS)
    return at_ns - down_ns


def resumed_ns(cut_ns: int, random: Random) -> int:
    """How long after the end of a cut of `cut_ns` a client goes on."""
    if cut_ns > _NOTICED_NS:
        return next_attempt_ns(cut_ns - _NOTICED_NS, random)
    at_ns, wait_ns = 0, _RTO_NS
    while at_ns < cut_ns:
        at_ns += wait_ns
        wait_ns = min(2 * wait_ns, _RTO_MAX_NS)
    return at_ns - cut_ns
