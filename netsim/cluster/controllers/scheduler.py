"""kube-scheduler: gives each pod without a node the best node that it fits on.

Called by: `controlplane.py`. One pod at a time, as upstream: a scheduling cycle decides and *assumes* the pod on its
node at once; the binding is a write to the API server that the next cycle does not wait for. A pod that fits nowhere
waits until a node changes or a pod leaves, and is tried again after a back-off.

Ours: at boot nothing is scheduled before the nodes in `opening` have been ready, as for someone who applies manifests
to a cluster that is up. Otherwise all pods would crowd on the node whose kubelet happened to be first.

Source: pkg/scheduler/schedule_one.go, pkg/scheduler/backend/queue. What fits and scores is `placement.py`'s.
"""

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Final

from netsim.cluster.admission import NOT_READY
from netsim.cluster.apiserver import ApiServer, Key
from netsim.cluster.client import ApiClient
from netsim.cluster.controllers.placement import NodeRanking, fits
from netsim.cluster.errors import ApiError, ConflictError
from netsim.cluster.hostports import HostPort, UsedPorts, host_ports
from netsim.cluster.informer import Informers
from netsim.cluster.objects import Condition, Node, Pod, evolve
from netsim.cluster.ratelimit import TokenBucket
from netsim.cluster.records import Recorder
from netsim.cluster.timing import Timing
from netsim.cluster.watch import WatchEvent
from netsim.engine import Engine, S

_NAME: Final = "kube-scheduler"
# pkg/scheduler/apis/config/v1/defaults.go: clientConnection.qps 50, burst 100.
_QPS: Final = 50.0
_BURST: Final = 100
# podInitialBackoffSeconds 1, podMaxBackoffSeconds 10.
_BACKOFF_NS: Final = 1 * S
_BACKOFF_MAX_NS: Final = 10 * S


