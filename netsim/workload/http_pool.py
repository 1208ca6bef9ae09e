"""Connections that a client keeps alive, and the requests that wait for one.

Used by `http_exchange.py`: one pool per client (open load) or per user (closed load). The connection used last is taken
first, as Go's net/http does (transport.go `queueForIdleConn`); a server's FIN or RST takes an idle connection out. With
a `limit`, that many connections are open at most, and further requests wait in the order in which they came
(net/http: MaxConnsPerHost). `PoolSpec` says how many may be idle, for how long, and when a connection has served
enough; what is one too many, or too old, is closed by the client with a FIN.
"""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from netsim.kernel.tcp_handler import ORPHAN
from netsim.workload.deadlines import Deadlines

if TYPE_CHECKING:
    from collections.abc import Collection

    from netsim.engine import TimerQueue
    from netsim.kernel.errno import Errno
    from netsim.kernel.tcp import TcpConnection
    from netsim.wire.addr import Address
    from netsim.workload.http_exchange import HttpExchange


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What is kept: 0 means no limit. `max_idle` connections wait at most (net/http: MaxIdleConnsPerHost; urllib3:
    pool_maxsize), each no longer than `idle_timeout_ns` (net/http: IdleConnTimeout); after `max_requests` requests
    (nginx: keepalive_requests) or at the age of `max_age_ns` (curl: CURLOPT_MAXLIFETIME_CONN) it is used no more.
    `replace`: a request on a kept connection that turns out to be dead is sent again on a fresh one."""

    max_idle: int = 0
    idle_timeout_ns: int = 0
    max_requests: int = 0
    max_age_ns: int = 0
    replace: bool = True


KEEP_ALL: Final = PoolSpec()


class KeptConnection:
    """An open connection and its number. It is the kernel's handler while idle; in use, the exchange is.

    `note` is free for whoever wants to remember something about the connection."""

    __slots__ = ("conn", "note", "number", "opened_ns", "pool", "requests")

    def __init__(self, pool: "ConnectionPool", conn: "TcpConnection", number: int, opened_ns: int) -> None:
        self.pool = pool
        self.conn = conn
        self.number = number
        self.opened_ns = opened_ns
        self.requests = 0
        self.note: Any = None

    # ------------------------------------------------------------------ TcpHandler
    def connected(self, conn: "TcpConnection", now: int) -> None:
        """It was connected before it was kept."""

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """Nothing was asked: not to be trusted any more."""
        self.pool.drop(self, now)

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """The server has had enough."""
        self.pool.drop(self, now)

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """Nobody is told: dropped connections have no handler."""

    def failed(self, conn: "TcpConnection", errno: "Errno", now: int) -> None:
        """Reset."""
        self.pool.drop(self, now)


class ConnectionPool:
    """`opened` counts connections in use, idle and being opened; `limit` 0 means none."""

    __slots__ = ("_idle_ends", "_serving", "idle", "limit", "opened", "spec", "waiting")

    def __init__(self, limit: int = 0, spec: PoolSpec = KEEP_ALL, timers: "TimerQueue | None" = None) -> None:
        self.limit = limit
        self.spec = spec
        self._idle_ends: Deadlines[KeptConnection] | None = None
        if spec.idle_timeout_ns and timers is not None:
            self._idle_ends = Deadlines(timers, spec.idle_timeout_ns, self.drop)
        self.opened = 0
        self.idle: list[KeptConnection] = []
        self.waiting: deque[HttpExchange] = deque()
        self._serving = False

    @property
    def full(self) -> bool:
        """Whether no further connection may be opened."""
        return 0 < self.limit <= self.opened

    def take(self, addresses: "Collection[Address]", now: int) -> KeptConnection | None:
        """The idle connection used last, to one of these addresses (to any, if there are none)."""
        if self.spec.max_age_ns:
            self._retire(now)
        idle = self.idle
        for index in range(len(idle) - 1, -1, -1):
            if not addresses or idle[index].conn.flow.dst in addresses:
                kept = idle.pop(index)
                if self._idle_ends is not None:
                    self._idle_ends.discard(kept)
                return kept
        return None

    def _retire(self, now: int) -> None:
        for kept in [kept for kept in self.idle if self._too_old(kept, now)]:
            if kept in self.idle:  # whoever waited may have got it meanwhile
                self.drop(kept, now)

    def _too_old(self, kept: KeptConnection, now: int) -> bool:
        return 0 < self.spec.max_age_ns <= now - kept.opened_ns

    def put(self, kept: KeptConnection, now: int) -> None:
        """A connection has served a request: it is idle, or not kept."""
        spec = self.spec
        kept.requests += 1
        kept.conn.handler = kept
        self.idle.append(kept)
        crowded = 0 < spec.max_idle < len(self.idle) and not self.waiting
        if crowded or 0 < spec.max_requests <= kept.requests or self._too_old(kept, now):
            self.drop(kept, now)
            return
        if self._idle_ends is not None:
            self._idle_ends.add(kept, now)
        self.serve(now)

    def drop(self, kept: KeptConnection, now: int) -> None:
        """Close an idle connection."""
        self.idle.remove(kept)
        if self._idle_ends is not None:
            self._idle_ends.discard(kept)
        kept.conn.handler = ORPHAN
        kept.conn.close(now)
        self.release(now)

    def make_room(self, now: int) -> bool:
        """Close the idle connection that was used longest ago, if the pool is full; whether there is room now."""
        if self.full and self.idle:
            self.drop(self.idle[0], now)
        return not self.full

    def release(self, now: int) -> None:
        """A connection is gone, or was never made: others may take its place."""
        self.opened -= 1
        self.serve(now)

    def serve(self, now: int) -> None:
        """Let those who wait have what is free. One that fails at once releases its place within this loop."""
        if self._serving:
            return
        self._serving = True
        while self.waiting and (self.idle or not self.full):
            self.waiting.popleft().acquire(now)
        self._serving = False

    def close(self, now: int) -> None:
        """Close all idle connections."""
        for kept in list(self.idle):
            self.drop(kept, now)
