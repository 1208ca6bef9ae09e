"""One SCTP association, sans IO: handshake with a cookie, messages, acknowledgement, shutdown (RFC 9260).

Made by `sctp_sockets.py`, which hands it the packets with its ports and keeps the cookies. Theory of operation, as in
RFC 9260, section 4::

    CLOSED -- INIT --> COOKIE_WAIT -- INIT ACK --> COOKIE_ECHOED -- COOKIE ACK --> ESTABLISHED
    CLOSED ------------ COOKIE ECHO with a good cookie -------------------------> ESTABLISHED
    ESTABLISHED -- close --> SHUTDOWN_PENDING -- all acknowledged --> SHUTDOWN_SENT -- SHUTDOWN ACK --> CLOSED
    ESTABLISHED -- SHUTDOWN --> SHUTDOWN_RECEIVED -- all acknowledged --> SHUTDOWN_ACK_SENT -- COMPLETE --> CLOSED

One timer serves T1 (INIT, COOKIE ECHO), T2 (SHUTDOWN) and T3 (DATA): what is outstanding is sent again after the RTO,
which doubles. Simplified: one address on each side, one stream, no RTT measurement (the RTO starts at its initial
value again after an answer), messages out of order are dropped and come again, every DATA packet is acknowledged at
once, no HEARTBEATs are sent, a congestion window that only doubles and collapses.
"""

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from netsim.kernel.errno import Errno
from netsim.kernel.hooks import DropReason
from netsim.kernel.sysctl import S
from netsim.wire import sctp
from netsim.wire.packet import Flow, Packet
from netsim.wire.sctp import Chunk, Data, Init, SctpPacket

if TYPE_CHECKING:
    from netsim.kernel.sctp_sockets import SctpSockets

MASK: Final = 0xFFFF_FFFF
# net/sctp/protocol.c, sctp_defaults_init: RTO 3 s up to 60 s, 8 INITs again, 10 retransmissions of anything else.
RTO_INITIAL_NS: Final = 3 * S
RTO_MAX_NS: Final = 60 * S
MAX_INIT_RETRANSMITS: Final = 8
ASSOCIATION_MAX_RETRANS: Final = 10
WINDOW: Final = 106_496  # half of net.core.rmem_default


class State(Enum):
    """States of an association."""

    CLOSED = "CLOSED"
    COOKIE_WAIT = "COOKIE_WAIT"
    COOKIE_ECHOED = "COOKIE_ECHOED"
    ESTABLISHED = "ESTABLISHED"
    SHUTDOWN_PENDING = "SHUTDOWN_PENDING"
    SHUTDOWN_SENT = "SHUTDOWN_SENT"
    SHUTDOWN_RECEIVED = "SHUTDOWN_RECEIVED"
    SHUTDOWN_ACK_SENT = "SHUTDOWN_ACK_SENT"


_OPENING: Final = (State.COOKIE_WAIT, State.COOKIE_ECHOED)
_SENDING: Final = (State.ESTABLISHED, State.SHUTDOWN_PENDING, State.SHUTDOWN_RECEIVED)
_RECEIVING: Final = (State.ESTABLISHED, State.SHUTDOWN_PENDING, State.SHUTDOWN_SENT)


class SctpHandler(Protocol):
    """What an application is told about its association."""

    def connected(self, association: "Association", now: int) -> None:
        """The handshake of an active open is complete."""

    def received(self, association: "Association", message: bytes, now: int) -> None:
        """A whole message arrived."""

    def closed(self, association: "Association", now: int) -> None:
        """The association was shut down in order."""

    def failed(self, association: "Association", errno: Errno, now: int) -> None:
        """It could not be made, was aborted, or nobody answers any more."""


