"""Which endpoints could have been chosen: the rules' endpoint sets over time, node by node.

A connection is given to one of the endpoints that the rules *of its client's node* hold at that moment, and those lag
behind the EndpointSlices by a watch, a wait and a sync. So the expected split is known only per node and period:

    EndpointSliceUpdated (committed)  ->  EndpointSliceSeen (node)  ->  RulesSynced (node; began `cost_ns` earlier)

Workers of an ingress controller say themselves which endpoints they use (BackendsSynced).

Rules hold what the node had seen when the sync began; a full sync follows a list of everything (kube-proxy has just
started) and holds all that was committed. Simplified: of two updates that follow each other within one watch delay, the
second counts as seen with the first.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from netsim.measure.events import Event, address_of

REASONS: Final = (
    "EndpointSliceUpdated",
    "EndpointSliceSeen",
    "RulesSynced",
    "BackendsSynced",
    "PodStatusWritten",
    "PodReady",
)


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_ns` on, until the next period, the rules held these addresses (sorted)."""

    start_ns: int
    addresses: tuple[str, ...]


class EndpointHistory:
    """The endpoint sets of one Service in one replication."""

    def __init__(self, events: Sequence[Event], service: str) -> None:
        about = [e for e in events if service in e.services()]
        self._committed = _committed(e for e in about if e.reason == "EndpointSliceUpdated")
        self._seen = _by_node(about, "EndpointSliceSeen")
        self._synced = _by_node(about, "RulesSynced")
        self._backends = _by_node(about, "BackendsSynced")
        self._cache: dict[str, list[Period]] = {}

    @property
    def known(self) -> bool:
        """Whether the events tell anything about the Service's endpoints."""
        return bool(self._committed)

    def committed(self) -> tuple[str, ...]:
        """The addresses in the EndpointSlices after the last event."""
        return self._committed[-1].addresses if self._committed else ()

    def periods(self, node: str) -> list[Period]:
        """The periods of a node's rules. A client on no node of the cluster, or on one whose kube-proxy told nothing,
        is taken to follow the EndpointSlices themselves."""
        if node not in self._cache:
            self._cache[node] = self._periods(node)
        return self._cache[node]

    def removed(self, address: str, t_ns: int) -> int | None:
        """Since when the EndpointSlices have not had this address, which they had; None while they have it."""
        index = bisect_right(self._committed, t_ns, key=lambda p: p.start_ns)
        if not index or address in self._committed[index - 1].addresses:
            return None
        while index > 1 and address not in self._committed[index - 2].addresses:
            index -= 1
        return self._committed[index - 1].start_ns

    def _periods(self, node: str) -> list[Period]:
        if node in self._backends:
            told = self._backends[node]
            return [Period(e.t_ns, tuple(sorted(map(address_of, e.listed("ready"))))) for e in told]
        return self._rules(node) if node in self._synced else self._committed

    def _rules(self, node: str) -> list[Period]:
        seen = [e.t_ns for e in self._seen.get(node, ())]
        periods: list[Period] = []
        for sync in self._synced[node]:
            began = sync.t_ns - sync.number("cost_ns")
            last_seen = None if sync.detail.get("full") == "True" else _last(seen, began)
            addresses = self._at_commit(began if last_seen is None else last_seen)
            if not periods or addresses != periods[-1].addresses:
                periods.append(Period(sync.t_ns, addresses))
        return periods

    def _at_commit(self, t_ns: int) -> tuple[str, ...]:
        index = bisect_right(self._committed, t_ns, key=lambda p: p.start_ns)
        return self._committed[index - 1].addresses if index else ()


def _committed(updates: Iterable[Event]) -> list[Period]:
    slices: dict[str, frozenset[str]] = {}
    periods: list[Period] = []
    for update in updates:
        slices[update.name] = _slice_after(slices.get(update.name, frozenset()), update)
        addresses = tuple(sorted(frozenset().union(*slices.values())))
        periods.append(Period(update.t_ns, addresses))
    return periods


def _slice_after(before: frozenset[str], update: Event) -> frozenset[str]:
    if "ready" in update.detail:
        return frozenset(map(address_of, update.listed("ready")))
    added, removed = map(address_of, update.listed("added")), map(address_of, update.listed("removed"))
    return (before | frozenset(added)) - frozenset(removed)


def _by_node(events: Sequence[Event], reason: str) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        if event.reason == reason:
            found.setdefault(event.node, []).append(event)
    return found


def _last(times: Sequence[int], until_ns: int) -> int | None:
    index = bisect_right(times, until_ns)
    return times[index - 1] if index else None


def pods_by_address(events: Sequence[Event]) -> Mapping[str, tuple[str, str]]:
    """(pod, node) of each address that ever was a pod's; the latest holder wins."""
    found: dict[str, tuple[str, str]] = {}
    for event in events:
        if event.reason in {"PodStatusWritten", "PodReady"} and event.detail.get("pod_ip"):
            owner = (f"{event.namespace}/{event.name}", event.node)
            found |= dict.fromkeys(event.listed("pod_ip"), owner)
    return found
