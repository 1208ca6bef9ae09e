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

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from netsim.cluster.errors import ApiError
from netsim.cluster.objects import EndpointSlice, Pod
from netsim.cluster.records import Recorder
from netsim.workload.fault_partition import Partition
from netsim.workload.fault_reach import OUTAGE, Reach
from netsim.workload.fault_targets import FaultPlan, Targets, is_running, key_of
from netsim.workload.kubectl import Kubectl
from netsim.workload.kubectl_drain import Drain
from netsim.workload.records import FaultInjected

if TYPE_CHECKING:
    from netsim.cluster.controlplane import ControlPlane
    from netsim.engine import Engine
    from netsim.fabric.fabric import Cable, Fabric

T = TypeVar("T")


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
        self._targets = Targets(engine, fabric, control_plane)
        self._record = Recorder(engine, "kubectl")
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
            self._engine.call_at(epoch_ns + plan.at_ns, self._happen, self._name(plan), plan)

    def _happen(self, name: str, plan: FaultPlan) -> None:
        """Truths happen; commands need an API server that answers."""
        if plan.action in self._actions:
            self._actions[plan.action](name, plan)
        else:
            self._reach.when_up(partial(self._command, name, plan))

    def _command(self, name: str, plan: FaultPlan) -> None:
        """What the API server refuses (the object is gone by now, a field cannot change) ends the command."""
        try:
            self._commands[plan.action](name, plan)
        except ApiError as refusal:
            self._record.event("CommandFailed", "Fault", "", name, message=str(refusal))

    def inject(self, plan: FaultPlan) -> None:
        """Let a plan happen now, whatever time it names."""
        self._happen(self._name(plan), plan)

    def _name(self, plan: FaultPlan) -> str:
        self._numbers[plan.action] += 1
        return f"{plan.action}-{self._numbers[plan.action]}"

    # ------------------------------------------------------------------ choosing
    def pods_of(self, name: str, plan: FaultPlan) -> list[Pod]:
        """Running pods that are meant; a node's selector means its pods."""
        return self._targets.pods(name, plan)

    def nodes_of(self, name: str, plan: FaultPlan) -> list[str]:
        """Nodes by name or pattern, or those on which selected pods run."""
        return self._targets.nodes(name, plan)

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
        self.tell(name, plan, [pod for pod in pods if is_running(pod)], nodes=nodes)
        for node in nodes:
            self._fabric.crash_node(node)
            self._control.crash_node(node)

    def _link_down(self, name: str, plan: FaultPlan) -> None:
        cables = self._targets.cables(name, plan)
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
        cables = self._targets.cables(name, plan)
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
            tuple(key_of(pod) for pod in pods),
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
        return [pod for pod in pods if key_of(pod) in hosts or pod.spec.nodeName in hosts]
