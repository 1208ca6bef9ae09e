"""An HTTP client in a pod, which asks one URL again and again.

Called by `load.py` and by whoever wants a single request. What happens in a request stands in `http_exchange.py`, what
is kept between requests in `http_pool.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final, Literal, Protocol

from netsim.engine import S
from netsim.fabric.http_messages import Headers, Messages
from netsim.wire.addr import ip
from netsim.workload.deadlines import Deadlines
from netsim.workload.http_exchange import Done, HttpExchange, Resolved
from netsim.workload.http_pool import KEEP_ALL, ConnectionPool, PoolSpec

if TYPE_CHECKING:
    from netsim.fabric.host import Host
    from netsim.wire.addr import Address

_HEADERS: Final[Headers] = (("User-Agent", "curl/8.5.0"), ("Accept", "*/*"))


class NameResolver(Protocol):
    """What a client needs of `netsim.workload.resolver.Resolver`."""

    def lookup(self, name: str, done: Callable[[Resolved, int], None], family: str = "any") -> None:
        """`done(result, now)` is called once, perhaps at once."""


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """What a client asks for. `resolve`: the name is looked up for each new connection, once in the client's life, or
    for each request (a kept connection is then used if its address is still among the answers). `max_connections`
    limits a client that keeps connections (0: no limit). `headers` replace curl's own; `Host` is one of them.

    `timeout_ns` is for all of an attempt, `connect_timeout_ns` for getting a connection, the look-up included (curl's
    --connect-timeout, Go's Dialer.Timeout); 0 means none. `keepalive` are TCP_KEEPIDLE, TCP_KEEPINTVL (ns) and
    TCP_KEEPCNT, `user_timeout_ns` TCP_USER_TIMEOUT."""

    host: str
    port: int = 80
    path: str = "/"
    method: str = "GET"
    timeout_ns: int = 1 * S
    keep_alive: bool = False
    max_connections: int = 0
    resolve: Literal["connection", "once", "request"] = "connection"
    family: str = "any"
    headers: Headers = ()
    connect_timeout_ns: int = 0
    pool: PoolSpec = KEEP_ALL
    keepalive: tuple[int, int, int] | None = None
    user_timeout_ns: int = 0


class HttpClient:
    """One client process on a host, asking one URL again and again. `connections` numbers the connections."""

    def __init__(
        self,
        host: "Host",
        spec: ClientSpec,
        resolver: NameResolver | None = None,
        *,
        messages: Messages | None = None,
        owner: object = None,
        connections: Iterator[int] | None = None,
    ) -> None:
        self.host = host
        self.spec = spec
        self.port = spec.port
        self.resolver = resolver
        self.messages = messages or Messages()
        self.owner = owner
        self.connections = connections or count(1)
        self.sockets = host.ns.sockets
        self.known: tuple[Address, ...] = literal(spec.host)
        self.resolve_each = spec.resolve == "request" and not self.known
        own = {name.lower(): value for name, value in spec.headers}
        host_header = own.get("host", _authority(spec))
        kept = tuple(entry for entry in _HEADERS if entry[0].lower() not in own)
        more = tuple(entry for entry in spec.headers if entry[0].lower() != "host")
        self.wanted = self.messages.request(spec.method, spec.path, host_header, (*kept, *more))
        self.to_head = spec.method == "HEAD"
        timers = host.engine.timers
        self.pool = self.new_pool(spec.max_connections)
        self.deadlines: Deadlines[HttpExchange] = Deadlines(timers, spec.timeout_ns, HttpExchange.timed_out)
        self.connecting: Deadlines[HttpExchange] | None = None
        if spec.connect_timeout_ns:
            self.connecting = Deadlines(timers, spec.connect_timeout_ns, HttpExchange.connect_timed_out)

    def new_pool(self, limit: int = 0) -> ConnectionPool | None:
        """A pool of this client's kind, None if it keeps no connections."""
        spec = self.spec
        return ConnectionPool(limit, spec.pool, self.host.engine.timers) if spec.keep_alive else None

    @property
    def outstanding(self) -> int:
        """Requests begun and not over."""
        return len(self.deadlines.pending)

    def exchange(self, done: Done, pool: ConnectionPool | None = None) -> "HttpExchange":
        """A request that has not begun; `pool` replaces the client's own."""
        return HttpExchange(self, done, pool or self.pool)

    def request(self, done: Done, now: int, pool: ConnectionPool | None = None) -> "HttpExchange":
        """Begin a request; `done(exchange, now)` is called once, perhaps before this returns. `pool` replaces the
        client's own."""
        exchange = self.exchange(done, pool)
        exchange.begin(now)
        return exchange

    def abort(self, now: int, why: str = "the client stopped") -> None:
        """End all requests with outcome `aborted`, and close what is kept open."""
        if self.pool is not None:
            self.pool.waiting.clear()
        for exchange in list(self.deadlines.pending):
            exchange.abort(why, now)
        if self.pool is not None:
            self.pool.close(now)


def literal(host: str) -> "tuple[Address, ...]":
    """The address that a URL's host is, if it is one."""
    try:
        return (ip(host),)
    except ValueError:
        return ()


def _authority(spec: ClientSpec) -> str:
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    return host if spec.port == 80 else f"{host}:{spec.port}"
