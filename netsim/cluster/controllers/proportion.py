"""Scaling a Deployment in the middle of a rollout: its ReplicaSets grow or shrink in proportion.

Called by: `deployment.py`. Each ReplicaSet says in two annotations for which size of the Deployment it was scaled; when
that is not the present one, the Deployment has been scaled since, and the rollout waits until its ReplicaSets have.

Sources: pkg/controller/deployment/sync.go (isScalingEvent, scale), util/deployment_util.go (GetReplicaSetProportion,
getReplicaSetFraction, SetReplicasAnnotations).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from netsim.cluster.controllers.rollout import limits
from netsim.cluster.objects import Deployment, ReplicaSet

DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MAX: Final = "deployment.kubernetes.io/max-replicas"


def size_annotations(deployment: Deployment) -> dict[str, str]:
    """What a ReplicaSet that is scaled now remembers of its Deployment."""
    replicas = deployment.spec.replicas
    return {DESIRED: str(replicas), MAX: str(replicas + limits(deployment)[0])}


def was_scaled(deployment: Deployment, sets: Sequence[ReplicaSet]) -> bool:
    """Whether somebody has scaled the Deployment while more than one of its ReplicaSets had pods."""
    active = [item for item in sets if item.spec.replicas]
    return len(active) > 1 and any(_number(item, DESIRED) != deployment.spec.replicas for item in active)


def in_proportion(deployment: Deployment, sets: Sequence[ReplicaSet]) -> Mapping[str, int]:
    """The new sizes by name. What rounding leaves goes to the largest ReplicaSet."""
    active = [item for item in sets if item.spec.replicas]
    replicas = deployment.spec.replicas
    allowed = replicas + limits(deployment)[0] if replicas else 0
    missing = allowed - sum(item.spec.replicas for item in active)
    # BySizeNewer when growing, BySizeOlder when shrinking.
    sign = -1 if missing > 0 else 1
    active.sort(key=lambda item: (-item.spec.replicas, sign * (item.metadata.creationTimestamp or 0)))
    sizes: dict[str, int] = {}
    added = 0
    for item in active:
        share = _share(deployment, item, missing, added)
        sizes[item.metadata.name] = item.spec.replicas + share
        added += share
    if active and missing:
        first = active[0].metadata.name
        sizes[first] = max(0, sizes[first] + missing - added)
    return sizes


def _share(deployment: Deployment, item: ReplicaSet, missing: int, added: int) -> int:
    if not missing or missing == added:
        return 0
    left = missing - added
    fraction = _fraction(deployment, item)
    return min(fraction, left) if missing > 0 else max(fraction, left)


def _fraction(deployment: Deployment, item: ReplicaSet) -> int:
    if not deployment.spec.replicas:
        return -item.spec.replicas
    before = _number(item, MAX) or deployment.status.replicas
    if not before:
        return 0
    now = deployment.spec.replicas + limits(deployment)[0]
    return (2 * item.spec.replicas * now + before) // (
        2 * before
    ) - item.spec.replicas  # rounded to the nearest


def _number(item: ReplicaSet, annotation: str) -> int:
    text = item.metadata.annotations.get(annotation, "")
    return int(text) if text.isdigit() else 0
