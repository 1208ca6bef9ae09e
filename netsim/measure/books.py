"""The packet books: nothing may vanish. Every packet that was made was delivered, used up, dropped by name, or flies.

The runner fills the books at the end of a replication from the namespaces' and links' counters:

    sent + duplicated = delivered + consumed + dropped + in flight
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Drop = tuple[str, str, str]
"""Where and why: (node or namespace, hook or device, reason)."""


@dataclass(frozen=True, slots=True)
class PacketBooks:
    """Counts of packets over one run.

    sent: made by sockets, kernels (ARP, ICMP, RST) and user injection. duplicated: extra copies made by links.
    delivered: handed to a socket or to a user's capture point. consumed: used up by a kernel itself (ARP, echo
    requests, ICMP errors). dropped: by (node, hook, reason). in_flight: on links and in queues at the end.
    """

    sent: int
    delivered: int
    dropped: Mapping[Drop, int] = field(default_factory=dict)
    in_flight: int = 0
    consumed: int = 0
    duplicated: int = 0

    @property
    def total_dropped(self) -> int:
        """Packets dropped anywhere for any reason."""
        return sum(self.dropped.values())

    @property
    def difference(self) -> int:
        """Packets that vanished (positive) or came from nowhere (negative); 0 in closed books."""
        out = self.delivered + self.consumed + self.total_dropped + self.in_flight
        return self.sent + self.duplicated - out

    @property
    def closes(self) -> bool:
        """Whether every packet is accounted for."""
        return self.difference == 0

    def __add__(self, other: "PacketBooks") -> "PacketBooks":
        dropped = Counter(self.dropped)
        dropped.update(other.dropped)
        return PacketBooks(
            self.sent + other.sent,
            self.delivered + other.delivered,
            dict(sorted(dropped.items())),
            self.in_flight + other.in_flight,
            self.consumed + other.consumed,
            self.duplicated + other.duplicated,
        )

    @classmethod
    def total(cls, books: Iterable["PacketBooks"]) -> "PacketBooks":
        """The books of several runs together. Each run closes by itself or the total is worth nothing: see `closes`."""
        result = cls(0, 0)
        for one in books:
            result += one
        return result

    def line(self) -> str:
        """One line: `packets: 1,200 sent = 1,100 delivered + ...; the books close`."""
        made = f"{self.sent:,} sent" + (
            f" + {self.duplicated:,} copied by floods and netem" if self.duplicated else ""
        )
        used = f" + {self.consumed:,} used up in kernels" if self.consumed else ""
        end = "the books close" if self.closes else f"{abs(self.difference):,} {_missing(self.difference)}"
        return (
            f"packets: {made} = {self.delivered:,} delivered{used} + {self.total_dropped:,} dropped"
            f" + {self.in_flight:,} in flight; {end}"
        )

    def drops_by_reason(self) -> list[tuple[str, str, int, tuple[str, ...]]]:
        """(reason, hook, packets, nodes) with the most frequent first; nodes sorted by name."""
        counts: Counter[tuple[str, str]] = Counter()
        nodes: dict[tuple[str, str], list[str]] = {}
        for (node, hook, reason), count in sorted(self.dropped.items()):
            if count:
                counts[reason, hook] += count
                nodes.setdefault((reason, hook), []).append(node)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [(reason, hook, n, tuple(dict.fromkeys(nodes[reason, hook]))) for (reason, hook), n in ordered]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: the numbers of `run.json`."""
        return {
            "sent": self.sent,
            "duplicated": self.duplicated,
            "delivered": self.delivered,
            "consumed": self.consumed,
            "inFlight": self.in_flight,
            "dropped": [
                {"node": node, "hook": hook, "reason": reason, "packets": count}
                for (node, hook, reason), count in sorted(self.dropped.items())
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PacketBooks":
        """The inverse of `as_dict`."""
        dropped = {(d["node"], d["hook"], d["reason"]): int(d["packets"]) for d in data["dropped"]}
        return cls(
            sent=int(data["sent"]),
            delivered=int(data["delivered"]),
            dropped=dropped,
            in_flight=int(data["inFlight"]),
            consumed=int(data["consumed"]),
            duplicated=int(data["duplicated"]),
        )


def _missing(difference: int) -> str:
    return "VANISHED: please report this" if difference > 0 else "CAME FROM NOWHERE: please report this"
