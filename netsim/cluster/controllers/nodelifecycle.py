"""The node lifecycle controller: decides that a node is dead, marks its pods, taints it.

Called by: `controlplane.py`. Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go; timing facts kcm.*.

Theory of operation. A pass over all nodes every monitor period. For each node the controller remembers *its own* clock
at the pass that first saw a newer lease or heartbeat. At the first pass that is later than that by more than the grace
period the node becomes Unknown. So a dead node is noticed between `grace - 10 s` and `grace + 5 s` after its failure.
The same pass lets the Ready condition of all its pods be set to False, pod by pod through a client of 20 requests per
second; that, and not eviction, takes its endpoints out. Eviction follows from the taint (`taint_eviction.py`), which
nodes get at a limited rate per zone; up to Kubernetes 1.12 the controller deleted the pods itself, 300 s after the
node's last sign of life.
"""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from netsim.cluster.admission import UNREACHABLE
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.pods import with_condition
from netsim.cluster.controllers.zones import ZoneQueue, ZoneState, eviction_qps, zone_of, zone_state
from netsim.cluster.errors import NotFoundError
from netsim.cluster.objects import Condition, Lease, Node, Pod, Taint, evolve
from netsim.cluster.watch import WatchEvent
from netsim.engine import MS

LEASE_NAMESPACE: Final = "kube-node-lease"
_NAME: Final = "node-lifecycle-controller"
_NODE_WORKERS: Final = 8  # scheduler.UpdateWorkerSize
_DRAIN_NS: Final = 100 * MS  # scheduler.NodeEvictionPeriod
_NO_SCHEDULE: Final = Taint(key=UNREACHABLE, effect="NoSchedule")


@dataclass(slots=True)
class NodeHealth:
    """What the controller remembers of a node. `probe_ns` is its own clock when it last saw news of the node."""

    probe_ns: int
    renewed_ns: int = 0
    heartbeat_ns: int = 0
    healthy: bool = True


