"""`kubectl drain NODE`: cordon it, evict its pods, wait until they are gone.

Called by: `faults.py`. Theory of operation (staging/src/k8s.io/kubectl/pkg/drain/drain.go): the node is cordoned; then
all its pods are evicted at the same time, each by a loop of its own. An eviction that a PodDisruptionBudget does not
allow is tried again after 5 s; one that was accepted is followed by looking once a second whether the pod is gone. A
`timeout` ends all that.

As with the usual `--ignore-daemonsets --delete-emptydir-data --force`: pods of DaemonSets stay, others go whatever they
have. A `gracePeriod` replaces the pods' own. Simplified: kubectl itself runs beside the API server; its requests take a
write's time and never fail for another reason.
"""

from collections.abc import Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster.client import ApiClient
from netsim.cluster.errors import ApiError, NotFoundError, TooManyRequestsError
from netsim.cluster.eviction import evict
from netsim.cluster.objects import Pod
from netsim.cluster.operations import drain_plan
from netsim.cluster.records import Recorder
from netsim.engine import S

if TYPE_CHECKING:
    from netsim.cluster.controlplane import ControlPlane
    from netsim.engine import Engine
    from netsim.workload.fault_targets import FaultPlan
    from netsim.workload.faults import FaultInjector
    from netsim.workload.kubectl import Kubectl

_RETRY_NS: Final = 5 * S
_LOOK_NS: Final = 1 * S  # kubectl's waitForDelete polls once a second


class Drain:
    """The command."""

    def __init__(
        self,
        engine: "Engine",
        injector: "FaultInjector",
        control_plane: "ControlPlane",
        kubectl: "Kubectl",
    ) -> None:
        self._engine = engine
        self._injector = injector
        self._kubectl = kubectl
        self._api = control_plane.api
        self._record = Recorder(engine, "kubectl")
        self._client = ApiClient(engine, control_plane.api, control_plane.timing, "kubectl")

    def __call__(self, name: str, plan: "FaultPlan") -> None:
        """Drain the nodes that are meant, one after the other, as `kubectl drain A B` does."""
        nodes = self._injector.nodes_of(name, plan)
        pods = [pod for node in nodes for pod in self._leaving(node)]
        self._injector.tell(name, plan, pods, nodes=nodes)
        self._engine.process(self._drain(nodes, plan), name)

    def _leaving(self, node: str) -> list[Pod]:
        plan = drain_plan(self._api, node)
        return [*plan.evict, *plan.unmanaged]

    def _drain(self, nodes: Sequence[str], plan: "FaultPlan") -> Generator[Any, Any, None]:
        yield from self._client.call(partial(self._kubectl.mark, nodes, True))
        grace = None if plan.grace_ns is None else -(-plan.grace_ns // S)
        deadline_ns = self._engine.now + plan.timeout_ns if plan.timeout_ns else None
        for node in nodes:
            leaving = [
                self._engine.process(self._evict(pod, grace, deadline_ns), f"evict/{pod.metadata.name}")
                for pod in self._leaving(node)
            ]
            yield from leaving
            left = [pod for pod in self._leaving(node) if pod.metadata.deletionTimestamp is None]
            why = "DrainTimedOut" if self._is_over(deadline_ns) else "DrainFailed"
            reason = why if left else "NodeDrained"
            self._record.event(reason, "Node", "", node, node, left=",".join(p.metadata.name for p in left))
            if left:
                return

    def _evict(self, pod: Pod, grace: int | None, deadline_ns: int | None) -> Generator[Any, Any, None]:
        while not self._is_over(deadline_ns):
            try:
                yield from self._client.call(partial(self._ask, pod, grace))
            except TooManyRequestsError as refusal:
                self._record.about(pod, "EvictionRefused", pod.spec.nodeName, message=str(refusal))
                yield self._engine.timeout(_RETRY_NS)
                continue
            except NotFoundError:
                return
            except ApiError as error:
                self._record.about(pod, "EvictionFailed", pod.spec.nodeName, message=str(error))
                return
            self._record.about(pod, "PodEvicted", pod.spec.nodeName, cause="drain")
            break
        while self._is_there(pod) and not self._is_over(deadline_ns):
            yield self._engine.timeout(_LOOK_NS)

    def _ask(self, pod: Pod, grace: int | None) -> None:
        evict(self._api, pod, self._engine.now, grace)

    def _is_there(self, pod: Pod) -> bool:
        stored = self._api.get(Pod, *pod.key)
        return stored is not None and stored.metadata.uid == pod.metadata.uid

    def _is_over(self, deadline_ns: int | None) -> bool:
        return deadline_ns is not None and self._engine.now >= deadline_ns
