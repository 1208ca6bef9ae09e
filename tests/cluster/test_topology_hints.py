"""Hints by topology-mode Auto: who gets how many endpoints, and when nobody gets any (KEP-2433)."""

from collections import Counter
from dataclasses import replace

import pytest
from clusterlab import deployment, make_world, node_configs, service
from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.controllers.topology_hints import (
    OVERLOAD_THRESHOLD,
    allocations,
    wants_hints,
    with_zone_hints,
)
from netsim.cluster.objects import Endpoint, EndpointConditions, EndpointSlice, Service, evolve
from netsim.engine import S

THIRDS = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
MODE = "service.kubernetes.io/topology-mode"
OLD = "service.kubernetes.io/topology-aware-hints"


def endpoints(zones: str, unready: str = "") -> list[Endpoint]:
    """One endpoint for each letter, in the zone of that name; `unready` ones after them."""
    made = [(zone, True) for zone in zones] + [(zone, False) for zone in unready]
    return [
        Endpoint(addresses=(f"10.0.0.{n}",), zone=zone, conditions=EndpointConditions(ready=ready))
        for n, (zone, ready) in enumerate(made, start=1)
    ]


def hinted(found: list[Endpoint]) -> str:
    """The zone each endpoint is meant for; - for none."""
    return "".join(e.hints.forZones[0].name if e.hints else "-" for e in found)


@pytest.mark.parametrize(
    ("ratios", "number", "minimums"),
    [
        pytest.param(THIRDS, 4, None, id="4 in 3 zones: one would be 33 % over its share"),
        pytest.param(THIRDS, 3, {"a": 1, "b": 1, "c": 1}, id="one each"),
        pytest.param(THIRDS, 2, None, id="fewer endpoints than zones"),
        pytest.param({"a": 0.5, "b": 0.5}, 4, {"a": 2, "b": 2}, id="4 in 2 zones"),
        pytest.param({"a": 0.5, "b": 0.5}, 3, None, id="each would need 1.25, so 2"),
        pytest.param({"a": 0.75, "b": 0.25}, 10, {"a": 7, "b": 3}, id="by CPUs"),
        pytest.param({}, 10, None, id="no zones known"),
    ],
)
def test_allocations(ratios: dict[str, float], number: int, minimums: dict[str, int] | None) -> None:
    found = allocations(number, ratios)
    assert (found and {zone: part.minimum for zone, part in found.items()}) == minimums


@pytest.mark.parametrize(
    ("zones", "unready", "expected"),
    [
        pytest.param("abc", "", "abc", id="as they are"),
        pytest.param("aab", "", "cab", id="a surplus goes where there is none"),
        pytest.param("aaa", "", "bca", id="two of three"),
        pytest.param("aabb", "", "----", id="overload"),
        pytest.param("abc", "a", "abc-", id="one that is not ready has no hint and does not count"),
        pytest.param("ab", "c", "---", id="too few are ready"),
        pytest.param("abd", "", "abd", id="a zone without nodes keeps its own"),
    ],
)
def test_hints(zones: str, unready: str, expected: str) -> None:
    assert hinted(with_zone_hints(endpoints(zones, unready), THIRDS)) == expected


def test_an_endpoint_without_zone_spoils_it() -> None:
    some = [*endpoints("ab"), Endpoint(addresses=("10.0.0.9",))]
    assert hinted(with_zone_hints(some, THIRDS)) == "---"


@given(zones=st.text("abc", min_size=1, max_size=30))
def test_no_zone_is_overloaded(zones: str) -> None:
    """Each zone gets its minimum, so that its endpoints bear at most a fifth more than the average, or nobody gets
    hints. Endpoints that can stay in their zone do: only the surplus moves."""
    found = hinted(with_zone_hints(endpoints(zones), THIRDS))
    parts = allocations(len(zones), THIRDS)
    if parts is None:
        assert set(found) == {"-"}
        return
    counts = Counter(found)
    assert all(counts[zone] >= part.minimum for zone, part in parts.items())
    assert all(THIRDS[zone] * len(zones) / counts[zone] <= 1 + OVERLOAD_THRESHOLD for zone in THIRDS)
    had = Counter(zones)
    moved = sum(was != now for was, now in zip(zones, found, strict=True))
    assert moved == sum(max(0, had[zone] - counts[zone]) for zone in THIRDS)


@pytest.mark.parametrize(
    ("notes", "wanted"),
    [({}, False), ({MODE: "Auto"}, True), ({OLD: "auto"}, True), ({OLD: "Disabled", MODE: "Auto"}, False)],
)
def test_the_annotation(notes: dict[str, str], wanted: bool) -> None:
    asking: Service = evolve(service(), {"metadata.annotations": notes})
    assert wants_hints(asking) is wanted


def test_hints_follow_the_pods() -> None:
    nodes = [
        replace(node, labels={"topology.kubernetes.io/zone": f"zone-{number}"}) if number else node
        for number, node in enumerate(node_configs(3))
    ]
    world = make_world(nodes=nodes)
    asking = service(trafficDistribution="PreferClose")
    world.boot([deployment(replicas=3), evolve(asking, {"metadata.annotations": {MODE: "Auto"}})])

    def hints() -> list[str]:
        (found,) = [item for item in world.api.list(EndpointSlice) if item.service_name == "web"]
        return sorted(e.hints.forZones[0].name if e.hints else "-" for e in found.endpoints)

    assert hints() == ["zone-1", "zone-2", "zone-3"]
    world.plane.crash_node("worker-2")
    world.run(70 * S)
    # Two nodes and two endpoints are left that count.
    assert hints() == ["-", "zone-1", "zone-3"]
