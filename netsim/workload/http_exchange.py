"""One HTTP request of a client: name look-up, connection, request, response, close or keep-alive.

Made by `http_client.HttpClient.request`. Callback based, no SimPy process: the exchange is the handler of its
connection while it lasts.

Theory of operation
-------------------
Phases of an exchange (`Phase`): RESOLVING -> CONNECTING -> ANSWERING -> OVER. Each can be skipped (an address needs no
look-up, a kept connection no handshake), and each can end in OVER. WAITING comes before CONNECTING when the pool's
connections are all in use. Rule 1: whoever enters OVER calls `done`, so it is called exactly once per attempt. Rule 2:
an exchange that is not ANSWERING has sent nothing.

- Addresses are tried in turn when one refuses or is unreachable, as curl and getaddrinfo's users do; the time-out is
  for all of them together.
- The client closes first, when it has the response, unless connections are kept (curl, one call per request):
  TIME_WAIT is the client's.
- Time-out: close(2), as curl and net/http do. Before the handshake is complete nothing is sent; afterwards a FIN, and
  what still arrives is answered by RST.
- A kept connection that turns out to be closed before the first byte of an answer is replaced by a fresh one, once, if
  the method is idempotent (curl: "retrying a fresh connect"; net/http: shouldRetryRequest; RFC 9110 section 9.2.2).
- Redirects are not followed; a status from 400 on is an `http-error`.
"""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from netsim.fabric.http import FAILURES
from netsim.fabric.http_messages import BadMessageError, HttpResponse, Incoming
from netsim.kernel.tcp_handler import ORPHAN
from netsim.workload.http_pool import ConnectionPool, KeptConnection
from netsim.workload.retries import IDEMPOTENT

if TYPE_CHECKING:
    from netsim.kernel.errno import Errno
    from netsim.kernel.tcp import TcpConnection
    from netsim.wire.addr import Address
    from netsim.wire.packet import Flow
    from netsim.workload.http_client import HttpClient
    from netsim.workload.records import Outcome


class Phase(Enum):
    """Where an exchange is; the value completes "timed out while ..."."""

    RESOLVING = "looking up the name"
    WAITING = "waiting for a free connection"
    CONNECTING = "connecting"
    ANSWERING = "waiting for the answer"
    OVER = "over"


# Attribute access on an Enum class costs as much as a function call; the machine's inner loop has them at hand.
_RESOLVING, _WAITING, _CONNECTING, _ANSWERING, _OVER = Phase


class Resolved(Protocol):
    """What a resolver answers with (`netsim.workload.resolver_lookup.LookupResult`)."""

    @property
    def addresses(self) -> tuple["Address", ...]:
        """In the order in which they are to be tried."""

    @property
    def error(self) -> str | None:
        """NXDOMAIN, TIMEOUT and so on."""


