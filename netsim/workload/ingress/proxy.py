"""nginx as ingress-nginx runs it: it listens, finds the location of each request and passes it on.

Made by `process.py`. One object per client connection (`Client`), one `Worker` per worker process with round robin
pointers and kept connections of its own; new connections go to workers at random, as `reuseport` hashes them.

Theory of operation. A client's connection is idle or has one request that is being forwarded (`forward.py`) or answered
by nginx itself (404 without a location, 503 without endpoints, 502 and 504 when the tries are used up). Endpoints
change at run time, worker by worker (`sync`); other changes are a reload: the old workers finish their requests and
close what is idle, new ones begin.

Simplified: computing takes no time; no X-Request-ID header, so that equal requests are equal bytes; after a reload a
connection in use closes after its request.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netsim.cluster.ingress.configuration import Configuration
from netsim.fabric.http_messages import BadMessageError, HttpRequest, HttpResponse, Messages
from netsim.kernel.tcp_handler import ORPHAN
from netsim.wire.addr import ip_text
from netsim.wire.packet import endpoint_text
from netsim.workload.deadlines import Deadlines
from netsim.workload.http_served import Served
from netsim.workload.ingress.balancer import Balancers
from netsim.workload.ingress.forward import CLIENT_CLOSED, Forward, answer_headers
from netsim.workload.ingress.keepalive import KeepAlive
from netsim.workload.ingress.records import ProxiedRequest

if TYPE_CHECKING:
    from random import Random

    from netsim.fabric.host import Host
    from netsim.kernel.errno import Errno
    from netsim.kernel.tcp import TcpConnection
    from netsim.kernel.tcp_listen import TcpListener

_BACKLOG: Final = 4096  # ingress-nginx: sysctlSomaxconn, which is net.core.somaxconn
_NOT_FOUND: Final = 404
# ngx_http_special_response.c
_TITLES: Final = {
    400: "400 Bad Request",
    404: "404 Not Found",
    502: "502 Bad Gateway",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
}
_HTML: Final = (("Content-Type", "text/html"),)


class Worker:
    """A worker process: whose turn it is, and connections kept to endpoints."""

    __slots__ = ("balancers", "keepalive", "name")

    def __init__(self, name: str, balancers: Balancers, keepalive: KeepAlive) -> None:
        self.name = name
        self.balancers = balancers
        self.keepalive = keepalive


class Client(Served):
    """One client's connection."""

    __slots__ = ("address", "forward", "nginx", "worker")

    def __init__(self, nginx: "Nginx", conn: "TcpConnection", worker: Worker) -> None:
        super().__init__(nginx, conn)
        self.nginx = nginx
        self.worker = worker
        self.forward: Forward | None = None
        self.address = ip_text(conn.flow.dst)

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """A client that closes within its request does not want the answer (proxy_ignore_client_abort off)."""
        self.nginx.aborted(self, now)
        self.nginx.hang_up(self, now)

    def failed(self, conn: "TcpConnection", errno: "Errno", now: int) -> None:
        """Reset or lost."""
        self.nginx.aborted(self, now)
        self.nginx.forget(self, now)


