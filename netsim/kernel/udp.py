"""UDP and ICMP echo sockets (net/ipv4/udp.c, net/ipv4/ping.c).

Made by `sockets.Sockets.open_udp` and `open_icmp`. A UDP socket hands every datagram for its port to a callback; ICMP
errors about what it sent are told to `on_error`, as Linux does for connected sockets (and for others with IP_RECVERR).
Simplified: the receive buffer never fills up, since applications read at once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netsim.kernel.errno import Errno
from netsim.kernel.hooks import DropReason, Stolen
from netsim.wire.addr import Address
from netsim.wire.packet import ICMP, ICMPV6, UDP, Flow, IcmpMessage, Packet, UdpDatagram

if TYPE_CHECKING:
    from netsim.kernel.sockets import Sockets

OnDatagram = Callable[["UdpSocket", bytes, Address, int, int], object]
OnError = Callable[["UdpSocket", Errno, Flow, int], object]
EncapReceive = Callable[[Packet, int], DropReason | Stolen | None]
OnEcho = Callable[["IcmpSocket", Packet | None, Errno | None, int], object]

_MAX_PAYLOAD: Final = 65507
_ECHO: Final = {4: (ICMP, 8), 16: (ICMPV6, 128)}  # protocol and type of a request
_FLOWS_MAX: Final = 1024  # remembered flows of a socket that talks to many


class UdpSocket:
    """Bound to a port and, unless `address` is None, to one address. `arrived_at` is the local address that the
    datagram being handled came to (IP_PKTINFO)."""

    __slots__ = (
        "_errors",
        "_flows",
        "_generation",
        "address",
        "armed_ns",
        "arrived_at",
        "deadline_ns",
        "encap_rcv",
        "on_datagram",
        "on_error",
        "owner",
        "port",
        "sockets",
    )

    def __init__(
        self, sockets: "Sockets", on_datagram: OnDatagram, address: Address | None, port: int, owner: object
    ) -> None:
        self.sockets = sockets
        self.on_datagram = on_datagram
        self.on_error: OnError | None = None
        self.encap_rcv: EncapReceive | None = None  # the kernel's own use of a socket: a tunnel
        self.address = address
        self.port = port
        self.owner = owner
        self.arrived_at: Address = address or b""
        self.deadline_ns = self.armed_ns = 0
        self._errors: list[tuple[Errno, Flow]] = []
        self._flows: dict[tuple[Address, int], Flow] = {}
        self._generation = 0

    def send(
        self, payload: bytes, dst: Address, dport: int, now: int, source: Address | None = None
    ) -> Errno | None:
        """Send a datagram; EMSGSIZE above 65,507 bytes or the MTU, or the error of the routing. `source` answers
        from the address that was asked. What ICMP says later comes by `on_error`, never before this returns."""
        if len(payload) > _MAX_PAYLOAD:
            return Errno.EMSGSIZE
        flow = self._flow(dst, dport, source)
        if flow is None:
            return Errno.ENETUNREACH
        ns = self.sockets.ns
        return ns.output(Packet(flow, UdpDatagram(payload), next(ns.uids)), now)

    def _flow(self, dst: Address, dport: int, source: Address | None) -> Flow | None:
        if self._generation != self.sockets.ns.generation or len(self._flows) > _FLOWS_MAX:
            self._generation = self.sockets.ns.generation
            self._flows.clear()
        known = self._flows.get((dst, dport))
        if known is not None and source in (None, known.src):
            return known
        chosen = source or self.address or self.sockets.route(dst).source
        if chosen is None:
            return None
        flow = self._flows[dst, dport] = Flow(chosen, dst, self.port, dport, UDP)
        return flow

    def icmp_error(self, errno: Errno, flow: Flow, now: int) -> None:
        """An ICMP error about one of our datagrams: told after whatever runs now, such as `send`, has returned."""
        if self.on_error is not None:
            self._errors.append((errno, flow))
            self.sockets.ns.timers.arm(self, max(now, 1))

    def expired(self, now: int) -> None:
        """Timer queue: tell the errors that have come in."""
        errors, self._errors = self._errors, []
        for errno, flow in errors:
            if self.on_error is not None:
                self.on_error(self, errno, flow, now)

    def close(self) -> None:
        """Release the port; nothing is told any more."""
        self.on_error = None
        self.deadline_ns = 0
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
        source = self.sockets.route(dst).source
        if source is None:
            return Errno.ENETUNREACH
        ns = self.sockets.ns
        protocol, request = _ECHO[len(dst)]
        flow = Flow(source, dst, self.identifier, request << 8, protocol)
        return ns.output(Packet(flow, IcmpMessage(request, 0, sequence, payload), next(ns.uids)), now)

    def close(self) -> None:
        """Release the identifier."""
        self.sockets.forget_icmp(self)
