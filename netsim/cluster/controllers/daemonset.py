"""The DaemonSet controller: one pod on every node that the template tolerates and selects.

Called by: `controlplane.py`. A rolling update replaces pods node by node: with `maxSurge` 0 it deletes an old pod while
fewer than `maxUnavailable` nodes lack an available one, otherwise it creates the new pod first.

Sources: pkg/controller/daemon/daemon_controller.go and update.go, pkg/controller/daemon/util (AddOrUpdateDaemonPod-
Tolerations) of Kubernetes 1.34. Simplified: a pod is created with its `nodeName` (as before 1.12, when the controller
placed pods itself) instead of a node affinity for the scheduler; no ControllerRevision objects.
"""

from collections.abc import Generator, Iterable
from functools import partial
from typing import Any, Final

from netsim.cluster.admission import NOT_READY, UNREACHABLE
from netsim.cluster.apiserver import Key
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.expectations import Expectations
from netsim.cluster.controllers.placement import tolerates
from netsim.cluster.controllers.pods import is_available, owner_uid
from netsim.cluster.controllers.rollout import scaled, template_hash
from netsim.cluster.controllers.statefulset import REVISION_LABEL
from netsim.cluster.errors import ApiError, NotFoundError
from netsim.cluster.objects import (
    DaemonSet,
    Node,
    ObjectMeta,
    Pod,
    Taint,
    Toleration,
    evolve,
    matches_labels,
)
from netsim.cluster.watch import WatchEvent
from netsim.engine import S

_NAME: Final = "daemonset-controller"
_PRESSURES: Final = ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")

Steps = Generator[Any, Any, None]


class DaemonSetController:
    """Watches DaemonSets, pods and nodes; creates and deletes pods."""

    def __init__(self, context: ControllerContext) -> None:
        self._engine = context.engine
        self._client = context.client(_NAME)
        self._record = context.recorder(_NAME)
        self._queue = context.queue(_NAME, self._sync)
        self._expected = Expectations()
        self._sets = context.informers.of(DaemonSet)
        self._nodes = context.informers.of(Node)
        self._pods = context.informers.of(Pod)
        self._pods_of = self._pods.index(owner_uid)
        self._sets.subscribe(self._set_changed)
        self._nodes.subscribe(self._node_changed)
        self._pods.subscribe(self._pod_changed)

    def _set_changed(self, event: WatchEvent[DaemonSet]) -> None:
        self._queue.add(event.object.key)

    def _node_changed(self, event: WatchEvent[Node]) -> None:
        old, new = event.old, event.object
        if old is None or event.type == "DELETED" or old.spec != new.spec or old.metadata != new.metadata:
            for item in self._sets:
                self._queue.add(item.key)

    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        pod = event.object
        owner = pod.metadata.controller()
        if owner is None or owner.kind != "DaemonSet":
            return
        key = (pod.metadata.namespace, owner.name)
        if event.type == "ADDED":
            self._expected.created(key)
        if event.type == "DELETED" or pod.metadata.deletionTimestamp is not None:
            self._expected.deleted(key, pod.key)
        self._queue.add(key)

    # ------------------------------------------------------------------------------------------------ reconciliation
    def _sync(self, key: Key) -> Steps:
        item = self._sets.get(*key)
        if item is None or item.metadata.deletionTimestamp is not None:
            self._expected.forget(key)
            return
        pods: dict[str, list[Pod]] = {}
        for pod in self._pods_of[item.metadata.uid].values():
            pods.setdefault(pod.spec.nodeName, []).append(pod)
        nodes = [node for node in self._nodes if runs_on(item, node)]
        if self._expected.satisfied(key, self._engine.now):
            yield from self._manage(item, nodes, pods)
        yield from self._report(item, nodes, pods)

    def _manage(self, item: DaemonSet, nodes: list[Node], pods: dict[str, list[Pod]]) -> Steps:
        wanted = {node.metadata.name for node in nodes}
        ended = [pod for found in pods.values() for pod in found if _is_ended(pod)]
        stray = [pod for name, found in pods.items() if name not in wanted for pod in found]
        bare = [node.metadata.name for node in nodes if not pods.get(node.metadata.name)]
        surge, old = self._update(item, sorted(wanted), pods)
        yield from self._create(item, [*bare, *surge])
        doomed = {pod.key: pod for pod in (*ended, *stray, *old) if _is_living(pod)}
        yield from self._delete(item.key, list(doomed.values()))

    def _update(
        self, item: DaemonSet, nodes: list[str], pods: dict[str, list[Pod]]
    ) -> tuple[list[str], list[Pod]]:
        """Nodes that get a new pod beside the old one, and old pods that may go now."""
        if item.spec.updateStrategy.type != "RollingUpdate":
            return [], []
        revision = template_hash(item.spec.template)
        max_surge, max_unavailable = limits(item, len(nodes))
        surge: list[str] = []
        old: list[Pod] = []
        room, surging = max_unavailable, 0
        outdated: list[tuple[str, Pod, bool]] = []
        for name in nodes:
            here = pods.get(name, [])
            new = [p for p in here if p.metadata.labels.get(REVISION_LABEL) == revision]
            living = [pod for pod in here if _is_living(pod)]
            available = any(self._available(item, pod) for pod in living)
            room -= not available
            surging += len(living) > 1
            outdated += [(name, pod, bool(new)) for pod in living if pod not in new]
        for name, pod, has_new in outdated:
            if max_surge:
                fresh = [p for p in pods[name] if p is not pod and self._available(item, p)]
                if has_new and fresh:
                    old.append(pod)
                elif not has_new and surging + len(surge) < max_surge:
                    surge.append(name)
            elif not self._available(item, pod):
                old.append(pod)
            elif room > 0:
                old.append(pod)
                room -= 1
        return surge, old

    def _available(self, item: DaemonSet, pod: Pod) -> bool:
        if pod.metadata.deletionTimestamp is not None:
            return False
        return is_available(pod, item.spec.minReadySeconds, self._engine.now)

    def _create(self, item: DaemonSet, nodes: list[str]) -> Steps:
        if not nodes:
            return
        self._expected.expect_creations(item.key, len(nodes), self._engine.now)
        requests = [partial(self._client.api.create, pod_of(item, node)) for node in nodes]
        answers = yield from self._client.gather(requests)
        for answer in answers:
            if isinstance(answer, ApiError):
                self._expected.created(item.key)
            elif isinstance(answer, Pod):
                self._record.about(answer, "PodCreated", owner=item.metadata.name)

    def _delete(self, key: Key, pods: list[Pod]) -> Steps:
        if not pods:
            return
        self._expected.expect_deletions(key, [pod.key for pod in pods], self._engine.now)
        requests = [partial(self._client.api.delete, Pod, *pod.key, None, pod.metadata.uid) for pod in pods]
        answers = yield from self._client.gather(requests)
        for pod, answer in zip(pods, answers, strict=True):
            if isinstance(answer, ApiError):
                self._expected.deleted(key, pod.key)
                if not isinstance(answer, NotFoundError):
                    raise answer

    # ------------------------------------------------------------------------------------------------ status
    def _report(self, item: DaemonSet, nodes: list[Node], pods: dict[str, list[Pod]]) -> Steps:
        revision = template_hash(item.spec.template)
        here = [[pod for pod in pods.get(node.metadata.name, []) if _is_living(pod)] for node in nodes]
        available = sum(any(self._available(item, pod) for pod in found) for found in here)
        ready = sum(any(pod.status.is_ready for pod in found) for found in here)
        wanted = {node.metadata.name for node in nodes}
        status = item.status.model_copy(
            update={
                "observedGeneration": item.metadata.generation,
                "desiredNumberScheduled": len(nodes),
                "currentNumberScheduled": sum(map(bool, here)),
                "numberMisscheduled": sum(map(bool, (pods[name] for name in pods if name not in wanted))),
                "numberReady": ready,
                "numberAvailable": available,
                "numberUnavailable": len(nodes) - available,
                "updatedNumberScheduled": sum(
                    any(pod.metadata.labels.get(REVISION_LABEL) == revision for pod in found)
                    for found in here
                ),
            }
        )
        if status != item.status:
            yield from self._client.call(partial(self._write_status, item, status))
        if available < ready:
            self._queue.add_after(item.key, item.spec.minReadySeconds * S)

    def _write_status(self, item: DaemonSet, status: Any) -> DaemonSet:
        def change(now: DaemonSet) -> DaemonSet:
            return evolve(now, status=status)

        return self._client.api.patch(DaemonSet, *item.key, change, item.metadata.uid)


