"""SCTP applications: a server that sends every message back, and a client that asks it once.

The server is made by `containers.py` for pods whose containers have SCTP ports only; the client by `netsim explain`
(`sctp://NAME:PORT`). Both shut their associations down in order.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netsim.kernel.errno import Errno
from netsim.kernel.sctp import Association

if TYPE_CHECKING:
    from netsim.fabric.app import Exited
    from netsim.fabric.host import Host
    from netsim.kernel.sctp_sockets import SctpListener
    from netsim.wire.addr import Address
    from netsim.workload.http_client import NameResolver
    from netsim.workload.http_exchange import Resolved

_KILLED: Final = 137  # 128 + SIGKILL
_TERMINATED: Final = 143  # 128 + SIGTERM
MESSAGE: Final = b"hello"


def _nobody(_code: int, _now: int) -> None:
    """Nobody waits for the end."""


class SctpEcho:
    """The server, as a process in a container. A hung one does not send back."""

    def __init__(self, host: "Host", ports: tuple[int, ...]) -> None:
        self.host = host
        self.ports = ports
        self.exited: Exited = _nobody
        self.hung = False
        self._listeners: list[SctpListener] = []

    def start(self, now: int) -> None:
        """Listen."""
        listen = self.host.ns.sockets.sctp.listen
        self._listeners = [listen(port, self._accept, owner=self) for port in self.ports]

    def terminate(self, now: int) -> None:
        """SIGTERM."""
        self._end(_TERMINATED, now)

    def kill(self, now: int) -> None:
        """SIGKILL."""
        self._end(_KILLED, now)

    def hang(self, now: int) -> None:
        """SIGSTOP."""
        self.hung = True

    def resume(self, now: int) -> None:
        """SIGCONT; what came meanwhile is not sent back."""
        self.hung = False

    def _end(self, code: int, now: int) -> None:
        if self._listeners:
            self._listeners = []
            self.host.ns.sockets.close_all(self, now)
            self.exited(code, now)

    # ------------------------------------------------------------------ SctpHandler
    def _accept(self, _association: Association, _now: int) -> "SctpEcho":
        return self

    def connected(self, association: Association, now: int) -> None:
        """Servers do not connect."""

    def received(self, association: Association, message: bytes, now: int) -> None:
        """Send it back."""
        if not self.hung:
            association.send(message, now)

    def closed(self, association: Association, now: int) -> None:
        """The client is content."""

    def failed(self, association: Association, errno: Errno, now: int) -> None:
        """The client is gone."""


Done = Callable[["SctpExchange", int], None]


class SctpExchange:
    """One question to a server: look the name up, associate, send a message, wait for it, shut down.

    Times are engine nanoseconds, 0 for what did not happen; `error` is "" if the message came back."""

    def __init__(
        self, host: "Host", resolver: "NameResolver", name: str, port: int, done: Done, family: str = "any"
    ) -> None:
        self._host = host
        self._resolver = resolver
        self._name = name
        self._port = port
        self._done = done
        self._family = family
        self.started_ns = self.resolved_ns = self.connected_ns = self.ended_ns = 0
        self.error = ""

    def begin(self, now: int) -> None:
        """Begin."""
        self.started_ns = now
        self._resolver.lookup(self._name, self._resolved, self._family)

    def _resolved(self, answer: "Resolved", now: int) -> None:
        if not answer.addresses:
            self._end(f"no address: {answer.error or 'NODATA'}", now)
            return
        self.resolved_ns = now
        self._connect(answer.addresses[0], now)

    def _connect(self, address: "Address", now: int) -> None:
        made = self._host.ns.sockets.sctp.connect(address, self._port, self, now, owner=self)
        if isinstance(made, Errno):
            self._end(str(made), now)

    def _end(self, error: str, now: int) -> None:
        if not self.ended_ns:
            self.error, self.ended_ns = error, now
            self._done(self, now)

    # ------------------------------------------------------------------ SctpHandler
    def connected(self, association: Association, now: int) -> None:
        """Ask."""
        self.connected_ns = now
        association.send(MESSAGE, now)

    def received(self, association: Association, message: bytes, now: int) -> None:
        """The answer: that was all."""
        association.close(now)
        self._end("" if message == MESSAGE else "another message came back", now)

    def closed(self, association: Association, now: int) -> None:
        """Both sides agree that it is over."""
        self._end("the server shut down", now)

    def failed(self, association: Association, errno: Errno, now: int) -> None:
        """It did not work."""
        self._end(str(errno), now)
