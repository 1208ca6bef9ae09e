"""One connection of an HTTP server: it finds requests in what arrives, one after the other. See `http_server.py` and
`ingress/proxy.py`."""

from typing import TYPE_CHECKING, Protocol

from netsim.fabric.http_messages import BadMessageError, HttpRequest, Incoming, Messages

if TYPE_CHECKING:
    from netsim.kernel.errno import Errno
    from netsim.kernel.tcp import TcpConnection


class Serving(Protocol):
    """The process behind the connection."""

    messages: Messages

    def asked(self, served: "Served", request: HttpRequest, now: int) -> None:
        """A complete request."""

    def worked(self, served: "Served", now: int) -> None:
        """The time for a request is over."""

    def refuse(self, served: "Served", error: BadMessageError, now: int) -> None:
        """What arrived is no HTTP."""

    def hang_up(self, served: "Served", now: int) -> None:
        """Close the connection."""

    def forget(self, served: "Served", now: int) -> None:
        """The connection is over."""


class Served:
    """One connection: the kernel's handler, and the timer of the request in work."""

    __slots__ = (
        "_incoming",
        "_pipelined",
        "_server",
        "answered",
        "armed_ns",
        "conn",
        "deadline_ns",
        "gone",
        "half_closed",
        "request",
    )

    def __init__(self, server: Serving, conn: "TcpConnection") -> None:
        self._server = server
        self.conn = conn
        self.request: HttpRequest | None = None
        self.answered = 0
        self.half_closed = False
        self.gone = False
        self.deadline_ns = 0
        self.armed_ns = 0
        self._incoming: Incoming[HttpRequest] | None = None
        self._pipelined = b""

    def expired(self, now: int) -> None:
        """Timer queue: the request's time is over."""
        self._server.worked(self, now)

    # ------------------------------------------------------------------ TcpHandler
    def connected(self, conn: "TcpConnection", now: int) -> None:
        """Not told to those who accept."""

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """A request, or a part of one, or several."""
        if self._incoming is None and self.request is None:
            try:
                request = self._server.messages.read_request(data)
            except BadMessageError as error:
                self._server.refuse(self, error, now)
                return
            if request is not None and not request.missing and not request.rest:
                self._server.asked(self, request, now)
                return
        self._pipelined += data
        self.go_on(now)

    def go_on(self, now: int) -> None:
        """Look at what has arrived beyond the request that was answered last."""
        while self._pipelined and self.request is None and not self.gone:
            data, self._pipelined = self._pipelined, b""
            self._piece(data, now)

    def _piece(self, data: bytes, now: int) -> None:
        incoming = self._incoming
        if incoming is None:
            incoming = self._incoming = self._server.messages.incoming_request()
        try:
            request = incoming.feed(data)
        except BadMessageError as error:
            self._server.refuse(self, error, now)
            return
        if request is not None:
            self._incoming = None
            self._pipelined = request.rest
            self._server.asked(self, request, now)

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """The client sends nothing more; an answer that is due still goes out."""
        if self.request is None:
            self._server.hang_up(self, now)
        else:
            self.half_closed = True

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """Nobody is told: the connection is forgotten when the server closes it."""

    def failed(self, conn: "TcpConnection", errno: "Errno", now: int) -> None:
        """Reset or lost."""
        self._server.forget(self, now)
