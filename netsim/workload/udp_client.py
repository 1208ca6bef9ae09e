"""A UDP client: one datagram, one datagram back. For `udp://` loads and for experiments with conntrack.

Made by `clients.py`; a `UdpExchange` has what a load wants of a request (see `http_exchange.HttpExchange`).

With keep-alive a socket is used again and again, so all its datagrams have the same source port and follow the same
conntrack entry, be its endpoint alive or not; without it each request has a socket, and thus a choice, of its own.
Nothing is repeated, except by the load's `retries`. The socket is a connected one: answers from elsewhere are not
seen, ICMP errors are (ECONNREFUSED ends all requests that wait on it).

Simplified: a kept socket counts as one connection, also when its conntrack entry has expired in between and another
endpoint is chosen.
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from netsim.fabric.http import FAILURES
from netsim.wire.packet import UDP, Flow
from netsim.workload.deadlines import Deadlines
from netsim.workload.http_client import literal
from netsim.workload.http_pool import ConnectionPool

if TYPE_CHECKING:
    from netsim.fabric.host import Host
    from netsim.kernel.errno import Errno
    from netsim.kernel.udp import UdpSocket
    from netsim.wire.addr import Address
    from netsim.workload.http_client import ClientSpec, NameResolver
    from netsim.workload.http_exchange import Resolved
    from netsim.workload.records import Outcome

Done = Callable[["UdpExchange", int], None]


class _Socket:
    """A socket connected to a server, and the requests that wait on it, by their payload."""

    __slots__ = ("flow", "number", "socket", "used", "waiting")

    def __init__(self, client: "UdpClient", address: "Address", number: int) -> None:
        sockets = client.host.ns.sockets
        self.socket = sockets.open_udp(self._datagram, owner=client.owner)
        self.socket.on_error = self._error
        source = sockets.route(address).source or address
        self.flow = Flow(source, address, self.socket.port, client.port, UDP)
        self.number = number
        self.used = False
        self.waiting: dict[bytes, UdpExchange] = {}

    def send(self, exchange: "UdpExchange", payload: bytes, now: int) -> "Errno | None":
        self.used = True
        self.waiting[payload] = exchange
        return self.socket.send(payload, self.flow.dst, self.flow.dport, now)

    def _datagram(self, _sock: "UdpSocket", payload: bytes, source: bytes, port: int, now: int) -> None:
        if (source, port) == (self.flow.dst, self.flow.dport) and payload in self.waiting:
            self.waiting.pop(payload).answered(now)

    def _error(self, _sock: "UdpSocket", errno: "Errno", _flow: Flow, now: int) -> None:
        waiting, self.waiting = self.waiting, {}
        for exchange in waiting.values():
            exchange.fail(FAILURES[errno], str(errno), now)


class UdpClient:
    """One client process on a host, asking one port again and again."""

    def __init__(
        self,
        host: "Host",
        spec: "ClientSpec",
        resolver: "NameResolver | None" = None,
        *,
        owner: object = None,
        connections: Iterator[int] | None = None,
    ) -> None:
        self.host = host
        self.spec = spec
        self.port = spec.port
        self.resolver = resolver
        self.owner = owner
        self.connections = connections or count(1)
        self.known = literal(spec.host)
        self.pool = self.new_pool()
        self._sockets: dict[ConnectionPool, _Socket] = {}
        self._payloads = count(1)
        self.deadlines: Deadlines[UdpExchange] = Deadlines(
            host.engine.timers, spec.timeout_ns, UdpExchange.timed_out
        )

    def new_pool(self) -> ConnectionPool | None:
        """What stands for a socket that is kept, None if there is a new one for each request."""
        return ConnectionPool() if self.spec.keep_alive else None

    @property
    def outstanding(self) -> int:
        """Requests begun and not over."""
        return len(self.deadlines.pending)

    def exchange(self, done: "Done", pool: ConnectionPool | None = None) -> "UdpExchange":
        """A request that has not begun; `pool` stands for a user with a socket of her own."""
        return UdpExchange(self, done, pool or self.pool)

    def kept(self, pool: ConnectionPool | None) -> _Socket | None:
        """The socket of a user, if she keeps one."""
        return self._sockets.get(pool) if pool is not None else None

    def open(self, pool: ConnectionPool | None, address: "Address") -> _Socket:
        """A new socket. Raises InUseError when no port is left."""
        made = _Socket(self, address, next(self.connections))
        if pool is not None:
            self._sockets[pool] = made
        return made

    def payload(self) -> bytes:
        """A payload that no other request has."""
        return next(self._payloads).to_bytes(8)

    def abort(self, now: int, why: str = "the client stopped") -> None:
        """End all requests with outcome `aborted`, and close what is kept open."""
        for exchange in list(self.deadlines.pending):
            exchange.fail("aborted", why, now)
        for kept in self._sockets.values():
            kept.socket.close()
        self._sockets.clear()


class UdpExchange:
    """One request; also its own result, with the fields of an `HttpExchange`."""

    __slots__ = ("_client", "_done", "_over", "_payload", "_pool", "_socket", "attempts", "connected_ns", "connection",
                 "ended_ns", "error", "flow", "kept", "note", "number", "outcome", "resolved_ns", "reused",
                 "started_ns", "status")  # fmt: skip
    replaced = False  # datagrams need no connection

    def __init__(self, client: UdpClient, done: Done, pool: ConnectionPool | None) -> None:
        self._client = client
        self._done = done
        self._pool = pool
        self.number = self.started_ns = self.ended_ns = 0
        self.attempts = 1
        self.note: Any = None
        self.kept = None
        self._reset()

    def _reset(self) -> None:
        self._over = False
        self._payload = b""
        self._socket: _Socket | None = None
        self.resolved_ns = self.connected_ns = self.connection = self.status = 0
        self.flow: Flow | None = None
        self.reused = False
        self.outcome: Outcome = "aborted"
        self.error = ""

    def begin(self, now: int) -> None:
        """Begin; the time-out runs from now on."""
        self.started_ns = now
        self._attempt(now)

    def again(self, now: int) -> None:
        """One more attempt."""
        self.attempts += 1
        self._reset()
        self._attempt(now)

    def _attempt(self, now: int) -> None:
        client = self._client
        client.deadlines.add(self, now)
        kept = client.kept(self._pool)
        if kept is not None:
            self._send(kept, now)
        elif client.known:
            self._open(client.known[0], now)
        elif client.resolver is None:
            self.fail("dns", f"no resolver for {client.spec.host}", now)
        else:
            client.resolver.lookup(client.spec.host, self.resolved, client.spec.family)

    def resolved(self, answer: "Resolved", now: int) -> None:
        """The resolver's answer; of no interest if it comes late."""
        if self._over:
            return
        if not answer.addresses:
            self.fail("dns", answer.error or "NODATA", now)
            return
        self.resolved_ns = now
        if self._client.spec.resolve == "once":
            self._client.known = answer.addresses
        self._open(answer.addresses[0], now)

    def _open(self, address: "Address", now: int) -> None:
        from netsim.kernel.sockets import InUseError

        try:
            self._send(self._client.kept(self._pool) or self._client.open(self._pool, address), now)
        except InUseError as error:
            self.fail("aborted", str(error), now)

    def _send(self, socket: _Socket, now: int) -> None:
        self._socket = socket
        self.flow, self.connection, self.reused = socket.flow, socket.number, socket.used
        self._payload = self._client.payload()
        errno = socket.send(self, self._payload, now)
        if errno is not None:
            self.fail(FAILURES[errno], str(errno), now)

    def answered(self, now: int) -> None:
        """The datagram is back."""
        self._end("ok", now)

    def timed_out(self, now: int) -> None:
        """The time is up."""
        if self._client.host.alive:
            self.fail("timeout", "timed out while waiting for the answer", now)
        else:
            self.fail("aborted", "the client's host is down", now)

    def fail(self, outcome: "Outcome", error: str, now: int) -> None:
        """It did not work."""
        if not self._over:
            self.error = error
            self._end(outcome, now)

    def give_up(self, why: str, now: int) -> None:
        """There will be no further attempt after the last one, which is over."""
        self.outcome, self.error, self.ended_ns = "aborted", why, now

    def _end(self, outcome: "Outcome", now: int) -> None:
        self._over = True
        self.outcome, self.ended_ns = outcome, now
        self._client.deadlines.discard(self)
        if self._socket is not None:
            self._socket.waiting.pop(self._payload, None)
            if self._pool is None:
                self._socket.socket.close()
        self._done(self, now)
