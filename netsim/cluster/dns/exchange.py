"""One question to one server over UDP or TCP, with a time-out: what forwarders and health checks are made of.

Called by `forward` (through `Exchanger`, so that its tests need no network), `coredns` and resolvers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Protocol

from netsim.cluster.dns.exchange_tcp import Connections
from netsim.fabric.host import Host
from netsim.kernel.errno import Errno
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
    """Sends questions from a host: over UDP each from a socket and port of its own, over TCP by connections that are
    kept for `keep_ns` (`exchange_tcp`)."""

    def __init__(self, host: Host, owner: object, rng: Random, keep_ns: int = 0) -> None:
        self._connections = Connections(host, owner, keep_ns)
        self._host = host
        self._owner = owner
        self._rng = rng

    @property
    def stopped(self) -> bool:
        """The process is gone: nothing is asked or done any more."""
        return self._connections.stopped

    @stopped.setter
    def stopped(self, value: bool) -> None:
        self._connections.stopped = value

    def exchange(
        self, server: Address, port: int, tail: bytes, timeout_ns: int, done: Done, *, over_tcp: bool = False
    ) -> None:
        """Ask over UDP or TCP."""
        if self.stopped or not self._host.alive:
            return
        payload = self._rng.getrandbits(16).to_bytes(2) + tail
        deadline_ns = self._host.now + timeout_ns
        if over_tcp:
            _TcpExchange(self._host, self._owner, payload, done).begin(
                self._connections, server, port, deadline_ns
            )
        else:
            _UdpExchange(self._host, self._owner, payload, done).begin(server, port, deadline_ns)

    def call_later(self, delay_ns: int, function: Callable[[], None]) -> None:
        """Call a function after a delay."""
        self._host.engine.call_later(delay_ns, self._call, function)

    def _call(self, function: Callable[[], None]) -> None:
        if not self.stopped and self._host.alive:
            function()


class _Exchange(ABC):
    """What both transports share: a time-out and an end that comes once."""

    __slots__ = ("_done", "_host", "_owner", "armed_ns", "deadline_ns", "payload")

    def __init__(self, host: Host, owner: object, payload: bytes, done: Done) -> None:
        self._host = host
        self._owner = owner
        self.payload = payload
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
        if self._socket.send(self.payload, server, port, self._host.now) is not None:
            self._host.engine.timers.arm(
                self, self._host.now + 1
            )  # no route: as good as silence, but at once

    def _received(self, _socket: UdpSocket, payload: bytes, src: Address, _sport: int, now: int) -> None:
        if src == self._server and payload[:2] == self.payload[:2]:
            self._finish(payload, now)

    def _failed(self, _socket: UdpSocket, _errno: Errno, _flow: Flow, now: int) -> None:
        self._finish(None, now)

    def _hang_up(self, now: int) -> None:
        self._socket.close()


class _TcpExchange(_Exchange):
    __slots__ = ("_connection", "_connections", "_place")

    def begin(self, connections: Connections, server: Address, port: int, deadline_ns: int) -> None:
        self._connections = connections
        self._place = (server, port)
        self._host.engine.timers.arm(self, deadline_ns)
        self._connection = connections.ask(self._place, self)

    def answered(self, frame: bytes, now: int) -> None:
        """The connection's answer."""
        self._finish(frame, now)

    def lost(self, now: int, *, again: bool) -> None:
        """The connection is gone."""
        if again and self._done is not None:
            self._connection = self._connections.ask(self._place, self)
        else:
            self._finish(None, now)

    def expired(self, now: int) -> None:
        """Timer queue: no answer in time."""
        self._connection.give_up(now)
        super().expired(now)

    def _hang_up(self, now: int) -> None:
        """The connection is free already, or closed."""
