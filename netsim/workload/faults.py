"""Faults and actions: what goes wrong or is done, when, to whom, and for how long.

A plan says it in the words of Chaos Mesh (action, selector, mode) and of kubectl; the injector carries it out on the
running cluster. Truth first: a fault acts on processes, machines, cables or kube-proxy, never on the control plane's
opinion of them. Who notices, and when, is for kubelet, controllers and clients to find out.

================  ======================================================================================
action            what happens; what `for` undoes
================  ======================================================================================
pod-kill          all containers' processes die (SIGKILL); the kubelet restarts them as the restart policy says
pod-delete        the pod is deleted through the API server, with its grace period or the given one
pod-hang          the processes go on holding their sockets but answer nothing; resumed after `for`
node-crash        a node loses power for good, with all its pods
link-down         a cable carries nothing; plugged in again after `for`
link-netem        a cable delays, loses, duplicates, reorders or corrupts packets; clean again after `for`
kube-proxy-stop   kube-proxy on a node stops: the rules stay as they are; started again (full sync) after `for`
api-outage        the API server is down: watches stop, writes wait, rules stay; up again after `for`
api-cut           a node does not reach the API server, all else works; reached again after `for`
partition         two groups of nodes, pods or outside hosts do not hear each other; they do again after `for`
scale, rollout    `kubectl scale` (back after `for`), `kubectl rollout restart` or `set image` (`kubectl.py`)
cordon, uncordon  `kubectl cordon` (`uncordon` after `for`), `kubectl uncordon`
drain             `kubectl drain`: evictions, with PodDisruptionBudgets and grace periods (`kubectl_drain.py`)
apply, delete     `kubectl apply` of a manifest, `kubectl delete` of an object
================  ======================================================================================
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from netsim.cluster.objects import ApiObject, EndpointSlice, Pod
from netsim.fabric.link import Netem
from netsim.workload.fault_partition import Partition
from netsim.workload.fault_reach import OUTAGE, Reach
from netsim.workload.kubectl import Kubectl, ObjectName
from netsim.workload.kubectl_drain import Drain
from netsim.workload.records import FaultInjected

if TYPE_CHECKING:
    from netsim.cluster.controlplane import ControlPlane
    from netsim.engine import Engine
    from netsim.fabric.fabric import Cable, Fabric

T = TypeVar("T")


class TargetSelector(Protocol):
    """Who may be meant (see `netsim.experiment.spec_select`)."""

    @property
    def kind(self) -> str:
        """One of pod, node, link, external, labels."""

    @property
    def pod(self) -> str:
        """NAMESPACE/NAME."""

    @property
    def node(self) -> str:
        """Pattern of node names."""

    @property
    def link(self) -> str:
        """Pattern of cable names."""

    @property
    def external(self) -> str:
        """Pattern of names of hosts outside."""

    def selects_pod(self, namespace: str, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it means a pod with this name and these labels."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """One fault. Times are relative to the experiment's beginning; `value` goes with fixed (a number) and
    fixed-percent (0 to 100); `direction` is as the selected end sees it (from: what it sends). `object`, `replicas`,
    `image`, `manifest` and `timeout_ns` are kubectl's, `target` is the other side of a partition."""

    action: str
    at_ns: int
    selector: TargetSelector
    for_ns: int = 0
    mode: str = "one"
    value: float = 1
    netem: Netem | None = None
    direction: str = "both"
    grace_ns: int | None = None
    target: TargetSelector | None = None
    object: ObjectName | None = None
    replicas: int = 0
    image: str = ""
    manifest: ApiObject | None = None
    timeout_ns: int = 0


class Processes(Protocol):
    """The running containers, as the runtime knows them."""

    def hang(self, namespace: str, pod: str) -> None:
        """SIGSTOP, in effect."""

    def resume(self, namespace: str, pod: str) -> None:
        """SIGCONT."""

    def disconnect_node(self, node: str) -> None:
        """Applications on a node that watch the API server hear nothing more."""

    def reconnect_node(self, node: str) -> None:
        """They do again."""


