"""How conntrack follows an SCTP association: Linux's table of states (net/netfilter/nf_conntrack_proto_sctp.c).

Called by `conntrack.py`. Theory of operation: each chunk of a packet moves the entry to the state that the table gives
for its direction and type; DATA, SACK and others do not move it. A packet that does not fit, by its verification tag
(RFC 9260, 8.5) or by the table, is INVALID. The time-out is that of the state, so an association that is silent for
210 s is forgotten. Not modelled: the second path of a multi-homed association, which begins with a HEARTBEAT whose tag
belongs to nothing known.
"""

from enum import Enum, IntEnum
from typing import Final

from netsim.kernel.sysctl import S
from netsim.wire import sctp
from netsim.wire.sctp import Chunk, SctpPacket


class SctpState(IntEnum):
    """States of an entry; the names are those that conntrack(8) prints."""

    NONE = 0
    CLOSED = 1
    COOKIE_WAIT = 2
    COOKIE_ECHOED = 3
    ESTABLISHED = 4
    SHUTDOWN_SENT = 5
    SHUTDOWN_RECD = 6
    SHUTDOWN_ACK_SENT = 7
    HEARTBEAT_SENT = 8


class Fit(Enum):
    """What a packet is for an entry. IGNORE: let it pass, but do not renew the time-out."""

    ACCEPT = "accept"
    IGNORE = "ignore"
    INVALID = "invalid"


_NO, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS, _IV = range(10)

# nf_conntrack_sctp sysctls (sctp_timeouts), by state.
TIMEOUTS_NS: Final = tuple(seconds * S for seconds in (10, 10, 3, 3, 210, 3, 3, 3, 30))

_STAY: Final = (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _CL)  # what most chunks do in the original direction
_STAY_REPLY: Final = (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _IV)
# Rows: the chunk types that matter. Columns: the state before.
TRANSITIONS: Final[tuple[dict[int, tuple[int, ...]], dict[int, tuple[int, ...]]]] = (
    {  # in the original direction
        sctp.INIT: (_CL, _CL, _CW, _CE, _ES, _CL, _CL, _SA, _CW),
        sctp.INIT_ACK: _STAY,
        sctp.ABORT: (_CL,) * 9,
        sctp.SHUTDOWN: (_CL, _CL, _CW, _CE, _SS, _SS, _SR, _SA, _CL),
        sctp.SHUTDOWN_ACK: (_SA, _CL, _CW, _CE, _ES, _SA, _SA, _SA, _SA),
        sctp.ERROR: _STAY,
        sctp.COOKIE_ECHO: (_CL, _CL, _CE, _CE, _ES, _SS, _SR, _SA, _CL),
        sctp.COOKIE_ACK: (_CL, _CL, _CW, _ES, _ES, _SS, _SR, _SA, _CL),
        sctp.SHUTDOWN_COMPLETE: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _CL, _CL),
        sctp.HEARTBEAT: (_HS, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS),
        sctp.HEARTBEAT_ACK: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS),
    },
    {  # in the reply direction
        sctp.INIT: _STAY_REPLY,
        sctp.INIT_ACK: (_IV, _CW, _CW, _CE, _ES, _SS, _SR, _SA, _IV),
        sctp.ABORT: (_IV, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _IV),
        sctp.SHUTDOWN: (_IV, _CL, _CW, _CE, _SR, _SS, _SR, _SA, _IV),
        sctp.SHUTDOWN_ACK: (_IV, _CL, _CW, _CE, _ES, _SA, _SA, _SA, _IV),
        sctp.ERROR: (_IV, _CL, _CW, _CL, _ES, _SS, _SR, _SA, _IV),
        sctp.COOKIE_ECHO: (_IV, _CL, _CE, _CE, _ES, _SS, _SR, _SA, _IV),
        sctp.COOKIE_ACK: (_IV, _CL, _CW, _ES, _ES, _SS, _SR, _SA, _IV),
        sctp.SHUTDOWN_COMPLETE: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _CL, _IV),
        sctp.HEARTBEAT: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS),
        sctp.HEARTBEAT_ACK: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _ES),
    },
)

