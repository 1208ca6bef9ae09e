"""One request on its way to an endpoint and back: pick, connect or reuse, ask, wait; try the next one if that fails.

Made by `proxy.py` for a request that has a location. Callback based: it is the handler of its connection to the
endpoint. Source: nginx src/http/ngx_http_upstream.c (ngx_http_upstream_next, ngx_http_upstream_test_next) and
ingress-nginx's `proxy_next_upstream error timeout`, `proxy_next_upstream_tries 3`.

::

    PICKING -> CONNECTING -> ANSWERING -> OVER      PICKING -> ANSWERING with a kept connection
                  error, timeout -> PICKING (another try) or OVER (502, 504)

- A try failed by a connection error or a time-out is repeated at the next endpoint, if `proxy_next_upstream` says so
  and there are tries left; once the request was sent, POST is not repeated (non_idempotent).
- A kept connection that turns out to be closed costs no try (`u->peer.cached`).
- When the client goes away, so does the connection to the endpoint (proxy_ignore_client_abort off): 499.
- Answers are read whole before they are passed on (proxy_buffering is off in ingress-nginx: a simplification).
"""

from enum import Enum
from typing import TYPE_CHECKING, Final

from netsim.cluster.ingress.configuration import Peer
from netsim.cluster.ingress.routing import Routed
from netsim.fabric.http_messages import BadMessageError, Headers, HttpRequest, HttpResponse, Incoming
from netsim.kernel.errno import Errno
from netsim.wire.packet import endpoint_text
from netsim.workload.ingress.keepalive import Kept, hang_up
from netsim.workload.ingress.records import Try

if TYPE_CHECKING:
    from netsim.kernel.tcp import TcpConnection
    from netsim.workload.ingress.proxy import Client, Nginx, Worker

BAD_GATEWAY: Final = 502
UNAVAILABLE: Final = 503
GATEWAY_TIMEOUT: Final = 504
CLIENT_CLOSED: Final = 499

# NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT: methods that are not repeated once they were sent.
_NON_IDEMPOTENT: Final = frozenset({"POST", "LOCK", "PATCH"})
# RFC 9110 section 7.6.1, and what nginx writes itself.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
)
_REPLACED: Final = frozenset(
    {
        "host",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-real-ip",
        "x-scheme",
    }
)
_NOT_PASSED: Final = _HOP_BY_HOP | _REPLACED
_HIDDEN: Final = _HOP_BY_HOP | {"server", "date"}


class Phase(Enum):
    """Where a forwarded request is."""

    PICKING = "picking"
    CONNECTING = "connecting"
    ANSWERING = "answering"
    OVER = "over"


