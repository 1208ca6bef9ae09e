"""The ReplicaSet controller: as many active pods as `spec.replicas` says.

Called by: `controlplane.py`. A pod that is being deleted no longer counts, so its replacement is created at once and
both exist for a while; the replacement has a new name and, from its kubelet, a new address.

Source: pkg/controller/replicaset/replica_set.go (slow start 1, 2, 4...; burst 500; expectations).
Simplified: pods without an owner are not adopted.
"""

from collections.abc import Generator
from functools import partial
from typing import Any, Final

from netsim.cluster.apiserver import Key
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.expectations import Expectations
from netsim.cluster.controllers.pods import is_active, is_available, owner_uid, surplus
from netsim.cluster.errors import ApiError, NotFoundError
from netsim.cluster.objects import ObjectMeta, Pod, ReplicaSet, ReplicaSetStatus, evolve
from netsim.cluster.watch import WatchEvent
from netsim.engine import S

_BURST: Final = 500
_NAME: Final = "replicaset-controller"


class ReplicaSetController:
    """Watches ReplicaSets and pods; creates and deletes pods."""

    def __init__(self, context: ControllerContext) -> None:
        self._context = context
        self._engine = context.engine
        self._client = context.client(_NAME)
        self._record = context.recorder(_NAME)
        self._queue = context.queue(_NAME, self._sync)
        self._expected = Expectations()
        self._sets = context.informers.of(ReplicaSet)
        self._pods = context.informers.of(Pod)
        self._pods_of = self._pods.index(owner_uid)
        self._sets.subscribe(self._set_changed)
        self._pods.subscribe(self._pod_changed)

    # ------------------------------------------------------------------------------------------------ events
    def _set_changed(self, event: WatchEvent[ReplicaSet]) -> None:
        self._queue.add(event.object.key)

    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        pod = event.object
        owner = pod.metadata.controller()
        if owner is None or owner.kind != "ReplicaSet":
            return
        key = (pod.metadata.namespace, owner.name)
        if event.type == "ADDED":
            self._expected.created(key)
        if event.type == "DELETED" or pod.metadata.deletionTimestamp is not None:
            self._expected.deleted(key, pod.key)
        self._queue.add(key)

    # ------------------------------------------------------------------------------------------------ reconciliation
    def _sync(self, key: Key) -> Generator[Any, Any, None]:
        replica_set = self._sets.get(*key)
        if replica_set is None:
            self._expected.forget(key)
            return
        owned = [pod for pod in self._pods_of[replica_set.metadata.uid].values() if is_active(pod)]
        pods = [pod for pod in owned if replica_set.spec.selector.matches(pod.metadata.labels)]
        if len(pods) < len(owned):
            yield from self._release(replica_set, [pod for pod in owned if pod not in pods])
        if self._expected.satisfied(key, self._engine.now) and replica_set.metadata.deletionTimestamp is None:
            yield from self._manage(replica_set, pods)
        yield from self._report(replica_set, pods)

    def _release(self, replica_set: ReplicaSet, pods: list[Pod]) -> Generator[Any, Any, None]:
        """Pods whose labels no longer match belong to nobody (controller_ref_manager.go ReleasePod)."""

        def change(pod: Pod) -> Pod:
            others = (o for o in pod.metadata.ownerReferences if o.uid != replica_set.metadata.uid)
            return evolve(pod, metadata__ownerReferences=tuple(others))

        for pod in pods:
            patch = partial(self._client.api.patch, Pod, *pod.key, change, pod.metadata.uid)
            yield from self._client.call(patch)

    def _manage(self, replica_set: ReplicaSet, pods: list[Pod]) -> Generator[Any, Any, None]:
        missing = replica_set.spec.replicas - len(pods)
        if missing > 0:
            yield from self._create(replica_set, min(missing, _BURST))
        elif missing < 0:
            yield from self._delete(replica_set.key, surplus(pods, min(-missing, _BURST)))

    def _create(self, replica_set: ReplicaSet, number: int) -> Generator[Any, Any, None]:
        """Slow start: one pod, then two, then four, so that a bad template fails once and not a hundred times."""
        self._expected.expect_creations(replica_set.key, number, self._engine.now)
        pod = pod_of(replica_set)
        batch, left = 1, number
        while left:
            batch = min(batch, left)
            requests = [partial(self._client.api.create, pod)] * batch
            answers = yield from self._client.gather(requests)
            failed = [answer for answer in answers if isinstance(answer, ApiError)]
            for made in answers:
                if isinstance(made, Pod):
                    self._record.about(made, "PodCreated", owner=replica_set.metadata.name)
            left -= batch
            batch *= 2
            if failed:
                for _ in range(len(failed) + left):
                    self._expected.created(replica_set.key)
                raise failed[0]

    def _delete(self, key: Key, pods: list[Pod]) -> Generator[Any, Any, None]:
        self._expected.expect_deletions(key, [pod.key for pod in pods], self._engine.now)
        requests = [partial(self._client.api.delete, Pod, *pod.key, None, pod.metadata.uid) for pod in pods]
        answers = yield from self._client.gather(requests)
        for pod, answer in zip(pods, answers, strict=True):
            if isinstance(answer, ApiError):
                self._expected.deleted(key, pod.key)
                if not isinstance(answer, NotFoundError):
                    raise answer

    def _report(self, replica_set: ReplicaSet, pods: list[Pod]) -> Generator[Any, Any, None]:
        wanted, now = replica_set.spec.minReadySeconds, self._engine.now
        ready = sum(pod.status.is_ready for pod in pods)
        available = sum(is_available(pod, wanted, now) for pod in pods)
        status = ReplicaSetStatus(
            replicas=len(pods),
            fullyLabeledReplicas=len(pods),
            readyReplicas=ready,
            availableReplicas=available,
            observedGeneration=replica_set.metadata.generation,
        )
        if status != replica_set.status:
            yield from self._client.call(partial(self._write_status, replica_set, status))
        if available < ready:
            self._queue.add_after(replica_set.key, wanted * S)

    def _write_status(self, replica_set: ReplicaSet, status: ReplicaSetStatus) -> ReplicaSet:
        def change(current: ReplicaSet) -> ReplicaSet:
            return evolve(current, status=status)

        return self._client.api.patch(ReplicaSet, *replica_set.key, change, replica_set.metadata.uid)


def pod_of(replica_set: ReplicaSet) -> Pod:
    """The pod that a ReplicaSet creates; the API server completes its name."""
    template = replica_set.spec.template
    meta = ObjectMeta(
        generateName=f"{replica_set.metadata.name}-",
        namespace=replica_set.metadata.namespace,
        labels=template.metadata.labels,
        annotations=template.metadata.annotations,
        ownerReferences=(replica_set.owner_reference(),),
    )
    return Pod(metadata=meta, spec=template.spec)
