"""What the kubelet reports about a pod, and the writing of it (pkg/kubelet/status/status_manager.go, status/generate.go).

A report is written when it differs from the last one; while a write is under way, later changes wait and travel together. The Ready
condition is ContainersReady and all readiness gates.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from netsim.cluster.controllers.pods import with_condition
from netsim.cluster.objects import Condition, Pod, PodIP, PodStatus, evolve

if TYPE_CHECKING:
    from netsim.cluster.client import ApiClient
    from netsim.cluster.errors import ApiError
    from netsim.cluster.kubelet.container import ContainerRun
    from netsim.cluster.records import Recorder


def phase_of(pod: Pod, containers: Sequence["ContainerRun"]) -> str:
    """Pending, Running, Succeeded or Failed (getPhase)."""
    if all(container.seen_dead and not container.waiting for container in containers):
        return "Failed" if any(container.exit_code for container in containers) else "Succeeded"
    started = (container.seen_running or container.restarts or container.seen_dead for container in containers)
    return "Running" if all(started) else "Pending"


def status_of(
    pod: Pod, containers: Sequence["ContainerRun"], address: str, host_address: str, now: int
) -> PodStatus:
    """The status as of now; transition times are those of `pod`'s conditions where nothing changed."""
    ready = all(container.ready for container in containers)
    gates = all(_is_true(pod, gate.conditionType) for gate in pod.spec.readinessGates)
    status = pod.status.model_copy(
        update={
            "phase": phase_of(pod, containers),
            "podIP": address,
            "podIPs": (PodIP(ip=address),) if address else (),
            "hostIP": host_address,
            "hostIPs": (PodIP(ip=host_address),),
            "startTime": pod.status.startTime or now,
            "containerStatuses": tuple(container.status() for container in containers),
        }
    )
    for kind, value in (("Initialized", True), ("ContainersReady", ready), ("Ready", ready and gates)):
        condition = Condition(type=kind, status="True" if value else "False", lastTransitionTime=now)
        status = with_condition(status, condition)
    return status


def _is_true(pod: Pod, kind: str) -> bool:
    condition = pod.status.condition(kind)
    return condition is not None and condition.status == "True"


class StatusWriter:
    """Writes one pod's status, at most one request at a time."""

    def __init__(self, client: "ApiClient", record: "Recorder", node: str, build: Callable[[Pod], PodStatus]) -> None:
        self._client = client
        self._record = record
        self._node = node
        self._build = build
        self._pod: Pod | None = None
        self._busy = False
        self._again = False
        self._stopped = False
        self.written: PodStatus | None = None

    def write(self, pod: Pod) -> None:
        """Report the present state of the pod."""
        self._pod = pod
        if self._busy:
            self._again = True
        elif not self._stopped:
            self._submit()

    def stop(self) -> None:
        """The pod is gone."""
        self._stopped = True

    def _submit(self) -> None:
        assert self._pod is not None
        self._busy, self._again = True, False
        pod = self._pod
        status = self._build(pod)
        if self.written is not None and status == self.written:
            self._busy = False
            return

        def change(current: Pod) -> Pod:
            return evolve(current, status=_merged(current.status, status))

        api = self._client.api
        self._client.submit(lambda: api.patch(Pod, *pod.key, change, pod.metadata.uid), self._done(status))

    def _done(self, status: PodStatus) -> Callable[[Pod | None, "ApiError | None"], None]:
        def done(stored: Pod | None, _error: "ApiError | None") -> None:
            self._busy = False
            if stored is not None:
                before = self.written.is_ready if self.written is not None else False
                self.written = status
                if before != status.is_ready:
                    word = str(status.is_ready)
                    self._record.about(
                        stored, "PodStatusWritten", self._node, ready=word, pod_ip=status.podIP, writer="kubelet"
                    )
            if self._again and not self._stopped:
                self._submit()

        return done


def _merged(stored: PodStatus, mine: PodStatus) -> PodStatus:
    """The kubelet owns its conditions; others' (readiness gates, PodScheduled) stay."""
    own = {condition.type for condition in mine.conditions}
    others = tuple(condition for condition in stored.conditions if condition.type not in own)
    return mine.model_copy(update={"conditions": (*others, *mine.conditions)})
