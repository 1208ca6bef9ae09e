"""The true bytes of a packet: a Scapy-built template with its variable fields and checksums patched.

Called by `Packet.to_bytes()`, hence by captures, tunnels, ICMP errors and whoever looks at a packet.

There is one template per packet kind (family, protocol, length of the TCP options), made once by
`codec.build_template` with every variable field zero. Patching follows RFC 1624, equation 3: as the old words
are all zero, a new checksum is the complement of the template's own (complemented) checksum plus the new
words; `checksum.py` says why whole addresses and sequence numbers may be added. A length that grows by n
bytes adds n each time it is covered (once for TCP and ICMPv6, in the pseudo header; twice for UDP, RFC 768).

Simplified: every IPv4 packet has identification 0 and DF, as Linux sends unconnected UDP under path MTU
discovery; on a connected socket Linux counts the identification (include/net/ip.h, ip_select_ident_segs),
which nobody reads on a packet with DF (RFC 6864), and it sends ICMP without DF. The IPv6 flow label is 0
(net.ipv6.auto_flowlabels=0). There is no urgent data.
"""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from struct import error as StructError
from typing import Any, Final, NamedTuple

from netsim.wire.checksum import ONES, checksum, crc32c, ones_sum
from netsim.wire.packet import (
    ARP,
    ETHERNET_HEADER,
    ICMP,
    ICMPV6,
    SCTP,
    TCP,
    UDP,
    ArpMessage,
    IcmpMessage,
    Packet,
    RawBody,
    TcpSegment,
    UdpDatagram,
    VxlanFrame,
)
from netsim.wire.rewrite import ECHO_TYPES, rewritten
from netsim.wire.sctp import SctpPacket

_TOS_LENGTH: Final = Struct("!BH")  # at 15: type of service, total length
_SUM_ADDRESSES: Final = Struct("!H4s4s")  # at 24: header checksum, source, destination
_IPV6: Final = Struct("!IHBB16s16s")  # at 14: class and label, length, next header, hop limit, addresses
_TCP: Final = Struct("!HHIIHHH")  # ports, sequence, acknowledgment, offset and flags, window, checksum
_UDP: Final = Struct("!HHHH")  # ports, length, checksum
_ICMP: Final = Struct("!BBHI")  # type, code, checksum, rest of the header
_ARP: Final = Struct("!H6s4s6s4s")  # at 20: operation, MAC and IP address of the sender, then of the target
_VERSION_6: Final = 6 << 28


class Template(NamedTuple):
    """A packet kind: its frame with variable fields zero, and what its checksums sum to (RFC 1624's ~HC)."""

    frame: bytes
    l4: int  # offset of the layer 4 header
    length: int  # value of the IP length field
    ip_sum: int
    l4_sum: int


# Where the checksum lies in each layer 4 header. SCTP has a CRC instead, which is not patched.
_CHECKSUM_AT: Final = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}
_SCTP: Final = Struct("!HHI")  # ports, verification tag; the CRC follows, least significant byte first


@lru_cache(maxsize=64)
def template(address_length: int, proto: int, options_length: int = 0) -> Template:
    """The template of a packet kind. Raises ValueError for TCP options that no header can hold.

    At most 2 x 11 TCP kinds and 7 others exist, so nothing is ever evicted.
    """
    from netsim.wire.codec import build_template

    frame = build_template(address_length, proto, options_length)
    if proto == ARP:
        return Template(frame, ETHERNET_HEADER, 0, 0, 0)
    l4, length_at = (34, 16) if address_length == 4 else (54, 18)
    checksum_at = _CHECKSUM_AT.get(proto)
    return Template(
        frame,
        l4,
        _word(frame, length_at),
        _word(frame, 24) ^ ONES if address_length == 4 else 0,
        _word(frame, l4 + checksum_at) ^ ONES if checksum_at is not None else 0,
    )


