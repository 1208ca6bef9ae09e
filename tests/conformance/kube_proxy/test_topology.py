"""Which endpoints count on a node: upstream's TestCategorizeEndpoints, both as structs and as manifests."""

from netsim.dataplane.endpoints import reach
from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import Endpoint, ServicePort, ServicePortName, TrafficPolicy
from netsim.wire.addr import ip

ZONE = "topology.kubernetes.io/zone"


def test_categorize(topology):
    """The row's own structs."""
    node = topology["nodeName"] or "test-node"
    row = topology["servicePort"]
    endpoints = tuple(_endpoint(e, node) for e in topology["endpoints"])
    port = ServicePort(
        ServicePortName("ns1", "svc1", ""),
        ip("172.30.0.41"),
        80,
        node_port=row["nodePort"],
        internal_policy=TrafficPolicy(row["internalTrafficPolicy"]),
        external_policy=TrafficPolicy(row["externalTrafficPolicy"]),
        endpoints=endpoints,
    )
    _check(port, node, topology)


def test_categorize_manifests(topology, translate):
    """The same from manifests, which were made to match the structs."""
    table = translate(topology["objects"])
    assert len(table) == 1
    _check(next(iter(table.values())), topology["nodeName"] or "test-node", topology)


def _endpoint(row, node):
    host, _, number = row["endpoint"].rpartition(":")
    return Endpoint(
        ip(host),
        int(number),
        node if row["isLocal"] else "other-node",
        row["ready"],
        row["serving"],
        row["terminating"],
        tuple(row["zoneHints"] or ()),
        tuple(row["nodeHints"] or ()),
    )


def _check(port, name, topology):
    zone = (topology["nodeLabels"] or {}).get(ZONE, "")
    gate = topology.get("featureGates", {}).get("PreferSameTrafficDistribution", True)
    view = NodeView(name, ip("192.168.0.2"), zone=zone, node_hints=gate)
    found, expected = reach(port, view), topology["expect"]
    assert [str(e) for e in found.cluster] == (expected["clusterEndpoints"] or [])
    assert [str(e) for e in found.local] == (expected["localEndpoints"] or [])
    assert [str(e) for e in found.all] == (expected["allLocallyReachableEndpoints"] or [])
    assert found.any_usable is expected["hasAnyEndpoints"]
