"""Whoever opens the readiness gates of pods: a stand-in for a load balancer's controller.

Called by: `controlplane.py`. A pod with `readinessGates` is Ready when its containers are and somebody has set the
gates' conditions to True: for the AWS load balancer controller, when the pod has been registered and passes the
balancer's health check. Here that takes as long after the containers' readiness as the pod's annotation
`netsim/readiness-gates` says; without it the gates stay shut, as in a cluster in which their controller is missing.

Source of the mechanism: KEP-580 (Pod Ready++), pkg/kubelet/status/generate.go (GeneratePodReadyCondition).
Simplified: an open gate stays open.
"""

from functools import partial
from typing import Final

from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.pods import with_condition
from netsim.cluster.objects import Condition, Pod, evolve
from netsim.cluster.watch import WatchEvent
from netsim.engine import parse_duration

READINESS_GATES: Final = "netsim/readiness-gates"
_NAME: Final = "readiness-gates"


class ReadinessGateController:
    """Watches pods; writes the conditions that their readiness gates ask for."""

    def __init__(self, context: ControllerContext) -> None:
        self._engine = context.engine
        self._client = context.client(_NAME)
        self._waiting: dict[str, None] = {}
        context.informers.of(Pod).subscribe(self._pod_changed)

    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        pod, uid = event.object, event.object.metadata.uid
        if not pod.spec.readinessGates or READINESS_GATES not in pod.metadata.annotations:
            return
        if event.type == "DELETED" or not _containers_ready(pod) or _is_open(pod):
            self._waiting.pop(uid, None)
        elif uid not in self._waiting:
            self._waiting[uid] = None
            delay_ns = parse_duration(pod.metadata.annotations[READINESS_GATES])
            self._engine.call_later(delay_ns, self._open, pod)

    def _open(self, pod: Pod) -> None:
        if pod.metadata.uid in self._waiting:
            self._client.submit(partial(self._write, pod))

    def _write(self, pod: Pod) -> Pod:
        now = self._engine.now

        def change(current: Pod) -> Pod:
            status = current.status
            for gate in current.spec.readinessGates:
                opened = Condition(type=gate.conditionType, status="True", lastTransitionTime=now)
                status = with_condition(status, opened)
            return evolve(current, status=status)

        return self._client.api.patch(Pod, *pod.key, change, pod.metadata.uid)


def _containers_ready(pod: Pod) -> bool:
    condition = pod.status.condition("ContainersReady")
    return condition is not None and condition.status == "True"


def _is_open(pod: Pod) -> bool:
    conditions = (pod.status.condition(gate.conditionType) for gate in pod.spec.readinessGates)
    return all(condition is not None and condition.status == "True" for condition in conditions)
