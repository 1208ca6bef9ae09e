"""From bytes to packets: the other direction of `render`, without Scapy.

Called by `codec.from_scapy` (packets that a user hands in) and by whoever receives a packet kept as bytes and
needs its layer 4 (sockets, conntrack: `transport`).

A packet becomes a modelled one (TcpSegment, UdpDatagram, IcmpMessage) only if rendering that gives the very
same bytes; else it stays RawBody. So `parse(data).to_bytes()` is always `data`, and everything that our
templates cannot express (IP options, fragments, an identification, urgent data, wrong checksums) is kept
without a list of exceptions.
"""

from typing import Final

from netsim.wire.checksum import ONES, crc32c, ones_sum
from netsim.wire.packet import (
    ICMP,
    ICMPV6,
    NO_MACS,
    SCTP,
    TCP,
    UDP,
    Body,
    IcmpMessage,
    Packet,
    RawBody,
    TcpSegment,
    UdpDatagram,
)
from netsim.wire.render import render
from netsim.wire.rewrite import (
    ECHO_TYPES,
    PSEUDO_HEADER_SUM,
    Layout,
    declared_length,
    layout,
    read_flow,
    rewritten,
)
from netsim.wire.sctp import HEADER_LENGTH, SctpPacket, read_chunks

# Errors quote a packet: destination unreachable, source quench, redirect, time exceeded, parameter problem
# (RFC 792); destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
ERROR_TYPES: Final = {4: (3, 4, 5, 11, 12), 16: (1, 2, 3, 4)}


def parse(data: bytes, macs: bytes = NO_MACS) -> Packet:
    """The packet that starts with an IP header; bytes after its declared end (Ethernet padding) are dropped.

    Raises ValueError when the IP header is incomplete or contradicts itself, or the packet is cut short.
    """
    data = trimmed(data)
    flow, where = read_flow(data), layout(data)
    body = _transport_body(data, where, len(flow.src))
    if body is not None and _is_modelled(body, len(flow.src)):
        packet = _enveloped(Packet(flow, body), data, macs)
        if render(packet)[14:] == data:
            return packet
    return _enveloped(Packet(flow, RawBody(data)), data, macs)


def _enveloped(packet: Packet, data: bytes, macs: bytes) -> Packet:
    packet.macs = macs
    if data[0] >> 4 == 6:
        packet.tos, packet.ttl = (data[0] & 15) << 4 | data[1] >> 4, data[7]
    else:
        packet.tos, packet.ttl = data[1], data[8]
    return packet


def trimmed(data: bytes) -> bytes:
    """The IP packet at the start of `data` up to its declared end. Raises ValueError as `parse`."""
    version = data[0] >> 4 if data else None
    if version not in (4, 6):
        raise ValueError(f"not an IP packet: version {version}, expected 4 or 6 in the first half byte")
    header = 20 if version == 4 else 40
    if len(data) < header:
        raise ValueError(f"an IPv{version} header has at least {header} bytes, here are {len(data)}")
    if version == 4:
        header = (data[0] & 15) * 4
    length = declared_length(data)
    if not 20 <= header <= length:
        raise ValueError(f"IPv4 header length {header} and total length {length} contradict each other")
    if length > len(data):
        raise ValueError(f"the IP header declares {length} bytes, only {len(data)} are here")
    return data[:length]


def transport(packet: Packet) -> Body | None:
    """The layer 4 body of a packet as its receiver sees it.

    A modelled packet's own body; for a RawBody what its bytes say: TcpSegment, UdpDatagram, IcmpMessage or SctpPacket.
    The RawBody itself if it is of another protocol. None if Linux would drop it silently: a wrong checksum, a
    malformed header, or a fragment (reassembly is not modelled).
    """
    body = packet.body
    if not isinstance(body, RawBody):
        return body
    data = rewritten(body.packet, packet.flow, packet.ttl, packet.tos)
    where, family = layout(data), len(packet.flow.src)
    if where.fragment or not _header_intact(data):
        return None
    if where.proto == SCTP:
        return _sctp(data[where.l4 :])
    if where.proto not in (TCP, UDP, ICMP if family == 4 else ICMPV6):
        return body
    return _transport_body(data, where, family) if _transport_intact(data, where, family) else None


def _header_intact(data: bytes) -> bool:
    return data[0] >> 4 == 6 or ones_sum(data[: (data[0] & 15) * 4]) == ONES


def _transport_intact(data: bytes, where: Layout, family: int) -> bool:
    segment = data[where.l4 :]
    if where.proto == UDP:
        if family == 4 and segment[6:8] == b"\0\0":
            return True  # sent without a checksum (RFC 768); IPv6 forbids it (RFC 8200 section 8.1)
        segment = segment[: int.from_bytes(segment[4:6])]
        if segment[6:8] == b"\0\0":
            return False
    total = ones_sum(segment)
    if where.proto in PSEUDO_HEADER_SUM:
        addresses = data[8:40] if family == 16 else data[12:20]
        total += ones_sum(addresses) + len(segment) + where.proto
    return total > 0 and total % ONES == 0


def _transport_body(
    data: bytes, where: Layout, family: int
) -> TcpSegment | UdpDatagram | IcmpMessage | SctpPacket | None:
    """What the bytes from layer 4 on say, if they make sense and are a protocol of this family."""
    if where.fragment or not where.first:
        return None
    segment = data[where.l4 :]
    if where.proto == TCP:
        return _tcp(segment)
    if where.proto == UDP:
        return _udp(segment)
    if where.proto == (ICMP if family == 4 else ICMPV6):
        return _icmp(segment, family)
    return _sctp(segment) if where.proto == SCTP else None


def _tcp(segment: bytes) -> TcpSegment | None:
    if len(segment) < 20:
        return None
    offset = (segment[12] >> 4) * 4
    if not 20 <= offset <= len(segment):
        return None
    return TcpSegment(
        seq=int.from_bytes(segment[4:8]),
        ack=int.from_bytes(segment[8:12]),
        flags=int.from_bytes(segment[12:14]) & 0x1FF,
        window=int.from_bytes(segment[14:16]),
        options=segment[20:offset],
        payload=segment[offset:],
    )


def _udp(segment: bytes) -> UdpDatagram | None:
    length = int.from_bytes(segment[4:6])
    return UdpDatagram(segment[8:length]) if 8 <= length <= len(segment) else None


def _sctp(segment: bytes) -> SctpPacket | None:
    """An SCTP packet whose CRC is right and whose chunks are whole."""
    if len(segment) < HEADER_LENGTH:
        return None
    zeroed = segment[:8] + bytes(4) + segment[HEADER_LENGTH:]
    chunks = read_chunks(segment[HEADER_LENGTH:])
    if crc32c(zeroed) != int.from_bytes(segment[8:12], "little") or chunks is None:
        return None
    return SctpPacket(int.from_bytes(segment[4:8]), *chunks)


def _icmp(segment: bytes, family: int) -> IcmpMessage | None:
    if len(segment) < 8:
        return None
    rest = int.from_bytes(segment[6:8] if segment[0] in ECHO_TYPES[family] else segment[4:8])
    return IcmpMessage(segment[0], segment[1], rest, segment[8:])


def _is_modelled(body: Body, family: int) -> bool:
    """Echoes and errors that quote an IP header and 8 bytes; not, say, neighbour discovery."""
    if not isinstance(body, IcmpMessage) or body.type in ECHO_TYPES[family]:
        return True
    return body.type in ERROR_TYPES[family] and len(body.payload) >= (28 if family == 4 else 48)
