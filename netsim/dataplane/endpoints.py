"""Which endpoints a Service port may use on one node.

A pure function of a `ServicePort` and a `NodeView`, shared by all dataplanes.
Sources: pkg/proxy/topology.go (`CategorizeEndpoints`) of Kubernetes v1.34; KEP-1669, KEP-2433, KEP-3015
(PreferSameNode).
"""

from dataclasses import dataclass

from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import Endpoint, ServicePort


@dataclass(frozen=True, slots=True)
class Reach:
    """The endpoints that traffic on one node can get to.

    `cluster` serves policy Cluster, `local` policy Local (empty where no traffic uses that policy). `any_usable` says
    whether the Service has a usable endpoint on any node: without one traffic is rejected, with one elsewhere only it
    is dropped."""

    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()
    any_usable: bool = False

    @property
    def all(self) -> tuple[Endpoint, ...]:
        """Every endpoint reachable from the node, in the order of their text."""
        known = set(self.cluster)
        extra = [endpoint for endpoint in self.local if endpoint not in known]
        return tuple(sorted((*self.cluster, *extra), key=str)) if extra else self.cluster


def reach(port: ServicePort, node: NodeView) -> Reach:
    """Categorise the endpoints of a port for a node."""
    endpoints = _merged(port.endpoints, node) if port.has_duplicates else port.endpoints
    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()
    if port.uses_cluster_endpoints:
        ready = tuple(e for e in endpoints if e.ready)
        cluster = _near(ready, node) or tuple(e for e in endpoints if e.usable_when_nothing_is_ready)
    if port.uses_local_endpoints:
        local = _usable(tuple(e for e in endpoints if e.node and e.node == node.name))
    return Reach(cluster, local, bool(cluster) or bool(_usable(endpoints)))


def _merged(endpoints: tuple[Endpoint, ...], node: NodeView) -> tuple[Endpoint, ...]:
    """One endpoint per address and port: the first, unless a later one is local (endpointslicecache.go)."""
    by_place: dict[tuple[bytes, int], Endpoint] = {}
    for endpoint in endpoints:
        place = endpoint.address, endpoint.port
        if place not in by_place or (endpoint.node and endpoint.node == node.name):
            by_place[place] = endpoint
    return tuple(by_place.values())


def _usable(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Ready ones; if there are none, those that still serve while terminating."""
    return tuple(e for e in endpoints if e.ready) or tuple(
        e for e in endpoints if e.usable_when_nothing_is_ready
    )


def _near(ready: tuple[Endpoint, ...], node: NodeView) -> tuple[Endpoint, ...]:
    """Apply hints: a kind of hint counts only if every ready endpoint has one and some endpoint is hinted here."""
    if ready and node.node_hints and all(e.node_hints for e in ready):
        same_node = tuple(e for e in ready if node.name in e.node_hints)
        if same_node:
            return same_node
    if ready and all(e.zone_hints for e in ready):
        same_zone = tuple(e for e in ready if node.zone in e.zone_hints)
        if same_zone:
            return same_zone
    return ready
