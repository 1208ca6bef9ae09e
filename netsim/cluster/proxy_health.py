"""kube-proxy's health servers, on real sockets of the node: `/healthz` and `/livez` on 10256, and the health check
node ports of Services with externalTrafficPolicy Local.

Called by: `kubeproxy.py`. While kube-proxy is stopped nobody listens, so the kernel refuses.

Sources: pkg/proxy/healthcheck/proxy_health.go and service_health.go of Kubernetes 1.34; KEP-3836 (`/healthz` answers
503 for a node that is being deleted: by default since 1.30, `/livez` does not care).

- `/healthz`: 200 when no change has waited for the rules for longer than the health time-out, which is twice the
  sync period (cmd/kube-proxy/app/server.go), and the node is not about to go; also while kube-proxy is starting up.
- Health check node port, any path: 200 with at least one ready endpoint on this node and a healthy kube-proxy,
  otherwise 503. Terminating endpoints do not count, though rules may still use them. The count changes with the rules.

Simplified: the health check node ports answer on all addresses, also with nodePortAddresses.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from netsim.dataplane.service_table import ServiceName, ServiceTable
from netsim.fabric.http_messages import BadMessageError, Headers, HttpRequest, Incoming, Messages
from netsim.kernel.sockets import InUseError

if TYPE_CHECKING:
    from netsim.kernel.errno import Errno
    from netsim.kernel.netns import Namespace
    from netsim.kernel.tcp import TcpConnection
    from netsim.kernel.tcp_listen import TcpListener

HEALTHZ_PORT: Final = 10256  # pkg/cluster/ports ProxyHealthzPort
_JSON: Final = (("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MESSAGES: Final = Messages()

Page = Callable[[str, int], tuple[int, Headers, bytes]]
"""`page(path, now)`: status, headers and body."""


class ProxyHealth:
    """The servers of one kube-proxy process. `updated_ns` and `queued_ns` are when rules were last written, and when
    the first change came after that (0: none)."""

    def __init__(self, ns: "Namespace", node: str, timeout_ns: int, eligible: Callable[[], bool]) -> None:
        self._ns = ns
        self._node = node
        self._timeout_ns = timeout_ns
        self._eligible = eligible
        self._main: TcpListener | None = None
        self._services: dict[ServiceName, _ServiceServer] = {}
        self.updated_ns = 0
        self.queued_ns = 0

    # ------------------------------------------------------------------ what kube-proxy does
    def start(self) -> None:
        """The process listens."""
        self._main = _listen(self._ns, HEALTHZ_PORT, self._healthz, self)

    def stop(self, now: int) -> None:
        """The process is gone, and with it all its sockets."""
        self._services.clear()
        self._main = None
        self._ns.sockets.close_all(self, now)

    def queued(self, now: int) -> None:
        """A change has to be brought into the rules."""
        self.queued_ns = self.queued_ns or now

    def synced(self, table: ServiceTable, ports: Mapping[ServiceName, int], now: int) -> None:
        """Rules have been written: `ports` are the health check node ports."""
        self.updated_ns = now
        self.queued_ns = 0
        for name in [name for name, server in self._services.items() if ports.get(name) != server.port]:
            self._services.pop(name).close(now)
        for name, port in ports.items():
            if name not in self._services:
                self._services[name] = _ServiceServer(self, self._ns, name, port)
            self._services[name].count = _local_endpoints(table, name, self._node)

    # ------------------------------------------------------------------ pages
    def healthy(self, now: int) -> bool:
        """Whether the rules follow the changes."""
        return not self.updated_ns or not self.queued_ns or now - self.queued_ns < self._timeout_ns

    def _healthz(self, path: str, now: int) -> tuple[int, Headers, bytes]:
        if path not in ("/healthz", "/livez"):
            return 404, (("Content-Type", "text/plain; charset=utf-8"),), b"404 page not found\n"
        eligible = self._eligible()
        healthy = self.healthy(now) and (eligible or path == "/livez")
        # While all is well the page says that it was up to date just now (proxy_health.go).
        page: dict[str, object] = {
            "lastUpdated": _time(now if healthy else self.updated_ns),
            "currentTime": _time(now),
        }
        if path == "/healthz":
            page["nodeEligible"] = eligible
        return (200 if healthy else 503), _JSON, json.dumps(page).encode()


class _ServiceServer:
    """The health check node port of one Service."""

    def __init__(self, health: ProxyHealth, ns: "Namespace", name: ServiceName, port: int) -> None:
        self._health = health
        self._name = name
        self.port = port
        self.count = 0
        self._listener = _listen(ns, port, self._page, health)

    def close(self, now: int) -> None:
        """The Service has no such port any more."""
        if self._listener is not None:
            self._listener.close(now)

    def _page(self, _path: str, now: int) -> tuple[int, Headers, bytes]:
        healthy = self._health.healthy(now)
        page = {
            "service": {"namespace": self._name.namespace, "name": self._name.name},
            "localEndpoints": self.count,
            "serviceProxyHealthy": healthy,
        }
        headers = (*_JSON, ("X-Load-Balancing-Endpoint-Weight", str(self.count)))
        status = 200 if self.count and healthy else 503
        return status, headers, json.dumps(page, indent="\t").encode()


def _local_endpoints(table: ServiceTable, name: ServiceName, node: str) -> int:
    """Addresses of the Service's ready endpoints on the node (endpointsMap.LocalReadyEndpoints)."""
    return len(
        {e.address for port in table.ports_of(name) for e in port.endpoints if e.ready and e.node == node}
    )


def _time(ns: int) -> str:
    return (_EPOCH + timedelta(microseconds=ns // 1000)).isoformat()


def _listen(ns: "Namespace", port: int, page: Page, owner: object) -> "TcpListener | None":
    """A port that is taken is an event for the administrator upstream; the Service is served without it."""
    try:
        return ns.sockets.listen(port, lambda _conn, _now: _Client(page), owner=owner)
    except InUseError:
        return None


class _Client:
    """The server's end of a connection."""

    __slots__ = ("_incoming", "_page")

    def __init__(self, page: Page) -> None:
        self._page = page
        self._incoming: Incoming[HttpRequest] = _MESSAGES.incoming_request()

    def connected(self, conn: "TcpConnection", now: int) -> None:
        """The client speaks first."""

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """A request, or a part of it."""
        try:
            request = self._incoming.feed(data)
        except BadMessageError as error:
            conn.send(_MESSAGES.response(error.status, (), b"", close=True), now)
            conn.close(now)
            return
        if request is None:
            return
        status, headers, body = self._page(request.target.partition("?")[0], now)
        conn.send(_MESSAGES.response(status, headers, body, close=request.close), now)
        self._incoming = _MESSAGES.incoming_request()
        if request.close:
            conn.close(now)

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """The client is done."""
        conn.close(now)

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """The end."""

    def failed(self, conn: "TcpConnection", errno: "Errno", now: int) -> None:
        """The end, badly."""
