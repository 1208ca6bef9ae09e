"""Neighbour discovery on the wire: solicitations and advertisements of IPv6 (RFC 4861), and the addresses they go to.

Made and read by `netsim.kernel.ndisc`; displays ask `is_discovery`. A message is an ordinary `IcmpMessage` whose
payload is the target address and one option with a link-layer address. Router discovery, redirects and the other
options are not modelled.
"""

from typing import Final, NamedTuple

from netsim.wire.addr import Address, ip
from netsim.wire.packet import ICMPV6, Flow, IcmpMessage, Packet

SOLICITATION: Final = 135
ADVERTISEMENT: Final = 136
HOP_LIMIT: Final = 255  # a router on the way would have lowered it (RFC 4861, 7.1)

ROUTER_FLAG: Final = 0x8000_0000
SOLICITED_FLAG: Final = 0x4000_0000
OVERRIDE_FLAG: Final = 0x2000_0000

ALL_NODES: Final = ip("ff02::1")
UNSPECIFIED: Final = ip("::")
_SOLICITED_NODE: Final = ip("ff02::1:ff00:0")[:13]
_LINK_LOCAL: Final = ip("fe80::")[:8]
_SOURCE_OPTION: Final = b"\x01\x01"  # type, length in units of 8 bytes
_TARGET_OPTION: Final = b"\x02\x01"
_OPTION_LENGTH: Final = 8


class Discovery(NamedTuple):
    """What a message says: the type, the flags, whom it is about, and a MAC address if it has one."""

    type: int
    flags: int
    target: Address
    mac: bytes | None


def solicited_node(address: Address) -> Address:
    """The multicast group in which an address is asked for (RFC 4291, 2.7.1)."""
    return _SOLICITED_NODE + address[13:]


def multicast_mac(group: Address) -> bytes:
    """The Ethernet group address of an IPv6 multicast group (RFC 2464, 7)."""
    return b"\x33\x33" + group[12:]


def link_local(mac: bytes) -> Address:
    """The address that a device gives itself: fe80::/64 and the modified EUI-64 of its MAC (RFC 4291, appendix A)."""
    return _LINK_LOCAL + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]


def is_discovery(flow: Flow) -> bool:
    """Whether packets of this flow are solicitations or advertisements."""
    return flow.proto == ICMPV6 and flow.dport >> 8 in (SOLICITATION, ADVERTISEMENT)


def solicitation(target: Address, mac: bytes) -> IcmpMessage:
    """`who has TARGET`, asked by the owner of `mac`."""
    return IcmpMessage(SOLICITATION, 0, 0, target + _SOURCE_OPTION + mac)


def advertisement(target: Address, mac: bytes, flags: int) -> IcmpMessage:
    """`TARGET is at MAC`."""
    return IcmpMessage(ADVERTISEMENT, 0, flags, target + _TARGET_OPTION + mac)


def discovery_packet(message: IcmpMessage, src: Address, dst: Address, macs: bytes, uid: int) -> Packet:
    """The frame of a message."""
    packet = Packet(Flow(src, dst, 0, message.type << 8, ICMPV6), message, uid)
    packet.ttl = HOP_LIMIT
    packet.macs = macs
    return packet


def read(message: IcmpMessage) -> Discovery | None:
    """What a message says; None if it is malformed (RFC 4861, 7.1)."""
    target, options = message.payload[:16], message.payload[16:]
    if len(target) < 16 or target[0] == 0xFF or message.code != 0:
        return None
    wanted = _SOURCE_OPTION if message.type == SOLICITATION else _TARGET_OPTION
    mac = None
    while options:
        length = options[1] * _OPTION_LENGTH if len(options) > 1 else 0
        if not 0 < length <= len(options):
            return None
        if options[:2] == wanted:
            mac = options[2:8]
        options = options[length:]
    return Discovery(message.type, message.rest, target, mac)