class NodeLifecycleController:
    """Watches nodes, leases and pods; writes node conditions, taints and the pods' Ready condition."""

    def __init__(self, context: ControllerContext) -> None:
        self._engine = context.engine
        self._api = context.api
        self._times = context.timing.node_failure
        self._client = context.client(_NAME)
        self._record = context.recorder(_NAME)
        self._random = context.engine.stream(_NAME)
        self._queue = context.queue(_NAME, self._sync, _NODE_WORKERS)
        self._health: dict[str, NodeHealth] = {}
        self._zones: dict[str, ZoneQueue] = {}
        self._nodes = context.informers.of(Node)
        self._pods = context.informers.of(Pod)
        self._pods_on = self._pods.index(node_of)
        self._nodes.subscribe(self._node_changed)

    def start(self) -> None:
        """Begin the passes, at a moment that has nothing to do with the nodes' own rhythm."""
        first = int(self._random.random() * self._times.monitor_period_ns)
        self._engine.call_later(first, self._pass)

    def _node_changed(self, event: WatchEvent[Node]) -> None:
        name = event.object.metadata.name
        if event.type == "DELETED":
            self._health.pop(name, None)
            self._zone(event.object).remove(name)

    # ------------------------------------------------------------------------------------------------ passes
    def restarted(self) -> None:
        """A new process: it has seen no node yet, so none has been silent."""
        self._health.clear()

    def _pass(self) -> None:
        now = self._engine.now
        if self._client.connection.up:
            for node in self._nodes:
                self._examine(node, now)
            self._set_rates(now)
        took = self._times.monitor_pass.sample(self._random)
        self._engine.call_later(took + self._times.monitor_period_ns, self._pass)

    def _examine(self, node: Node, now: int) -> None:
        name = node.metadata.name
        health = self._health.get(name)
        if health is None:
            health = self._health[name] = NodeHealth(now)
        self._look_for_news(node, health, now)
        silent_ns = now - health.probe_ns
        if health.healthy and silent_ns > self._times.grace_period_ns:
            health.healthy = False
            self._record.about(node, "NodeNotReady", name, silent_ns=str(silent_ns))
            self._queue.add((name,))
        elif not health.healthy and silent_ns <= self._times.grace_period_ns and _says_ready(node):
            health.healthy = True
            self._record.about(node, "NodeReady", name)
            self._queue.add((name,))
        if not health.healthy:
            self._consider_eviction(node, silent_ns)

    def _look_for_news(self, node: Node, health: NodeHealth, now: int) -> None:
        lease = self._api.get(Lease, LEASE_NAMESPACE, node.metadata.name)
        renewed = (lease.spec.renewTime or 0) if lease else 0
        ready = node.status.condition("Ready")
        heartbeat = (ready.lastHeartbeatTime or 0) if ready else 0
        if renewed > health.renewed_ns or heartbeat > health.heartbeat_ns:
            health.renewed_ns, health.heartbeat_ns = max(renewed, health.renewed_ns), heartbeat
            health.probe_ns = now

    def _consider_eviction(self, node: Node, silent_ns: int) -> None:
        name = node.metadata.name
        if self._times.eviction == "taint":
            if not _has_taint(node, UNREACHABLE, "NoExecute"):
                self._enqueue_eviction(node)
        elif silent_ns > self._times.pod_eviction_timeout_ns and self._pods_left(name):
            self._enqueue_eviction(node)

    def _pods_left(self, node: str) -> bool:
        return any(pod.metadata.deletionTimestamp is None for pod in self._pods_on[node].values())

    # ------------------------------------------------------------------------------------------------ marking
    def _sync(self, key: tuple[str]) -> Generator[Any, Any, None]:
        """Write what the last pass decided about one node."""
        node, health = self._nodes.get("", key[0]), self._health.get(key[0])
        if node is None or health is None:
            return
        if health.healthy:
            self._zone(node).remove(key[0])
            yield from self._client.call(partial(self._patch, key[0], _without_taints))
            return
        yield from self._client.call(partial(self._patch, key[0], self._mark_unknown))
        for pod in list(self._pods_on[key[0]].values()):
            if pod.status.is_ready:
                self._record.about(pod, "PodUnready", key[0], cause="node", pod_ip=pod.status.podIP)
                yield from self._mark_pod(pod)

    def _patch(self, name: str, change: Any) -> Node:
        return self._api.patch(Node, "", name, change)

    def _mark_unknown(self, node: Node) -> Node:
        now = self._engine.now
        unknown = Condition(
            type="Ready", status="Unknown", reason="NodeStatusUnknown", lastTransitionTime=now
        )
        before = node.status.condition("Ready")
        if before is not None:
            unknown = unknown.model_copy(update={"lastHeartbeatTime": before.lastHeartbeatTime})
        others = tuple(entry for entry in node.status.conditions if entry.type != "Ready")
        taints = node.spec.taints
        if not _has_taint(node, UNREACHABLE, "NoSchedule"):
            taints = (*taints, _NO_SCHEDULE.model_copy(update={"timeAdded": now}))
        return evolve(node, {"status.conditions": (*others, unknown), "spec.taints": taints})

    def _mark_pod(self, pod: Pod) -> Generator[Any, Any, None]:
        unready = Condition(
            type="Ready", status="False", reason="NodeNotReady", lastTransitionTime=self._engine.now
        )

        def change(current: Pod) -> Pod:
            return evolve(current, status=with_condition(current.status, unready))

        try:
            yield from self._client.call(partial(self._api.patch, Pod, *pod.key, change, pod.metadata.uid))
        except NotFoundError:
            return
        self._record.about(
            pod, "PodStatusWritten", pod.spec.nodeName, ready="False", pod_ip=pod.status.podIP, writer=_NAME
        )

    # ------------------------------------------------------------------------------------------------ eviction
    def _zone(self, node: Node) -> ZoneQueue:
        return self._zones.setdefault(zone_of(node), ZoneQueue(self._times.eviction_qps))

    def _enqueue_eviction(self, node: Node) -> None:
        zone = self._zone(node)
        waiting = bool(zone)
        zone.add(node.metadata.name)
        if not waiting:
            self._engine.call_later(_DRAIN_NS, self._drain, zone)

    def _drain(self, zone: ZoneQueue) -> None:
        while (name := zone.pop(self._engine.now)) is not None:
            self._engine.process(self._evict(name), f"{_NAME}/evict/{name}")
        if zone:
            self._engine.call_later(_DRAIN_NS, self._drain, zone)

    def _evict(self, name: str) -> Generator[Any, Any, None]:
        if self._times.eviction == "taint":
            self._record.event("NodeTainted", "Node", "", name, name, taint=f"{UNREACHABLE}:NoExecute")
            yield from self._client.call(partial(self._patch, name, self._add_no_execute))
            return
        for pod in list(self._pods_on[name].values()):
            if pod.metadata.deletionTimestamp is None:
                self._record.about(pod, "PodEvicted", name, cause="pod-eviction-timeout")
                yield from self._client.call(partial(self._api.delete, Pod, *pod.key, None, pod.metadata.uid))

    def _add_no_execute(self, node: Node) -> Node:
        if _has_taint(node, UNREACHABLE, "NoExecute"):
            return node
        taint = Taint(key=UNREACHABLE, effect="NoExecute", timeAdded=self._engine.now)
        return evolve(node, {"spec.taints": (*node.spec.taints, taint)})

    def _set_rates(self, now: int) -> None:
        counts: dict[str, list[int]] = {}
        for node in self._nodes:
            healthy = self._health[node.metadata.name].healthy
            counts.setdefault(zone_of(node), [0, 0])[0 if healthy else 1] += 1
        threshold = self._times.unhealthy_zone_threshold
        states = {zone: zone_state(well, ill, threshold) for zone, (well, ill) in counts.items()}
        everything_down = bool(states) and all(state is ZoneState.FULL for state in states.values())
        for name, state in states.items():
            zone = self._zones.get(name)
            if zone is not None:
                qps = eviction_qps(state, sum(counts[name]), everything_down, self._times)
                zone.limiter.set_qps(qps, now)


def node_of(pod: Pod) -> tuple[str, ...]:
    """The pod's node, as index keys."""
    return (pod.spec.nodeName,) if pod.spec.nodeName else ()


def _says_ready(node: Node) -> bool:
    ready = node.status.condition("Ready")
    return ready is not None and ready.status == "True"


def _has_taint(node: Node, key: str, effect: str) -> bool:
    return any(taint.key == key and taint.effect == effect for taint in node.spec.taints)


def _without_taints(node: Node) -> Node:
    kept = tuple(taint for taint in node.spec.taints if taint.key != UNREACHABLE)
    return node if kept == node.spec.taints else evolve(node, {"spec.taints": kept})