class Nginx:
    """The master and its workers. `drained()` is called when `quit` has come to its end."""

    def __init__(
        self,
        host: "Host",
        owner: object,
        random: "Random",
        configuration: Configuration,
        drained: Callable[[int], None],
    ) -> None:
        self.host = host
        self.owner = owner
        self.messages = Messages()
        self.workers: list[Worker] = []
        self._random = random
        self._drained = drained
        self._log = host.engine.bus.topic(ProxiedRequest)
        self._listener: TcpListener | None = None
        self._open: dict[Client, None] = {}
        self._deadlines: dict[int, Deadlines[Forward]] = {}
        self._late: list[Forward] = []
        self._late_idle: list[Served] = []
        self._quitting = self._hung = False
        self._begin(configuration)

    def _begin(self, configuration: Configuration) -> None:
        """New workers with a configuration."""
        self.configuration = configuration
        settings = configuration.settings
        timers = self.host.engine.timers
        self._idle: Deadlines[Served] = Deadlines(timers, settings.keep_alive_ns, self._idle_too_long)
        self.workers = [
            Worker(f"{self.host.name}#{number}", Balancers(self._random), KeepAlive(timers, settings))
            for number in range(settings.worker_processes)
        ]
        for worker in self.workers:
            worker.balancers.sync(configuration.upstreams)

    # ------------------------------------------------------------------ the process
    def listen(self, port: int) -> None:
        """Accept clients. Raises InUseError."""
        self._listener = self.host.ns.sockets.listen(port, self._accept, owner=self.owner, backlog=_BACKLOG)

    def reload(self, configuration: Configuration, now: int) -> None:
        """`nginx -s reload`: what is idle is closed, the rest when its request is over."""
        old_idle, old_workers = self._idle, self.workers
        for served in list(old_idle.pending):
            self.hang_up(served, now)
        old_idle.clear()
        for worker in old_workers:
            worker.keepalive.close(now)
        self._begin(configuration)

    def quit(self, now: int) -> None:
        """`nginx -s quit`: no new connections, idle ones are closed, the rest when its request is over."""
        self._quitting = True
        if self._listener is not None:
            self._listener.close(now)
        for served in list(self._idle.pending):
            self.hang_up(served, now)
        self._end_if_drained(now)

    def stop(self) -> None:
        """The processes are gone; the kernel closes the sockets."""
        self._idle.clear()
        for deadlines in self._deadlines.values():
            deadlines.clear()
        for worker in self.workers:
            worker.keepalive.forget()
        self._open.clear()

    def hang(self) -> None:
        """SIGSTOP for all processes."""
        self._hung = True
        if self._listener is not None:
            self._listener.pause()
        for client in self._open:
            client.conn.pause()
            if client.forward is not None:
                client.forward.pause()

    def resume(self, now: int) -> None:
        """SIGCONT: first what ran out of time, then what has arrived."""
        self._hung = False
        late, self._late = self._late, []
        for forward in late:
            forward.timed_out(now)
        for client in list(self._open):
            if client.forward is not None:
                client.forward.resume(now)
            if not client.gone:
                client.conn.resume(now)
        idle, self._late_idle = self._late_idle, []
        for served in idle:
            if not served.gone and served.request is None:
                self.hang_up(served, now)
        if self._listener is not None:
            self._listener.resume(now)

    def _end_if_drained(self, now: int) -> None:
        if self._quitting and not self._open:
            self._drained(now)

    # ------------------------------------------------------------------ connections
    def _accept(self, conn: "TcpConnection", now: int) -> Client:
        client = Client(self, conn, self._random.choice(self.workers))
        self._open[client] = None
        self._idle.add(client, now)
        return client

    def hang_up(self, served: Served, now: int) -> None:
        """Close a client's connection."""
        served.conn.handler = ORPHAN
        served.conn.close(now)
        self.forget(served, now)

    def forget(self, served: Served, now: int) -> None:
        """A client's connection is over."""
        served.gone = True
        self._idle.discard(served)
        self._open.pop(served, None)  # type: ignore[call-overload] # every Served here is a Client
        self._end_if_drained(now)

    def _idle_too_long(self, served: Served, now: int) -> None:
        if self._hung:
            self._late_idle.append(served)
        else:
            self.hang_up(served, now)

    def deadlines(self, timeout_ns: int) -> Deadlines[Forward]:
        """The queue of all time-outs of that length."""
        found = self._deadlines.get(timeout_ns)
        if found is None:
            timers = self.host.engine.timers
            found = self._deadlines[timeout_ns] = Deadlines(timers, timeout_ns, self._timed_out)
        return found

    def _timed_out(self, forward: Forward, now: int) -> None:
        if self._hung:
            self._late.append(forward)
        elif self.host.alive:
            forward.timed_out(now)

    # ------------------------------------------------------------------ requests
    def asked(self, served: Served, request: HttpRequest, now: int) -> None:
        """A complete request: find its location and pass it on."""
        assert isinstance(served, Client)
        self._idle.discard(served)
        served.request = request
        routed = self.configuration.table.route(_host(request), request.target)
        forward = served.forward = Forward(self, served.worker, served, request, routed)
        if routed.location.upstream:
            forward.begin(now)
        else:
            forward.started_ns = now
            self.forwarded(forward, _NOT_FOUND, None, now)

    def worked(self, served: Served, now: int) -> None:
        """Requests have no time of their own here."""

    def forwarded(self, forward: Forward, status: int, response: HttpResponse | None, now: int) -> None:
        """An answer, or the reason why there is none."""
        client = forward.client
        client.forward = None
        client.request = None
        self._tell(forward, status, now)
        if client.gone:
            return
        client.answered += 1
        close = (
            forward.request.close
            or self._quitting
            or forward.worker not in self.workers
            or client.answered >= self.configuration.settings.keep_alive_requests
        )
        client.conn.send(self._answer(forward.request, status, response, close), now)
        if close:
            self.hang_up(client, now)
            return
        self._idle.add(client, now)
        client.go_on(now)

    def _answer(self, request: HttpRequest, status: int, response: HttpResponse | None, close: bool) -> bytes:
        to_head = request.method == "HEAD"
        if response is not None:
            headers = answer_headers(response.headers)
            return self.messages.response(status, headers, response.body, to_head=to_head, close=close)
        return self.messages.response(status, _HTML, _page(status), to_head=to_head, close=close)

    def refuse(self, served: Served, error: BadMessageError, now: int) -> None:
        """Not HTTP: say so, and close."""
        served.conn.send(self.messages.response(error.status, _HTML, _page(error.status), close=True), now)
        self.hang_up(served, now)

    def aborted(self, client: Client, now: int) -> None:
        """A client went away; if it was waiting for an answer, that is status 499."""
        forward, client.forward = client.forward, None
        if forward is not None:
            forward.abort(now)
            client.request = None
            self._tell(forward, CLIENT_CLOSED, now)

    def _tell(self, forward: Forward, status: int, now: int) -> None:
        if not self._log:
            return
        location, flow = forward.routed.location, forward.client.conn.flow
        record = ProxiedRequest(
            self.host.name,
            forward.worker.name,
            ip_text(self.host.address),
            endpoint_text(flow.dst, flow.dport),
            _host(forward.request),
            forward.request.target,
            location.ingress,
            location.service,
            status,
            forward.started_ns,
            now,
            tuple(forward.tries),
        )
        for subscriber in self._log:
            subscriber(record)


def _host(request: HttpRequest) -> str:
    return next((value for name, value in request.headers if name.lower() == "host"), "")


def _page(status: int) -> bytes:
    title = _TITLES.get(status, f"{status} Error")
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        f"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    ).encode()
