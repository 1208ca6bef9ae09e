"""The SCTP sockets of one namespace: listeners, associations by their flow, cookies, packets that belong to nothing.

Made by `sockets.Sockets` and called by it with arriving packets; applications call `listen` and `connect`. A listener
keeps nothing of an INIT: all that it needs later goes into the cookie, signed, and comes back with the COOKIE ECHO
(RFC 9260, 5.1.3). Source: net/sctp/sm_statefuns.c, input.c; the cookie lives for 60 s (valid_cookie_life).
"""

import hashlib
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Final

from netsim.kernel.errno import Errno
from netsim.kernel.hooks import DropReason
from netsim.kernel.sctp import WINDOW, Association, SctpHandler
from netsim.kernel.sysctl import S
from netsim.wire import sctp
from netsim.wire.addr import Address
from netsim.wire.packet import SCTP, Flow, Packet
from netsim.wire.sctp import Chunk, Init, SctpPacket

if TYPE_CHECKING:
    from netsim.kernel.sockets import Sockets

OnAssociation = Callable[[Association, int], SctpHandler]
"""`on_association(association, now)` returns the handler of a new association."""

_COOKIE_LIFE_NS: Final = 60 * S
_COOKIE: Final = Struct("!QIIII")  # made at, our tag and TSN, the peer's
_SIGNATURE_LENGTH: Final = 32
_IP_HEADERS: Final = {4: 20, 16: 40}


class SctpListener:
    """A listening socket; address None means all."""

    __slots__ = ("address", "on_association", "owner", "port", "sockets")

    def __init__(
        self,
        sockets: "SctpSockets",
        port: int,
        on_association: OnAssociation,
        address: Address | None,
        owner: object,
    ) -> None:
        self.sockets = sockets
        self.port = port
        self.on_association = on_association
        self.address = address
        self.owner = owner

    def close(self) -> None:
        """Nobody listens any more; associations stay."""
        self.sockets.listeners.pop((self.address, self.port), None)


