"""An HTTP server in a container: it listens, works for a while on each request, answers, and ends as nginx does.

Made by `containers.py` for pods and by tests. Callback based: one object per connection (`http_served.Served`), which
is the kernel's handler and has a timer for the time that a request takes.

Theory of operation
-------------------
A connection waits for a request, has one in the queue or in work, or is over. Requests that come before the last is
answered (pipelining) wait in their connection. At most `concurrency` requests are in work, the others wait in one
queue, first come, first served. The server does not look at a connection while it works for it: a request whose client
has gone is worked on all the same, and only its answer is lost.

SIGTERM is what nginx calls `quit` (the images' STOPSIGNAL is SIGQUIT, docker-nginx's Dockerfile): the listening sockets
and the idle connections that were kept alive are closed, requests are finished with `Connection: close`, and the
process ends when the last connection has. `shutdown` "fast" ends it at once (nginx `stop`: what SIGTERM itself means),
"ignore" not at all (a shell as process 1 passes no signal on): SIGKILL has to.

A hung server (`hang`: SIGSTOP, in effect) neither accepts nor reads nor answers; the kernel goes on with handshakes
until the backlog is full, and acknowledges data until the receive windows are. Time for requests passes meanwhile (it
was sleep); what was to be done at its end is done by `resume`. SIGTERM waits, SIGKILL does not.

Simplified: a connection that has not asked yet is closed after the keep-alive time-out (nginx: client_header_timeout,
60 s).
"""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from netsim.engine import S
from netsim.fabric.http_messages import BadMessageError, HttpRequest, Messages
from netsim.kernel.sockets import InUseError
from netsim.kernel.tcp_handler import ORPHAN
from netsim.workload.deadlines import Deadlines
from netsim.workload.http import Answer, Site
from netsim.workload.http_served import Served

if TYPE_CHECKING:
    from netsim.fabric.app import Exited
    from netsim.fabric.host import Host
    from netsim.kernel.tcp import TcpConnection
    from netsim.kernel.tcp_listen import TcpListener

Shutdown = Literal["graceful", "fast", "ignore"]

_KILLED: Final = 137  # 128 + SIGKILL
_BACKLOG: Final = 511  # NGX_LISTEN_BACKLOG on Linux
_MOST_ANSWERS: Final = 256  # distinct answers that a server remembers


SHUTDOWNS: Final = get_args(Shutdown)


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """How a server behaves. `service_ns` is the mean time that a request takes, `concurrency` the most requests in work
    (0: no limit), `body_bytes` the size of every answer (None: the pages of `Site`)."""

    ports: tuple[int, ...] = (80,)
    image: str = "nginx"
    pod: str = ""
    service_ns: int = 0
    distribution: Literal["constant", "exponential"] = "constant"
    concurrency: int = 0
    body_bytes: int | None = None
    keep_alive_timeout_ns: int = 65 * S  # keepalive_timeout in the images' nginx.conf
    keep_alive_requests: int = 1000  # nginx's default since 1.19.10
    shutdown: Shutdown = "graceful"


def _nobody(_code: int, _now: int) -> None:
    """Nobody waits for the end."""


