"""Changing addresses, ports, TTL and type of service inside the bytes of an IP packet, as NAT and routers do.

Called by `render` for packets kept as bytes (RawBody), and for the packet quoted in an ICMP error, which NAT
must translate too. Checksums are patched incrementally (RFC 1624), so a wrong one stays wrong by the same
amount.

What is patched is what Linux's nf_nat patches (net/netfilter/nf_nat_proto.c: l4proto_manip_pkt): TCP, UDP,
SCTP, ICMP and ICMPv6; any other protocol only has its IP header changed. Bytes may be cut short, as in ICMP
errors: what is absent is not patched.

Simplified: Linux reassembles fragments before NAT; here a first fragment is patched as it is and later ones
have only their IP header changed. The CRC of a first SCTP fragment is left alone, since it covers bytes that
are elsewhere.
"""

from typing import Final, NamedTuple

from netsim.wire.checksum import ONES, adjusted, crc32c, ones_sum
from netsim.wire.packet import ICMP, ICMPV6, SCTP, TCP, UDP, Flow

# Echo request and reply, by the length of an address in bytes (RFC 792, RFC 4443).
ECHO_TYPES: Final = {4: (8, 0), 16: (128, 129)}

# Hop-by-hop, routing, fragment, authentication, destination options (RFC 8200 section 4, RFC 4302).
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_EXTENSIONS: Final = (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION)

# Where the checksum over a pseudo header with the addresses lies in the layer 4 header.
PSEUDO_HEADER_SUM: Final = {TCP: 16, UDP: 6, ICMPV6: 2}


class Layout(NamedTuple):
    """Where things are in an IP packet. `proto` and `l4` are of the header behind IPv6 extension headers."""

    proto: int
    l4: int  # offset of the layer 4 header
    fragment: bool  # part of a fragmented packet
    first: bool  # the layer 4 header is in here


def layout(packet: bytes) -> Layout:
    """The layout of a packet that starts with a complete IP header; extension headers may be cut short."""
    if packet[0] >> 4 == 6:
        return _layout6(packet)
    word = _word(packet, 6)
    return Layout(packet[9], (packet[0] & 15) * 4, word & 0x3FFF != 0, word & 0x1FFF == 0)


def _layout6(packet: bytes) -> Layout:
    """Walks the extension headers as ipv6_skip_exthdr does (net/ipv6/exthdrs_core.c)."""
    proto, at, fragment = packet[6], 40, False
    while proto in _EXTENSIONS and at + 8 <= len(packet):
        length = packet[at + 1]
        if proto == _FRAGMENT:
            word = _word(packet, at + 2)
            fragment = fragment or word & 0xFFF9 != 0
            if word >> 3:
                return Layout(packet[at], at + 8, True, False)
            size = 8
        else:
            size = (length + 2) * 4 if proto == _AUTHENTICATION else (length + 1) * 8
        proto, at = packet[at], at + size
    return Layout(proto, at, fragment, proto not in _EXTENSIONS)


def declared_length(packet: bytes | bytearray) -> int:
    """The length of the whole packet by its IP header."""
    return 40 + _word(packet, 4) if packet[0] >> 4 == 6 else _word(packet, 2)


def read_flow(packet: bytes) -> Flow:
    """The flow of an IP packet that starts with a complete IP header, else it may be cut short (ICMP errors).

    Ports are 0 where there are none: later fragments, other protocols, too few bytes.
    """
    where = layout(packet)
    src, dst = (packet[8:24], packet[24:40]) if packet[0] >> 4 == 6 else (packet[12:16], packet[16:20])
    sport, dport = _ports(packet, where, len(src)) if where.first else (0, 0)
    return Flow(src, dst, sport, dport, where.proto)


def _ports(packet: bytes, where: Layout, address_length: int) -> tuple[int, int]:
    proto, l4 = where.proto, where.l4
    if proto in (TCP, UDP, SCTP) and len(packet) >= l4 + 4:
        return _word(packet, l4), _word(packet, l4 + 2)
    if proto == (ICMP if address_length == 4 else ICMPV6) and len(packet) >= l4 + 8:
        identifier = _word(packet, l4 + 4) if packet[l4] in ECHO_TYPES[address_length] else 0
        return identifier, _word(packet, l4)
    return 0, 0


