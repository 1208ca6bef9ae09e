"""The pages that CoreDNS's health and ready plugins, and kube-dns's sidecar, serve for the kubelet's probes.

Called by `coredns`, `kubedns_pod`. Source: CoreDNS plugin/health/health.go, plugin/ready/ready.go: plain text, any
method.
"""

from collections.abc import Callable, Mapping
from typing import Final

from netsim.fabric.host import Host
from netsim.fabric.http_messages import BadMessageError, HttpRequest, Incoming, Messages
from netsim.kernel.errno import Errno
from netsim.kernel.tcp import TcpConnection

_TEXT: Final = (("Content-Type", "text/plain; charset=utf-8"),)
_NOT_FOUND: Final = (404, b"404 page not found\n")

Page = Callable[[], tuple[int, bytes]]


class StatusServer:
    """An HTTP server with some pages by path. A page gives status and body; while `silent()` nothing is answered."""

    def __init__(
        self, host: Host, port: int, pages: Mapping[str, Page], silent: Callable[[], bool], owner: object
    ) -> None:
        self.messages = Messages()
        self._pages = pages
        self._silent = silent
        host.ns.sockets.listen(port, self._accept, owner=owner)

    def _accept(self, conn: TcpConnection, now: int) -> "_Client":
        return _Client(self)

    def answer(self, request: HttpRequest) -> bytes | None:
        """The bytes of the response; None when the process hangs."""
        if self._silent():
            return None
        page = self._pages.get(request.target)
        status, body = page() if page is not None else _NOT_FOUND
        return self.messages.response(status, _TEXT, body, close=request.close)


class _Client:
    """The server's end of a connection."""

    __slots__ = ("_incoming", "_server")

    def __init__(self, server: StatusServer) -> None:
        self._server = server
        self._incoming: Incoming[HttpRequest] = server.messages.incoming_request()

    def connected(self, conn: TcpConnection, now: int) -> None:
        """The client speaks first."""

    def received(self, conn: TcpConnection, data: bytes, now: int) -> None:
        """A request, or a part of it."""
        try:
            request = self._incoming.feed(data)
        except BadMessageError as error:
            conn.send(self._server.messages.response(error.status, _TEXT, b"", close=True), now)
            conn.close(now)
            return
        response = self._server.answer(request) if request is not None else None
        if request is None or response is None:
            return
        conn.send(response, now)
        self._incoming = self._server.messages.incoming_request()
        if request.close:
            conn.close(now)

    def peer_closed(self, conn: TcpConnection, now: int) -> None:
        """The client is done."""
        conn.close(now)

    def closed(self, conn: TcpConnection, now: int) -> None:
        """The end."""

    def failed(self, conn: TcpConnection, errno: Errno, now: int) -> None:
        """The end, badly."""
