"""How long Linux takes to go through iptables rules, in nanoseconds.

Called by `cost.py` for the first packet of a flow (later ones do not see the nat table).

Facts: cost.iptables_per_rule (Kubernetes blog 2025-02-28, charts digitised, validation table V30): about 6 ns for each
KUBE-SERVICES rule while there are few Services, about 21 ns between 10,000 and 30,000 of them, because the rules then
no longer fit the caches: the cost is convex. Derived: these are the slopes of the median first-packet latency over
5,000, 10,000 and 30,000 Services; here they are taken per rule visited, with the knee at 10,000 rules.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RuleCost:
    """Nanoseconds per rule visited: `near_ns` for the first `knee` rules, `far_ns` for each one beyond."""

    near_ns: int = 6
    far_ns: int = 21
    knee: int = 10_000

    def nanoseconds(self, visited: int) -> int:
        """The time for a number of rules visited."""
        if visited <= self.knee:
            return visited * self.near_ns
        return self.knee * self.near_ns + (visited - self.knee) * self.far_ns


DEFAULT: Final = RuleCost()


def traversal_ns(visited: int) -> int:
    """The time for a number of rules visited, by the published figures."""
    return DEFAULT.nanoseconds(visited)
