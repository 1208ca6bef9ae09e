"""The StatefulSet controller: pods `NAME-0`, `NAME-1`... with names that stay, one after the other.

Called by: `controlplane.py`. Theory of operation: each reconciliation looks at the ordinals in order and does the first
thing that is due; with podManagementPolicy OrderedReady it does nothing more until that has come about.

1. Ordinals that are wanted, from the first: replace an ended pod, create a missing one, wait for one that terminates or
   is not available.
2. Pods beyond the wanted ordinals, from the last: delete.
3. RollingUpdate: pods of an older template, from the last down to `partition`: delete one, wait for its successor.

Sources: pkg/controller/statefulset/stateful_set_control.go and stateful_set_utils.go of Kubernetes 1.34 (labels
`apps.kubernetes.io/pod-index` since 1.28). Simplified: templates of earlier revisions are remembered by the controller,
not in ControllerRevision objects; no volume claims; maxUnavailable is 1 (the gate MaxUnavailableStatefulSet is off).
"""

from collections.abc import Generator
from functools import partial
from typing import Any, Final

from netsim.cluster import versions
from netsim.cluster.apiserver import Key
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.pods import is_available, owner_uid
from netsim.cluster.controllers.rollout import template_hash
from netsim.cluster.errors import AlreadyExistsError, NotFoundError
from netsim.cluster.objects import ObjectMeta, Pod, PodTemplateSpec, StatefulSet, evolve
from netsim.cluster.watch import WatchEvent
from netsim.engine import S

REVISION_LABEL: Final = "controller-revision-hash"
POD_NAME_LABEL: Final = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL: Final = "apps.kubernetes.io/pod-index"
_NAME: Final = "statefulset-controller"

Steps = Generator[Any, Any, None]


