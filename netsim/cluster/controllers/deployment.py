"""The Deployment controller: one ReplicaSet per pod template, scaled so that a rollout keeps within its limits.

Called by: `controlplane.py`. The numbers are `rollout.py`'s.
Source: pkg/controller/deployment (sync.go, rolling.go, recreate.go).
Simplified: no rollback, old ReplicaSets are kept, and when `replicas` changes in the middle of a rollout the old
ReplicaSets are not rescaled in proportion.
"""

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any, Final

from netsim.cluster.apiserver import Key
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.pods import owner_uid
from netsim.cluster.controllers.progress import EXCEEDED, deadline_ns, is_complete, progressing
from netsim.cluster.controllers.rollout import new_size, old_sizes, template_hash
from netsim.cluster.objects import (
    Condition,
    Deployment,
    DeploymentStatus,
    LabelSelector,
    ObjectMeta,
    Pod,
    ReplicaSet,
    ReplicaSetSpec,
    evolve,
)
from netsim.cluster.watch import WatchEvent

HASH_LABEL: Final = "pod-template-hash"
_NAME: Final = "deployment-controller"


class DeploymentController:
    """Watches Deployments and ReplicaSets; creates and scales ReplicaSets."""

    def __init__(self, context: ControllerContext) -> None:
        self._engine = context.engine
        self._client = context.client(_NAME)
        self._record = context.recorder(_NAME)
        self._queue = context.queue(_NAME, self._sync)
        self._deployments = context.informers.of(Deployment)
        self._sets = context.informers.of(ReplicaSet)
        self._sets_of = self._sets.index(_owner_uid)
        self._pods = context.informers.of(Pod)
        self._pods_of = self._pods.index(owner_uid)
        self._deployments.subscribe(self._deployment_changed)
        self._sets.subscribe(self._set_changed)
        self._pods.subscribe(self._pod_changed)

    def _deployment_changed(self, event: WatchEvent[Deployment]) -> None:
        self._queue.add(event.object.key)

    def _set_changed(self, event: WatchEvent[ReplicaSet]) -> None:
        owner = event.object.metadata.controller()
        if owner is not None and owner.kind == "Deployment":
            self._queue.add((event.object.metadata.namespace, owner.name))

    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        """A Recreate rollout waits for the last old pod to be gone."""
        owner = event.object.metadata.controller()
        if event.type != "DELETED" or owner is None or owner.kind != "ReplicaSet":
            return
        replica_set = self._sets.get(event.object.metadata.namespace, owner.name)
        above = replica_set.metadata.controller() if replica_set else None
        if above is not None:
            self._queue.add((event.object.metadata.namespace, above.name))

    # ------------------------------------------------------------------------------------------------ reconciliation
    def _sync(self, key: Key) -> Generator[Any, Any, None]:
        deployment = self._deployments.get(*key)
        if deployment is None or deployment.metadata.deletionTimestamp is not None:
            return
        owned = list(self._sets_of[deployment.metadata.uid].values())
        label = template_hash(deployment.spec.template)
        new = next((item for item in owned if item.metadata.labels.get(HASH_LABEL) == label), None)
        old = [item for item in owned if item is not new]
        before = new
        if not deployment.spec.paused:
            if new is None and (deployment.spec.strategy.type != "Recreate" or self._ended(old)):
                new = yield from self._create(deployment, label, old)
            yield from self._scale(deployment, new, old)
        yield from self._report(deployment, new, [*old, *([new] if new else [])], before is not new)

    def _create(
        self, deployment: Deployment, label: str, old: Sequence[ReplicaSet]
    ) -> Generator[Any, Any, ReplicaSet]:
        size = new_size(deployment, 0, sum(item.spec.replicas for item in old))
        made = replica_set_of(deployment, label, size)
        created = yield from self._client.call(partial(self._client.api.create, made))
        self._record.about(created, "ScalingReplicaSet", replicas=str(size))
        return created

    def _scale(
        self, deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]
    ) -> Generator[Any, Any, None]:
        if new is not None:
            total = new.spec.replicas + sum(item.spec.replicas for item in old)
            yield from self._resize(new, new_size(deployment, new.spec.replicas, total))
        if deployment.spec.strategy.type == "Recreate":
            sizes = [0] * len(old)
        else:
            counts = [(item.spec.replicas, item.status.availableReplicas) for item in old]
            replicas = new.spec.replicas if new else 0
            available = new.status.availableReplicas if new else 0
            sizes = old_sizes(deployment, counts, replicas, available)
        for item, size in zip(old, sizes, strict=True):
            yield from self._resize(item, size)

    def _resize(self, replica_set: ReplicaSet, size: int) -> Generator[Any, Any, None]:
        if size == replica_set.spec.replicas:
            return
        # An update, not a patch: a size worked out from an old copy must not overwrite a newer one.
        changed = evolve(replica_set, spec__replicas=size)
        yield from self._client.call(partial(self._client.api.update, changed))
        self._record.about(replica_set, "ScalingReplicaSet", replicas=str(size))

    def _report(
        self, deployment: Deployment, new: ReplicaSet | None, sets: Sequence[ReplicaSet], created: bool
    ) -> Generator[Any, Any, None]:
        available = sum(item.status.availableReplicas for item in sets)
        enough = available >= deployment.spec.replicas
        status = DeploymentStatus(
            observedGeneration=deployment.metadata.generation,
            replicas=sum(item.status.replicas for item in sets),
            updatedReplicas=new.status.replicas if new else 0,
            readyReplicas=sum(item.status.readyReplicas for item in sets),
            availableReplicas=available,
            unavailableReplicas=max(0, deployment.spec.replicas - available),
            conditions=(Condition(type="Available", status="True" if enough else "False"),),
        )
        moved = progressing(deployment, status, created, self._engine.now)
        status = status.model_copy(update={"conditions": (*status.conditions, moved)})
        if moved.status == "True" and not is_complete(deployment, status):
            self._queue.add_after(deployment.key, deadline_ns(deployment, moved) + 1 - self._engine.now)
        if status != deployment.status:
            if moved.reason == EXCEEDED and moved.lastUpdateTime == self._engine.now:
                self._record.about(deployment, EXCEEDED)
            yield from self._client.call(partial(self._write_status, deployment, status))

    def _ended(self, old: Sequence[ReplicaSet]) -> bool:
        """Whether no pod of the old ReplicaSets is left, terminating ones included."""
        return all(
            item.spec.replicas == 0 and not any(map(_is_left, self._pods_of[item.metadata.uid].values()))
            for item in old
        )

    def _write_status(self, deployment: Deployment, status: DeploymentStatus) -> Deployment:
        def change(current: Deployment) -> Deployment:
            return evolve(current, status=status)

        return self._client.api.patch(Deployment, *deployment.key, change, deployment.metadata.uid)


def _owner_uid(item: ReplicaSet) -> tuple[str, ...]:
    owner = item.metadata.controller()
    return (owner.uid,) if owner else ()


def _is_left(pod: Pod) -> bool:
    return pod.status.phase not in ("Succeeded", "Failed")


def replica_set_of(deployment: Deployment, label: str, size: int) -> ReplicaSet:
    """The ReplicaSet for the Deployment's present template."""
    spec = deployment.spec
    hashed = {HASH_LABEL: label}
    template = evolve(spec.template, metadata__labels={**spec.template.metadata.labels, **hashed})
    selector = LabelSelector(
        matchLabels={**spec.selector.matchLabels, **hashed}, matchExpressions=spec.selector.matchExpressions
    )
    meta = ObjectMeta(
        name=f"{deployment.metadata.name}-{label}",
        namespace=deployment.metadata.namespace,
        labels=template.metadata.labels,
        ownerReferences=(deployment.owner_reference(),),
    )
    return ReplicaSet(
        metadata=meta,
        spec=ReplicaSetSpec(
            replicas=size, minReadySeconds=spec.minReadySeconds, selector=selector, template=template
        ),
    )