def _word(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def render(packet: Packet) -> bytes:
    """The Ethernet frame of a packet as it is on the wire now, without preamble and check sequence.

    Raises ValueError when a value does not fit its field (a datagram over 65535 bytes, a negative TTL).
    """
    body = packet.body
    try:
        return _RENDERERS[type(body)](packet, body)
    except (StructError, OverflowError) as error:
        raise ValueError(f"a value of {packet!r} does not fit its header field: {error}") from error


def _network(packet: Packet, kind: Template, addresses: int, grown: int) -> bytearray:
    """The frame of the template with Ethernet and IP headers patched, the IP length `grown` bytes more."""
    frame = bytearray(kind.frame)
    frame[0:12] = packet.macs
    flow, ttl, tos = packet.flow, packet.ttl, packet.tos
    length = kind.length + grown
    if kind.l4 == 34:
        header_sum = -(kind.ip_sum + grown + tos + (ttl << 8) + addresses) % ONES
        _TOS_LENGTH.pack_into(frame, 15, tos, length)
        frame[22] = ttl
        _SUM_ADDRESSES.pack_into(frame, 24, header_sum, flow.src, flow.dst)
    else:
        _IPV6.pack_into(frame, 14, _VERSION_6 | tos << 20, length, kind.frame[20], ttl, flow.src, flow.dst)
    return frame


def _tcp(packet: Packet, body: TcpSegment) -> bytes:
    src, dst, sport, dport, _ = packet.flow
    options, payload, seq, ack, window = body.options, body.payload, body.seq, body.ack, body.window
    kind = template(len(src), TCP, len(options))
    l4, grown = kind.l4, len(payload)
    addresses = int.from_bytes(src) + int.from_bytes(dst)
    total = kind.l4_sum + addresses + grown + sport + dport + seq + ack + body.flags + window
    if options:
        total += int.from_bytes(options)
    if grown:
        total += _payload_sum(body)
    frame = _network(packet, kind, addresses, grown)
    offset_flags = kind.frame[l4 + 12] << 8 | body.flags
    _TCP.pack_into(frame, l4, sport, dport, seq, ack, offset_flags, window, -total % ONES)
    if options:
        frame[l4 + 20 :] = options
    return bytes(frame + payload)


def _udp(packet: Packet, body: UdpDatagram) -> bytes:
    src, dst, sport, dport, _ = packet.flow
    kind = template(len(src), UDP)
    grown = len(body.payload)
    addresses = int.from_bytes(src) + int.from_bytes(dst)
    total = kind.l4_sum + addresses + 2 * grown + sport + dport + _payload_sum(body)
    frame = _network(packet, kind, addresses, grown)
    # A sum of 0 is sent as all ones, because 0 says that there is none (RFC 768).
    _UDP.pack_into(frame, kind.l4, sport, dport, 8 + grown, -total % ONES or ONES)
    return bytes(frame + body.payload)


def _payload_sum(body: TcpSegment | UdpDatagram) -> int:
    """The sum of the payload, kept on the body: it is the same on every hop."""
    total = body.payload_sum
    if total < 0:
        total = body.payload_sum = ones_sum(body.payload)
    return total


def _icmp(packet: Packet, body: IcmpMessage) -> bytes:
    flow, payload = packet.flow, body.payload
    addresses = int.from_bytes(flow.src) + int.from_bytes(flow.dst)
    rest = flow.sport << 16 | body.rest if body.type in ECHO_TYPES[len(flow.src)] else body.rest
    total = (body.type << 8 | body.code) + rest + ones_sum(payload)
    if len(flow.src) == 4:
        kind = template(4, ICMP)
    else:  # ICMPv6 covers a pseudo header (RFC 4443 section 2.3)
        kind = template(16, ICMPV6)
        total += addresses + len(payload)
    frame = _network(packet, kind, addresses, len(payload))
    _ICMP.pack_into(frame, kind.l4, body.type, body.code, checksum(kind.l4_sum + total), rest)
    return bytes(frame + payload)


def _arp(packet: Packet, body: ArpMessage) -> bytes:
    frame = bytearray(template(4, ARP).frame)
    frame[0:12] = packet.macs
    _ARP.pack_into(frame, 20, body.op, body.sender_mac, body.sender_ip, body.target_mac, body.target_ip)
    return bytes(frame)


def _sctp(packet: Packet, body: SctpPacket) -> bytes:
    flow, payload = packet.flow, body.chunk_bytes()
    kind = template(len(flow.src), SCTP)
    addresses = int.from_bytes(flow.src) + int.from_bytes(flow.dst)
    frame = _network(packet, kind, addresses, len(payload))
    _SCTP.pack_into(frame, kind.l4, flow.sport, flow.dport, body.tag)
    crc = crc32c(frame[kind.l4 :] + payload)
    frame[kind.l4 + 8 : kind.l4 + 12] = crc.to_bytes(4, "little")
    return bytes(frame + payload)


def _raw(packet: Packet, body: RawBody) -> bytes:
    ether_type = b"\x86\xdd" if len(packet.flow.src) == 16 else b"\x08\x00"
    return packet.macs + ether_type + rewritten(body.packet, packet.flow, packet.ttl, packet.tos)


@lru_cache(maxsize=1)
def vxlan_template() -> Template:
    """Of the outer packet down to the VXLAN header, over IPv4. There is no UDP checksum to keep."""
    from netsim.wire.codec import build_vxlan_template

    frame = build_vxlan_template()
    return Template(frame, 34, _word(frame, 16), _word(frame, 24) ^ ONES, 0)


def _vxlan(packet: Packet, body: VxlanFrame) -> bytes:
    """Checksum 0 and no DF, as Linux's vxlan device sends unless told otherwise (udpcsum, df unset)."""
    src, dst, sport, dport, _ = packet.flow
    kind, inner = vxlan_template(), render(body.inner)
    frame = _network(packet, kind, int.from_bytes(src) + int.from_bytes(dst), len(inner))
    _UDP.pack_into(frame, kind.l4, sport, dport, body.length, 0)
    frame[46:49] = body.vni.to_bytes(3)
    return bytes(frame) + inner


_RENDERERS: Final[dict[type, Callable[[Packet, Any], bytes]]] = {
    TcpSegment: _tcp,
    UdpDatagram: _udp,
    IcmpMessage: _icmp,
    ArpMessage: _arp,
    SctpPacket: _sctp,
    RawBody: _raw,
    VxlanFrame: _vxlan,
}
