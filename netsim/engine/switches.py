"""Behaviours that depend on a release: what holds since when, and who says so.

Called by: the tables of Kubernetes' and Linux's changes (`netsim.cluster.versions`, `netsim.kernel.releases`), which
the code reads its behaviour from and `netsim describe versions` prints.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Release = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Switch:
    """One behaviour. `steps` are (release, value) in order; the first holds for everything before the second. `field`
    is where a component keeps the value (`node_failure.grace_period_ns`), if there is one place."""

    name: str
    what: str
    steps: tuple[tuple[Release, Any], ...]
    source: str
    field: str = ""
    component: str = ""

    def at(self, release: Release) -> Any:
        """The value in a release."""
        found = self.steps[0][1]
        for since, value in self.steps:
            if release >= since:
                found = value
        return found

    @property
    def since(self) -> Release:
        """The release of the (last) change."""
        return self.steps[-1][0]

    def changes(self, first: Release, last: Release) -> list[tuple[Release, Any, Any]]:
        """(release, before, after) of the changes after `first`, up to `last`."""
        pairs = zip(self.steps, self.steps[1:], strict=False)
        return [(since, old, new) for (_, old), (since, new) in pairs if first < since <= last]


def by_name(switches: Iterable[Switch]) -> Mapping[str, Switch]:
    """A table to look names up in."""
    return {switch.name: switch for switch in switches}
