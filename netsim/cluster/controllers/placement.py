"""Which node a pod goes to: what the scheduler filters and scores.

Called by: `scheduler.py`. Filters (pkg/scheduler/framework/plugins): NodeName, NodeSelector, TaintToleration,
NodeUnschedulable, NodePorts (`hostports.py`), and the kubelet's limit on pods. Score: fewest pods of the same owner,
then fewest pods, then the node's name; upstream's default spreading and least-allocated scores lead the same way, with
random ties.
Simplified: resource requests, affinity and topology spread constraints do not count.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from netsim.cluster.hostports import NO_FREE_PORTS
from netsim.cluster.objects import Node, Pod, Taint, Toleration, matches_labels


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations matches the taint (v1.Toleration.ToleratesTaint)."""
    return any(_matches(toleration, taint) for toleration in tolerations)


def _matches(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.key != "" and toleration.value == taint.value


def fits(pod: Pod, node: Node, pods_there: int, max_pods: int, ports_clash: bool = False) -> str:
    """ "" when the pod may go to the node, else why not. `ports_clash`: another pod there has one of its host ports."""
    if pods_there >= max_pods:
        return "too many pods"
    if not matches_labels(pod.spec.nodeSelector, node.metadata.labels):
        return "node selector does not match"
    taints = node.spec.taints
    if node.spec.unschedulable:
        taints = (*taints, Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule"))
    for taint in taints:
        if taint.effect != "PreferNoSchedule" and not tolerates(pod.spec.tolerations, taint):
            return f"untolerated taint {taint.key}"
    return NO_FREE_PORTS if ports_clash else ""


class NodeRanking:
    """Nodes ordered by (pods on them, name), and the pods of each owner on each node; both change one step at a time.

    So a pod of an owner that is nowhere yet costs a look at the first feasible node, not at all of them.
    """

    def __init__(self) -> None:
        self._order: list[tuple[int, str]] = []
        self._count: dict[str, int] = {}
        self._of_owner: dict[str, dict[str, int]] = {}
        self._fewest: dict[str, int] = {}

    def add_node(self, name: str) -> None:
        """A node without pods."""
        if name not in self._count:
            self._count[name] = 0
            self._fewest.clear()
            insort(self._order, (0, name))

    def remove_node(self, name: str) -> None:
        """The node is gone."""
        count = self._count.pop(name, None)
        if count is not None:
            del self._order[bisect_left(self._order, (count, name))]

    def count(self, name: str) -> int:
        """Pods on a node."""
        return self._count.get(name, 0)

    def place(self, node: str, owner: str) -> None:
        """A pod was put on a node."""
        self._move(node, 1)
        nodes = self._of_owner.setdefault(owner, {})
        nodes[node] = nodes.get(node, 0) + 1

    def take(self, node: str, owner: str) -> None:
        """A pod has left a node."""
        self._move(node, -1)
        nodes = self._of_owner.get(owner, {})
        nodes[node] = nodes.get(node, 0) - 1
        self._fewest.pop(owner, None)
        if nodes[node] <= 0:
            del nodes[node]
        if not nodes:
            self._of_owner.pop(owner, None)

    def _move(self, node: str, step: int) -> None:
        count = self._count.get(node)
        if count is None:
            return
        del self._order[bisect_left(self._order, (count, node))]
        self._count[node] = count + step
        insort(self._order, (count + step, node))

    def candidates(self, owner: str) -> Iterator[str]:
        """Nodes from the best to the worst for another pod of this owner."""
        nodes = self._of_owner.get(owner, {})
        if not nodes:
            yield from (name for _, name in self._order)
            return
        # All nodes hold at least `fewest` of the owner's pods: one pass in order usually ends at its first match.
        fewest = self._fewest.get(owner, 0)
        rest: list[tuple[int, int, str]] = []
        for count, name in self._order:
            mine = nodes.get(name, 0)
            if mine <= fewest:
                yield name
            else:
                rest.append((mine, count, name))
        if rest:
            self._fewest[owner] = max(fewest, 0 if len(rest) < len(self._order) else min(rest)[0])
        yield from (name for _, _, name in sorted(rest))
