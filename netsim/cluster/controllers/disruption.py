"""The disruption controller: works out how many pods each PodDisruptionBudget can spare now.

Called by: `controlplane.py`. `netsim.cluster.eviction` spends what it allows. Source: pkg/controller/disruption/
disruption.go (trySync, getExpectedPodCount, countHealthyPods, buildDisruptedPodMap).
Simplified: owners are ReplicaSets (and their Deployments) and StatefulSets; a scale subresource of other kinds is not
asked.
"""

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any, Final

from netsim.cluster.apiserver import Key
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.rollout import scaled
from netsim.cluster.objects import Pod, PodDisruptionBudget, ReplicaSet, StatefulSet, evolve
from netsim.cluster.objects.policy import PodDisruptionBudgetStatus
from netsim.cluster.watch import WatchEvent
from netsim.engine import S

_NAME: Final = "disruption-controller"
# DeletionTimeout: an eviction that leads to no deletion in this time is forgotten.
_FORGET_NS: Final = 120 * S


class DisruptionController:
    """Watches budgets, pods and their owners; writes the budgets' status."""

    def __init__(self, context: ControllerContext) -> None:
        self._engine = context.engine
        self._client = context.client(_NAME)
        self._queue = context.queue(_NAME, self._sync, workers=1)
        self._budgets = context.informers.of(PodDisruptionBudget)
        self._pods = context.informers.of(Pod)
        self._owners = (context.informers.of(ReplicaSet), context.informers.of(StatefulSet))
        self._budgets.subscribe(self._budget_changed)
        self._pods.subscribe(self._pod_changed)

    def _budget_changed(self, event: WatchEvent[PodDisruptionBudget]) -> None:
        self._queue.add(event.object.key)

    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        for budget in self._budgets:
            if covers(budget, event.object):
                self._queue.add(budget.key)

    def _sync(self, key: Key) -> Generator[Any, Any, None]:
        budget = self._budgets.get(*key)
        if budget is None:
            return
        pods = [pod for pod in self._pods if covers(budget, pod)]
        disrupted = self._disrupted(budget, pods)
        status = budget_status(budget, pods, self._scale_of(pods), disrupted)
        if disrupted:
            first = min(disrupted.values())
            self._queue.add_after(key, first + _FORGET_NS - self._engine.now)
        if status != budget.status:
            yield from self._client.call(partial(self._write, budget, status))

    def _write(self, budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> PodDisruptionBudget:
        # An update: what an eviction has written meanwhile must be seen first.
        return self._client.api.update(evolve(budget, status=status))

    def _disrupted(self, budget: PodDisruptionBudget, pods: Sequence[Pod]) -> dict[str, int]:
        """Evicted pods whose deletion is not known here yet."""
        living = {pod.metadata.name for pod in pods if pod.metadata.deletionTimestamp is None}
        since = self._engine.now - _FORGET_NS
        told = budget.status.disruptedPods
        return {name: at_ns for name, at_ns in told.items() if name in living and at_ns > since}

    def _scale_of(self, pods: Sequence[Pod]) -> int:
        """The replicas that the pods' owners want, all together."""
        wanted: dict[str, int] = {}
        for pod in pods:
            owner = pod.metadata.controller()
            for informer in self._owners if owner else ():
                found = informer.get(pod.metadata.namespace, owner.name) if owner else None
                if found is not None and owner is not None and found.metadata.uid == owner.uid:
                    wanted[owner.uid] = found.spec.replicas
        return sum(wanted.values())


def covers(budget: PodDisruptionBudget, pod: Pod) -> bool:
    """Whether the budget is about this pod (policy/v1: an empty selector is about all of the namespace)."""
    selector = budget.spec.selector
    same = budget.metadata.namespace == pod.metadata.namespace
    return same and selector is not None and selector.matches(pod.metadata.labels)


def needed(budget: PodDisruptionBudget, pods: int, scale: int) -> tuple[int, int]:
    """(expected, desired healthy) for so many pods whose owners want `scale` of them."""
    spec = budget.spec
    if spec.maxUnavailable is not None:
        return scale, max(0, scale - scaled(spec.maxUnavailable, scale, round_up=True))
    least = 1 if spec.minAvailable is None else spec.minAvailable
    if isinstance(least, int):
        return pods, least
    return scale, scaled(least, scale, round_up=True)


def budget_status(
    budget: PodDisruptionBudget, pods: Sequence[Pod], scale: int, disrupted: dict[str, int]
) -> PodDisruptionBudgetStatus:
    """The status for these pods."""
    healthy = sum(
        pod.status.is_ready and pod.metadata.deletionTimestamp is None and pod.metadata.name not in disrupted
        for pod in pods
    )
    expected, desired = needed(budget, len(pods), scale)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    return PodDisruptionBudgetStatus(
        observedGeneration=budget.metadata.generation,
        disruptionsAllowed=allowed,
        currentHealthy=healthy,
        desiredHealthy=desired,
        expectedPods=expected,
        disruptedPods=disrupted,
    )
