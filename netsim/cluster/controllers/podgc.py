"""The pod garbage collector: removes pods that no kubelet will ever remove.

Called by: `controlplane.py`. Source: pkg/controller/podgc/gc_controller.go: every 20 s, pods of nodes that no longer
exist (after 40 s of quarantine), terminating pods that were never scheduled, and terminating pods on nodes with the
`out-of-service` taint. Simplified: ended pods are kept (upstream's threshold is 12,500).
"""

from collections.abc import Generator
from functools import partial
from typing import Any, Final

from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.errors import NotFoundError
from netsim.cluster.objects import Node, Pod

OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
_NAME: Final = "pod-garbage-collector"


class PodGarbageCollector:
    """Deletes pods without a grace period."""

    def __init__(self, context: ControllerContext) -> None:
        self._engine = context.engine
        self._times = context.timing.node_failure
        self._client = context.client(_NAME)
        self._random = context.engine.stream(_NAME)
        self._pods = context.informers.of(Pod)
        self._nodes = context.informers.of(Node)
        self._missing_since: dict[str, int] = {}

    def start(self) -> None:
        """Begin to look, every 20 s."""
        first = int(self._random.random() * self._times.pod_gc_period_ns)
        self._engine.call_later(first, self._look)

    def _look(self) -> None:
        doomed = [pod for pod in self._pods if self._is_lost(pod)]
        if doomed:
            self._engine.process(self._collect(doomed), _NAME)
        self._engine.call_later(self._times.pod_gc_period_ns, self._look)

    def _is_lost(self, pod: Pod) -> bool:
        terminating = pod.metadata.deletionTimestamp is not None
        if not pod.spec.nodeName:
            return terminating
        node = self._nodes.get("", pod.spec.nodeName)
        if node is None:
            since = self._missing_since.setdefault(pod.spec.nodeName, self._engine.now)
            return self._engine.now - since >= self._times.pod_gc_quarantine_ns
        self._missing_since.pop(pod.spec.nodeName, None)
        return terminating and any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)

    def _collect(self, pods: list[Pod]) -> Generator[Any, Any, None]:
        for pod in pods:
            try:
                yield from self._client.call(
                    partial(self._client.api.delete, Pod, *pod.key, 0, pod.metadata.uid)
                )
            except NotFoundError:
                continue
