"""Connections that a client keeps alive, and the requests that wait for one.

Used by `http_exchange.py`: one pool per client (open load) or per user (closed load). The connection used last is taken
first, as Go's net/http does (transport.go `queueForIdleConn`); a server's FIN or RST takes an idle connection out. With
a `limit`, that many connections are open at most, and further requests wait in the order in which they came
(net/http: MaxConnsPerHost).
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from netsim.kernel.tcp_handler import ORPHAN

if TYPE_CHECKING:
    from collections.abc import Collection

    from netsim.kernel.errno import Errno
    from netsim.kernel.tcp import TcpConnection
    from netsim.wire.addr import Address
    from netsim.workload.http_exchange import HttpExchange


class KeptConnection:
    """An open connection and its number. It is the kernel's handler while idle; in use, the exchange is.

    `note` is free for whoever wants to remember something about the connection."""

    __slots__ = ("conn", "note", "number", "pool")

    def __init__(self, pool: "ConnectionPool", conn: "TcpConnection", number: int) -> None:
        self.pool = pool
        self.conn = conn
        self.number = number
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

    __slots__ = ("_serving", "idle", "limit", "opened", "waiting")

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.opened = 0
        self.idle: list[KeptConnection] = []
        self.waiting: deque[HttpExchange] = deque()
        self._serving = False

    @property
    def full(self) -> bool:
        """Whether no further connection may be opened."""
        return 0 < self.limit <= self.opened

    def take(self, addresses: "Collection[Address]") -> KeptConnection | None:
        """The idle connection used last, to one of these addresses (to any, if there are none)."""
        idle = self.idle
        for index in range(len(idle) - 1, -1, -1):
            if not addresses or idle[index].conn.flow.dst in addresses:
                return idle.pop(index)
        return None

    def put(self, kept: KeptConnection, now: int) -> None:
        """A connection is idle."""
        kept.conn.handler = kept
        self.idle.append(kept)
        self.serve(now)

    def drop(self, kept: KeptConnection, now: int) -> None:
        """Close an idle connection."""
        self.idle.remove(kept)
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
