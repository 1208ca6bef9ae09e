"""The underlay switch: one broadcast domain between the nodes, the router and whoever else is plugged in (IEEE 802.1D).

It knows which port has which MAC address from the plugging in, so nothing is ever flooded but broadcasts and
multicasts (no MLD snooping).
"""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from netsim.kernel.hooks import DropReason

if TYPE_CHECKING:
    from netsim.engine import Engine
    from netsim.fabric.link import Link
    from netsim.kernel.netns import Device
    from netsim.wire.packet import Packet


_GROUP: Final = 1  # the first bit on the wire: a broadcast or multicast address


class Switch:
    """A store-and-forward switch; its ports' queues are those of the outgoing links."""

    __slots__ = ("_blocked", "_engine", "_env", "_next", "copied", "drops", "ports")

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._env = engine.env
        self.ports: dict[bytes, Link] = {}
        self._next: dict[bytes, Link] = {}
        self._blocked: Counter[bytes] = Counter()  # pairs (destination, source) that a partition separates
        self.copied = 0  # broadcast copies beyond the first: packets that nobody sent
        self.drops: Counter[DropReason] = Counter()

    def plug(self, device: "Device", outgoing: "Link") -> None:
        """Reach a device's MAC address by a link."""
        self.ports[device.mac] = outgoing
        self._next.clear()

    def block(self, pairs: "Iterable[bytes]") -> None:
        """Lose frames whose destination and source are one of these pairs of MAC addresses."""
        self._blocked.update(pairs)
        self._next.clear()

    def unblock(self, pairs: "Iterable[bytes]") -> None:
        """Lose them no longer, unless somebody else wants them lost."""
        self._blocked.subtract(pairs)
        self._blocked = +self._blocked
        self._next.clear()

    def arrived(self, packet: "Packet") -> None:
        """A frame came in by any port."""
        link = self._next.get(packet.macs)
        if link is None:
            link = self._learn(packet)
            if link is None:
                return
        # A frame is sent on when it is complete, which is now.
        link.forward(packet, self._env._now)

    def _learn(self, packet: "Packet") -> "Link | None":
        destination = packet.macs[:6]
        if destination[0] & _GROUP:
            self._flood(packet)
            return None
        if packet.macs in self._blocked:
            self.drops[DropReason.LINK_PARTITION] += 1
            return None
        link = self.ports.get(destination)
        if link is None:
            self.drops[DropReason.LINK_UNKNOWN_MAC] += 1
            return None
        self._next[packet.macs] = link
        return link

    def _flood(self, packet: "Packet") -> None:
        source, now = packet.macs[6:], self._env._now
        targets = [
            link for mac, link in self.ports.items() if mac != source and mac + source not in self._blocked
        ]
        if not targets:
            self.drops[DropReason.LINK_PARTITION if self._blocked else DropReason.LINK_UNKNOWN_MAC] += 1
            return
        self.copied += len(targets) - 1
        for link in targets[1:]:
            link.forward(packet.copy(packet.uid), now)
        targets[0].forward(packet, now)
