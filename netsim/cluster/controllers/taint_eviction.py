"""The taint eviction controller: deletes the pods of a node with a NoExecute taint when their toleration runs out.

Called by: `controlplane.py` (Kubernetes 1.13 and newer; before, the node lifecycle controller evicts by itself).
Source: pkg/controller/tainteviction/taint_eviction.go. A pod without a matching toleration goes at once; the shortest
`tolerationSeconds` counts, from the moment when this controller saw the taint; without seconds the pod stays.
"""

from functools import partial
from typing import Final

from netsim.cluster.apiserver import Key
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.nodelifecycle import node_of
from netsim.cluster.controllers.placement import tolerates
from netsim.cluster.objects import Node, Pod, Taint
from netsim.cluster.watch import WatchEvent
from netsim.engine import Call, S

_NAME: Final = "taint-eviction-controller"


class TaintEvictionController:
    """Watches nodes and pods; deletes pods."""

    def __init__(self, context: ControllerContext) -> None:
        self._engine = context.engine
        self._client = context.client(_NAME)
        self._record = context.recorder(_NAME)
        self._tainted: dict[str, tuple[Taint, ...]] = {}
        self._planned: dict[Key, Call] = {}
        self._pods = context.informers.of(Pod)
        self._pods_on = self._pods.index(node_of)
        context.informers.of(Node).subscribe(self._node_changed)
        self._pods.subscribe(self._pod_changed)

    def _node_changed(self, event: WatchEvent[Node]) -> None:
        name = event.object.metadata.name
        gone = event.type == "DELETED"
        taints = () if gone else tuple(t for t in event.object.spec.taints if t.effect == "NoExecute")
        if taints == self._tainted.get(name, ()):
            return
        self._tainted.pop(name, None)
        if taints:
            self._tainted[name] = taints
        for pod in list(self._pods_on[name].values()):
            self._plan(pod, taints)

    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        pod = event.object
        if event.type == "DELETED" or pod.metadata.deletionTimestamp is not None:
            self._cancel(pod.key)
        elif pod.spec.nodeName in self._tainted and pod.key not in self._planned:
            self._plan(pod, self._tainted[pod.spec.nodeName])

    def _plan(self, pod: Pod, taints: tuple[Taint, ...]) -> None:
        seconds = toleration_seconds(pod, taints)
        if seconds is None:
            self._cancel(pod.key)
        elif pod.key not in self._planned and pod.metadata.deletionTimestamp is None:
            self._planned[pod.key] = self._engine.call_later(seconds * S, self._evict, pod)

    def restarted(self) -> None:
        """A new process counts every toleration from now (processPodOnNode: startTime is its own clock)."""
        for key in list(self._planned):
            self._cancel(key)
        for node, taints in self._tainted.items():
            for pod in list(self._pods_on[node].values()):
                self._plan(pod, taints)

    def _cancel(self, key: Key) -> None:
        planned = self._planned.pop(key, None)
        if planned is not None:
            planned.cancel()

    def _evict(self, pod: Pod) -> None:
        self._planned.pop(pod.key, None)
        self._record.about(pod, "PodEvicted", pod.spec.nodeName, cause="taint")
        self._client.submit(partial(self._client.api.delete, Pod, *pod.key, None, pod.metadata.uid))


def toleration_seconds(pod: Pod, taints: tuple[Taint, ...]) -> int | None:
    """How long the pod may stay on a node with these taints; None for ever, 0 not at all."""
    if not taints:
        return None
    shortest: int | None = None
    for taint in taints:
        used = [t for t in pod.spec.tolerations if tolerates((t,), taint)]
        if not used:
            return 0
        for toleration in used:
            if toleration.tolerationSeconds is not None:
                seconds = max(0, toleration.tolerationSeconds)
                shortest = seconds if shortest is None else min(shortest, seconds)
    return shortest