def limits(item: DaemonSet, nodes: int) -> tuple[int, int]:
    """(max surge, max unavailable) in nodes; one of them is 0 (ValidateRollingUpdateDaemonSet)."""
    update = item.spec.updateStrategy.rollingUpdate
    surge = scaled(update.maxSurge if update else 0, nodes, round_up=True)
    unavailable = scaled(update.maxUnavailable if update else 1, nodes, round_up=True)
    return surge, 0 if surge else max(1, unavailable)


def tolerations(host_network: bool) -> tuple[Toleration, ...]:
    """What every daemon pod tolerates: it stays on nodes that are not ready or out of something."""
    stays = [Toleration(key=key, operator="Exists", effect="NoExecute") for key in (NOT_READY, UNREACHABLE)]
    names = (*_PRESSURES, *(("network-unavailable",) if host_network else ()))
    comes = [
        Toleration(key=f"node.kubernetes.io/{name}", operator="Exists", effect="NoSchedule") for name in names
    ]
    return (*stays, *comes)


def runs_on(item: DaemonSet, node: Node) -> bool:
    """Whether the node gets a pod (NodeShouldRunDaemonPod)."""
    spec = item.spec.template.spec
    if spec.nodeName and spec.nodeName != node.metadata.name:
        return False
    if not matches_labels(spec.nodeSelector, node.metadata.labels):
        return False
    allowed = (*spec.tolerations, *tolerations(spec.hostNetwork))
    return all(_bearable(taint, allowed) for taint in node.spec.taints)


def _bearable(taint: Taint, allowed: Iterable[Toleration]) -> bool:
    # A node that is not ready yet has NoSchedule taints for that, too, which daemon pods tolerate by key.
    if taint.key in (NOT_READY, UNREACHABLE):
        return True
    return taint.effect == "PreferNoSchedule" or tolerates(allowed, taint)


def pod_of(item: DaemonSet, node: str) -> Pod:
    """The pod for a node; the API server completes its name."""
    template = item.spec.template
    meta = ObjectMeta(
        generateName=f"{item.metadata.name}-",
        namespace=item.metadata.namespace,
        labels={**template.metadata.labels, REVISION_LABEL: template_hash(template)},
        annotations=template.metadata.annotations,
        ownerReferences=(item.owner_reference(),),
    )
    wanted = (*template.spec.tolerations, *tolerations(template.spec.hostNetwork))
    spec = template.spec.model_copy(update={"nodeName": node, "tolerations": wanted})
    return Pod(metadata=meta, spec=spec)


def _is_living(pod: Pod) -> bool:
    return pod.metadata.deletionTimestamp is None


def _is_ended(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")