class HttpServer:
    """The process (`netsim.fabric.app.App`). `messages` may be shared with others; `answered` counts responses."""

    def __init__(self, host: "Host", spec: ServerSpec, messages: Messages | None = None) -> None:
        self.host = host
        self.spec = spec
        self.messages = messages or Messages()
        self.exited: Exited = _nobody
        self.answered = 0
        self.hung = False
        self._site = Site(spec.image, spec.pod or host.hostname, spec.body_bytes)
        self._answers: dict[tuple[str, str, bool], bytes] = {}
        self._random = host.engine.stream(f"server/{host.name}")
        self._listeners: list[TcpListener] = []
        self._open: dict[Served, None] = {}
        self.idle: Deadlines[Served] = Deadlines(
            host.engine.timers, spec.keep_alive_timeout_ns, self._idle_too_long
        )
        self._queue: deque[Served] = deque()
        self._limit = spec.concurrency or 1 << 62
        self._running = 0
        self._late: list[Served] = []
        self._draining = False
        self._terminated = False
        self._ended = False

    # ------------------------------------------------------------------ the process
    def start(self, now: int) -> None:
        """Listen on all ports; a port that is taken ends the process with exit code 1, as it ends nginx."""
        try:
            for port in self.spec.ports:
                self._listeners.append(
                    self.host.ns.sockets.listen(port, self._accept, owner=self, backlog=_BACKLOG)
                )
        except InUseError:
            self._end(1, now)

    def terminate(self, now: int) -> None:
        """SIGTERM: drain, then exit with 0, unless `shutdown` says otherwise."""
        if self.spec.shutdown == "ignore":
            return
        self._terminated = True
        if self.hung or self._draining or self._ended:
            return
        if self.spec.shutdown == "fast":
            self._end(0, now)
            return
        self._draining = True
        for listener in self._listeners:
            listener.close(now)
        for served in [served for served in self.idle.pending if served.answered]:
            self.hang_up(served, now)
        self._end_if_drained(now)

    def kill(self, now: int) -> None:
        """SIGKILL: the kernel closes the sockets."""
        self._end(_KILLED, now)

    def hang(self, now: int) -> None:
        """Do nothing from now on."""
        if not self._ended:
            self.hung = True
            for listener in self._listeners:
                listener.pause()
            for served in self._open:
                served.conn.pause()

    def resume(self, now: int) -> None:
        """Go on: first what was finished meanwhile, then what has arrived, in the order of the connections."""
        if not self.hung or self._ended:
            return
        self.hung = False
        late, self._late = self._late, []
        for served in late:
            if served.request is not None:
                self.worked(served, now)
        for served in list(self._open):
            if not served.gone:
                served.conn.resume(now)
        for listener in self._listeners:
            listener.resume(now)
        for served in late:
            if not served.gone and served.request is None and served not in self.idle.pending:
                self.hang_up(served, now)  # idle for too long, and still
        if self._terminated:
            self.terminate(now)

    def _end(self, code: int, now: int) -> None:
        if self._ended:
            return
        self._ended = True
        self.idle.clear()
        self._queue.clear()
        self._open.clear()
        self.host.ns.sockets.close_all(self, now)
        self.exited(code, now)

    def _end_if_drained(self, now: int) -> None:
        if self._draining and not self._open:
            self._end(0, now)

    # ------------------------------------------------------------------ connections
    def _accept(self, conn: "TcpConnection", now: int) -> "Served":
        served = Served(self, conn)
        self._open[served] = None
        self.idle.add(served, now)
        return served

    def hang_up(self, served: "Served", now: int) -> None:
        """Close a connection."""
        served.conn.handler = ORPHAN
        served.conn.close(now)
        self.forget(served, now)

    def forget(self, served: "Served", now: int) -> None:
        """A connection is over."""
        served.gone = True
        self.idle.discard(served)
        self._open.pop(served, None)
        if self._draining:
            self._end_if_drained(now)

    def _idle_too_long(self, served: "Served", now: int) -> None:
        if self.hung:
            self._late.append(served)
        else:
            self.hang_up(served, now)

    # ------------------------------------------------------------------ requests
    def asked(self, served: "Served", request: HttpRequest, now: int) -> None:
        """A complete request."""
        self.idle.discard(served)
        served.request = request
        if self._running < self._limit:
            self._work(served, now)
        else:
            self._queue.append(served)

    def _work(self, served: "Served", now: int) -> None:
        self._running += 1
        service_ns = self.spec.service_ns
        if service_ns and self.spec.distribution == "exponential":
            service_ns = round(self._random.expovariate(1.0) * service_ns)
        if service_ns:
            self.host.engine.timers.arm(served, now + service_ns)
        else:
            self._answer(served, now)

    def worked(self, served: "Served", now: int) -> None:
        """The time for a request is over."""
        if self._ended:
            return
        if self.hung:
            self._late.append(served)
            return
        self._answer(served, now)
        served.go_on(now)
        self._work_off(now)

    def _work_off(self, now: int) -> None:
        while self._queue and self._running < self._limit:
            self._work(self._queue.popleft(), now)

    def _answer(self, served: "Served", now: int) -> None:
        request = served.request
        assert request is not None
        served.request = None
        self._running -= 1
        if served.gone:
            return
        self.answered += 1
        served.answered += 1
        close = (
            request.close
            or self._draining
            or served.half_closed
            or served.answered >= self.spec.keep_alive_requests
        )
        served.conn.send(self._response(request.method, request.target, close), now)
        if close:
            self.hang_up(served, now)
        else:
            self.idle.add(served, now)

    def _response(self, method: str, target: str, close: bool) -> bytes:
        found = self._answers.get((method, target, close))
        if found is None:
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.clear()
            found = self._build(self._site.answer(method, target), method == "HEAD", close)
            self._answers[method, target, close] = found
        return found

    def _build(self, answer: Answer, to_head: bool, close: bool) -> bytes:
        return self.messages.response(
            answer.status, answer.headers, answer.body, to_head=to_head, close=close
        )

    def refuse(self, served: "Served", error: BadMessageError, now: int) -> None:
        """Not HTTP: say so, and close."""
        served.conn.send(self._build(self._site.error(error.status), False, True), now)
        self.hang_up(served, now)
