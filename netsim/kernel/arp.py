"""ARP: asking for the MAC address of an IPv4 neighbour, and answering (net/ipv4/arp.c, RFC 826).

Called by `neighbour.py` (an entry wants to know) and `path.receive` (a frame came in). The states of an entry are
the neighbour table's, as for IPv6 (`ndisc.py`).
"""

from typing import TYPE_CHECKING, Final

from netsim.wire.addr import BROADCAST_MAC, Address
from netsim.wire.packet import ArpMessage, arp_packet

if TYPE_CHECKING:
    from netsim.kernel.neighbour import Neighbour
    from netsim.kernel.netns import Device

NAME: Final = "ARP"
_REQUEST: Final = 1
_REPLY: Final = 2


def solicit(entry: "Neighbour", mac: bytes, now: int) -> None:
    """Ask for an entry's address: everybody, or the one that had it."""
    send_arp(entry.device, _REQUEST, mac or BROADCAST_MAC, b"\0" * 6, entry.address, now)


def received(device: "Device", message: ArpMessage, now: int) -> None:
    """An ARP frame came in: learn from it, and answer when it asks for us."""
    ns, asks = device.ns, message.op == _REQUEST
    mine = message.target_ip in ns.addresses
    ns.neighbours.heard(device, message.sender_ip, message.sender_mac, asks, asks and mine, now)
    if mine and asks:
        send_arp(device, _REPLY, message.sender_mac, message.sender_mac, message.sender_ip, now)


def send_arp(device: "Device", op: int, to: bytes, target_mac: bytes, target_ip: Address, now: int) -> None:
    """Send an ARP frame from a device, in the name of its address."""
    ns = device.ns
    source = ns.source_for(target_ip)
    if source is None:
        return
    message = ArpMessage(op, device.mac, source, target_mac, target_ip)
    packet = arp_packet(message, to + device.mac, next(ns.uids))
    ns.sent += 1
    if ns.journeys:
        ns.tell(packet, now, "send", repr(message), device.name)
    device.transmit(packet, now)
