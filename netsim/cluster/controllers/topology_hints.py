"""Hints by `service.kubernetes.io/topology-mode: Auto`: each zone's share of the endpoints is its share of the CPUs.

Called by: `endpointslice.py`. Source: staging/src/k8s.io/endpointslice/topologycache (topologycache.go: getAllocations,
AddHints; utils.go: getGivingAndReceivingZones, redistributeHints; overloadThreshold 0.2), KEP-2433.

A zone must not get so few endpoints that each carries over 20 % more than its share; where that cannot be had there are
no hints at all. Simplified: all nodes have as many CPUs, since machines are not modelled, and hints are worked out anew
whenever the Service is reconciled, not when nodes come and go.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from netsim.cluster.objects import Endpoint, EndpointHints, ForZone, Node, Service

OVERLOAD_THRESHOLD: Final = 0.2
_ZONE: Final = "topology.kubernetes.io/zone"
_MODE: Final = "service.kubernetes.io/topology-mode"
_MODE_UNTIL_1_26: Final = "service.kubernetes.io/topology-aware-hints"
_EXCLUDED: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


@dataclass(frozen=True, slots=True)
class Allocation:
    """How many endpoints a zone must get at least, and how many it should get."""

    minimum: int
    desired: float


def wants_hints(service: Service) -> bool:
    """Whether a Service asks for hints by its annotation."""
    notes = service.metadata.annotations
    return notes.get(_MODE_UNTIL_1_26, notes.get(_MODE)) in ("Auto", "auto")


def zone_ratios(nodes: Iterable[Node]) -> dict[str, float]:
    """The share of each zone; empty when a node has no zone, or all are in one."""
    zones: Counter[str] = Counter()
    for node in nodes:
        ready = node.status.condition("Ready")
        if (
            any(label in node.metadata.labels for label in _EXCLUDED)
            or ready is None
            or ready.status != "True"
        ):
            continue
        zone = node.metadata.labels.get(_ZONE)
        if not zone:
            return {}
        zones[zone] += 1
    return {zone: count / zones.total() for zone, count in sorted(zones.items())} if len(zones) > 1 else {}


def allocations(endpoints: int, ratios: Mapping[str, float]) -> dict[str, Allocation] | None:
    """Each zone's part; None when there is none to be made."""
    if not ratios or len(ratios) > endpoints:
        return None
    found = {}
    for zone, ratio in ratios.items():
        desired = ratio * endpoints
        minimum = ceil(desired / (1 + OVERLOAD_THRESHOLD))
        found[zone] = Allocation(minimum, max(desired, minimum))
    return found if sum(part.minimum for part in found.values()) <= endpoints else None


def with_zone_hints(endpoints: Sequence[Endpoint], ratios: Mapping[str, float]) -> list[Endpoint]:
    """The endpoints with hints: their own zone, unless another one has too few; or all without."""
    ready = [endpoint for endpoint in endpoints if endpoint.conditions.ready is not False]
    parts = allocations(len(ready), ratios)
    if parts is None or any(not endpoint.zone for endpoint in ready):
        return [_hinted(endpoint, None) for endpoint in endpoints]
    giving, receiving = _moves(parts, Counter(endpoint.zone or "" for endpoint in ready))
    found = []
    for endpoint in endpoints:
        zone = endpoint.zone if endpoint.conditions.ready is not False else None
        if zone and giving[zone]:
            giving[zone] -= 1
            zone = next(name for name in sorted(receiving) if receiving[name])
            receiving[zone] -= 1
        found.append(_hinted(endpoint, zone))
    return found


def _moves(parts: Mapping[str, Allocation], have: Counter[str]) -> tuple[Counter[str], Counter[str]]:
    """How many endpoints each zone gives away and gets: one at a time, from the zone with the largest surplus to the
    one with the largest want, as long as one of them is a whole endpoint and neither less than half of one."""
    surplus = {zone: have[zone] - part.desired for zone, part in parts.items()}
    giving: Counter[str] = Counter()
    receiving: Counter[str] = Counter()
    while True:
        giver, taker = max(surplus, key=surplus.__getitem__), min(surplus, key=surplus.__getitem__)
        over, under = surplus[giver], -surplus[taker]
        if max(over, under) < 1 or min(over, under) < 0.5:
            return giving, receiving
        surplus[giver] -= 1
        surplus[taker] += 1
        giving[giver] += 1
        receiving[taker] += 1


def _hinted(endpoint: Endpoint, zone: str | None) -> Endpoint:
    hints = EndpointHints(forZones=(ForZone(name=zone),)) if zone else None
    return endpoint if endpoint.hints == hints else endpoint.model_copy(update={"hints": hints})