_ALONE: Final = {sctp.INIT, sctp.INIT_ACK, sctp.SHUTDOWN_COMPLETE}
_FIRST: Final = {sctp.COOKIE_ECHO, sctp.COOKIE_ACK}
# Packets that begin nothing (RFC 9260, 8.4), and those whose tag has rules of its own (8.5.1).
_OUT_OF_THE_BLUE: Final = {sctp.ABORT, sctp.SHUTDOWN_COMPLETE, sctp.COOKIE_ACK}
_OWN_TAG_RULES: Final = {
    sctp.INIT, sctp.SHUTDOWN_COMPLETE, sctp.COOKIE_ECHO, sctp.ABORT, sctp.SHUTDOWN_ACK, sctp.HEARTBEAT,
    sctp.HEARTBEAT_ACK,
}  # fmt: skip


class Track:
    """What an entry knows of its association: the state, and by direction the tag that packets must have and whether
    an INIT has been seen."""

    __slots__ = ("inits", "state", "tags")

    def __init__(self) -> None:
        self.state = _NO
        self.tags = [0, 0]
        self.inits = [False, False]

    def begin(self, packet: SctpPacket | None) -> Fit:
        """The first packet of a flow."""
        if packet is None or sctp.kinds(packet.chunks) & _OUT_OF_THE_BLUE:
            return Fit.INVALID
        for chunk in packet.chunks:
            if TRANSITIONS[0].get(chunk.type, (_NO,))[_NO] == _NO:
                return Fit.INVALID
            if chunk.type == sctp.HEARTBEAT:
                self.tags[0] = packet.tag
            elif chunk.type != sctp.INIT:
                self.tags[1] = packet.tag
        return self.follow(0, packet, confirmed=False)

    def follow(self, direction: int, packet: SctpPacket | None, confirmed: bool = True) -> Fit:
        """A packet of the association."""
        if packet is None or not _sound(packet.chunks):
            return Fit.INVALID
        if not sctp.kinds(packet.chunks) & _OWN_TAG_RULES and packet.tag != self.tags[direction]:
            return Fit.INVALID
        fit = Fit.ACCEPT
        for chunk in packet.chunks:
            row = TRANSITIONS[direction].get(chunk.type)
            new = self.state if row is None else row[self.state]
            if new == _IV or not self._tag_fits(direction, chunk, packet.tag):
                return Fit.INVALID
            if not self._note(direction, chunk):
                return Fit.INVALID
            # An INIT sent again does not keep an entry alive, else the reuse of a port would (since Linux 6.1).
            if chunk.type == sctp.INIT and new == self.state == _CL and confirmed:
                fit = Fit.IGNORE
            self.state = new
        return fit

    def _tag_fits(self, direction: int, chunk: Chunk, tag: int) -> bool:
        if chunk.type == sctp.INIT:
            return tag == 0
        if chunk.type in (sctp.ABORT, sctp.SHUTDOWN_COMPLETE):
            reflected = bool(chunk.flags & sctp.REFLECTED)
            return tag == self.tags[1 - direction if reflected else direction]
        if chunk.type == sctp.COOKIE_ECHO:
            return tag == self.tags[direction]
        if chunk.type in (sctp.HEARTBEAT, sctp.HEARTBEAT_ACK):
            self.tags[direction] = self.tags[direction] or tag
            return tag == self.tags[direction]
        return True

    def _note(self, direction: int, chunk: Chunk) -> bool:
        """Learn the tag that an INIT or INIT ACK asks the other side to use; whether it may."""
        if chunk.type == sctp.COOKIE_ACK:
            self.inits = [False, False]
        if chunk.type not in (sctp.INIT, sctp.INIT_ACK):
            return True
        init, other = sctp.read_init(chunk), 1 - direction
        if init is None:
            return False
        if chunk.type == sctp.INIT:
            if all(self.inits):
                self.inits[other] = False
            self.inits[direction] = True
        else:
            known = self.tags[other]
            if not self.inits[other] and known and known != init.tag:
                return False
            if all(self.inits) and known != init.tag:
                return False
        self.tags[other] = init.tag
        return True


def _sound(chunks: tuple[Chunk, ...]) -> bool:
    """do_basic_checks: there are chunks, and those that must stand alone or first do."""
    alone = any(chunk.type in _ALONE for chunk in chunks)
    late = any(chunk.type in _FIRST for chunk in chunks[1:])
    return bool(chunks) and not late and not (alone and len(chunks) > 1)
