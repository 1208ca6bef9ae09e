"""Remembers what a dataplane builds for a Service port, so that nodes for which it is the same share it.

One per cluster and dataplane (`IptablesDataplane`, `NftablesDataplane`). The key is everything the result depends on.
Bounded: what nobody asked for while `limit` others were built is forgotten (and would be built again, equal).
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from netsim.dataplane.endpoints import Reach, reach
from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import ServicePort

F = TypeVar("F")
C = TypeVar("C", bound=Hashable)

_Key = tuple[ServicePort, int, bool, Reach | None]


class FragmentStore(Generic[F, C]):
    """`build(port, reach, from_node, context)` makes what is not remembered; `from_node` says that the port's source
    ranges hold the node's own address."""

    def __init__(self, build: Callable[[ServicePort, Reach, bool, C], F], limit: int) -> None:
        self._build = build
        self.limit = limit
        self._young: dict[_Key, F] = {}
        self._old: dict[_Key, F] = {}
        self._numbers: dict[C, int] = {}

    def number(self, context: C) -> int:
        """A number that stands for a context in look-ups."""
        return self._numbers.setdefault(context, len(self._numbers))

    def get(self, port: ServicePort, node: NodeView, context: C, number: int) -> F:
        """The rules of a port on a node; `number` is that of the context."""
        from_node = bool(port.vips) and any(
            r.contains(node.primary_ip) for r in port.load_balancer_source_ranges
        )
        known = None if port.same_on_every_node else reach(port, node)
        key = (port, number, from_node, known)
        fragment = self._young.get(key)
        if fragment is None:
            fragment = self._old.get(key) or self._build(port, known or reach(port, node), from_node, context)
            self._remember(key, fragment)
        return fragment

    def _remember(self, key: _Key, fragment: F) -> None:
        if len(self._young) >= self.limit:
            self._old, self._young = self._young, {}
        self._young[key] = fragment
