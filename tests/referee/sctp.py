"""SCTP's first two messages as bytes (RFC 9260 section 3): enough for NAT and conntrack to do their work."""

import struct
from itertools import count

from netsim.wire.checksum import crc32c

_TAG = 7
_INIT, _INIT_ACK = 1, 2
_source_ports = count(40_000)


def init(port: int) -> bytes:
    """INIT to a port, each from another one."""
    return _message(next(_source_ports), port, 0, _INIT)


def answer(message: bytes) -> tuple[int, bytes]:
    """To which port an INIT was sent; and the INIT ACK."""
    sport, dport = struct.unpack("!HH", message[:4])
    return dport, _message(dport, sport, _TAG, _INIT_ACK)


def _message(sport: int, dport: int, tag: int, kind: int) -> bytes:
    chunk = struct.pack("!BBHIIHHI", kind, 0, 20, _TAG, 65535, 1, 1, 1)
    head = struct.pack("!HHI", sport, dport, tag)
    checksum = crc32c(head + bytes(4) + chunk)
    return head + struct.pack("<I", checksum) + chunk
