"""DNS over TCP for exchanges: connections that serve one question after another.

Called by `exchange.HostExchanger`. As CoreDNS's forward does (plugin/pkg/proxy/persistent.go, connect.go): a connection
whose answer has come is kept for `keep_ns` and given to the next question to that server, the youngest first; a kept
connection that turns out to be closed is replaced, and the question asked again. With `keep_ns` 0 every question has a
connection of its own. Two bytes of length stand in front of each message (RFC 1035 section 4.2.2).
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from netsim.fabric.host import Host
    from netsim.kernel.errno import Errno
    from netsim.kernel.tcp import TcpConnection
    from netsim.wire.addr import Address

Place = tuple["Address", int]


class Question(Protocol):
    """What a connection needs of an exchange."""

    payload: bytes

    def answered(self, frame: bytes, now: int) -> None:
        """A message has come."""

    def lost(self, now: int, *, again: bool) -> None:
        """The connection is gone; `again`: it was a kept one, so another may do."""


class Connections:
    """The idle connections of a process, by server."""

    def __init__(self, host: "Host", owner: object, keep_ns: int) -> None:
        self.stopped = False  # the process is gone: nothing is asked any more
        self.host = host
        self.owner = owner
        self.keep_ns = keep_ns
        self._idle: dict[Place, list[Connection]] = {}

    def ask(self, place: Place, question: Question) -> "Connection":
        """Send a question over a kept connection or a new one."""
        idle = self._idle.get(place)
        connection = idle.pop() if idle else Connection(self, place)
        connection.ask(question)
        return connection

    def keep(self, connection: "Connection") -> None:
        """An answer has come: the connection is free."""
        self._idle.setdefault(connection.place, []).append(connection)
        self.host.engine.timers.arm(connection, self.host.now + self.keep_ns)

    def forget(self, connection: "Connection") -> None:
        """It is closed."""
        idle = self._idle.get(connection.place, [])
        if connection in idle:
            idle.remove(connection)


class Connection:
    """One TCP connection to a server (`netsim.kernel.tcp_handler.TcpHandler`); idle when it has no question."""

    __slots__ = ("_all", "_buffer", "_conn", "_open", "_question", "armed_ns", "deadline_ns", "place", "used")

    def __init__(self, connections: Connections, place: Place) -> None:
        self._all = connections
        self._buffer = bytearray()
        self._open = False
        self._question: Question | None = None
        self.place = place
        self.used = 0
        self.deadline_ns = 0
        self.armed_ns = 0
        host = connections.host
        self._conn: TcpConnection | None = host.ns.sockets.connect(
            *place, self, host.now, owner=connections.owner
        )

    def ask(self, question: Question) -> None:
        """Send a question, now or when the connection is there."""
        self.deadline_ns = 0
        self._question = question
        self.used += 1
        if self._open:
            self._send(self._all.host.now)

    def _send(self, now: int) -> None:
        if self._conn is not None and self._question is not None:
            payload = self._question.payload
            self._conn.send(len(payload).to_bytes(2) + payload, now)

    def connected(self, _conn: "TcpConnection", now: int) -> None:
        self._open = True
        self._send(now)

    def received(self, _conn: "TcpConnection", data: bytes, now: int) -> None:
        for frame in tcp_frames(self._buffer, data):
            question = self._question
            if question is not None and frame[:2] == question.payload[:2]:
                self._question = None
                if self._all.keep_ns and self._conn is not None:
                    self._all.keep(self)
                else:
                    self.close(now)
                question.answered(frame, now)

    def peer_closed(self, _conn: "TcpConnection", now: int) -> None:
        self.close(now)
        self._gone(now)

    def closed(self, _conn: "TcpConnection", now: int) -> None:
        self._conn = None
        self._gone(now)

    def failed(self, _conn: "TcpConnection", _errno: "Errno", now: int) -> None:
        self._conn = None
        self._gone(now)

    def expired(self, now: int) -> None:
        """Timer queue: nobody has needed it for a while."""
        if self._all.host.alive:
            self.close(now)

    def close(self, now: int) -> None:
        """Close it; nothing more is told."""
        self._all.forget(self)
        self.deadline_ns = 0
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close(now)

    def give_up(self, now: int) -> None:
        """The question's time is over: its answer must not be taken for the next one's."""
        self._question = None
        self.close(now)

    def _gone(self, now: int) -> None:
        self._all.forget(self)
        self.deadline_ns = 0
        question, self._question = self._question, None
        if question is not None:
            question.lost(now, again=self.used > 1 and not self._all.stopped)


def tcp_frames(buffer: bytearray, data: bytes) -> list[bytes]:
    """The complete messages after `data` has arrived; the rest stays in the buffer."""
    buffer += data
    frames = []
    while len(buffer) >= 2 and len(buffer) >= 2 + int.from_bytes(buffer[:2]):
        length = int.from_bytes(buffer[:2])
        frames.append(bytes(buffer[2 : 2 + length]))
        del buffer[: 2 + length]
    return frames
