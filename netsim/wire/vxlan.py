"""VXLAN's wrapping: an Ethernet frame in a UDP datagram (RFC 7348), without Scapy.

Called by `netsim.kernel.vxlan` at both ends of a tunnel. Wrapping keeps the inner packet as a value (`VxlanFrame`);
bytes are made by `render` when somebody looks. A datagram that a user has built by hand is read from its bytes.
Sources: drivers/net/vxlan/vxlan_core.c (vxlan_build_skb, vxlan_xmit_one), include/net/inet_ecn.h of Linux 6.8.
"""

from typing import Final
from zlib import crc32

from netsim.wire.packet import (
    ETHERNET_HEADER,
    UDP,
    VXLAN_HEADER,
    ArpMessage,
    Flow,
    Packet,
    VxlanFrame,
    arp_packet,
)
from netsim.wire.parse import parse

_VNI_VALID: Final = 0x08  # the I flag
_ECN: Final = 0x03
_ETHER_IPV4, _ETHER_ARP, _ETHER_IPV6 = 0x0800, 0x0806, 0x86DD


def header(vni: int) -> bytes:
    """The eight bytes of the VXLAN header."""
    return bytes((_VNI_VALID, 0, 0, 0)) + vni.to_bytes(3) + b"\0"


def wrapped(inner: Packet, vni: int, flow: Flow) -> Packet:
    """The outer packet: the same packet as before, one header further out, so it keeps its number. The bits for
    congestion are copied outside (INET_ECN_encapsulate), the service bits are not (no `tos inherit`)."""
    outer = Packet(flow, VxlanFrame(vni, inner), inner.uid)
    outer.tos = inner.tos & _ECN
    return outer


def flow_hash(flow: Flow, secret: int) -> int:
    """32 bits that are the same for both directions of a flow, as those of skb_get_hash are
    (__flow_hash_consistentify). Ours is a CRC, Linux's a siphash; either depends on a secret of the machine."""
    ends = (flow.src + flow.sport.to_bytes(2), flow.dst + flow.dport.to_bytes(2))
    return crc32(min(ends) + max(ends) + bytes((flow.proto,)), secret)


def source_port(hashed: int, low: int, high: int) -> int:
    """A port from `low` on and below `high` (udp_flow_src_port)."""
    hashed ^= hashed << 16 & 0xFFFF_FFFF
    return (hashed * (high - low) >> 32) + low


def unwrapped(outer: Packet) -> tuple[int, Packet] | None:
    """VNI and inner packet of a datagram that came to a tunnel's port; None if it is no VXLAN."""
    body = outer.body
    if isinstance(body, VxlanFrame):
        return body.vni, body.inner.copy(outer.uid)
    payload = getattr(body, "payload", b"")
    if (
        outer.flow.proto != UDP
        or len(payload) < VXLAN_HEADER + ETHERNET_HEADER
        or not payload[0] & _VNI_VALID
    ):
        return None
    inner = _read_frame(payload[VXLAN_HEADER:])
    if inner is None:
        return None
    inner.uid = outer.uid
    return int.from_bytes(payload[4:7]), inner


def _read_frame(frame: bytes) -> Packet | None:
    """The packet of an Ethernet frame; None if it is neither IP nor a whole ARP message for IPv4."""
    macs, kind, rest = frame[:12], int.from_bytes(frame[12:14]), frame[ETHERNET_HEADER:]
    if kind == _ETHER_ARP and rest[:6] == b"\0\x01\x08\0\x06\x04" and len(rest) >= 28:
        message = ArpMessage(int.from_bytes(rest[6:8]), rest[8:14], rest[14:18], rest[18:24], rest[24:28])
        return arp_packet(message, macs, 0)
    if kind not in (_ETHER_IPV4, _ETHER_IPV6):
        return None
    try:
        return parse(rest, macs)
    except ValueError:
        return None