class Scheduler:
    """Watches pods and nodes; binds pods to nodes, the first when the nodes named in `opening` have all been ready."""

    def __init__(self, engine: Engine, api: ApiServer, timing: Timing, opening: Iterable[str] = ()) -> None:
        self._engine = engine
        self._timing = timing
        self._random = engine.stream(_NAME)
        self._client = ApiClient(engine, api, timing, _NAME, TokenBucket(_QPS, _BURST))
        self._record = Recorder(engine, _NAME)
        self._ranking = NodeRanking()
        self._ports = UsedPorts()
        self._placed: dict[Key, tuple[str, str, tuple[HostPort, ...]]] = {}
        self._line: deque[Key] = deque()
        self._waiting: dict[Key, None] = {}
        self._unschedulable: dict[Key, None] = {}
        self._attempts: dict[Key, int] = {}
        self._busy = False
        self._awaited = dict.fromkeys(opening)
        self._informers = informers = Informers(api, _NAME)
        self._nodes = informers.of(Node)
        self._pods = informers.of(Pod)
        self._nodes.subscribe(self._node_changed)
        self._pods.subscribe(self._pod_changed)

    def disconnect(self) -> None:
        """The API server is out of reach: bindings wait, nothing new is seen."""
        self._client.connection.cut()
        self._informers.disconnect()

    def reconnect(self) -> None:
        """It is back."""
        self._client.connection.restore()
        self._informers.reconnect(self._engine.now)

    # ------------------------------------------------------------------------------------------------ events
    def _node_changed(self, event: WatchEvent[Node]) -> None:
        name = event.object.metadata.name
        if event.type == "DELETED":
            self._ranking.remove_node(name)
            self._opened(name)
            return
        self._ranking.add_node(name)
        if not any(taint.key == NOT_READY for taint in event.object.spec.taints):
            self._opened(name)
        if event.old is None or _places_changed(event.old, event.object):
            self._retry_all()

    def _opened(self, node: str) -> None:
        if node in self._awaited:
            del self._awaited[node]
            self._next()

    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        pod = event.object
        ended = pod.status.phase in ("Succeeded", "Failed")
        if event.type == "DELETED" or ended:
            self._waiting.pop(pod.key, None)
            self._unschedulable.pop(pod.key, None)
            self._attempts.pop(pod.key, None)
            if self._forget(pod.key):
                self._retry_all()
        elif pod.spec.nodeName:
            self._assume(pod, pod.spec.nodeName)
        elif pod.key not in self._placed and pod.metadata.deletionTimestamp is None:
            self._enqueue(pod.key)

    def _assume(self, pod: Pod, node: str) -> None:
        if pod.key not in self._placed:
            owner, ports = _owner(pod), host_ports(pod)
            self._placed[pod.key] = (node, owner, ports)
            self._ranking.place(node, owner)
            self._ports.place(node, ports)

    def _forget(self, key: Key) -> bool:
        placed = self._placed.pop(key, None)
        if placed is not None:
            node, owner, ports = placed
            self._ranking.take(node, owner)
            self._ports.take(node, ports)
        return placed is not None

    # ------------------------------------------------------------------------------------------------ queue
    def _enqueue(self, key: Key) -> None:
        if key in self._waiting:
            return
        self._unschedulable.pop(key, None)
        self._waiting[key] = None
        self._line.append(key)
        self._next()

    def _retry_all(self) -> None:
        """Something has changed that may let pods in; each waits for the rest of its back-off."""
        waiting, self._unschedulable = self._unschedulable, {}
        for key in waiting:
            backoff = min(_BACKOFF_NS << min(self._attempts.get(key, 1) - 1, 10), _BACKOFF_MAX_NS)
            self._engine.call_later(backoff, self._retry, key)

    def _retry(self, key: Key) -> None:
        pod = self._pods.get(*key)
        if pod is not None and not pod.spec.nodeName and key not in self._placed:
            self._enqueue(key)

    def _next(self) -> None:
        if self._line and not self._busy and not self._awaited:
            self._busy = True
            self._engine.call_later(self._timing.controllers.schedule.sample(self._random), self._cycle)

    # ------------------------------------------------------------------------------------------------ cycle
    def _cycle(self) -> None:
        self._busy = False
        key = self._line.popleft()
        wanted = self._waiting.pop(key, "gone") is None
        pod = self._pods.get(*key)
        if wanted and pod is not None and not pod.spec.nodeName and pod.metadata.deletionTimestamp is None:
            self._schedule(pod)
        self._next()

    def _schedule(self, pod: Pod) -> None:
        self._attempts[pod.key] = self._attempts.get(pod.key, 0) + 1
        node, why = self._choose(pod)
        if node is None:
            self._unschedulable[pod.key] = None
            self._record.about(pod, "FailedScheduling", message=why)
            return
        self._assume(pod, node)
        self._client.submit(partial(self._bind, pod, node), partial(self._bound, pod, node))

    def _choose(self, pod: Pod) -> tuple[str | None, str]:
        reasons: dict[str, int] = {}
        wanted = host_ports(pod)
        for name in self._ranking.candidates(_owner(pod)):
            node = self._nodes.get("", name)
            if node is None:
                continue
            clash = self._ports.clash(name, wanted)
            reason = fits(pod, node, self._ranking.count(name), self._timing.kubelet.max_pods, clash)
            if not reason:
                return name, ""
            reasons[reason] = reasons.get(reason, 0) + 1
        details = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        return None, f"0/{len(self._nodes)} nodes are available: {details or 'there is none'}"

    def _bind(self, pod: Pod, node: str) -> Pod:
        scheduled = Condition(type="PodScheduled", status="True", lastTransitionTime=self._engine.now)

        def change(current: Pod) -> Pod:
            if current.spec.nodeName:
                raise ConflictError(f"pod {pod.metadata.name} is already assigned to {current.spec.nodeName}")
            status = current.status.model_copy(update={"conditions": (*current.status.conditions, scheduled)})
            return evolve(current, {"spec.nodeName": node, "status": status})

        return self._client.api.patch(Pod, *pod.key, change, pod.metadata.uid)

    def _bound(self, pod: Pod, node: str, bound: Pod | None, error: ApiError | None) -> None:
        if error is None:
            self._attempts.pop(pod.key, None)
            self._record.about(pod, "PodScheduled", node)
        elif self._forget(pod.key):
            self._unschedulable[pod.key] = None


def _owner(pod: Pod) -> str:
    owner = pod.metadata.controller()
    return owner.uid if owner else f"{pod.metadata.namespace}/{pod.metadata.name}"


def _places_changed(old: Node, new: Node) -> bool:
    return old.spec != new.spec or old.metadata.labels != new.metadata.labels