def rewritten(packet: bytes, flow: Flow, ttl: int, tos: int) -> bytes:
    """The packet with this flow's addresses and ports, this TTL (hop limit) and tos (traffic class).

    Raises ValueError when the flow is of the other family or a value does not fit.
    """
    old = read_flow(packet)
    if len(old.src) != len(flow.src) or len(old.dst) != len(flow.dst):
        raise ValueError(f"the flow {flow} is not of the packet's family, IPv{packet[0] >> 4}")
    if not (0 <= ttl <= 255 and 0 <= tos <= 255):
        raise ValueError(f"TTL {ttl} and type of service {tos} must be from 0 to 255")
    buffer = bytearray(packet)
    if (flow.src, flow.dst, flow.sport, flow.dport) != (old.src, old.dst, old.sport, old.dport):
        _patch_l4(buffer, old, flow, layout(packet))
    (_patch_ipv6 if packet[0] >> 4 == 6 else _patch_ipv4)(buffer, flow, ttl, tos)
    return bytes(buffer)


def requoted(packet: bytes, flow: Flow) -> bytes:
    """The packet quoted in an ICMP error with another flow; TTL and tos stay. Raises as `rewritten`."""
    if packet[0] >> 4 == 6:
        return rewritten(packet, flow, packet[7], (packet[0] & 15) << 4 | packet[1] >> 4)
    return rewritten(packet, flow, packet[8], packet[1])


def _patch_ipv4(buffer: bytearray, flow: Flow, ttl: int, tos: int) -> None:
    old = bytes(buffer)
    buffer[1], buffer[8] = tos, ttl
    buffer[12:20] = flow.src + flow.dst
    if buffer != old:
        _adjust(buffer, 10, ones_sum(old[:20]), ones_sum(buffer[:20]))


def _patch_ipv6(buffer: bytearray, flow: Flow, ttl: int, tos: int) -> None:
    buffer[0] = 6 << 4 | tos >> 4
    buffer[1] = (tos & 15) << 4 | buffer[1] & 15
    buffer[7] = ttl
    buffer[8:40] = flow.src + flow.dst


def _patch_l4(buffer: bytearray, old: Flow, new: Flow, where: Layout) -> None:
    if not where.first:
        return
    before = bytes(buffer[where.l4 :])
    _patch_ports(buffer, old, new, where)
    # Ports and identifiers are in the first 8 bytes; whatever else is there has not changed and cancels out.
    was, now = ones_sum(before[:8]), ones_sum(buffer[where.l4 : where.l4 + 8])
    if where.proto == SCTP:
        _patch_sctp(buffer, before, where)
    elif where.proto in PSEUDO_HEADER_SUM:
        was, now = was + ones_sum(old.src + old.dst), now + ones_sum(new.src + new.dst)
        _patch_sum(buffer, where.l4 + PSEUDO_HEADER_SUM[where.proto], was, now, where.proto)
    elif where.proto == ICMP:
        _patch_sum(buffer, where.l4 + 2, was, now, ICMP)


def _patch_ports(buffer: bytearray, old: Flow, new: Flow, where: Layout) -> None:
    at = where.l4
    if where.proto in (TCP, UDP, SCTP) and len(buffer) >= at + 4:
        buffer[at : at + 4] = new.sport.to_bytes(2) + new.dport.to_bytes(2)
    elif where.proto in (ICMP, ICMPV6) and old.sport != new.sport and len(buffer) >= at + 8:
        buffer[at + 4 : at + 6] = new.sport.to_bytes(2)


def _patch_sum(buffer: bytearray, at: int, old: int, new: int, proto: int) -> None:
    if len(buffer) < at + 2 or (proto == UDP and not any(buffer[at : at + 2])):
        return  # cut off, or a datagram without a checksum (RFC 768)
    _adjust(buffer, at, old, new)
    if proto == UDP and not any(buffer[at : at + 2]):
        buffer[at : at + 2] = b"\xff\xff"
    if proto == ICMP and not any(buffer[at - 2 :]):
        buffer[at : at + 2] = b"\xff\xff"  # equation 3 cannot see that every word became 0


def _adjust(buffer: bytearray, at: int, old: int, new: int) -> None:
    if (old - new) % ONES == 0:
        return  # equation 3 would turn a field of 0xffff into 0, the same number in other bytes
    buffer[at : at + 2] = adjusted(_word(buffer, at), old, new).to_bytes(2)


def _patch_sctp(buffer: bytearray, before: bytes, where: Layout) -> None:
    """Adds the difference that new ports make to the CRC, which is linear and covers the whole packet."""
    at = where.l4 + 8
    if where.fragment or len(buffer) < max(at + 4, declared_length(buffer)):
        return
    change = crc32c(before) ^ crc32c(bytes(buffer[where.l4 :]))
    field = int.from_bytes(buffer[at : at + 4], "little")
    buffer[at : at + 4] = (field ^ change).to_bytes(4, "little")


def _word(data: bytes | bytearray, at: int) -> int:
    return data[at] << 8 | data[at + 1]
