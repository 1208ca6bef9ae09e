"""Probes: one HTTP GET or TCP connect from a host's namespace, over a real connection that is closed afterwards.

Called by the kubelet's probes and lifecycle hooks (from the node's namespace), so that a hang is noticed by real
silence. Callback based: one handler object and one timer each, no process.

Sources: pkg/probe/http/{http,request}.go and pkg/probe/tcp/tcp.go of Kubernetes 1.34: a new connection for every
probe (DisableKeepAlives, hence `Connection: close`), no compression, one time-out for all of it.
Simplified: redirects are not followed (a status from 300 to 399 counts as success there too), and TIME_WAIT on the
node is not cut to one second by SO_LINGER (pkg/probe/dialer_others.go).
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from netsim.engine import format_duration
from netsim.fabric.http_messages import BadMessageError, Headers, HttpResponse, Incoming, Messages
from netsim.kernel.errno import Errno
from netsim.wire.addr import Address
from netsim.wire.packet import endpoint_text

if TYPE_CHECKING:
    from netsim.fabric.host import Host
    from netsim.kernel.tcp import TcpConnection

Failure = Literal["timeout", "refused", "reset", "unreachable", "aborted"]

FAILURES: Final[dict[Errno, Failure]] = {
    Errno.ETIMEDOUT: "timeout",
    Errno.ECONNREFUSED: "refused",
    Errno.ECONNRESET: "reset",
    Errno.EPIPE: "reset",
    Errno.EHOSTUNREACH: "unreachable",
    Errno.ENETUNREACH: "unreachable",
    Errno.ENETDOWN: "unreachable",
    Errno.EINVAL: "unreachable",  # a blackhole route (net/ipv4/fib_semantics.c fib_props)
    Errno.EPERM: "unreachable",
    Errno.EACCES: "unreachable",  # administratively prohibited (ICMPv6)
    Errno.EPROTO: "unreachable",  # parameter problem (ICMPv6)
    # The client's own trouble: no port left, for example.
    Errno.EADDRNOTAVAIL: "aborted",
    Errno.EADDRINUSE: "aborted",
    Errno.EMSGSIZE: "aborted",
}
"""What an error number means for whoever wanted an answer."""

USER_AGENT: Final = "kube-probe/1.34"
_HEADERS: Final[Headers] = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Connection", "close"))


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a probe ended. `error` is empty when there was an answer (for a TCP check: a connection), otherwise one of
    timeout, refused, reset, unreachable, aborted, closed (end of connection without a complete answer) or malformed;
    `text` says the same to a reader. `status` 0: no answer."""

    error: str = ""
    status: int = 0
    text: str = ""
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """What the kubelet calls success: connected, and for HTTP a status from 200 to 399."""
        return not self.error and (self.status == 0 or 200 <= self.status < 400)


Done = Callable[[ProbeResult, int], None]
"""`done(result, now)`: called exactly once, after the call that began the probe has returned; never after `cancel`."""


def http_get(  # noqa: PLR0913 - the parts of an httpGet probe
    host: "Host",
    address: Address,
    port: int,
    path: str,
    timeout_ns: int,
    done: Done,
    host_header: str = "",
    *,
    headers: Headers = (),
    messages: Messages | None = None,
    owner: object = None,
) -> "TcpCheck":
    """GET `path` from an address. `headers` are added to the kubelet's own; `messages` lets probes share their memory.
    Raises ValueError for a path or header that HTTP does not allow."""
    messages = messages or Messages()
    wanted = messages.request(
        "GET", path or "/", host_header or endpoint_text(address, port), _HEADERS + headers
    )
    probe = _HttpGet(host, done, owner, messages, wanted)
    probe.begin(address, port, timeout_ns)
    return probe


def tcp_check(
    host: "Host", address: Address, port: int, timeout_ns: int, done: Done, *, owner: object = None
) -> "TcpCheck":
    """Connect to an address and close the connection."""
    probe = TcpCheck(host, done, owner)
    probe.begin(address, port, timeout_ns)
    return probe


class TcpCheck:
    """A probe under way: a TCP check, and what it shares with a GET."""

    __slots__ = ("_conn", "_done", "_host", "_owner", "_text", "armed_ns", "deadline_ns")

    def __init__(self, host: "Host", done: Done, owner: object) -> None:
        self._host = host
        self._done: Done | None = done
        self._owner = owner
        self._conn: TcpConnection | None = None
        self._text = ""
        self.deadline_ns = 0
        self.armed_ns = 0

    def begin(self, address: Address, port: int, timeout_ns: int) -> None:
        """Connect, and wait no longer than the time-out."""
        now = self._host.now
        self._text = f"no answer from {endpoint_text(address, port)} within {format_duration(timeout_ns)}"
        self._host.engine.timers.arm(self, now + timeout_ns)
        self._conn = self._host.ns.sockets.connect(address, port, self, now, owner=self._owner)

    def cancel(self, now: int) -> None:
        """Nobody wants to know any more: close the connection and call nobody."""
        self._done = None
        self._hang_up(now)

    def _hang_up(self, now: int) -> None:
        self.deadline_ns = 0
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close(now)

    def _finish(self, result: ProbeResult, now: int) -> None:
        done, self._done = self._done, None
        self._hang_up(now)
        if done is not None:
            done(result, now)

    def expired(self, now: int) -> None:
        """Timer queue: the time is up."""
        self._finish(ProbeResult("timeout", text=self._text), now)

    # ------------------------------------------------------------------ TcpHandler
    def connected(self, conn: "TcpConnection", now: int) -> None:
        """A TCP check has seen enough."""
        self._finish(ProbeResult(), now)

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """Not for a TCP check."""

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """The server closed before it answered."""
        self._finish(ProbeResult("closed", text="the server closed the connection without an answer"), now)

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """Nobody is told: this side closes only when the probe is over."""

    def failed(self, conn: "TcpConnection", errno: Errno, now: int) -> None:
        """Not connected, or reset."""
        self._conn = None
        self._finish(ProbeResult(FAILURES[errno], text=str(errno)), now)


class _HttpGet(TcpCheck):
    """An HTTP probe under way."""

    __slots__ = ("_incoming", "_request")

    def __init__(self, host: "Host", done: Done, owner: object, messages: Messages, request: bytes) -> None:
        super().__init__(host, done, owner)
        self._incoming: Incoming[HttpResponse] = messages.incoming_response()
        self._request = request

    def connected(self, conn: "TcpConnection", now: int) -> None:
        """Ask."""
        conn.send(self._request, now)

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """The answer, or a part of it."""
        try:
            self._answer(self._incoming.feed(data), now)
        except BadMessageError as error:
            self._finish(ProbeResult("malformed", text=f"malformed HTTP response: {error.args[1]}"), now)

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """Perhaps that is how the answer ends."""
        with suppress(BadMessageError):
            self._answer(self._incoming.end(), now)
        if self._done is not None:
            super().peer_closed(conn, now)

    def _answer(self, response: HttpResponse | None, now: int) -> None:
        if response is not None:
            text = f"HTTP status {response.status} {response.reason}"
            self._finish(ProbeResult("", response.status, text, response.body), now)
