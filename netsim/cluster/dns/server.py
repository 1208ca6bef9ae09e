"""A DNS server process: port 53 over UDP and TCP in front of a chain of plugins.

Called by `coredns` and by whoever runs a name server outside the cluster. The rules about sizes, OPT records and
errors are those of CoreDNS (core/dnsserver/server.go, request.ScrubWriter).

Theory of operation. Every query costs `service_ns` of one of `workers` processors, first come first served; its reply
leaves when that time is over (or later, when it has to wait for an upstream). A reply that may be given again is kept
as bytes by the query's bytes, so the same question costs a dictionary look-up until the world changes.
Simplified: idle TCP connections are never closed by the server.
"""

from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from netsim.cluster.dns.chain import NEVER_AGAIN, Handler, Request
from netsim.cluster.dns.exchange_tcp import tcp_frames
from netsim.fabric.app import Exited
from netsim.fabric.host import Host
from netsim.kernel.errno import Errno
from netsim.kernel.sockets import InUseError
from netsim.kernel.tcp import TcpConnection
from netsim.kernel.udp import UdpSocket
from netsim.wire.addr import Address
from netsim.wire.dns import BADVERS, TCP_SIZE, Bounded, Query, Reply
from netsim.wire.dns_codec import Body, DnsCodec

# coredns/deployment kubernetes/Scaling_CoreDNS.md: one CoreDNS on 2 vCPU answers 33,669 queries a second with both at
# their limit, so 59 us of one vCPU each.
SERVICE_NS: Final = 59_000
WORKERS: Final = 2
EXIT_KILLED: Final = 137  # 128 + SIGKILL

# net.core.rmem_default is 212,992 bytes; a small datagram occupies 768 of them (skb truesize).
RECEIVE_QUEUE: Final = 277
_KEPT_REPLIES: Final = 16_384

Socket = UdpSocket | TcpConnection


class DnsServer:
    """An application (`netsim.fabric.app.App`) that answers from `handlers` by port."""

    def __init__(
        self,
        host: Host,
        handlers: Mapping[int, Handler],
        codec: DnsCodec,
        *,
        service_ns: int = SERVICE_NS,
        workers: int = WORKERS,
        stream: str = "",
    ) -> None:
        self.host = host
        self.codec = codec
        self.exited: Exited = _nobody_waits
        self.running = False
        self.hanging = False
        self.queries = 0
        self.ignored = 0  # messages that deserve no reply: shorter than a header, or replies themselves
        self.rng: Random = host.engine.stream(stream or f"dns-server/{host.name}")
        self.deadline_ns = 0
        self.armed_ns = 0
        self._handlers = handlers
        self._service_ns = service_ns
        self._busy_until = deque([0] * workers, workers)
        self._outbox: deque[_Outgoing] = deque()
        self._ports: list[_Port] = []
        self._unread: deque[Callable[[int], None]] = deque()

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """Listen."""
        self.running = True
        self.listen(self._handlers)

    def listen(
        self, handlers: Mapping[int, Handler], binds: Mapping[int, tuple[Address, ...]] = MappingProxyType({})
    ) -> None:
        """Open the ports, at all addresses or at those that `binds` has for them; one that is taken (by another pod
        with hostNetwork) ends the process."""
        sockets = self.host.ns.sockets
        try:
            for number, handler in handlers.items():
                port = _Port(self, handler)
                self._ports.append(port)
                for address in binds.get(number, (None,)):
                    sockets.open_udp(port.datagram, number, address, owner=self)
                    sockets.listen(number, port.accept, address, owner=self)
        except InUseError:
            self.exit(1, self.host.now)

    def terminate(self, now: int) -> None:
        """SIGTERM: end at once."""
        self.exit(0, now)

    def kill(self, now: int) -> None:
        """SIGKILL."""
        self.exit(EXIT_KILLED, now)

    def exit(self, code: int, now: int) -> None:
        """The process ends: what it has not answered yet is never answered."""
        if self.running:
            self.running = False
            self._outbox.clear()
            self._unread.clear()
            self.deadline_ns = 0
            self.host.ns.sockets.close_all(self, now)
            self.exited(code, now)

    def hang(self, now: int) -> None:
        """The process stops working (SIGSTOP): the kernel goes on accepting until its queues are full."""
        self.hanging = True

    def resume(self, now: int) -> None:
        """It works again, on what has come meanwhile."""
        self.hanging = False
        while self._unread:
            self._unread.popleft()(now)
        if self._outbox:
            self.host.engine.timers.arm(self, max(now, self._outbox[0].due_ns))

    def leave_unread(self, read: Callable[[int], None]) -> None:
        """Something arrived for a process that hangs."""
        if len(self._unread) < RECEIVE_QUEUE:
            self._unread.append(read)

    def forget(self) -> None:
        """The world has changed: no reply may be given again without asking the chain."""
        for port in self._ports:
            port.kept.clear()

    # -- replies on their way out ----------------------------------------------------------------------------------

    def done_at(self, now: int) -> int:
        """When a processor will be done with a query that arrives now."""
        due = max(now, self._busy_until[0]) + self._service_ns
        self._busy_until.append(due)  # drops the processor that is free first
        self.queries += 1
        return due

    def send_at(self, due_ns: int, outgoing: "_Outgoing") -> None:
        """Send a reply then."""
        outbox = self._outbox
        outgoing.due_ns = due_ns
        if outbox and outbox[-1].due_ns > due_ns:  # it had to wait for an upstream, but not for long
            self.host.engine.call_at(due_ns, self._send, outgoing)
            return
        outbox.append(outgoing)
        if not self.deadline_ns:
            self.host.engine.timers.arm(self, due_ns)

    def _send(self, outgoing: "_Outgoing") -> None:
        if self.running:
            outgoing.send(self.rng, self.host.now)

    def expired(self, now: int) -> None:
        """Timer queue: replies are due. They are in the order of their times, since all queries cost the same."""
        outbox = self._outbox
        if self.hanging or not self.host.alive:
            return
        while outbox and outbox[0].due_ns <= now:
            outbox.popleft().send(self.rng, now)
        if outbox:
            self.host.engine.timers.arm(self, outbox[0].due_ns)