class SctpSockets:
    """SCTP in one namespace."""

    __slots__ = ("_secret", "_sockets", "associations", "listeners", "ns")

    def __init__(self, sockets: "Sockets") -> None:
        self._sockets = sockets
        self.ns = sockets.ns
        self.associations: dict[Flow, Association] = {}  # by the flow of what arrives
        self.listeners: dict[tuple[Address | None, int], SctpListener] = {}
        self._secret = b""

    # ------------------------------------------------------------------ system calls
    def listen(
        self, port: int, on_association: OnAssociation, address: Address | None = None, owner: object = None
    ) -> SctpListener:
        """socket, bind, listen. Raises OSError when somebody listens there already."""
        if (address, port) in self.listeners:
            raise OSError(f"{self.ns.name}: SCTP port {port} is in use")
        made = self.listeners[address, port] = SctpListener(self, port, on_association, address, owner)
        return made

    def connect(
        self, dst: Address, dport: int, handler: SctpHandler, now: int, owner: object = None
    ) -> Association | Errno:
        """socket, connect; an error that is known at once is returned."""
        source = self._sockets.route(dst).source
        if source is None:
            return Errno.ENETUNREACH
        port = self._sockets.free_port(
            lambda free: Flow(dst, source, dport, free, SCTP) not in self.associations
        )
        if not port:
            return Errno.EADDRNOTAVAIL
        flow = Flow(source, dst, port, dport, SCTP)
        made = Association(self, flow, handler, owner, self._tag(), self.ns.random.getrandbits(32))
        self.associations[flow.reverse()] = made
        errno = made.open(now)
        if errno is not None:
            made.abort(now)
            return errno
        return made

    # ------------------------------------------------------------------ arriving packets
    def deliver(self, packet: Packet, now: int) -> DropReason | None:
        """Hand a packet to its association or listener; None, or why nobody took it."""
        body = packet.body
        assert isinstance(body, SctpPacket)
        found = self.associations.get(packet.flow)
        kinds = sctp.kinds(body.chunks)
        if found is not None and sctp.INIT not in kinds:
            return found.arrive(body, now)
        listener = self._listener_at(packet.flow.dst, packet.flow.dport)
        first = body.chunks[0] if body.chunks else None
        if listener is not None and first is not None:
            if first.type == sctp.INIT and body.tag == 0:
                return self._answer_init(packet.flow, first, now)
            if first.type == sctp.COOKIE_ECHO:
                return self._open(listener, packet.flow, body, now)
        self._out_of_the_blue(packet.flow, body, now)
        return DropReason.NO_SOCKET

    def _answer_init(self, flow: Flow, chunk: Chunk, now: int) -> DropReason | None:
        init = sctp.read_init(chunk)
        if init is None:
            return DropReason.IP_MALFORMED
        tag, tsn = self._tag(), self.ns.random.getrandbits(32)
        content = _COOKIE.pack(now, tag, tsn, init.tag, init.tsn)
        answer = Init(tag, WINDOW, tsn, content + self._sign(flow, content))
        self._send(flow.reverse(), init.tag, sctp.init_chunk(sctp.INIT_ACK, answer), now)
        return None

    def _open(self, listener: SctpListener, flow: Flow, packet: SctpPacket, now: int) -> DropReason | None:
        cookie = packet.chunks[0].value
        content, signature = cookie[: _COOKIE.size], cookie[_COOKIE.size :]
        if len(content) < _COOKIE.size or signature != self._sign(flow, content):
            return DropReason.SCTP_COOKIE
        made_ns, tag, tsn, peer_tag, peer_tsn = _COOKIE.unpack(content)
        if packet.tag != tag:
            return DropReason.SCTP_TAG
        if now - made_ns > _COOKIE_LIFE_NS:
            return DropReason.SCTP_COOKIE
        made = Association(self, flow.reverse(), _NOBODY, listener.owner, tag, tsn)
        self.associations[flow] = made
        made.accept(Init(peer_tag, WINDOW, peer_tsn), now)
        made.handler = listener.on_association(made, now)
        rest = SctpPacket(packet.tag, *packet.chunks[1:])  # DATA may come along
        return made.arrive(rest, now) if rest.chunks else None

    def _out_of_the_blue(self, flow: Flow, packet: SctpPacket, now: int) -> None:
        """ABORT for what belongs to nothing, but not for an ABORT and the like (RFC 9260, 8.4)."""
        kinds = sctp.kinds(packet.chunks)
        if kinds & {sctp.ABORT, sctp.SHUTDOWN_COMPLETE, sctp.COOKIE_ACK, sctp.ERROR}:
            return
        back = flow.reverse()
        if sctp.INIT in kinds:
            init = sctp.read_init(packet.chunks[0])
            if init is not None:
                self._send(back, init.tag, Chunk(sctp.ABORT), now)
        elif sctp.SHUTDOWN_ACK in kinds:
            self._send(back, packet.tag, Chunk(sctp.SHUTDOWN_COMPLETE, sctp.REFLECTED), now)
        else:
            self._send(back, packet.tag, Chunk(sctp.ABORT, sctp.REFLECTED), now)

    def icmp_error(self, flow: Flow, errno: Errno) -> None:
        """An ICMP error about one of our packets: remembered, and told if nobody ever answers (sctp_v4_err)."""
        found = self.associations.get(flow.reverse())
        if found is not None and errno is not Errno.EMSGSIZE:
            found.soft_error = errno

    # ------------------------------------------------------------------ book-keeping
    def room(self, dst: Address) -> int:
        """Bytes of a message that fit into one packet to a destination."""
        mtu = min(self.ns.mtu_for(dst), 65535)
        return (mtu - _IP_HEADERS[len(dst)] - sctp.HEADER_LENGTH - sctp.DATA_OVERHEAD) & ~3

    def close_all(self, owner: object, now: int) -> None:
        """A process has died: its associations are aborted."""
        for listener in [entry for entry in self.listeners.values() if entry.owner is owner]:
            listener.close()
        for association in [entry for entry in self.associations.values() if entry.owner is owner]:
            association.abort(now)

    def destroy(self) -> None:
        """The namespace is gone: nothing is sent, nobody is told."""
        for association in self.associations.values():
            association.deadline_ns = 0
        self.associations.clear()
        self.listeners.clear()

    def forget(self, association: Association) -> None:
        """It exists no more."""
        key = association.flow.reverse()
        if self.associations.get(key) is association:
            del self.associations[key]

    def _listener_at(self, address: Address, port: int) -> SctpListener | None:
        return self.listeners.get((address, port)) or self.listeners.get((None, port))

    def _tag(self) -> int:
        return self.ns.random.getrandbits(32) or 1

    def _sign(self, flow: Flow, content: bytes) -> bytes:
        if not self._secret:
            self._secret = self.ns.random.getrandbits(256).to_bytes(_SIGNATURE_LENGTH)
        return hashlib.sha256(self._secret + repr(flow).encode() + content).digest()

    def _send(self, flow: Flow, tag: int, chunk: Chunk, now: int) -> None:
        self.ns.output(Packet(flow, SctpPacket(tag, chunk), next(self.ns.uids)), now)


class _Nobody:
    """The handler of an association until its listener has said whose it is."""

    __slots__ = ()

    def connected(self, association: Association, now: int) -> None:
        """Nobody is there to hear it."""

    def received(self, association: Association, message: bytes, now: int) -> None:
        """Nobody is there to hear it."""

    def closed(self, association: Association, now: int) -> None:
        """Nobody is there to hear it."""

    def failed(self, association: Association, errno: Errno, now: int) -> None:
        """Nobody is there to hear it."""


_NOBODY: Final = _Nobody()