class FaultInjector:
    """Carries plans out; each picks its victims when its time has come, from a random stream of its own."""

    def __init__(
        self, engine: "Engine", fabric: "Fabric", control_plane: "ControlPlane", processes: Processes
    ) -> None:
        self._engine = engine
        self._fabric = fabric
        self._control = control_plane
        self._processes = processes
        self._numbers: Counter[str] = Counter()
        self._epoch_ns = 0
        self._reach = Reach(engine, control_plane, processes)
        kubectl = Kubectl(self, control_plane)
        self._commands: dict[str, Callable[[str, FaultPlan], None]] = {
            "pod-delete": self._pod_delete,
            "scale": kubectl.scale,
            "rollout": kubectl.rollout,
            "cordon": kubectl.cordon,
            "uncordon": kubectl.uncordon,
            "drain": Drain(engine, self, control_plane, kubectl),
            "apply": kubectl.apply,
            "delete": kubectl.delete,
        }
        self._actions: dict[str, Callable[[str, FaultPlan], None]] = {
            "pod-kill": self._pod_kill,
            "pod-hang": self._pod_hang,
            "node-crash": self._node_crash,
            "link-down": self._link_down,
            "link-netem": self._link_netem,
            "kube-proxy-stop": self._kube_proxy_stop,
            OUTAGE: self._api_outage,
            "api-cut": self._api_cut,
            "partition": self._partition,
        }

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the experiment's zero."""
        return self._engine.now - self._epoch_ns

    def schedule(self, plans: Sequence[FaultPlan], epoch_ns: int) -> None:
        """Let the plans happen, counted from `epoch_ns`."""
        self._epoch_ns = epoch_ns
        for plan in plans:
            self._numbers[plan.action] += 1
            name = f"{plan.action}-{self._numbers[plan.action]}"
            self._engine.call_at(epoch_ns + plan.at_ns, self._happen, name, plan)

    def _happen(self, name: str, plan: FaultPlan) -> None:
        """Truths happen; commands need an API server that answers."""
        if plan.action in self._actions:
            self._actions[plan.action](name, plan)
        else:
            self._reach.when_up(partial(self._commands[plan.action], name, plan))

    # ------------------------------------------------------------------ choosing
    def pods_of(self, name: str, plan: FaultPlan) -> list[Pod]:
        """Running pods that are meant; a node's selector means its pods."""
        selector = plan.selector
        found = [pod for pod in self._control.api.list(Pod) if _running(pod)]
        if selector.kind == "node":
            chosen = [pod for pod in found if fnmatchcase(pod.spec.nodeName or "", selector.node)]
        else:
            chosen = [
                pod
                for pod in found
                if selector.selects_pod(pod.metadata.namespace, pod.metadata.name, pod.metadata.labels)
            ]
        return self._some(
            name, plan, sorted(chosen, key=lambda pod: (pod.metadata.namespace, pod.metadata.name))
        )

    def nodes_of(self, name: str, plan: FaultPlan) -> list[str]:
        """Nodes by name or pattern, or those on which selected pods run."""
        alive = [node for node, host in self._fabric.nodes.items() if host.alive]
        if plan.selector.kind == "node":
            return self._some(name, plan, [node for node in alive if fnmatchcase(node, plan.selector.node)])
        every = FaultPlan(plan.action, 0, plan.selector, mode="all")
        pods = self.pods_of(name, every)
        hosting = dict.fromkeys(pod.spec.nodeName for pod in pods if pod.spec.nodeName in alive)
        return self._some(name, plan, sorted(node for node in hosting if node))

    def _cables(self, name: str, plan: FaultPlan) -> list["Cable"]:
        """Cables by name or pattern, or those of selected nodes, outside hosts or pods."""
        selector, cables = plan.selector, self._fabric.cables
        if selector.kind == "link":
            wanted = [
                n for n in cables if fnmatchcase(n, selector.link) or fnmatchcase(n, f"{selector.link}:eth0")
            ]
        elif selector.kind == "node":
            wanted = [f"{n}:eth0" for n in self._fabric.nodes if fnmatchcase(n, selector.node)]
        elif selector.kind == "external":
            wanted = [f"{n}:eth0" for n in self._fabric.outside if fnmatchcase(n, selector.external)]
        else:
            pods = self.pods_of(name, FaultPlan(plan.action, 0, selector, mode="all"))
            wanted = [f"{_key(pod)}:eth0" for pod in pods]
        return [cables[n] for n in self._some(name, plan, sorted(n for n in wanted if n in cables))]

    def _some(self, name: str, plan: FaultPlan, candidates: Sequence[T]) -> list[T]:
        rng: random.Random = self._engine.stream(f"fault/{name}")
        return rng.sample(candidates, _how_many(plan, len(candidates)))

    # ------------------------------------------------------------------ doing
    def _pod_kill(self, name: str, plan: FaultPlan) -> None:
        pods = self.pods_of(name, plan)
        self.tell(name, plan, pods)
        for pod in pods:
            self._control.kill_container(pod)

    def _pod_delete(self, name: str, plan: FaultPlan) -> None:
        pods = self.pods_of(name, plan)
        self.tell(name, plan, pods)
        for pod in pods:
            self._control.delete_pod(pod, plan.grace_ns)

    def _pod_hang(self, name: str, plan: FaultPlan) -> None:
        pods = self.pods_of(name, plan)
        self.tell(name, plan, pods)
        for pod in pods:
            self._processes.hang(pod.metadata.namespace, pod.metadata.name)
            self.later(plan, self._processes.resume, pod.metadata.namespace, pod.metadata.name)

    def _node_crash(self, name: str, plan: FaultPlan) -> None:
        nodes = self.nodes_of(name, plan)
        pods = [pod for pod in self._control.api.list(Pod) if pod.spec.nodeName in nodes]
        self.tell(name, plan, [pod for pod in pods if _running(pod)], nodes=nodes)
        for node in nodes:
            self._fabric.crash_node(node)
            self._control.crash_node(node)

    def _link_down(self, name: str, plan: FaultPlan) -> None:
        cables = self._cables(name, plan)
        self.tell(name, plan, self._pods_on(cables), links=[cable.name for cable in cables])
        for cable in cables:
            self._unplug(cable, name)
            self.later(plan, self._plug, cable, name)

    def _unplug(self, cable: "Cable", name: str) -> None:
        """A node's cable is also the way to the API server for its kubelet, kube-proxy and pods (DNS servers, ingress
        controllers), whose messages to it are no packets here."""
        self._fabric.set_cable(cable, up=False)
        node = cable.name.removesuffix(":eth0")
        if node in self._fabric.nodes:
            self._reach.block(node, name)

    def _plug(self, cable: "Cable", name: str) -> None:
        self._fabric.set_cable(cable, up=True)
        self._reach.unblock(cable.name.removesuffix(":eth0"), name)

    def _link_netem(self, name: str, plan: FaultPlan) -> None:
        cables = self._cables(name, plan)
        self.tell(name, plan, self._pods_on(cables), links=[cable.name for cable in cables])
        for cable in cables:
            self._fabric.set_netem(cable, plan.netem, plan.direction)
            self.later(plan, self._fabric.set_netem, cable, None, plan.direction)

    def _kube_proxy_stop(self, name: str, plan: FaultPlan) -> None:
        nodes = self.nodes_of(name, plan)
        self.tell(name, plan, [], nodes=nodes)
        for node in nodes:
            self._control.proxies[node].stop()
            self.later(plan, self._control.proxies[node].start)

    # ------------------------------------------------------------------ the way to the API server
    def _api_outage(self, name: str, plan: FaultPlan) -> None:
        self.tell(name, plan, [])
        self._reach.stop_api(name)
        self.later(plan, self._reach.start_api, name)

    def _api_cut(self, name: str, plan: FaultPlan) -> None:
        nodes = self.nodes_of(name, plan)
        self.tell(name, plan, [], nodes=nodes)
        for node in nodes:
            self._reach.block(node, name)
            self.later(plan, self._reach.unblock, node, name)

    def _partition(self, name: str, plan: FaultPlan) -> None:
        assert plan.target is not None
        everybody = [FaultPlan(plan.action, 0, side, mode="all") for side in (plan.selector, plan.target)]
        own, other = (
            [] if side.selector.kind == "external" else self.pods_of(name, side) for side in everybody
        )
        partition = Partition(self._fabric, (plan.selector, plan.target), (own, other), plan.direction)
        managers = [node.name for node in self._control.nodes.values() if node.is_control_plane]
        cut_off = partition.cut_off(managers)
        self.tell(name, plan, own, nodes=cut_off)
        partition.begin()
        self.later(plan, partition.end)
        for node in cut_off:
            self._reach.block(node, name)
            self.later(plan, self._reach.unblock, node, name)

    def later(self, plan: FaultPlan, undo: Callable[..., object], *args: object) -> None:
        """Undo it when `for` is over."""
        if plan.for_ns:
            self._engine.call_later(plan.for_ns, undo, *args)

    # ------------------------------------------------------------------ telling
    def tell(
        self,
        name: str,
        plan: FaultPlan,
        pods: Sequence[Pod],
        nodes: Sequence[str] = (),
        links: Sequence[str] = (),
        objects: Sequence[str] = (),
    ) -> None:
        """Publish what happens, and to whom."""
        now = self._engine.now
        addresses = tuple(entry.ip for pod in pods for entry in pod.status.podIPs)
        record = FaultInjected(
            now,
            name,
            plan.action,
            tuple(_key(pod) for pod in pods),
            tuple(nodes),
            tuple(links),
            addresses,
            self._services_of(addresses),
            now + plan.for_ns if plan.for_ns else 0,
            tuple(objects),
        )
        self._engine.bus.publish(record)

    def _services_of(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Services that have one of the addresses as an endpoint now."""
        found: dict[str, None] = {}
        for item in self._control.api.list(EndpointSlice):
            service = item.metadata.labels.get("kubernetes.io/service-name", "")
            if any(address in addresses for endpoint in item.endpoints for address in endpoint.addresses):
                found[f"{item.metadata.namespace}/{service}"] = None
        return tuple(sorted(found))

    def _pods_on(self, cables: Sequence["Cable"]) -> list[Pod]:
        hosts = {cable.name.removesuffix(":eth0") for cable in cables}
        pods: list[Any] = list(self._control.api.list(Pod))
        return [pod for pod in pods if _key(pod) in hosts or pod.spec.nodeName in hosts]


def _running(pod: Pod) -> bool:
    return pod.status.phase == "Running" and pod.metadata.deletionTimestamp is None


def _key(pod: Pod) -> str:
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def _how_many(plan: FaultPlan, available: int) -> int:
    """How many targets a mode hits. A percentage is rounded down, as Chaos Mesh does (pkg/selector/generic)."""
    wanted = {
        "one": 1,
        "all": available,
        "fixed": int(plan.value),
        "fixed-percent": int(available * plan.value / 100),
    }[plan.mode]
    return min(wanted, available)
