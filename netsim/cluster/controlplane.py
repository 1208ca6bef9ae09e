"""The control plane, assembled: API server, controllers, scheduler, and on every node a kubelet and a kube-proxy.

Called by: `experiment/build.py` (which hands in the outside world) and the fault injector. The control plane never sees
a packet: sandboxes, processes and probes are behind `runtime.py`, rules behind the dataplane.

::

    plane = ControlPlane(engine, timing, nodes, Outside(runtime, prober, resolv_conf, namespaces, dataplane))
    plane.apply(manifests)
    plane.start()
    while not plane.settled(): engine.run(engine.now + 100 * MS)

Simplified: the API server, the scheduler and the controllers survive the crash of any node, as in a cluster with
several control-plane nodes, and lose no time to a leader election (15 s, timing facts kcm.leaderElection).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster import settling
from netsim.cluster.apiserver import ApiServer
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.controllers.daemonset import DaemonSetController
from netsim.cluster.controllers.deployment import DeploymentController
from netsim.cluster.controllers.disruption import DisruptionController
from netsim.cluster.controllers.endpoints import CONTROLLER_NAME, MANAGED_BY_LABEL
from netsim.cluster.controllers.endpointslice import EndpointSliceController
from netsim.cluster.controllers.garbage import GarbageCollector
from netsim.cluster.controllers.mirroring import MIRRORING_NAME, MirroringController
from netsim.cluster.controllers.nodelifecycle import NodeLifecycleController
from netsim.cluster.controllers.podgc import PodGarbageCollector
from netsim.cluster.controllers.readiness_gates import ReadinessGateController
from netsim.cluster.controllers.replicaset import ReplicaSetController
from netsim.cluster.controllers.scheduler import Scheduler
from netsim.cluster.controllers.service_lb import CloudBalancer, ServiceController
from netsim.cluster.controllers.slice_writer import ready_addresses, tell_update
from netsim.cluster.controllers.statefulset import StatefulSetController
from netsim.cluster.controllers.taint_eviction import TaintEvictionController
from netsim.cluster.defaults import system_objects
from netsim.cluster.families import parse_subnets
from netsim.cluster.informer import Informers
from netsim.cluster.ipam import PodRange
from netsim.cluster.kubelet.envvars import ServiceEnvironment
from netsim.cluster.kubelet.kubelet import Kubelet, KubeletContext, ResolvConfOf
from netsim.cluster.kubeproxy import KubeProxy
from netsim.cluster.metaproxy import MetaProxy
from netsim.cluster.objects import ApiObject, EndpointSlice, Namespace, ObjectMeta, Pod, Service, evolve
from netsim.cluster.proxy_catalog import Catalog
from netsim.cluster.proxy_table import Translator
from netsim.cluster.records import Recorder
from netsim.cluster.runtime import NodeConfig, PodRuntime, Prober
from netsim.cluster.timing import Timing
from netsim.cluster.watch import WatchEvent
from netsim.engine import MS, Engine, S

if TYPE_CHECKING:
    from netsim.dataplane.base import NodeDataplane
    from netsim.kernel.netns import Namespace as NetworkNamespace


# While a cluster boots, each node would synchronise once a second, and nobody would look. Beyond this many Services
# times nodes the kube-proxies start when the Deployments are available: each begins with one full synchronisation.
_LATE_PROXIES: Final = 100_000
_LATE_STEP_NS: Final = 200 * MS
_LATE_LIMIT_NS: Final = 300 * S
# component-base/config/v1alpha1/defaults.go: --leader-elect-renew-deadline.
_RENEW_DEADLINE_NS: Final = 10 * S


@dataclass(frozen=True, slots=True)
class Outside:
    """What the control plane acts on. `namespaces` are the nodes' network namespaces by name; `dataplane(node)` makes
    the node's part of the service dataplane, anew for each kube-proxy process; `second_dataplane` that of the second
    family, where the cluster has one; `balancers` are the cloud's, if any."""

    runtime: PodRuntime
    prober: Prober
    resolv_conf: ResolvConfOf
    namespaces: "Mapping[str, NetworkNamespace]"
    dataplane: "Callable[[str], NodeDataplane[NetworkNamespace]]"
    balancers: tuple[CloudBalancer, ...] = ()
    second_dataplane: "Callable[[str], NodeDataplane[NetworkNamespace]] | None" = None


