"""What an application is told about its TCP connections, and the handler of those that nobody listens to.

Implemented by whoever calls `Sockets.connect` or `Sockets.listen`; called by `tcp*.py`.
"""

from typing import TYPE_CHECKING, Final, Protocol

from netsim.kernel.errno import Errno

if TYPE_CHECKING:
    from netsim.kernel.tcp import TcpConnection


class TcpHandler(Protocol):
    """What an application is told about its connection. Calls are synchronous and may call back into the connection."""

    def connected(self, conn: "TcpConnection", now: int) -> None:
        """An active open succeeded (a passive one is told by `on_accept`)."""

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """Data arrived, in order."""

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """The peer sent FIN: no more data will come; the application may still send."""

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """Both directions are closed in order (the port may still be in TIME_WAIT)."""

    def failed(self, conn: "TcpConnection", errno: Errno, now: int) -> None:
        """The connection could not be made, was reset or timed out; never called before `connect` has returned."""


class Orphan:
    """The handler of connections whose process is gone, or that nobody has accepted yet."""

    __slots__ = ()

    def connected(self, conn: "TcpConnection", now: int) -> None:
        """Nobody is there to hear it."""

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """Nobody is there to hear it."""

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """Nobody is there to hear it."""

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """Nobody is there to hear it."""

    def failed(self, conn: "TcpConnection", errno: Errno, now: int) -> None:
        """Nobody is there to hear it."""


ORPHAN: Final = Orphan()
