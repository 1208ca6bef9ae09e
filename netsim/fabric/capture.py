"""Capturing packets on cables, by reference: what a hop cost is a tuple; bytes are made when somebody looks.

A captured hop keeps the packet's envelope as it was and its immutable body, so it can be rendered at any later time.
Called by experiments (`capture:`), notebooks and the benchmark; written out by `netsim.wire.pcapng`.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from netsim.wire.packet import Body, Flow, Packet

if TYPE_CHECKING:
    from netsim.fabric.fabric import Cable
    from netsim.fabric.link import Link


class Hop(NamedTuple):
    """One packet entering one link. `at_ns` is the moment at which its transmission may start."""

    at_ns: int
    cable: str
    link: "Link"
    uid: int
    flow: Flow
    ttl: int
    tos: int
    macs: bytes
    size: int
    body: Body

    def packet(self) -> Packet:
        """The packet as it was then."""
        packet = Packet(self.flow, self.body, self.uid)
        packet.ttl, packet.tos, packet.macs, packet.size = self.ttl, self.tos, self.macs, self.size
        return packet


class Capture:
    """Hops on a set of cables, in the order in which they happened."""

    def __init__(self) -> None:
        self.hops: list[Hop] = []
        self._undo: list[Callable[[], None]] = []

    def attach(self, cable: "Cable") -> None:
        """Listen to both directions of a cable."""
        tap = self._tap(cable.name)
        for link in cable.links:
            link.taps.append(tap)
            link.rewire()
            self._undo.append(lambda link=link: _detach(link, tap))  # type: ignore[misc]

    def _tap(self, cable: str) -> Callable[["Link", Packet, int], None]:
        append, hop = self.hops.append, Hop._make

        def tap(link: "Link", packet: Packet, at_ns: int) -> None:
            append(
                hop(
                    (
                        at_ns,
                        cable,
                        link,
                        packet.uid,
                        packet.flow,
                        packet.ttl,
                        packet.tos,
                        packet.macs,
                        packet.size,
                        packet.body,
                    )
                )
            )

        return tap

    def stop(self) -> None:
        """Listen no more; what was captured stays."""
        while self._undo:
            self._undo.pop()()

    def __iter__(self) -> Iterator[Hop]:
        return iter(self.hops)

    def __len__(self) -> int:
        return len(self.hops)


def _detach(link: "Link", tap: Callable[["Link", Packet, int], None]) -> None:
    link.taps.remove(tap)
    link.rewire()