class ControlPlane:
    """All components of a cluster. `kubelets` and `proxies` are by node name; `nodes` are the nodes as configured."""

    def __init__(
        self,
        engine: Engine,
        timing: Timing,
        nodes: Sequence[NodeConfig],
        outside: Outside,
        service_subnet: str = "10.96.0.0/16",
    ) -> None:
        self.engine = engine
        self.timing = timing
        self.nodes: dict[str, NodeConfig] = {node.name: node for node in nodes}
        self.api = ApiServer(engine, timing, service_subnet)
        self._outside = outside
        self._record = Recorder(engine, "kube-apiserver")
        self.api.tap(Pod, self._tell_deletion)
        self.api.tap(EndpointSlice, self._tell_hand_written)
        for made in system_objects(service_subnet, nodes):
            self.api.create(made)
        self._addresses = {node.name: [PodRange(cidr) for cidr in node.pod_cidrs] for node in nodes}
        environment = ServiceEnvironment(self.api)
        self._context = KubeletContext(
            engine, self.api, timing, outside.runtime, outside.prober, environment, outside.resolv_conf
        )
        self.kubelets = {name: self._kubelet(name) for name in self.nodes}
        catalogs = [
            Catalog(self.api, Translator(len(subnet.address), timing.proxy.terminating_endpoints))
            for subnet in parse_subnets(service_subnet)
        ]
        self.proxies = {name: self._proxy(name, catalogs) for name in self.nodes}
        self._controllers: list[Any] = []
        self._managers: ControllerContext | None = None
        self._scheduler: Scheduler | None = None
        self._clouds: list[ServiceController] = []
        self._deployments = settling.Deployments(self.api)
        self._proxies_wait = False
        self._rested_ns: int | None = None

    def _kubelet(self, node: str) -> Kubelet:
        addresses, *more = self._addresses[node]
        return Kubelet(self._context, self.nodes[node], addresses, tuple(more))

    def _proxy(self, node: str, catalogs: list[Catalog]) -> KubeProxy | MetaProxy:
        """A node's kube-proxy: with a proxier for each family where there are two."""
        outside = self._outside
        primary = self._proxier(node, outside.dataplane, catalogs[0])
        if outside.second_dataplane is None:
            return primary
        name = "kube-proxy-secondary"
        return MetaProxy(primary, self._proxier(node, outside.second_dataplane, catalogs[1], name))

    def _proxier(
        self,
        node: str,
        dataplane: "Callable[[str], NodeDataplane[NetworkNamespace]]",
        catalog: Catalog,
        name: str = "kube-proxy",
    ) -> KubeProxy:
        ns = self._outside.namespaces[node]
        return KubeProxy(self.engine, self.api, self.timing, node, ns, lambda: dataplane(node), catalog, name)

    # ------------------------------------------------------------------------------------------------ life
    def apply(self, objects: Iterable[ApiObject]) -> None:
        """`kubectl apply`: create objects, or change the spec of those that exist. Missing namespaces are made.

        Raises InvalidError (a ClusterIP or node port that is taken or out of range).
        """
        given = list(objects)
        named = [item for item in given if isinstance(item, Namespace)]
        for item in (*named, *(item for item in given if not isinstance(item, Namespace))):
            self._ensure_namespace(item)
            namespace = (item.metadata.namespace or "default") if item.NAMESPACED else ""
            stored = self.api.get(item.kind, namespace, item.metadata.name)
            if stored is None:
                self.api.create(item)
            else:
                self.api.update(_applied(stored, item))

    def _ensure_namespace(self, item: ApiObject) -> None:
        namespace = item.metadata.namespace
        if item.NAMESPACED and namespace and self.api.get(Namespace, "", namespace) is None:
            self.api.create(Namespace(metadata=ObjectMeta(name=namespace)))

    def start(self) -> None:
        """Start every component."""
        self._start_controllers()
        for kubelet in self.kubelets.values():
            kubelet.start()
        self._start_proxies(self.engine.now + _LATE_LIMIT_NS)

    def _start_proxies(self, limit_ns: int) -> None:
        """Start the kube-proxies: at once, or in a large cluster when the workloads run (see `_LATE_PROXIES`)."""
        large = len(self.proxies) * sum(1 for _ in self.api.keys(Service)) > _LATE_PROXIES
        self._proxies_wait = large and self.engine.now < limit_ns and self._workloads_wait()
        if self._proxies_wait:
            self.engine.call_later(_LATE_STEP_NS, self._start_proxies, limit_ns)
            return
        for proxy in self.proxies.values():
            proxy.start()

    def _workloads_wait(self) -> bool:
        return not self._controllers or next(self._deployments.waiting(), None) is not None

    def _start_controllers(self) -> None:
        informers = Informers(self.api, "kube-controller-manager")
        context = self._managers = ControllerContext(self.engine, self.api, self.timing, informers)
        self._scheduler = Scheduler(self.engine, self.api, self.timing, self.nodes)
        lifecycle, collector = NodeLifecycleController(context), PodGarbageCollector(context)
        self._controllers = [
            DeploymentController(context),
            ReplicaSetController(context),
            StatefulSetController(context),
            DaemonSetController(context),
            EndpointSliceController(context),
            MirroringController(context),
            GarbageCollector(context),
            self._scheduler,
            DisruptionController(context),
            ReadinessGateController(context),
            lifecycle,
            collector,
        ]
        if self.timing.node_failure.eviction == "taint":
            self._controllers.append(TaintEvictionController(context))
        lifecycle.start()
        collector.start()
        self._clouds = [ServiceController(context, balancer) for balancer in self._outside.balancers]

    # ------------------------------------------------------------------------------------------------ state
    def settled(self) -> bool:
        """Whether everything runs that should, and every kube-proxy has rules for it.

        The first time that is so, a random part of the longest probe period has to pass as well: the boot ends when the
        last pod becomes ready, and without a rest the probes would keep that moment's rhythm, so that a fault at a
        fixed time after the boot would always find them in the same phase.
        """
        if next(self._reasons(), None) is not None:
            return False
        if self._rested_ns is None:
            rest = self.engine.stream("settled").random() * settling.probe_period_ns(self.api)
            self._rested_ns = self.engine.now + int(rest)
        return self.engine.now >= self._rested_ns

    def unsettled(self) -> list[str]:
        """Why not, in words; empty when settled."""
        return list(self._reasons())

    def _reasons(self) -> Iterator[str]:
        for name, kubelet in self.kubelets.items():
            if kubelet.alive and not kubelet.heartbeat.registered:
                yield f"Node {name} has not registered yet"
        yield from self._deployments.waiting()
        if self._proxies_wait:
            yield "the kube-proxies wait for the workloads"
        yield from settling.others(self.api)
        for cloud in self._clouds:
            yield from cloud.waiting()
        if not (self.api.log(Service).drained and self.api.log(EndpointSlice).drained):
            yield "not every watch has delivered the last change of Services and EndpointSlices"
        for name, proxy in self.proxies.items():
            if proxy.running and not proxy.idle:
                yield f"kube-proxy on {name} has rules to write"
        # Last, since it is dear with many Services, and their rules are long in the writing.
        yield from settling.endpoints(self.api)

    def _tell_deletion(self, event: WatchEvent[Pod]) -> None:
        pod = event.object
        if event.type == "DELETED":
            self._record.about(pod, "PodDeleted", pod.spec.nodeName, pod_ip=pod.status.podIP)
        elif pod.metadata.deletionTimestamp and event.old and not event.old.metadata.deletionTimestamp:
            grace = str(pod.metadata.deletionGracePeriodSeconds)
            ip = pod.status.podIP
            self._record.about(pod, "PodTerminating", pod.spec.nodeName, pod_ip=ip, grace_seconds=grace)

    def _tell_hand_written(self, event: WatchEvent[EndpointSlice]) -> None:
        """Slices that no controller writes; the controllers tell of theirs."""
        item, old = event.object, event.old
        ours = (CONTROLLER_NAME, MIRRORING_NAME)
        if item.metadata.labels.get(MANAGED_BY_LABEL) in ours or not item.service_name:
            return
        now = () if event.type == "DELETED" else ready_addresses(item)
        before = ready_addresses(old) if old is not None else ()
        tell_update(self._record, (item.metadata.namespace, item.service_name), item, now, before)

    # ------------------------------------------------------------------------------------------------ faults
    def kill_container(self, pod: Pod, container: str = "") -> None:
        """SIGKILL the processes of a pod's containers (or of one); the kubelet finds out by itself."""
        worker = self.kubelets[pod.spec.nodeName].worker_of(pod) if pod.spec.nodeName else None
        if worker is not None:
            worker.kill(container)

    def delete_pod(self, pod: Pod, grace_ns: int | None = None) -> None:
        """`kubectl delete pod`: with the pod's own grace period, or another one; 0 is `--force`."""
        stored = self.api.get(Pod, *pod.key)
        if stored is not None and stored.metadata.uid == pod.metadata.uid:
            grace = None if grace_ns is None else -(-grace_ns // S)
            self.api.delete(Pod, *pod.key, grace)

    def crash_node(self, node: str) -> None:
        """A node loses power: its kubelet, its kube-proxy and its containers end, and nobody is told."""
        self.proxies[node].stop()
        self.kubelets[node].crash()

    def restore_node(self, node: str) -> None:
        """A crashed node boots again (its host must be up): its pods are run anew, with new addresses."""
        old = self.kubelets[node]
        if old.alive:
            return
        old.discard()
        self.kubelets[node] = self._kubelet(node)
        self.kubelets[node].start()
        self.proxies[node].start()

    def disconnect_node(self, node: str) -> None:
        """A node cannot reach the API server any more (its link is down): nothing is heard of it, nor by it."""
        self.kubelets[node].disconnect()
        self.proxies[node].disconnect()

    def reconnect_node(self, node: str) -> None:
        """It can again: what it missed arrives, and it reports."""
        self.kubelets[node].reconnect()
        self.proxies[node].reconnect()

    def stop_api(self) -> None:
        """The API server is down: the controllers and the scheduler, which run beside it, see and write nothing. Nodes
        are for `disconnect_node`."""
        if self._managers is not None and self._scheduler is not None:
            self._managers.connection.cut()
            self._managers.informers.disconnect()
            self._scheduler.disconnect()

    def start_api(self, down_ns: int) -> None:
        """It is back after `down_ns`. A controller manager that cannot renew its leader election in time exits, and a
        new process takes over: it does not remember how long nodes have been silent."""
        if self._managers is None or self._scheduler is None:
            return
        self._managers.connection.restore()
        self._managers.informers.reconnect(self.engine.now)
        self._scheduler.reconnect()
        if down_ns > _RENEW_DEADLINE_NS:
            for controller in self._controllers:
                if hasattr(controller, "restarted"):
                    controller.restarted()


def _applied(stored: ApiObject, given: ApiObject) -> ApiObject:
    """The stored object with the given spec, labels and annotations; what the server allocated stays."""
    meta = {"metadata.labels": given.metadata.labels, "metadata.annotations": given.metadata.annotations}
    content = {
        name: getattr(given, name)
        for name in type(given).model_fields
        if name not in ("apiVersion", "kind", "metadata", "status")
    }
    if isinstance(stored, Service) and isinstance(given, Service):
        content["spec"] = _keep_allocated(stored, given)
    return evolve(stored, {**meta, **content})


def _keep_allocated(stored: Service, given: Service) -> Any:
    old, new = stored.spec, given.spec
    if new.type == "ExternalName":
        return new
    outside = new.type in ("NodePort", "LoadBalancer")
    watched = (
        new.type == "LoadBalancer" and (new.externalTrafficPolicy or old.externalTrafficPolicy) == "Local"
    )
    numbers = {(port.port, port.protocol): port.nodePort for port in old.ports if outside}
    ports = tuple(
        port if port.nodePort else evolve(port, nodePort=numbers.get((port.port, port.protocol), 0))
        for port in new.ports
    )
    return evolve(
        new,
        clusterIP=new.clusterIP or old.clusterIP,
        clusterIPs=new.clusterIPs or old.clusterIPs,
        ipFamilies=new.ipFamilies or old.ipFamilies,
        ipFamilyPolicy=new.ipFamilyPolicy or old.ipFamilyPolicy,
        externalTrafficPolicy=new.externalTrafficPolicy or (old.externalTrafficPolicy if outside else ""),
        healthCheckNodePort=new.healthCheckNodePort or (old.healthCheckNodePort if watched else 0),
        ports=ports,
    )
