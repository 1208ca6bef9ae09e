"""Which endpoints a node may use (more rows: tests/conformance/kube_proxy/test_topology.py)."""

import pytest

from netsim.dataplane.endpoints import reach
from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import (
    Endpoint,
    ServicePort,
    ServicePortName,
    TrafficPolicy,
    order_endpoints,
)
from netsim.wire.addr import ip

NODE = NodeView("node-1", ip("192.168.0.1"), zone="a")
LOCAL, CLUSTER = TrafficPolicy.LOCAL, TrafficPolicy.CLUSTER


def endpoint(last, node="node-1", **conditions):
    return Endpoint(ip(f"10.0.0.{last}"), 80, node, **conditions)


READY = endpoint(1)
REMOTE = endpoint(2, "node-2")
TERMINATING = endpoint(3, ready=False, terminating=True)
UNREADY = endpoint(4, ready=False, serving=False)
NOWHERE = endpoint(5, "")
DYING = endpoint(6, ready=False, serving=False, terminating=True)


def service(*endpoints, internal=CLUSTER, external=CLUSTER, node_port=0):
    return ServicePort(
        ServicePortName("ns", "svc", ""),
        ip("172.30.0.1"),
        80,
        node_port,
        internal_policy=internal,
        external_policy=external,
        endpoints=order_endpoints(endpoints),
    )


@pytest.mark.parametrize(
    ("port", "cluster", "local", "usable"),
    [
        (service(), (), (), False),
        (service(READY, REMOTE, TERMINATING), (READY, REMOTE), (), True),
        (service(TERMINATING, UNREADY), (TERMINATING,), (), True),
        (service(UNREADY, DYING), (), (), False),
        (service(READY, REMOTE, internal=LOCAL), (), (READY,), True),
        (service(REMOTE, internal=LOCAL), (), (), True),
        (service(REMOTE, TERMINATING, internal=LOCAL), (), (TERMINATING,), True),
        (service(NOWHERE, internal=LOCAL), (), (), True),
        (service(REMOTE, TERMINATING, external=LOCAL, node_port=30000), (REMOTE,), (TERMINATING,), True),
        (service(REMOTE, external=LOCAL), (REMOTE,), (), True),
    ],
)
def test_reach(port, cluster, local, usable):
    found = reach(port, NODE)
    assert (found.cluster, found.local, found.any_usable) == (cluster, local, usable)


def test_all_is_the_union_in_text_order():
    found = reach(service(REMOTE, TERMINATING, external=LOCAL, node_port=30000), NODE)
    assert found.all == (REMOTE, TERMINATING)


def zoned(last, zones, nodes=(), **conditions):
    return endpoint(last, "node-2", zone_hints=zones, node_hints=nodes, **conditions)


@pytest.mark.parametrize(
    ("endpoints", "chosen"),
    [
        ((zoned(1, ("a",)), zoned(2, ("b",))), (1,)),
        ((zoned(1, ("b",)), zoned(2, ("c",))), (1, 2)),
        ((zoned(1, ("a",)), zoned(2, ())), (1, 2)),
        ((zoned(1, ("a",)), zoned(2, (), ready=False, serving=False)), (1,)),
        ((zoned(1, ("a",), ("node-1",)), zoned(2, ("a",), ("node-2",))), (1,)),
        ((zoned(1, ("a",), ("node-8",)), zoned(2, ("b",), ("node-9",))), (1,)),
        ((zoned(1, ("a",), ("node-1",)), zoned(2, ("a",), ())), (1, 2)),
    ],
)
def test_hints(endpoints, chosen):
    found = reach(service(*endpoints), NODE)
    assert found.cluster == tuple(e for e in endpoints if e.address[-1] in chosen)


def test_node_hints_can_be_switched_off():
    endpoints = (zoned(1, ("a",), ("node-1",)), zoned(2, ("a",), ("node-2",)))
    old = NodeView("node-1", ip("192.168.0.1"), zone="a", node_hints=False)
    assert reach(service(*endpoints), old).cluster == endpoints


def test_of_duplicates_the_local_one_counts():
    there, here = endpoint(1, "node-2"), endpoint(1, "node-1")
    for order in ((there, here), (here, there)):
        port = service(*order, internal=LOCAL)
        assert not port.same_on_every_node
        assert reach(port, NODE).local == (here,)
    assert reach(service(there, here), NodeView("node-3", ip("192.168.0.3"))).cluster == (there,)
