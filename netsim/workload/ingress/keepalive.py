"""Connections to endpoints that a worker keeps (nginx's `keepalive` directive, ngx_http_upstream_keepalive_module.c).

Called by `forward.py`. One cache per worker for all upstreams; the connection used last is taken first, the one unused
for longest is closed when there are too many.
"""

from typing import TYPE_CHECKING

from netsim.cluster.ingress.configuration import Peer
from netsim.cluster.ingress.settings import ControllerSettings
from netsim.kernel.tcp_handler import ORPHAN
from netsim.workload.deadlines import Deadlines

if TYPE_CHECKING:
    from netsim.engine import TimerQueue
    from netsim.kernel.errno import Errno
    from netsim.kernel.tcp import TcpConnection


class Kept:
    """An open connection to an endpoint; the kernel's handler while it is idle."""

    __slots__ = ("cache", "conn", "peer", "requests")

    def __init__(self, cache: "KeepAlive", conn: "TcpConnection", peer: Peer) -> None:
        self.cache = cache
        self.conn = conn
        self.peer = peer
        self.requests = 0

    # ------------------------------------------------------------------ TcpHandler
    def connected(self, conn: "TcpConnection", now: int) -> None:
        """It was connected before it was kept."""

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """Nothing was asked: not to be trusted any more."""
        self.cache.drop(self, now)

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """The endpoint has had enough."""
        self.cache.drop(self, now)

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """Nobody is told: dropped connections have no handler."""

    def failed(self, conn: "TcpConnection", errno: "Errno", now: int) -> None:
        """Reset."""
        self.cache.drop(self, now)


class KeepAlive:
    """The cache of one worker, oldest first."""

    __slots__ = ("_idle", "_settings")

    def __init__(self, timers: "TimerQueue", settings: ControllerSettings) -> None:
        self._settings = settings
        self._idle: Deadlines[Kept] = Deadlines(
            timers, settings.upstream_keepalive_timeout_ns, self._too_long
        )

    def take(self, peer: Peer) -> Kept | None:
        """The idle connection to an endpoint that was used last."""
        for kept in reversed(self._idle.pending):
            if kept.peer == peer:
                self._idle.discard(kept)
                return kept
        return None

    def put(self, kept: Kept, now: int) -> None:
        """A connection has carried a request and its answer."""
        kept.requests += 1
        limit = self._settings.upstream_keepalive_connections
        if not limit or kept.requests >= self._settings.upstream_keepalive_requests:
            hang_up(kept.conn, now)
            return
        if len(self._idle.pending) >= limit:
            self.drop(next(iter(self._idle.pending)), now)
        kept.conn.handler = kept
        self._idle.add(kept, now)

    def drop(self, kept: Kept, now: int) -> None:
        """Close an idle connection."""
        self._idle.discard(kept)
        hang_up(kept.conn, now)

    def close(self, now: int) -> None:
        """Close all of them."""
        for kept in list(self._idle.pending):
            self.drop(kept, now)

    def forget(self) -> None:
        """The process is gone, and the kernel closes them."""
        self._idle.clear()

    def _too_long(self, kept: Kept, now: int) -> None:
        hang_up(kept.conn, now)


def hang_up(conn: "TcpConnection", now: int) -> None:
    """Close a connection about which nobody wants to know any more."""
    conn.handler = ORPHAN
    conn.close(now)