class StatefulSetController:
    """Watches StatefulSets and pods; creates and deletes pods."""

    def __init__(self, context: ControllerContext) -> None:
        self._engine = context.engine
        self._client = context.client(_NAME)
        self._record = context.recorder(_NAME)
        self._queue = context.queue(_NAME, self._sync)
        self._with_index = versions.value("StatefulSet pod index", context.timing.version)
        self._templates: dict[Key, dict[str, PodTemplateSpec]] = {}
        self._sets = context.informers.of(StatefulSet)
        self._pods = context.informers.of(Pod)
        self._pods_of = self._pods.index(owner_uid)
        self._sets.subscribe(self._set_changed)
        self._pods.subscribe(self._pod_changed)

    def _set_changed(self, event: WatchEvent[StatefulSet]) -> None:
        self._queue.add(event.object.key)

    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        owner = event.object.metadata.controller()
        if owner is not None and owner.kind == "StatefulSet":
            self._queue.add((event.object.metadata.namespace, owner.name))

    # ------------------------------------------------------------------------------------------------ reconciliation
    def _sync(self, key: Key) -> Steps:
        item = self._sets.get(*key)
        if item is None or item.metadata.deletionTimestamp is not None:
            self._templates.pop(key, None)
            return
        update = revision_of(item)
        self._templates.setdefault(key, {})[update] = item.spec.template
        pods = {ordinal_of(pod): pod for pod in self._pods_of[item.metadata.uid].values()}
        yield from self._act(item, pods, update)
        yield from self._report(item, pods, update)

    def _act(self, item: StatefulSet, pods: dict[int, Pod], update: str) -> Steps:
        """Do what is due; see the module."""
        in_order = item.spec.podManagementPolicy == "OrderedReady"
        first = item.spec.ordinals.start
        wanted = range(first, first + item.spec.replicas)
        for ordinal in wanted:
            pod = pods.get(ordinal)
            if pod is None:
                yield from self._create(item, ordinal, update)
            elif _is_ended(pod):
                yield from self._delete(pod)
            elif self._is_fine(item, pod):
                continue
            if in_order:
                return
        condemned = sorted((o for o in pods if o not in wanted), reverse=True)
        for ordinal in condemned:
            if pods[ordinal].metadata.deletionTimestamp is None:
                yield from self._delete(pods[ordinal])
            if in_order:
                return
        if item.spec.updateStrategy.type == "RollingUpdate":
            yield from self._roll(item, [pods[o] for o in reversed(wanted) if o in pods], update)

    def _roll(self, item: StatefulSet, pods: list[Pod], update: str) -> Steps:
        """Replace the last pod of an older template, unless one is being replaced already."""
        for pod in pods:
            if ordinal_of(pod) < _partition(item):
                return
            if not self._is_fine(item, pod):
                return
            if pod.metadata.labels.get(REVISION_LABEL) != update:
                yield from self._delete(pod)
                return

    def _is_fine(self, item: StatefulSet, pod: Pod) -> bool:
        """Running, available and not about to go. One that only has to last longer is looked at again later."""
        if pod.metadata.deletionTimestamp is not None or not pod.status.is_ready:
            return False
        if is_available(pod, item.spec.minReadySeconds, self._engine.now):
            return True
        self._queue.add_after(item.key, item.spec.minReadySeconds * S)
        return False

    def _create(self, item: StatefulSet, ordinal: int, update: str) -> Steps:
        revision = self._revision_for(item, ordinal, update)
        template = self._templates[item.key].get(revision, item.spec.template)
        made = pod_of(item, template, ordinal, revision, self._with_index)
        try:
            created = yield from self._client.call(partial(self._client.api.create, made))
        except AlreadyExistsError:  # created before, and our informer has not heard of it yet
            return
        self._record.about(created, "PodCreated", owner=item.metadata.name)

    @staticmethod
    def _revision_for(item: StatefulSet, ordinal: int, update: str) -> str:
        """Below the partition of a rolling update a pod comes back as it was."""
        below = ordinal < _partition(item) and item.spec.updateStrategy.type == "RollingUpdate"
        return item.status.currentRevision or update if below else update

    def _delete(self, pod: Pod) -> Steps:
        if pod.metadata.deletionTimestamp is not None:
            return
        try:
            delete = partial(self._client.api.delete, Pod, *pod.key, None, pod.metadata.uid)
            yield from self._client.call(delete)
        except NotFoundError:
            return

    # ------------------------------------------------------------------------------------------------ status
    def _report(self, item: StatefulSet, pods: dict[int, Pod], update: str) -> Steps:
        living = [pod for pod in pods.values() if pod.metadata.deletionTimestamp is None]
        ready = [pod for pod in living if pod.status.is_ready]
        updated = [pod for pod in living if pod.metadata.labels.get(REVISION_LABEL) == update]
        current = item.status.currentRevision or update
        if len(updated) == item.spec.replicas and all(pod.status.is_ready for pod in updated):
            current = update
        status = item.status.model_copy(
            update={
                "observedGeneration": item.metadata.generation,
                "replicas": len(living),
                "readyReplicas": len(ready),
                "availableReplicas": sum(
                    is_available(pod, item.spec.minReadySeconds, self._engine.now) for pod in ready
                ),
                "updatedReplicas": len(updated),
                "currentReplicas": sum(p.metadata.labels.get(REVISION_LABEL) == current for p in living),
                "currentRevision": current,
                "updateRevision": update,
            }
        )
        if status != item.status:
            yield from self._client.call(partial(self._write_status, item, status))

    def _write_status(self, item: StatefulSet, status: Any) -> StatefulSet:
        def change(now: StatefulSet) -> StatefulSet:
            return evolve(now, status=status)

        return self._client.api.patch(StatefulSet, *item.key, change, item.metadata.uid)


def ordinal_of(pod: Pod) -> int:
    """2 for the pod `kafka-2`."""
    return int(pod.metadata.name.rpartition("-")[2])


def revision_of(item: StatefulSet) -> str:
    """The name that the present template's ControllerRevision would have."""
    return f"{item.metadata.name}-{template_hash(item.spec.template)}"


def pod_of(
    item: StatefulSet, template: PodTemplateSpec, ordinal: int, revision: str, with_index: bool
) -> Pod:
    """The pod of an ordinal, with its stable identity: name, hostname and the subdomain that gives it a DNS name."""
    name = f"{item.metadata.name}-{ordinal}"
    labels = {**template.metadata.labels, REVISION_LABEL: revision, POD_NAME_LABEL: name}
    if with_index:
        labels[POD_INDEX_LABEL] = str(ordinal)
    meta = ObjectMeta(
        name=name,
        namespace=item.metadata.namespace,
        labels=labels,
        annotations=template.metadata.annotations,
        ownerReferences=(item.owner_reference(),),
    )
    spec = template.spec.model_copy(update={"hostname": name, "subdomain": item.spec.serviceName})
    return Pod(metadata=meta, spec=spec)


def _partition(item: StatefulSet) -> int:
    rolling = item.spec.updateStrategy.rollingUpdate
    return rolling.partition if rolling else 0


def _is_ended(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed") and pod.metadata.deletionTimestamp is None
