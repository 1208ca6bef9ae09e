"""The eviction subresource of pods: a deletion that asks the PodDisruptionBudgets first.

Called by: a drain (`netsim.workload.kubectl_drain`). It commits at once, as the API server's other methods do; how
long a request takes is the client's. Source: pkg/registry/core/pod/storage/eviction.go (Create, canIgnorePDB,
checkAndDecrement).
"""

from typing import TYPE_CHECKING, Final

from netsim.cluster.controllers.disruption import covers
from netsim.cluster.errors import ApiError, TooManyRequestsError
from netsim.cluster.objects import Pod, PodDisruptionBudget, evolve

if TYPE_CHECKING:
    from netsim.cluster.apiserver import ApiServer

_UNPROTECTED: Final = ("Succeeded", "Failed", "Pending")


def evict(api: "ApiServer", pod: Pod, now: int, grace_seconds: int | None = None) -> None:
    """Delete a pod if its budget allows that. Raises NotFoundError, and TooManyRequestsError: ask again later."""
    stored = api.get(Pod, *pod.key)
    if stored is not None and stored.metadata.uid == pod.metadata.uid:
        _ask_budgets(api, stored, now)
    api.delete(Pod, *pod.key, grace_seconds, pod.metadata.uid)


def _ask_budgets(api: "ApiServer", pod: Pod, now: int) -> None:
    if pod.status.phase in _UNPROTECTED or pod.metadata.deletionTimestamp is not None:
        return
    namespace = pod.metadata.namespace
    budgets = [budget for budget in api.list(PodDisruptionBudget, namespace) if covers(budget, pod)]
    if len(budgets) > 1:
        raise ApiError("This pod has more than one PodDisruptionBudget, which the eviction does not support.")
    if budgets and not _is_exempt(budgets[0], pod):
        _spend(api, budgets[0], pod, now)


def _is_exempt(budget: PodDisruptionBudget, pod: Pod) -> bool:
    """A pod that is not ready takes nothing from the healthy ones."""
    if pod.status.is_ready:
        return False
    if budget.spec.unhealthyPodEvictionPolicy == "AlwaysAllow":
        return True
    status = budget.status
    return status.currentHealthy >= status.desiredHealthy > 0


def _spend(api: "ApiServer", budget: PodDisruptionBudget, pod: Pod, now: int) -> None:
    status = budget.status
    if status.observedGeneration < budget.metadata.generation:
        raise TooManyRequestsError(f"The disruption budget {budget.metadata.name} is still being processed")
    if not status.disruptionsAllowed:
        raise TooManyRequestsError(
            f"Cannot evict pod as it would violate the pod's disruption budget: {budget.metadata.name} needs "
            f"{status.desiredHealthy} healthy pods and has {status.currentHealthy} currently"
        )
    spent = status.model_copy(
        update={
            "disruptionsAllowed": status.disruptionsAllowed - 1,
            "disruptedPods": {**status.disruptedPods, pod.metadata.name: now},
        }
    )
    api.patch(PodDisruptionBudget, *budget.key, lambda current: evolve(current, status=spent))
