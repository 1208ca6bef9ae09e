"""The status manager: what the kubelet reports about its pods, and when it gets through.

Called by: `worker.py` (a pod's status has changed), `kubelet.py` (a watch shows another status than ours).
Source: pkg/kubelet/status/status_manager.go; timing facts kubelet.statusSyncFallback, kubelet.kubeAPIQPS.

A change is written at once, but only one write of the node is under way at a time. If somebody else (the node lifecycle
controller) has changed a pod's Ready condition, the next 10-second round writes ours again. When a pod has ended and is
to be deleted, its last status is followed by the deletion of the object.
"""

from collections import deque
from functools import partial
from typing import Final

from netsim.cluster.client import ApiClient
from netsim.cluster.errors import ApiError
from netsim.cluster.objects import Condition, Pod, PodStatus, evolve
from netsim.cluster.records import Recorder
from netsim.cluster.timing import KubeletTiming
from netsim.engine import Engine

# The conditions that the kubelet owns; others (PodScheduled, readiness gates) are left as they are.
OWNED: Final = ("Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers")


class StatusManager:
    """The reports of one node."""

    def __init__(
        self, engine: Engine, client: ApiClient, timing: KubeletTiming, record: Recorder, node: str
    ) -> None:
        self._engine = engine
        self._client = client
        self._timing = timing
        self._record = record
        self._node = node
        self._phase_ns = int(engine.stream(f"kubelet/{node}/status").random() * timing.status_sync_ns)
        self._statuses: dict[str, tuple[Pod, PodStatus]] = {}
        self._line: deque[str] = deque()
        self._dirty: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._writing = False
        self._round_planned = False

    def set(self, pod: Pod, status: PodStatus) -> None:
        """The pod's status is now this; write it if it is news."""
        known = self._statuses.get(pod.metadata.uid)
        self._statuses[pod.metadata.uid] = (pod, status)
        if known is None or known[1] != status:
            self._enqueue(pod.metadata.uid)

    def finish(self, pod: Pod) -> None:
        """The pod has ended and its sandbox is gone: delete the object after the last status."""
        self._ended[pod.metadata.uid] = None
        self._enqueue(pod.metadata.uid)

    def forget(self, uid: str) -> None:
        """The pod's object is gone."""
        self._statuses.pop(uid, None)
        self._ended.pop(uid, None)

    def reconcile(self, seen: Pod) -> None:
        """A watch shows the pod: if its Ready condition is not ours, write ours in the next round."""
        known = self._statuses.get(seen.metadata.uid)
        if known is None or known[1].is_ready == seen.status.is_ready or seen.metadata.uid in self._dirty:
            return
        if not self._round_planned:
            self._round_planned = True
            period = self._timing.status_sync_ns
            wait_ns = period - (self._engine.now - self._phase_ns) % period
            self._engine.call_later(wait_ns, self._round)

    def _round(self) -> None:
        self._round_planned = False
        for uid, (pod, status) in self._statuses.items():
            stored = self._client.api.get(Pod, *pod.key)
            if (
                stored is not None
                and stored.metadata.uid == uid
                and stored.status.is_ready != status.is_ready
            ):
                self._enqueue(uid)

    # ------------------------------------------------------------------------------------------------ writing
    def _enqueue(self, uid: str) -> None:
        if uid not in self._dirty:
            self._dirty[uid] = None
            self._line.append(uid)
        self._next()

    def _next(self) -> None:
        if self._writing or not self._line:
            return
        uid = self._line.popleft()
        del self._dirty[uid]
        if uid not in self._statuses:
            self._next()
            return
        self._writing = True
        pod, status = self._statuses[uid]
        self._client.submit(partial(self._write, pod, status), partial(self._written, uid))

    def _write(self, pod: Pod, status: PodStatus) -> Pod:
        before: list[bool] = []

        def change(current: Pod) -> Pod:
            before.append(current.status.is_ready)
            merged = merge(current.status, status)
            return current if merged == current.status else evolve(current, status=merged)

        stored = self._client.api.patch(Pod, *pod.key, change, pod.metadata.uid)
        if before[0] != stored.status.is_ready:
            ready = str(stored.status.is_ready)
            self._record.about(
                stored,
                "PodStatusWritten",
                self._node,
                ready=ready,
                pod_ip=",".join(entry.ip for entry in stored.status.podIPs),
                writer="kubelet",
            )
        return stored

    def _written(self, uid: str, _stored: Pod | None, error: ApiError | None) -> None:
        self._writing = False
        if error is not None:  # the pod is gone, or another one has its name
            self.forget(uid)
        elif uid in self._ended and uid not in self._dirty:
            pod = self._statuses[uid][0]
            delete = partial(self._client.api.delete, Pod, *pod.key, 0, uid)
            self._client.submit(delete)
        self._next()


def merge(stored: PodStatus, ours: PodStatus) -> PodStatus:
    """Our status over the stored one; conditions of others stay, and the time of a condition that did not change."""
    kept = tuple(entry for entry in stored.conditions if entry.type not in OWNED)
    mine = tuple(_keep_time(stored.condition(entry.type), entry) for entry in ours.conditions)
    return ours.model_copy(update={"conditions": (*kept, *mine), "qosClass": stored.qosClass})


def _keep_time(before: Condition | None, now: Condition) -> Condition:
    if before is None or before.status != now.status:
        return now
    return now.model_copy(update={"lastTransitionTime": before.lastTransitionTime})
