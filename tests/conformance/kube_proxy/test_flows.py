"""Packet flows of upstream's kube-proxy tests: where does a new connection go, and is its source rewritten?"""

import pytest


def test_flow(case, flow, backend, build_world, summarise, tell):
    """One row, by the chains that upstream's tracer walks."""
    world = build_world(case, backend)
    found, expected = world.trace(flow), world.expected(flow)
    assert summarise(found) == expected, f"expected {expected}\n{tell(found)}"


def test_flow_through_the_hooks(device_case, device_flow, device_backend, build_world, summarise, tell):
    """The same row by the hooks that such a packet meets when it comes in by a device.

    Rows from the node itself are left out: upstream's tracer lets them meet KUBE-EXTERNAL-SERVICES, to which OUTPUT
    does not lead."""
    world = build_world(device_case, device_backend)
    found, expected = world.trace(device_flow, hooks=True), world.expected(device_flow)
    assert summarise(found) == expected, f"expected {expected}\n{tell(found)}"


def test_every_endpoint_is_as_likely(whole_case, case_backend, build_world):
    """Without affinity entries the draw is fair."""
    world = build_world(whole_case, case_backend)
    for flow in whole_case["flows"]:
        found = world.trace(flow)
        assert sum(outcome.probability for outcome in found) == pytest.approx(1)
        assert [o.probability for o in found] == pytest.approx([1 / len(found)] * len(found), abs=1e-9)


def test_counts(whole_case, case_backend, build_world):
    """Service ports and health check ports that upstream counts."""
    table = build_world(whole_case, case_backend).table
    if "expectServicePortCount" in whole_case:
        assert len(table) == whole_case["expectServicePortCount"]
    if "expectHealthCheckNodePorts" in whole_case:
        ports = {
            str(p.name.service): p.health_check_node_port for p in table.values() if p.health_check_node_port
        }
        assert ports == whole_case["expectHealthCheckNodePorts"]