class Association:
    """One association; it is its own timer. `flow` is that of what it sends."""

    def __init__(
        self, sockets: "SctpSockets", flow: Flow, handler: SctpHandler, owner: object, tag: int, tsn: int
    ) -> None:
        self.sockets = sockets
        self.flow = flow
        self.handler = handler
        self.owner = owner
        self.state = State.CLOSED
        self.tag = tag  # what the peer's packets have to carry
        self.peer_tag = 0
        self.tsn = tsn  # the next to be sent
        self.sequence = 0
        self.peer_tsn = 0  # everything up to here has arrived
        self.cookie = b""
        self.retransmissions = 0
        self.soft_error: Errno | None = None  # what ICMP said, told when the retransmissions are used up
        self.deadline_ns = self.armed_ns = 0
        self._mtu = sockets.room(flow.dst)
        self._congestion_window = 4 * self._mtu  # RFC 9260, 7.2.1, as far as one measures in packets
        self._waiting: deque[Data] = deque()
        self._outstanding: deque[Data] = deque()
        self._parts: list[bytes] = []

    # ------------------------------------------------------------------ what applications call
    def open(self, now: int) -> Errno | None:
        """Send the INIT; an error of the routing is returned."""
        self.state = State.COOKIE_WAIT
        self._arm(now)
        return self._send_init(now)

    def accept(self, peer: Init, now: int) -> None:
        """A COOKIE ECHO brought a good cookie: the association stands."""
        self.peer_tag, self.peer_tsn = peer.tag, (peer.tsn - 1) & MASK
        self.state = State.ESTABLISHED
        self._send(now, Chunk(sctp.COOKIE_ACK))

    def send(self, message: bytes, now: int) -> Errno | None:
        """Send a message, in fragments where it does not fit into a packet."""
        if self.state is not State.ESTABLISHED:
            return Errno.EPIPE
        if not message:
            return Errno.EINVAL
        pieces = [message[at : at + self._mtu] for at in range(0, len(message), self._mtu)]
        for number, piece in enumerate(pieces):
            flags = sctp.FIRST_FRAGMENT * (number == 0) | sctp.LAST_FRAGMENT * (number == len(pieces) - 1)
            self._waiting.append(Data(self.tsn, self.sequence, flags, piece))
            self.tsn = (self.tsn + 1) & MASK
        self.sequence = (self.sequence + 1) & 0xFFFF
        self._flush(now)
        return None

    def close(self, now: int) -> None:
        """Shut down when everything has been acknowledged; before the handshake is over, abort."""
        if self.state in _OPENING:
            self.abort(now)
        elif self.state is State.ESTABLISHED:
            self.state = State.SHUTDOWN_PENDING
            self._advance_shutdown(now)

    def abort(self, now: int) -> None:
        """End at once, and say so if there is a peer."""
        if self.peer_tag:
            self._send(now, Chunk(sctp.ABORT))
        self._gone()

    # ------------------------------------------------------------------ packets
    def arrive(self, packet: SctpPacket, now: int) -> DropReason | None:
        """A packet with our ports came in."""
        kinds = sctp.kinds(packet.chunks)
        reflected = kinds & {sctp.ABORT, sctp.SHUTDOWN_COMPLETE} and packet.chunks[0].flags & sctp.REFLECTED
        if packet.tag != (self.peer_tag if reflected else self.tag):
            return DropReason.SCTP_TAG
        for chunk in packet.chunks:
            handle = _CHUNKS.get(chunk.type)
            if handle is not None and self.state is not State.CLOSED:
                handle(self, chunk, now)
        if sctp.DATA in kinds and self.state in _RECEIVING:
            self._acknowledge(now)
        return None

    def _init_ack(self, chunk: Chunk, now: int) -> None:
        init = sctp.read_init(chunk)
        if self.state is not State.COOKIE_WAIT or init is None or not init.cookie:
            return
        self.peer_tag, self.peer_tsn, self.cookie = init.tag, (init.tsn - 1) & MASK, init.cookie
        self.state, self.retransmissions = State.COOKIE_ECHOED, 0
        self._arm(now)
        self._send(now, Chunk(sctp.COOKIE_ECHO, 0, self.cookie))

    def _cookie_ack(self, _chunk: Chunk, now: int) -> None:
        if self.state is State.COOKIE_ECHOED:
            self.state, self.retransmissions, self.deadline_ns = State.ESTABLISHED, 0, 0
            self.handler.connected(self, now)

    def _cookie_echo(self, _chunk: Chunk, now: int) -> None:
        """Our COOKIE ACK was lost (RFC 9260, 5.2.4, case D)."""
        if self.state is State.ESTABLISHED:
            self._send(now, Chunk(sctp.COOKIE_ACK))

    def _data(self, chunk: Chunk, now: int) -> None:
        data = sctp.read_data(chunk)
        if data is None or self.state not in _RECEIVING or data.tsn != (self.peer_tsn + 1) & MASK:
            return
        self.peer_tsn = data.tsn
        self._parts.append(data.payload)
        if data.flags & sctp.LAST_FRAGMENT:
            message, self._parts = b"".join(self._parts), []
            self.handler.received(self, message, now)

    def _acknowledge(self, now: int) -> None:
        if self.state is State.SHUTDOWN_SENT:
            self._send(now, sctp.shutdown_chunk(self.peer_tsn))
        else:
            self._send(now, sctp.sack_chunk(self.peer_tsn, WINDOW))

    def _sack(self, chunk: Chunk, now: int) -> None:
        tsn = sctp.read_cumulative(chunk)
        news = False
        while self._outstanding and tsn is not None and _up_to(self._outstanding[0].tsn, tsn):
            self._outstanding.popleft()
            news = True
        if news:
            self.retransmissions, self.deadline_ns = 0, 0
            self._congestion_window += self._mtu
            if self._outstanding:
                self._arm(now)
        self._flush(now)
        self._advance_shutdown(now)

    def _shutdown(self, chunk: Chunk, now: int) -> None:
        if self.state in (State.ESTABLISHED, State.SHUTDOWN_PENDING):
            self.state = State.SHUTDOWN_RECEIVED
        self._sack(chunk, now)
        if self.state is State.SHUTDOWN_SENT:  # both at once (RFC 9260, 9.2)
            self._ack_shutdown(now)

    def _shutdown_ack(self, _chunk: Chunk, now: int) -> None:
        if self.state in (State.SHUTDOWN_SENT, State.SHUTDOWN_ACK_SENT):
            self._send(now, Chunk(sctp.SHUTDOWN_COMPLETE))
            self._end(now)

    def _shutdown_complete(self, _chunk: Chunk, now: int) -> None:
        if self.state is State.SHUTDOWN_ACK_SENT:
            self._end(now)

    def _aborted(self, _chunk: Chunk, now: int) -> None:
        self._fail(Errno.ECONNREFUSED if self.state in _OPENING else Errno.ECONNRESET, now)

    def _heartbeat(self, chunk: Chunk, now: int) -> None:
        self._send(now, Chunk(sctp.HEARTBEAT_ACK, 0, chunk.value))

    # ------------------------------------------------------------------ sending
    def _send_init(self, now: int) -> Errno | None:
        return self._transmit(now, 0, sctp.init_chunk(sctp.INIT, Init(self.tag, WINDOW, self.tsn)))

    def _send(self, now: int, *chunks: Chunk) -> None:
        self._transmit(now, self.peer_tag, *chunks)

    def _transmit(self, now: int, tag: int, *chunks: Chunk) -> Errno | None:
        ns = self.sockets.ns
        return ns.output(Packet(self.flow, SctpPacket(tag, *chunks), next(ns.uids)), now)

    def _flush(self, now: int) -> None:
        """Send what the congestion window allows."""
        if self.state not in _SENDING:
            return
        flying = sum(len(data.payload) for data in self._outstanding)
        while self._waiting and flying < self._congestion_window:
            data = self._waiting.popleft()
            flying += len(data.payload)
            self._outstanding.append(data)
            self._send(now, sctp.data_chunk(data))
        if self._outstanding and not self.deadline_ns:
            self._arm(now)

    def _advance_shutdown(self, now: int) -> None:
        if self._outstanding or self._waiting:
            return
        if self.state is State.SHUTDOWN_PENDING:
            self.state = State.SHUTDOWN_SENT
            self._arm(now)
            self._send(now, sctp.shutdown_chunk(self.peer_tsn))
        elif self.state is State.SHUTDOWN_RECEIVED:
            self._ack_shutdown(now)

    def _ack_shutdown(self, now: int) -> None:
        self.state = State.SHUTDOWN_ACK_SENT
        self._arm(now)
        self._send(now, Chunk(sctp.SHUTDOWN_ACK))

    # ------------------------------------------------------------------ time and ends
    def _arm(self, now: int) -> None:
        rto_ns = min(RTO_INITIAL_NS << self.retransmissions, RTO_MAX_NS)
        self.sockets.ns.timers.arm(self, now + rto_ns)

    def expired(self, now: int) -> None:
        """Timer queue: nobody has answered; ask again, or give up."""
        opening = self.state in _OPENING
        if self.retransmissions >= (MAX_INIT_RETRANSMITS if opening else ASSOCIATION_MAX_RETRANS):
            self._fail(self.soft_error or Errno.ETIMEDOUT, now)
            return
        self.retransmissions += 1
        self._arm(now)
        if self.state is State.COOKIE_WAIT:
            self._send_init(now)
        elif self.state is State.COOKIE_ECHOED:
            self._send(now, Chunk(sctp.COOKIE_ECHO, 0, self.cookie))
        elif self.state is State.SHUTDOWN_SENT:
            self._send(now, sctp.shutdown_chunk(self.peer_tsn))
        elif self.state is State.SHUTDOWN_ACK_SENT:
            self._send(now, Chunk(sctp.SHUTDOWN_ACK))
        else:  # T3: everything that is outstanding comes again, one packet now (RFC 9260, 6.3.3)
            self._waiting.extendleft(reversed(self._outstanding))
            self._outstanding.clear()
            self._congestion_window = self._mtu
            self._flush(now)

    def _end(self, now: int) -> None:
        self._gone()
        self.handler.closed(self, now)

    def _fail(self, errno: Errno, now: int) -> None:
        self._gone()
        self.handler.failed(self, errno, now)

    def _gone(self) -> None:
        self.state, self.deadline_ns = State.CLOSED, 0
        self.sockets.forget(self)


_CHUNKS: Final = {
    sctp.INIT_ACK: Association._init_ack,
    sctp.COOKIE_ECHO: Association._cookie_echo,
    sctp.COOKIE_ACK: Association._cookie_ack,
    sctp.DATA: Association._data,
    sctp.SACK: Association._sack,
    sctp.SHUTDOWN: Association._shutdown,
    sctp.SHUTDOWN_ACK: Association._shutdown_ack,
    sctp.SHUTDOWN_COMPLETE: Association._shutdown_complete,
    sctp.ABORT: Association._aborted,
    sctp.HEARTBEAT: Association._heartbeat,
}


def _up_to(tsn: int, cumulative: int) -> bool:
    """Whether a TSN is at or before another (RFC 1982 arithmetic)."""
    return (cumulative - tsn) & MASK < 1 << 31
