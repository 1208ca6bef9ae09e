"""UDP and ICMP echo sockets (net/ipv4/udp.c, net/ipv4/ping.c).

A UDP socket hands every datagram for its port to a callback; ICMP errors about what it sent are told to `on_error`, as Linux does for
connected sockets (and for others with IP_RECVERR).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from netsim.kernel.errno import Errno
from netsim.wire.addr import Address
from netsim.wire.packet import ICMP, UDP, Flow, IcmpMessage, Packet, UdpDatagram

if TYPE_CHECKING:
    from netsim.kernel.sockets import Sockets

OnDatagram = Callable[["UdpSocket", bytes, Address, int, int], None]
OnError = Callable[["UdpSocket", Errno, Flow, int], None]
OnEcho = Callable[["IcmpSocket", Packet | None, Errno | None, int], None]

_MAX_PAYLOAD = 65507


class UdpSocket:
    """Bound to a port and, unless `address` is None, to one address."""

    __slots__ = ("address", "flows", "on_datagram", "on_error", "owner", "port", "sockets")

    def __init__(
        self, sockets: "Sockets", on_datagram: OnDatagram, address: Address | None, port: int, owner: object
    ) -> None:
        self.sockets = sockets
        self.on_datagram = on_datagram
        self.on_error: OnError | None = None
        self.address = address
        self.port = port
        self.owner = owner
        self.flows: dict[tuple[Address, int], Flow] = {}

    def send(
        self, payload: bytes, dst: Address, dport: int, now: int, source: Address | None = None
    ) -> Errno | None:
        """Send a datagram; EMSGSIZE above 65,507 bytes, or the error of the routing. `source` answers from the address that
        was asked."""
        if len(payload) > _MAX_PAYLOAD:
            return Errno.EMSGSIZE
        flow = self._flow(dst, dport, source)
        if flow is None:
            return Errno.ENETUNREACH
        ns = self.sockets.ns
        return ns.output(Packet(flow, UdpDatagram(payload), next(ns.uids)), now)

    def _flow(self, dst: Address, dport: int, source: Address | None) -> Flow | None:
        known = self.flows.get((dst, dport))
        if known is not None and source in (None, known.src):
            return known
        chosen = source or self.address or self.sockets.source_for(dst)
        if chosen is None:
            return None
        flow = Flow(chosen, dst, self.port, dport, UDP)
        if len(self.flows) > 1024:
            self.flows.clear()
        self.flows[dst, dport] = flow
        return flow

    def close(self) -> None:
        """Release the port."""
        self.sockets.forget_udp(self)


class IcmpSocket:
    """Sends echo requests under one identifier; `on_echo(socket, reply, error, now)` gets what comes back."""

    __slots__ = ("identifier", "on_echo", "owner", "sockets")

    def __init__(self, sockets: "Sockets", identifier: int, on_echo: OnEcho, owner: object) -> None:
        self.sockets = sockets
        self.identifier = identifier
        self.on_echo = on_echo
        self.owner = owner

    def send(self, dst: Address, sequence: int, payload: bytes, now: int) -> Errno | None:
        """An echo request."""
        source = self.sockets.source_for(dst)
        if source is None:
            return Errno.ENETUNREACH
        ns = self.sockets.ns
        flow = Flow(source, dst, self.identifier, 8 << 8, ICMP)
        return ns.output(Packet(flow, IcmpMessage(8, 0, sequence, payload), next(ns.uids)), now)

    def close(self) -> None:
        """Release the identifier."""
        self.sockets.forget_icmp(self)
