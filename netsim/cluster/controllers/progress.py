"""Does a rollout move on? The Deployment's condition `Progressing`.

Called by: `deployment.py`. Source: pkg/controller/deployment/progress.go (syncRolloutStatus), util/deployment_util.go
(DeploymentComplete, DeploymentProgressing, DeploymentTimedOut).

==========================  ======  ===========================================================
reason                      status  when
==========================  ======  ===========================================================
NewReplicaSetCreated        True    a template's ReplicaSet has just been made
ReplicaSetUpdated           True    more pods are updated, ready or available, or fewer old ones are left
NewReplicaSetAvailable      True    all are updated and available, and no other is left
ProgressDeadlineExceeded    False   nothing of that for `progressDeadlineSeconds`
==========================  ======  ===========================================================

A rollout that has exceeded its deadline is not stopped: it goes on when its pods become ready after all.
"""

from typing import Final, Literal

from netsim.cluster.objects import Condition, Deployment, DeploymentStatus
from netsim.engine import S

PROGRESSING: Final = "Progressing"
AVAILABLE: Final = "NewReplicaSetAvailable"
EXCEEDED: Final = "ProgressDeadlineExceeded"


def progressing(deployment: Deployment, status: DeploymentStatus, created: bool, now: int) -> Condition:
    """The condition for a status that is about to be written; `created`: the new ReplicaSet has just been made."""
    before = _condition(deployment)
    if created or before is None:
        return _told(before, "True", "NewReplicaSetCreated", now)
    if is_complete(deployment, status):
        return before if before.reason == AVAILABLE else _told(before, "True", AVAILABLE, now)
    if _moves(deployment.status, status):
        return _told(before, "True", "ReplicaSetUpdated", now)
    if before.reason not in (AVAILABLE, EXCEEDED) and now >= deadline_ns(deployment, before):
        return _told(before, "False", EXCEEDED, now)
    return before


def deadline_ns(deployment: Deployment, condition: Condition) -> int:
    """When the rollout counts as stuck, unless it moves."""
    return (condition.lastUpdateTime or 0) + deployment.spec.progressDeadlineSeconds * S


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Whether there is nothing left to do."""
    wanted = deployment.spec.replicas
    return status.updatedReplicas == status.replicas == status.availableReplicas == wanted


def _moves(before: DeploymentStatus, now: DeploymentStatus) -> bool:
    return (
        now.updatedReplicas > before.updatedReplicas
        or now.replicas - now.updatedReplicas < before.replicas - before.updatedReplicas
        or now.readyReplicas > before.readyReplicas
        or now.availableReplicas > before.availableReplicas
    )


def _condition(deployment: Deployment) -> Condition | None:
    return next((c for c in deployment.status.conditions if c.type == PROGRESSING), None)


def _told(before: Condition | None, status: Literal["True", "False"], reason: str, now: int) -> Condition:
    same = before is not None and before.status == status
    since = before.lastTransitionTime if same and before is not None else now
    return Condition(
        type=PROGRESSING, status=status, reason=reason, lastUpdateTime=now, lastTransitionTime=since
    )
