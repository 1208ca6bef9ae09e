"""What a fabric has counted: the books of its packets, and what goes into the fingerprint.

Called by: `cluster`.
"""

from collections import Counter
from typing import TYPE_CHECKING

from netsim.measure.books import PacketBooks

if TYPE_CHECKING:
    from netsim.fabric.fabric import Fabric


def books_of(fabric: "Fabric") -> PacketBooks:
    """Every packet so far: sent + copies = delivered + dropped + in flight."""
    hosts = list(fabric.hosts())
    dropped = Counter({(where, hook, reason.name): n for (where, hook, reason), n in fabric.drops().items()})
    return PacketBooks(
        sent=sum(host.ns.sent for host in hosts),
        delivered=sum(host.ns.delivered for host in hosts),
        dropped=dict(sorted(dropped.items())),
        in_flight=fabric.in_flight(),
        duplicated=fabric.copies(),
    )


def counters_of(fabric: "Fabric") -> dict[str, int]:
    """Packets and bytes of every cable, by name."""
    found = {}
    for name, cable in sorted(fabric.cables.items()):
        found[f"{name} packets"] = cable.there.packets + cable.back.packets
        found[f"{name} bytes"] = cable.there.bytes + cable.back.bytes
    return found
