"""One question to one server over UDP or TCP, with a time-out: what forwarders and health checks are made of.

Called by `forward` (through `Exchanger`, so that its tests need no network) and by `coredns`. DNS over TCP has two
bytes of length in front of each message (RFC 1035 section 4.2.2); `tcp_frames` takes a stream apart.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Protocol

from netsim.fabric.host import Host
from netsim.kernel.errno import Errno
from netsim.kernel.tcp import TcpConnection
from netsim.kernel.udp import UdpSocket
from netsim.wire.addr import Address
from netsim.wire.packet import Flow

# done(the reply's bytes, or None when there was none in time, now)
Done = Callable[[bytes | None, int], None]


class Exchanger(Protocol):
    """Sends questions."""

    def exchange(
        self, server: Address, port: int, tail: bytes, timeout_ns: int, done: Done, *, over_tcp: bool = False
    ) -> None:
        """Ask; `done` is called exactly once."""

    def call_later(self, delay_ns: int, function: Callable[[], None]) -> None:
        """Call a function after a delay."""


class HostExchanger:
    """Sends questions from a host, each from a socket and port of its own."""

    def __init__(self, host: Host, owner: object, rng: Random) -> None:
        self._host = host
        self._owner = owner
        self._rng = rng
        self.stopped = False  # the process is gone: nothing is asked or done any more

    def exchange(
        self, server: Address, port: int, tail: bytes, timeout_ns: int, done: Done, *, over_tcp: bool = False
    ) -> None:
        """Ask over UDP or TCP."""
        if self.stopped or not self._host.alive:
            return
        payload = self._rng.getrandbits(16).to_bytes(2) + tail
        made = (_TcpExchange if over_tcp else _UdpExchange)(self._host, self._owner, payload, done)
        made.begin(server, port, self._host.now + timeout_ns)

    def call_later(self, delay_ns: int, function: Callable[[], None]) -> None:
        """Call a function after a delay."""
        self._host.engine.call_later(delay_ns, self._call, function)

    def _call(self, function: Callable[[], None]) -> None:
        if not self.stopped and self._host.alive:
            function()


class _Exchange(ABC):
    """What both transports share: a time-out and an end that comes once."""

    __slots__ = ("_done", "_host", "_owner", "_payload", "armed_ns", "deadline_ns")

    def __init__(self, host: Host, owner: object, payload: bytes, done: Done) -> None:
        self._host = host
        self._owner = owner
        self._payload = payload
        self._done: Done | None = done
        self.deadline_ns = 0
        self.armed_ns = 0

    def expired(self, now: int) -> None:
        """Timer queue: the server did not answer in time."""
        self._finish(None, now)

    def _finish(self, reply: bytes | None, now: int) -> None:
        done, self._done = self._done, None
        if done is not None:
            self.deadline_ns = 0
            self._hang_up(now)
            done(reply, now)

    @abstractmethod
    def _hang_up(self, now: int) -> None:
        """Give the socket back."""


class _UdpExchange(_Exchange):
    __slots__ = ("_server", "_socket")

    def begin(self, server: Address, port: int, deadline_ns: int) -> None:
        self._server = server
        self._socket = self._host.ns.sockets.open_udp(self._received, owner=self._owner)
        self._socket.on_error = self._failed
        self._host.engine.timers.arm(self, deadline_ns)
        if self._socket.send(self._payload, server, port, self._host.now) is not None:
            self._host.engine.timers.arm(
                self, self._host.now + 1
            )  # no route: as good as silence, but at once

    def _received(self, _socket: UdpSocket, payload: bytes, src: Address, _sport: int, now: int) -> None:
        if src == self._server and payload[:2] == self._payload[:2]:
            self._finish(payload, now)

    def _failed(self, _socket: UdpSocket, _errno: Errno, _flow: Flow, now: int) -> None:
        self._finish(None, now)

    def _hang_up(self, now: int) -> None:
        self._socket.close()


class _TcpExchange(_Exchange):
    __slots__ = ("_buffer", "_connection")

    def begin(self, server: Address, port: int, deadline_ns: int) -> None:
        self._buffer = bytearray()
        self._connection: TcpConnection | None = None
        self._host.engine.timers.arm(self, deadline_ns)
        self._connection = self._host.ns.sockets.connect(
            server, port, self, self._host.now, owner=self._owner
        )

    def connected(self, conn: TcpConnection, now: int) -> None:
        conn.send(len(self._payload).to_bytes(2) + self._payload, now)

    def received(self, _conn: TcpConnection, data: bytes, now: int) -> None:
        for frame in tcp_frames(self._buffer, data):
            self._finish(frame, now)

    def peer_closed(self, _conn: TcpConnection, now: int) -> None:
        self._finish(None, now)

    def closed(self, _conn: TcpConnection, now: int) -> None:
        self._connection = None
        self._finish(None, now)

    def failed(self, _conn: TcpConnection, _errno: Errno, now: int) -> None:
        self._connection = None
        self._finish(None, now)

    def _hang_up(self, now: int) -> None:
        if self._connection is not None:
            self._connection.close(now)


def tcp_frames(buffer: bytearray, data: bytes) -> list[bytes]:
    """The complete messages after `data` has arrived; the rest stays in the buffer."""
    buffer += data
    frames = []
    while len(buffer) >= 2 and len(buffer) >= 2 + int.from_bytes(buffer[:2]):
        length = int.from_bytes(buffer[:2])
        frames.append(bytes(buffer[2 : 2 + length]))
        del buffer[: 2 + length]
    return frames