class Forward:
    """One request. `tries` fills up; `done` is told through `Nginx.forwarded`."""

    __slots__ = ("_conn", "_counted", "_incoming", "_kept", "_nginx", "_peer", "_reused", "_sent", "_timeout_ns",
                 "_wanted", "client", "phase", "request", "routed", "started_ns", "tries", "worker")  # fmt: skip

    def __init__(
        self, nginx: "Nginx", worker: "Worker", client: "Client", request: HttpRequest, routed: Routed
    ) -> None:
        self._nginx = nginx
        self.worker = worker
        self.client = client
        self.request = request
        self.routed = routed
        self.started_ns = 0
        self.tries: list[Try] = []
        self.phase = Phase.PICKING
        self._wanted = b""
        self._counted = 0
        self._timeout_ns = 0
        self._reset()

    def _reset(self) -> None:
        self._peer: Peer | None = None
        self._conn: TcpConnection | None = None
        self._kept: Kept | None = None
        self._incoming: Incoming[HttpResponse] | None = None
        self._reused = self._sent = False

    def begin(self, now: int) -> None:
        """Ask the endpoint whose turn it is."""
        self.started_ns = now
        self._wanted = self._message()
        self._try(now)

    def _message(self) -> bytes:
        request, location = self.request, self.routed.location
        host = next((value for name, value in request.headers if name.lower() == "host"), "")
        address = self.client.address
        own: Headers = (
            ("X-Real-IP", address),
            ("X-Forwarded-For", address),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Port", "80"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Scheme", "http"),
            ("X-Scheme", "http"),
        )
        passed = tuple(entry for entry in request.headers if entry[0].lower() not in _NOT_PASSED)
        to = location.settings.upstream_vhost or host
        return self._nginx.messages.request(
            request.method, self.routed.target, to, (*own, *passed), request.body
        )

    # ------------------------------------------------------------------ a try
    def _try(self, now: int) -> None:
        self._reset()
        self.phase = Phase.PICKING
        peer = self._peer = self.worker.balancers.pick(self.routed.location.upstream)
        if peer is None:
            self._finish(UNAVAILABLE, None, now)
            return
        self._counted += 1
        kept = self.worker.keepalive.take(peer)
        if kept is not None:
            self._reuse(kept, now)
        else:
            self._connect(peer, now)

    def _reuse(self, kept: Kept, now: int) -> None:
        self._reused = True
        self._kept = kept
        self._conn = kept.conn
        kept.conn.handler = self
        self._ask(kept.conn, now)

    def _connect(self, peer: Peer, now: int) -> None:
        self.phase = Phase.CONNECTING
        self._wait(self.routed.location.settings.proxy_connect_timeout_ns, now)
        nginx = self._nginx
        self._conn = nginx.host.ns.sockets.connect(*peer, self, now, owner=nginx.owner)

    def _ask(self, conn: "TcpConnection", now: int) -> None:
        self.phase = Phase.ANSWERING
        self._sent = True
        self._wait(self.routed.location.settings.proxy_read_timeout_ns, now)
        conn.send(self._wanted, now)

    def _wait(self, timeout_ns: int, now: int) -> None:
        self._no_wait()
        self._timeout_ns = timeout_ns
        self._nginx.deadlines(timeout_ns).add(self, now)

    def _no_wait(self) -> None:
        if self._timeout_ns:
            self._nginx.deadlines(self._timeout_ns).discard(self)
            self._timeout_ns = 0

    # ------------------------------------------------------------------ TcpHandler
    def connected(self, conn: "TcpConnection", now: int) -> None:
        """Ask."""
        self._ask(conn, now)

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """The answer, or a part of it: the time-out is between two parts."""
        messages, to_head = self._nginx.messages, self.request.method == "HEAD"
        if self._incoming is None:
            self._incoming = messages.incoming_response(to_head)
        try:
            response = self._incoming.feed(data)
        except BadMessageError:
            self._failed("invalid_header", BAD_GATEWAY, now)
            return
        if response is not None:
            self._answered(response, now)
        else:
            self._wait(self.routed.location.settings.proxy_read_timeout_ns, now)

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """The end of an answer without a length; otherwise "upstream prematurely closed connection"."""
        try:
            response = self._incoming.end() if self._incoming is not None else None
        except BadMessageError:
            response = None
        if response is not None:
            self._answered(response, now)
        else:
            self._failed("error", BAD_GATEWAY, now)

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """Nobody is told: who closes also takes the handler away."""

    def failed(self, conn: "TcpConnection", errno: Errno, now: int) -> None:
        """Refused, unreachable, reset; the kernel's own time-out counts as nginx's."""
        timeout = errno is Errno.ETIMEDOUT
        self._failed("timeout" if timeout else "error", GATEWAY_TIMEOUT if timeout else BAD_GATEWAY, now)

    def timed_out(self, now: int) -> None:
        """nginx's time-out."""
        self._timeout_ns = 0
        self._failed("timeout", GATEWAY_TIMEOUT, now)

    # ------------------------------------------------------------------ the end of a try
    def _answered(self, response: HttpResponse, now: int) -> None:
        self._note(response.status)
        self._no_wait()
        conn, self._conn = self._conn, None
        assert conn is not None
        assert self._peer is not None
        if response.close or response.rest:
            hang_up(conn, now)
        else:
            self.worker.keepalive.put(self._kept or Kept(self.worker.keepalive, conn, self._peer), now)
        if self._may_go_on(f"http_{response.status}", now):
            self._try(now)
        else:
            self._finish(response.status, response, now)

    def _failed(self, why: str, status: int, now: int) -> None:
        self._note(status)
        self._no_wait()
        conn, self._conn = self._conn, None
        if conn is not None:
            hang_up(conn, now)
        if self._reused and why == "error":
            self._counted -= 1
        if self._may_go_on(why, now):
            self._try(now)
        else:
            self._finish(status, None, now)

    def _may_go_on(self, why: str, now: int) -> bool:
        settings = self.routed.location.settings
        if why not in settings.proxy_next_upstream:
            return False
        if 0 < settings.proxy_next_upstream_tries <= self._counted:
            return False
        if self._sent and self.request.method in _NON_IDEMPOTENT:
            return "non_idempotent" in settings.proxy_next_upstream
        limit_ns = settings.proxy_next_upstream_timeout_ns
        return not limit_ns or now - self.started_ns < limit_ns

    def _note(self, status: int) -> None:
        assert self._peer is not None
        port = self._conn.flow.sport if self._conn is not None else 0
        self.tries.append(Try(endpoint_text(*self._peer), status, port, self._reused))

    def _finish(self, status: int, response: HttpResponse | None, now: int) -> None:
        self.phase = Phase.OVER
        self._nginx.forwarded(self, status, response, now)

    def abort(self, now: int) -> None:
        """The client has gone: so does the connection to the endpoint."""
        if self.phase is Phase.OVER:
            return
        if self._peer is not None:
            self._note(CLIENT_CLOSED)
        self.phase = Phase.OVER
        self._no_wait()
        conn, self._conn = self._conn, None
        if conn is not None:
            hang_up(conn, now)

    # ------------------------------------------------------------------ SIGSTOP
    def pause(self) -> None:
        """The process does not look at the connection."""
        if self._conn is not None:
            self._conn.pause()

    def resume(self, now: int) -> None:
        """It does again."""
        if self._conn is not None:
            self._conn.resume(now)


def answer_headers(headers: Headers) -> Headers:
    """What of an endpoint's headers goes to the client: nginx hides Server and Date (proxy_hide_header's defaults), and
    ingress-nginx writes no Server of its own (server-tokens: false)."""
    return tuple(entry for entry in headers if entry[0].lower() not in _HIDDEN)
