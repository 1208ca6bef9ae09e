"""Neighbour discovery: asking for the MAC address of an IPv6 neighbour, and answering (net/ipv6/ndisc.c, RFC 4861).

Called by `neighbour.py` (an entry wants to know) and `path.receive` (a message came in). A solicitation goes to the
solicited-node group of the address, or to the neighbour itself while its address is being verified. It comes from the
address of the packet that waits, if that is the device's, else from the link-local address.

Simplified: no duplicate address detection, no router discovery, no multicast listener reports (the switch floods all
groups), and netfilter does not see these messages (in Linux they pass untracked; no rule here looks at them).
"""

from typing import TYPE_CHECKING, Final

from netsim.wire import ndp
from netsim.wire.addr import Address
from netsim.wire.packet import IcmpMessage, Packet

if TYPE_CHECKING:
    from netsim.kernel.neighbour import Neighbour
    from netsim.kernel.netns import Device

NAME: Final = "ND"


def solicit(entry: "Neighbour", mac: bytes, now: int) -> None:
    """Ask for an entry's address: its solicited-node group, or the one that had it."""
    device, target = entry.device, entry.address
    waiting = entry.queue[0].flow.src if entry.queue else b""
    source = waiting if device.ns.addresses.get(waiting) is device else _own_address(device, target)
    if source is None:
        return
    destination = target if mac else ndp.solicited_node(target)
    _send(
        device,
        ndp.solicitation(target, device.mac),
        source,
        destination,
        mac or ndp.multicast_mac(destination),
        now,
    )


def _own_address(device: "Device", target: Address) -> Address | None:
    local = ndp.link_local(device.mac)
    return local if device.ns.addresses.get(local) is device else device.ns.source_for(target)


def received(device: "Device", packet: Packet, now: int) -> None:
    """A message came in: learn from it, and answer when it asks for us."""
    body = packet.body
    found = ndp.read(body) if isinstance(body, IcmpMessage) and packet.ttl == ndp.HOP_LIMIT else None
    if found is None:
        return
    if found.type == ndp.SOLICITATION:
        _solicited(device, packet.flow.src, found, now)
    elif found.mac is not None:
        unasked = not found.flags & ndp.SOLICITED_FLAG
        device.ns.neighbours.heard(device, found.target, found.mac, unasked, False, now)


def _solicited(device: "Device", asker: Address, found: ndp.Discovery, now: int) -> None:
    ns = device.ns
    if ns.addresses.get(found.target) is not device or found.mac is None or asker == ndp.UNSPECIFIED:
        return
    ns.neighbours.heard(device, asker, found.mac, True, True, now)
    flags = ndp.SOLICITED_FLAG | ndp.OVERRIDE_FLAG | (ndp.ROUTER_FLAG if ns.sysctl.ip_forward else 0)
    _send(device, ndp.advertisement(found.target, device.mac, flags), found.target, asker, found.mac, now)


def _send(device: "Device", message: IcmpMessage, src: Address, dst: Address, mac: bytes, now: int) -> None:
    ns = device.ns
    packet = ndp.discovery_packet(message, src, dst, mac + device.mac, next(ns.uids))
    ns.sent += 1
    if ns.journeys:
        ns.tell(packet, now, "send", repr(message), device.name)
    device.transmit(packet, now)