class HttpExchange:
    """One request and its answer; also its own result.

    Times are engine nanoseconds, 0 for what did not happen. `connection` and `flow` (the 5-tuple as sent) belong to the
    last connection that was tried; `connection` is 0 when no SYN was sent. `number` and `note` are the caller's.
    """

    __slots__ = ("_addresses", "_client", "_conn", "_done", "_incoming", "_placed", "_tried", "attempts",
                 "connected_ns", "connection", "ended_ns", "error", "flow", "kept", "note", "number", "outcome",
                 "phase", "pool", "replaced", "resolved_ns", "response", "reused", "started_ns", "status")  # fmt: skip

    def __init__(self, client: "HttpClient", done: "Done", pool: ConnectionPool | None) -> None:
        self._client = client
        self._done = done
        self.pool = pool
        self.number = self.started_ns = self.ended_ns = 0
        self.attempts = 1
        self.note: Any = None
        self._reset()

    def _reset(self) -> None:
        self._addresses: tuple[Address, ...] = ()
        self._tried = 0
        self._conn: TcpConnection | None = None
        self._incoming: Incoming[HttpResponse] | None = None
        self._placed = False  # takes one of the pool's places
        self.kept: KeptConnection | None = None
        self.resolved_ns = self.connected_ns = self.connection = self.status = 0
        self.flow: Flow | None = None
        self.reused = self.replaced = False
        self.phase = _RESOLVING
        self.outcome: Outcome = "aborted"
        self.error = ""
        self.response: HttpResponse | None = None

    # ------------------------------------------------------------------ what the client does
    def begin(self, now: int) -> None:
        """Begin; the time-out runs from now on."""
        self.started_ns = now
        self._attempt(now)

    def again(self, now: int) -> None:
        """One more attempt, with a time-out of its own; `started_ns` stays what it was."""
        self.attempts += 1
        self._reset()
        self._attempt(now)

    def _attempt(self, now: int) -> None:
        client = self._client
        client.deadlines.add(self, now)
        if client.resolve_each:
            self._resolve(now)
        else:
            self.acquire(now)

    def acquire(self, now: int) -> None:
        """Get a connection: a kept one, a new one, or wait for one of the two."""
        if self.phase is _OVER:
            return
        pool = self.pool
        if pool is not None:
            kept = pool.take(self._addresses, now)
            if kept is not None:
                self._use(kept, now)
                return
            if not pool.make_room(now):
                self.phase = _WAITING
                pool.waiting.append(self)
                return
            pool.opened += 1
            self._placed = True
        self._open(now)

    def _use(self, kept: KeptConnection, now: int) -> None:
        self._placed = True
        self.reused = True
        self.kept = kept
        self.connection = kept.number
        conn = self._conn = kept.conn
        self.flow = conn.flow
        conn.handler = self
        self.phase = _ANSWERING
        conn.send(self._client.wanted, now)

    def _open(self, now: int) -> None:
        if self._client.connecting is not None:
            self._client.connecting.add(self, now)
        if self._addresses or self._client.known:
            self._addresses = self._addresses or self._client.known
            self._connect(now)
        else:
            self._resolve(now)

    def _resolve(self, now: int) -> None:
        self.phase = _RESOLVING
        client = self._client
        if client.resolver is None:
            self._fail("dns", f"no resolver for {client.spec.host}", now)
        else:
            client.resolver.lookup(client.spec.host, self.resolved, client.spec.family)

    def resolved(self, answer: Resolved, now: int) -> None:
        """The resolver's answer; of no interest if it comes late."""
        if self.phase is not _RESOLVING:
            return
        client = self._client
        if not answer.addresses:
            self._fail("dns", answer.error or "NODATA", now)
            return
        self.resolved_ns = now
        self._addresses = answer.addresses
        if client.spec.resolve == "once":
            client.known = answer.addresses
        if self.pool is not None and not self._placed:
            self.acquire(now)
        else:
            self._connect(now)

    def _connect(self, now: int) -> None:
        client = self._client
        self.phase = _CONNECTING
        conn = client.sockets.connect(
            self._addresses[self._tried], client.port, self, now, owner=client.owner
        )
        self._conn = conn
        conn.user_timeout_ns = client.spec.user_timeout_ns
        if conn.doomed is None:
            self.flow = conn.flow
            self.connection = next(client.connections)

    # ------------------------------------------------------------------ TcpHandler
    def connected(self, conn: "TcpConnection", now: int) -> None:
        """The handshake is complete: ask."""
        self.connected_ns = now
        self.phase = _ANSWERING
        client = self._client
        if client.connecting is not None:
            client.connecting.discard(self)
        if client.spec.keepalive is not None:
            conn.set_keepalive(now, *client.spec.keepalive)
        conn.send(client.wanted, now)

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """The answer, or a part of it."""
        client = self._client
        try:
            if self._incoming is None:
                response = client.messages.read_response(data, client.to_head)
                if response is not None and not response.missing:
                    self._answered(response, now)
                    return
                self._incoming = client.messages.incoming_response(client.to_head)
            response = self._incoming.feed(data)
        except BadMessageError as error:
            self._fail("http-error", f"malformed response: {error.args[1]}", now)
            return
        if response is not None:
            self._answered(response, now)

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """The end of an answer without a length; otherwise the server closed too early."""
        if self._incoming is not None:
            try:
                response = self._incoming.end()
            except BadMessageError:
                response = None
            if response is not None:
                self._answered(response, now)
                return
            self._fail("reset", "the server closed the connection within its answer", now)
        elif not self._replace(now):
            self._fail("reset", "the server closed the connection without an answer", now)

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """Nobody is told: who closes also takes the handler away."""

    def failed(self, conn: "TcpConnection", errno: "Errno", now: int) -> None:
        """Not connected, or lost."""
        self._conn = None
        if self.phase is _CONNECTING and self._tried + 1 < len(self._addresses):
            self._tried += 1
            self._connect(now)
        elif self.phase is _CONNECTING or not self._replace(now):
            self._fail(FAILURES[errno], str(errno), now)

    def _replace(self, now: int) -> bool:
        """A fresh connection instead of a kept one that was closed under the request; False if that is not to be."""
        spec = self._client.spec
        if (
            not self.reused
            or self._incoming is not None
            or not spec.pool.replace
            or spec.method not in IDEMPOTENT
        ):
            return False
        self._hang_up(now)
        self.kept = None
        self.reused, self.replaced = False, True
        self._open(now)
        return True

    # ------------------------------------------------------------------ the end
    def _answered(self, response: HttpResponse, now: int) -> None:
        self.response = response
        status = self.status = response.status
        if status >= 400:
            self.error = f"{status} {response.reason}"
        pool = self.pool
        if pool is None or response.close or response.rest:
            self._hang_up(now)
            self._let_go(now)
        else:
            self._keep(pool, now)
        self._end("ok" if status < 400 else "http-error", now)

    def _keep(self, pool: ConnectionPool, now: int) -> None:
        assert self._conn is not None
        if self.kept is None:
            self.kept = KeptConnection(pool, self._conn, self.connection, self.connected_ns)
        pool.put(self.kept, now)

    def _hang_up(self, now: int) -> None:
        conn = self._conn
        if conn is not None:
            self._conn = None
            conn.handler = ORPHAN
            conn.close(now)

    def _let_go(self, now: int) -> None:
        if self._placed and self.pool is not None:
            self._placed = False
            self.pool.release(now)

    def _fail(self, outcome: "Outcome", error: str, now: int) -> None:
        self.error = error
        self.phase = _OVER
        self._hang_up(now)
        self._let_go(now)
        self._end(outcome, now)

    def _end(self, outcome: "Outcome", now: int) -> None:
        self.phase = _OVER
        self.outcome = outcome
        self.ended_ns = now
        client = self._client
        client.deadlines.discard(self)
        if client.connecting is not None:
            client.connecting.discard(self)
        self._done(self, now)

    def connect_timed_out(self, now: int) -> None:
        """The time for getting a connection is up."""
        self.timed_out(now, "connect time-out")

    def timed_out(self, now: int, what: str = "timed out") -> None:
        """The time is up."""
        if self._client.host.alive:
            self._fail("timeout", f"{what} while {self.phase.value}", now)
        else:
            self._fail("aborted", "the client's host is down", now)

    def abort(self, why: str, now: int) -> None:
        """The client does not want it any more."""
        if self.phase is not _OVER:
            self._fail("aborted", why, now)

    def give_up(self, why: str, now: int) -> None:
        """There will be no further attempt after the last one, which is over."""
        self.outcome, self.error, self.ended_ns = "aborted", why, now


Done = Callable[[HttpExchange, int], None]
