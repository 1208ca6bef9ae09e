"""How fast nodes of a zone may lose their pods, by how many of the zone's nodes are unhealthy.

Called by: `nodelifecycle.py`. Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go (ComputeZoneState,
handleDisruption, setLimiterInZone); timing facts kcm.evictionRate.
"""

from collections import deque
from enum import Enum

from netsim.cluster.objects import Node
from netsim.cluster.ratelimit import TokenBucket
from netsim.cluster.timing import NodeFailureTiming


class ZoneState(Enum):
    """How ill a zone is."""

    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


def zone_of(node: Node) -> str:
    """Region and zone of a node, as one key; nodes without these labels are together in one zone."""
    labels = node.metadata.labels
    return (
        labels.get("topology.kubernetes.io/region", "") + ":" + labels.get("topology.kubernetes.io/zone", "")
    )


def zone_state(ready: int, not_ready: int, threshold: float) -> ZoneState:
    """The state of a zone with so many nodes."""
    if ready == 0 and not_ready > 0:
        return ZoneState.FULL
    if not_ready > 2 and not_ready / (not_ready + ready) >= threshold:
        return ZoneState.PARTIAL
    return ZoneState.NORMAL


def eviction_qps(state: ZoneState, nodes: int, everything_down: bool, times: NodeFailureTiming) -> float:
    """Nodes per second that may be evicted in a zone. When all zones are down, the controller trusts itself less than
    the nodes and evicts nobody."""
    if everything_down:
        return 0.0
    if state is ZoneState.PARTIAL:
        return times.secondary_eviction_qps if nodes > times.large_cluster_size else 0.0
    return times.eviction_qps


class ZoneQueue:
    """The nodes of a zone that wait for their eviction, and the zone's rate."""

    def __init__(self, qps: float) -> None:
        self.limiter = TokenBucket(qps, 1)
        self._line: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._line)

    def add(self, node: str) -> None:
        """The node should lose its pods; harmless when it is in line."""
        if node not in self._line:
            self._line.append(node)

    def remove(self, node: str) -> None:
        """The node is well again."""
        if node in self._line:
            self._line.remove(node)

    def pop(self, now: int) -> str | None:
        """The next node, if the rate allows it now."""
        if not self._line or not self.limiter.try_accept(now):
            return None
        return self._line.popleft()