def _nobody_waits(code: int, now: int) -> None:
    """The application was started by nobody who wants to know of its end."""


class _Outgoing:
    """A reply and where it goes: a UDP address, or a TCP connection."""

    __slots__ = ("_address", "_body", "_head", "_port", "_socket", "due_ns")

    def __init__(
        self, socket: Socket, head: bytes, body: Body | bytes, address: Address = b"", port: int = 0
    ) -> None:
        self._socket = socket
        self._head = head
        self._body = body
        self._address = address
        self._port = port
        self.due_ns = 0

    def send(self, rng: Random, now: int) -> None:
        """Now."""
        body = self._body
        payload = self._head + (body if isinstance(body, bytes) else body.fixed or body.tail(rng))
        if isinstance(self._socket, UdpSocket):
            self._socket.send(payload, self._address, self._port, now)
        else:
            self._socket.send(len(payload).to_bytes(2) + payload, now)


class _Port:
    """One port: its chain, and the replies that may be given again."""

    __slots__ = ("_codec", "_handler", "_server", "kept")

    def __init__(self, server: DnsServer, handler: Handler) -> None:
        self._server = server
        self._codec = server.codec
        self._handler = handler
        self.kept: Bounded[bytes, tuple[int, Body]] = Bounded(_KEPT_REPLIES)

    def datagram(self, socket: UdpSocket, payload: bytes, src: Address, sport: int, now: int) -> None:
        """A query over UDP."""
        server = self._server
        if server.hanging:
            server.leave_unread(lambda later: self.datagram(socket, payload, src, sport, later))
            return
        kept = self.kept.get(payload[2:])
        if kept is not None and kept[0] > now:
            server.send_at(server.done_at(now), _Outgoing(socket, payload[:2], kept[1], src, sport))
            return
        query = self._codec.read_query(payload)
        if query is None:
            server.ignored += 1
            return
        if isinstance(query, int):
            error = self._codec.error(payload, query)
            server.send_at(server.done_at(now), _Outgoing(socket, payload[:2], error, src, sport))
            return
        self.ask(payload, query, now, socket, src, sport)

    def accept(self, conn: TcpConnection, now: int) -> "_TcpClient":
        """A connection over TCP."""
        return _TcpClient(self)

    def framed(self, conn: TcpConnection, payload: bytes, now: int) -> None:
        """A query over TCP."""
        if self._server.hanging:
            self._server.leave_unread(lambda later: self.framed(conn, payload, later))
            return
        query = self._codec.read_query(payload)
        if isinstance(query, Query):
            self.ask(payload, query, now, conn, conn.flow.dst, 0)
        elif query is not None:
            error = self._codec.error(payload, query)
            self._server.send_at(self._server.done_at(now), _Outgoing(conn, payload[:2], error))
        else:
            self._server.ignored += 1

    def ask(
        self,
        payload: bytes,
        query: Query,
        now: int,
        socket: UdpSocket | TcpConnection,
        client: Address,
        port: int,
    ) -> None:
        """Ask the chain; its reply is sent when the work is done, or when it comes. `port` 0: over TCP."""
        due = self._server.done_at(now)
        if query.edns_version:
            body = self._codec.body(query, Reply(BADVERS), TCP_SIZE)
            self._server.send_at(due, _Outgoing(socket, payload[:2], body, client, port))
            return

        def respond(reply: Reply, until_ns: int) -> None:
            server = self._server
            body = self._codec.body(query, reply, query.limit(over_tcp=not port))
            if until_ns != NEVER_AGAIN and port:
                self.kept.remember(payload[2:], (until_ns, body))
            outgoing = _Outgoing(socket, payload[:2], body, client, port)
            at = server.host.now
            if at < due:
                server.send_at(due, outgoing)
            elif server.running:
                outgoing.send(server.rng, at)

        self._handler.serve(Request(query, client, now, over_tcp=not port), respond)


class _TcpClient:
    """The server's end of a TCP connection."""

    __slots__ = ("_buffer", "_port")

    def __init__(self, port: _Port) -> None:
        self._port = port
        self._buffer = bytearray()

    def connected(self, conn: TcpConnection, now: int) -> None:
        """Nothing to do until the client asks."""

    def received(self, conn: TcpConnection, data: bytes, now: int) -> None:
        """Queries, or parts of them."""
        for payload in tcp_frames(self._buffer, data):
            self._port.framed(conn, payload, now)

    def peer_closed(self, conn: TcpConnection, now: int) -> None:
        """The client is done."""
        conn.close(now)

    def closed(self, conn: TcpConnection, now: int) -> None:
        """The end."""

    def failed(self, conn: TcpConnection, errno: Errno, now: int) -> None:
        """The end, badly."""
