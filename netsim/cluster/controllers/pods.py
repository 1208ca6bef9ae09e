"""What controllers ask of a pod: is it active, is it available, which ones go first.

Called by: replicaset, deployment, scheduler, node lifecycle. Sources: pkg/controller/controller_utils.go
(FilterActivePods, ActivePodsWithRanks), pkg/api/v1/pod/util.go (IsPodAvailable).
"""

from collections.abc import Sequence

from netsim.cluster.objects import Condition, Pod, PodStatus
from netsim.engine import S


def is_active(pod: Pod) -> bool:
    """Neither ended nor being deleted: it counts as a replica."""
    return pod.metadata.deletionTimestamp is None and pod.status.phase not in ("Succeeded", "Failed")


def is_available(pod: Pod, min_ready_seconds: int, now: int) -> bool:
    """Ready for at least `min_ready_seconds`."""
    ready = pod.status.condition("Ready")
    if ready is None or ready.status != "True":
        return False
    return not min_ready_seconds or now - (ready.lastTransitionTime or 0) >= min_ready_seconds * S


def owner_uid(pod: Pod) -> tuple[str, ...]:
    """The uid of the controller that manages the pod, as index keys."""
    owner = pod.metadata.controller()
    return (owner.uid,) if owner else ()


def surplus(pods: Sequence[Pod], number: int) -> list[Pod]:
    """Which pods go when a ReplicaSet has `number` too many: first those that lose least.

    Unassigned before assigned, Pending before Running, not ready before ready, on crowded nodes before on lonely ones,
    younger before older.
    """
    per_node: dict[str, int] = {}
    for pod in pods:
        per_node[pod.spec.nodeName] = per_node.get(pod.spec.nodeName, 0) + 1
    return sorted(pods, key=lambda pod: _rank(pod, per_node))[:number]


def _rank(pod: Pod, per_node: dict[str, int]) -> tuple[bool, int, bool, int, int, str]:
    phase = {"Pending": 0, "Unknown": 1}.get(pod.status.phase, 2)
    age = -(pod.metadata.creationTimestamp or 0)
    crowd = -per_node[pod.spec.nodeName]
    return (bool(pod.spec.nodeName), phase, pod.status.is_ready, crowd, age, pod.metadata.name)


def with_condition(status: PodStatus, condition: Condition) -> PodStatus:
    """The status with one condition set; its `lastTransitionTime` is kept when the value did not change."""
    before = status.condition(condition.type)
    if before is not None and before.status == condition.status:
        condition = condition.model_copy(update={"lastTransitionTime": before.lastTransitionTime})
    others = tuple(entry for entry in status.conditions if entry.type != condition.type)
    return status.model_copy(update={"conditions": (*others, condition)})
