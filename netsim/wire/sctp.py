"""SCTP on the wire: a verification tag and chunks (RFC 9260, section 3).

Made by `netsim.kernel.sctp`, followed by `netsim.kernel.conntrack_sctp`, made into bytes by `render`. Ports are the
packet's flow's, as for TCP; the CRC32c is computed when bytes are asked for. Only what a single-homed association with
one stream needs is built here; other chunks and parameters are carried as they are.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple

DATA: Final = 0
INIT: Final = 1
INIT_ACK: Final = 2
SACK: Final = 3
HEARTBEAT: Final = 4
HEARTBEAT_ACK: Final = 5
ABORT: Final = 6
SHUTDOWN: Final = 7
SHUTDOWN_ACK: Final = 8
ERROR: Final = 9
COOKIE_ECHO: Final = 10
COOKIE_ACK: Final = 11
SHUTDOWN_COMPLETE: Final = 14
CHUNK_NAMES: Final = {
    DATA: "DATA", INIT: "INIT", INIT_ACK: "INIT ACK", SACK: "SACK", HEARTBEAT: "HB REQ", HEARTBEAT_ACK: "HB ACK",
    ABORT: "ABORT", SHUTDOWN: "SHUTDOWN", SHUTDOWN_ACK: "SHUTDOWN ACK", ERROR: "OP ERR",
    COOKIE_ECHO: "COOKIE ECHO", COOKIE_ACK: "COOKIE ACK", SHUTDOWN_COMPLETE: "SHUTDOWN COMPLETE",
}  # fmt: skip

HEADER_LENGTH: Final = 12  # ports, verification tag, checksum
DATA_OVERHEAD: Final = 16  # of a DATA chunk
REFLECTED: Final = 1  # flag T of ABORT and SHUTDOWN COMPLETE: the tag is the receiver's own
WHOLE_MESSAGE: Final = 3  # flags B and E of DATA: first and last fragment
LAST_FRAGMENT: Final = 1
FIRST_FRAGMENT: Final = 2
_COOKIE_PARAMETER: Final = 7

_CHUNK: Final = Struct("!BBH")
_INIT: Final = Struct("!IIHHI")
_PARAMETER: Final = Struct("!HH")
_DATA: Final = Struct("!IHHI")
_SACK: Final = Struct("!IIHH")


class Chunk(NamedTuple):
    """One chunk: its type, flags, and what follows its header."""

    type: int
    flags: int = 0
    value: bytes = b""

    def to_bytes(self) -> bytes:
        """The chunk, padded to a multiple of four."""
        return (
            _CHUNK.pack(self.type, self.flags, 4 + len(self.value)) + self.value + bytes(-len(self.value) % 4)
        )


class Init(NamedTuple):
    """What INIT and INIT ACK say: the tag that the other side has to use, window, streams, first TSN; and a cookie."""

    tag: int
    window: int
    tsn: int
    cookie: bytes = b""


class Data(NamedTuple):
    """A DATA chunk."""

    tsn: int
    sequence: int
    flags: int
    payload: bytes


class SctpPacket:
    """An SCTP packet without its ports: verification tag and chunks. Immutable by convention."""

    __slots__ = ("chunks", "length", "tag")

    def __init__(self, tag: int, *chunks: Chunk) -> None:
        self.tag = tag
        self.chunks = chunks
        self.length = HEADER_LENGTH + sum(4 + len(c.value) + -len(c.value) % 4 for c in chunks)

    def chunk_bytes(self) -> bytes:
        """The chunks as bytes."""
        return b"".join(chunk.to_bytes() for chunk in self.chunks)

    def __repr__(self) -> str:
        return f"SctpPacket(tag={self.tag:#x} {' '.join(map(chunk_text, self.chunks))})"


def chunk_text(chunk: Chunk) -> str:
    """A chunk as tcpdump prints it, such as `[INIT]`."""
    return f"[{CHUNK_NAMES.get(chunk.type, f'type {chunk.type}')}]"


def init_chunk(kind: int, init: Init) -> Chunk:
    """INIT or INIT ACK: one stream in each direction."""
    value = _INIT.pack(init.tag, init.window, 1, 1, init.tsn)
    if init.cookie:
        value += _PARAMETER.pack(_COOKIE_PARAMETER, 4 + len(init.cookie)) + init.cookie
    return Chunk(kind, 0, value)


def read_init(chunk: Chunk) -> Init | None:
    """What an INIT or INIT ACK says; None if it is malformed."""
    if len(chunk.value) < _INIT.size:
        return None
    tag, window, _, _, tsn = _INIT.unpack_from(chunk.value)
    rest, cookie = chunk.value[_INIT.size :], b""
    while len(rest) >= _PARAMETER.size:
        kind, length = _PARAMETER.unpack_from(rest)
        if not _PARAMETER.size <= length <= len(rest):
            return None
        if kind == _COOKIE_PARAMETER:
            cookie = rest[_PARAMETER.size : length]
        rest = rest[length + -length % 4 :]
    return Init(tag, window, tsn, cookie) if tag else None


def data_chunk(data: Data) -> Chunk:
    """A DATA chunk of stream 0."""
    return Chunk(DATA, data.flags, _DATA.pack(data.tsn, 0, data.sequence, 0) + data.payload)


def read_data(chunk: Chunk) -> Data | None:
    """A DATA chunk; None without payload (RFC 9260, 3.3.1)."""
    if len(chunk.value) <= _DATA.size:
        return None
    tsn, _, sequence, _ = _DATA.unpack_from(chunk.value)
    return Data(tsn, sequence, chunk.flags, chunk.value[_DATA.size :])


def sack_chunk(tsn: int, window: int) -> Chunk:
    """A SACK without gaps: everything up to `tsn` has arrived."""
    return Chunk(SACK, 0, _SACK.pack(tsn, window, 0, 0))


def shutdown_chunk(tsn: int) -> Chunk:
    """A SHUTDOWN, which acknowledges as a SACK does."""
    return Chunk(SHUTDOWN, 0, tsn.to_bytes(4))


def read_cumulative(chunk: Chunk) -> int | None:
    """The cumulative TSN of a SACK or SHUTDOWN."""
    return int.from_bytes(chunk.value[:4]) if len(chunk.value) >= 4 else None


def read_chunks(data: bytes) -> tuple[Chunk, ...] | None:
    """The chunks of a packet, from behind its common header; None if one is malformed."""
    found: list[Chunk] = []
    while data:
        if len(data) < _CHUNK.size:
            return None
        kind, flags, length = _CHUNK.unpack_from(data)
        if not _CHUNK.size <= length <= len(data):
            return None
        found.append(Chunk(kind, flags, data[_CHUNK.size : length]))
        data = data[length + -length % 4 :]
    return tuple(found)


def kinds(chunks: Iterable[Chunk]) -> frozenset[int]:
    """The types of chunks."""
    return frozenset(chunk.type for chunk in chunks)
