"""A pod's status from the state of its containers: phase and conditions.

Called by: `worker.py`. Source: pkg/kubelet/kubelet_pods.go (getPhase, generateAPIPodStatus), pkg/kubelet/status
(GeneratePodReadyCondition, GenerateContainersReadyCondition). Simplified: sidecars are reported among the containers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from netsim.cluster.kubelet.container import ContainerRun, RunState
from netsim.cluster.objects import Condition, Pod, PodIP, PodStatus

if TYPE_CHECKING:
    from netsim.cluster.kubelet.worker import PodWorker

Phase = Literal["Pending", "Running", "Succeeded", "Failed"]


def pod_status(worker: "PodWorker", before: PodStatus | None, now: int, host_ips: Sequence[str]) -> PodStatus:
    """The status as the kubelet knows it; condition times are kept from `before` where nothing changed."""
    pod, containers = worker.pod, worker.containers
    ended = worker.stage.value == "terminated"
    phase = pod_phase(pod, containers, ended)
    all_ready = phase == "Running" and all(container.ready for container in containers)
    sandbox = worker.host is not None
    flags = {
        "PodReadyToStartContainers": sandbox,
        "Initialized": bool(containers) and any(c.seen.instance for c in containers),
        "ContainersReady": all_ready,
        "Ready": all_ready and _gates_open(pod),
    }
    return PodStatus(
        phase=phase,
        conditions=tuple(_condition(kind, value, before, now) for kind, value in flags.items()),
        podIP=worker.ip,
        podIPs=tuple(PodIP(ip=address) for address in (worker.ip, *worker.more_ips) if address),
        hostIP=host_ips[0],
        hostIPs=tuple(PodIP(ip=address) for address in host_ips),
        startTime=worker.started_ns,
        containerStatuses=tuple(container.status() for container in containers),
    )


def pod_phase(pod: Pod, containers: Sequence[ContainerRun], ended: bool) -> Phase:
    """Pending until every container has run; then by who runs and how the others ended. `ended`: for good."""
    states = [container.seen for container in containers]
    if not ended and any(seen.instance == 0 for seen in states):
        return "Pending"
    if any(seen.state is RunState.RUNNING for seen in states) and not ended:
        return "Running"
    failed = any(seen.exit_code != 0 for seen in states)
    policy = pod.spec.restartPolicy
    if not ended and (policy == "Always" or (policy == "OnFailure" and failed)):
        return "Running"
    return "Failed" if failed else "Succeeded"


def _gates_open(pod: Pod) -> bool:
    for gate in pod.spec.readinessGates:
        condition = pod.status.condition(gate.conditionType)
        if condition is None or condition.status != "True":
            return False
    return True


def _condition(kind: str, value: bool, before: PodStatus | None, now: int) -> Condition:
    status: Literal["True", "False"] = "True" if value else "False"
    known = before.condition(kind) if before else None
    if known is not None and known.status == status:
        return known
    return Condition(type=kind, status=status, lastTransitionTime=now)
