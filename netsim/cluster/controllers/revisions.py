"""The numbers of a Deployment's rollouts, kept as annotations of its ReplicaSets.

Called by: `deployment.py` (writes them) and `netsim.cluster.operations` (history, undo).
Source: pkg/controller/deployment/util/deployment_util.go (SetNewReplicaSetAnnotations, MaxRevision, Revision).
Simplified: the Deployment itself has no such annotation; its number is that of its newest ReplicaSet.
"""

from collections.abc import Iterable
from typing import Final

from netsim.cluster.objects import ReplicaSet, evolve

REVISION: Final = "deployment.kubernetes.io/revision"
CHANGE_CAUSE: Final = "kubernetes.io/change-cause"


def revision_of(item: ReplicaSet) -> int:
    """The number of the rollout that used this ReplicaSet last; 0 without one."""
    text = item.metadata.annotations.get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def next_revision(old: Iterable[ReplicaSet]) -> int:
    """The number of the rollout after these."""
    return 1 + max((revision_of(item) for item in old), default=0)


def numbered(item: ReplicaSet, revision: int) -> ReplicaSet:
    """The ReplicaSet with this number."""
    annotations = {**item.metadata.annotations, REVISION: str(revision)}
    return evolve(item, metadata__annotations=annotations)
