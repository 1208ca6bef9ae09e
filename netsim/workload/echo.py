"""Servers that send back what they get, by TCP and UDP (RFC 862): for everything that is not HTTP.

Made by `containers.py` (containers with UDP ports, or annotated `netsim/app: echo`) and for outside hosts.
`service_ns` passes between the last byte of a segment, or a datagram, and its answer. Each answers in order.

A hung server (`hang`) reads nothing: TCP connections are still accepted by the kernel, datagrams wait unread, and are
lost here, as they are in the end when a socket's buffer is full.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netsim.kernel.sockets import InUseError
from netsim.kernel.tcp_handler import ORPHAN

if TYPE_CHECKING:
    from netsim.fabric.app import Exited
    from netsim.fabric.host import Host
    from netsim.kernel.errno import Errno
    from netsim.kernel.tcp import TcpConnection
    from netsim.kernel.tcp_listen import TcpListener
    from netsim.kernel.udp import UdpSocket
    from netsim.wire.addr import Address

_KILLED: Final = 137  # 128 + SIGKILL


@dataclass(frozen=True, slots=True)
class EchoSpec:
    """Ports and time per answer."""

    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    service_ns: int = 0


def _nobody(_code: int, _now: int) -> None:
    """Nobody waits for the end."""


class EchoServer:
    """The process (`netsim.fabric.app.App`). `answered` counts answers, `clients` holds the addresses seen."""

    def __init__(self, host: "Host", spec: EchoSpec) -> None:
        self.host = host
        self.spec = spec
        self.exited: Exited = _nobody
        self.answered = 0
        self.hung = False
        self.clients: dict[bytes, int] = {}
        self._ended = False
        self._listeners: list[TcpListener] = []
        self._connections: dict[_Echo, None] = {}

    def start(self, now: int) -> None:
        """Open all ports; one that is taken ends the process with exit code 1."""
        sockets = self.host.ns.sockets
        try:
            for port in self.spec.tcp:
                self._listeners.append(sockets.listen(port, self._accept, owner=self))
            for port in self.spec.udp:
                sockets.open_udp(self._datagram, port, owner=self)
        except InUseError:
            self._end(1, now)

    def terminate(self, now: int) -> None:
        """SIGTERM."""
        self._end(0, now)

    def kill(self, now: int) -> None:
        """SIGKILL."""
        self._end(_KILLED, now)

    def hang(self, now: int) -> None:
        """SIGSTOP."""
        self.hung = True
        for listener in self._listeners:
            listener.pause()
        for echo in self._connections:
            echo.conn.pause()

    def resume(self, now: int) -> None:
        """SIGCONT."""
        self.hung = False
        for echo in list(self._connections):
            echo.conn.resume(now)
        for listener in self._listeners:
            listener.resume(now)

    def _end(self, code: int, now: int) -> None:
        if not self._ended:
            self._ended = True
            self.host.ns.sockets.close_all(self, now)
            self.exited(code, now)

    # ------------------------------------------------------------------ TCP
    def _accept(self, conn: "TcpConnection", now: int) -> "_Echo":
        self._count(conn.flow.dst)
        echo = _Echo(self, conn)
        self._connections[echo] = None
        return echo

    def forget(self, echo: "_Echo") -> None:
        """A connection is over."""
        self._connections.pop(echo, None)

    def _count(self, client: bytes) -> None:
        self.clients[client] = self.clients.get(client, 0) + 1

    # ------------------------------------------------------------------ UDP
    def _datagram(self, sock: "UdpSocket", payload: bytes, source: "Address", port: int, now: int) -> None:
        if self.hung:
            return
        self._count(source)
        if self.spec.service_ns:
            at, arrived = now + self.spec.service_ns, sock.arrived_at
            self.host.engine.call_at(at, self._reply, sock, payload, source, port, arrived)
        else:
            self._reply(sock, payload, source, port, sock.arrived_at)

    def _reply(
        self, sock: "UdpSocket", payload: bytes, client: "Address", port: int, arrived: "Address"
    ) -> None:
        if not self._ended and not self.hung and self.host.alive:
            self.answered += 1
            sock.send(payload, client, port, self.host.now, arrived)


class _Echo:
    """The server's end of a connection."""

    __slots__ = ("conn", "server")

    def __init__(self, server: EchoServer, conn: "TcpConnection") -> None:
        self.server = server
        self.conn = conn

    def connected(self, conn: "TcpConnection", now: int) -> None:
        """The client speaks first."""

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """Send it back."""
        if self.server.spec.service_ns:
            engine = self.server.host.engine
            engine.call_at(now + self.server.spec.service_ns, self._answer, data)
        else:
            self._answer(data)

    def _answer(self, data: bytes) -> None:
        if self in self.server._connections and not self.server.hung:
            self.server.answered += 1
            self.conn.send(data, self.server.host.now)

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """The client is done."""
        conn.handler = ORPHAN
        conn.close(now)
        self.server.forget(self)

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """The end."""

    def failed(self, conn: "TcpConnection", errno: "Errno", now: int) -> None:
        """The end, badly."""
        self.server.forget(self)
