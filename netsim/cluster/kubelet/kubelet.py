"""The kubelet of one node: watches the pods that are bound to it and gives each a worker.

Called by: `controlplane.py`, which makes one per node. The parts are described in `netsim/cluster/kubelet/__init__.py`.
Source: pkg/kubelet/kubelet.go (HandlePodAdditions, HandlePodUpdates, HandlePodRemoves), Kubernetes 1.34.

A crashed node's kubelet never does anything again; when the node comes back, a new kubelet starts on it, finds its
pods in the API server and runs them anew, with new addresses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.client import ApiClient, Connection
from netsim.cluster.ipam import PodRange
from netsim.cluster.kubelet.container import ContainerRun
from netsim.cluster.kubelet.container_env import container_environment
from netsim.cluster.kubelet.envvars import ServiceEnvironment
from netsim.cluster.kubelet.heartbeat import Heartbeat
from netsim.cluster.kubelet.pleg import Pleg
from netsim.cluster.kubelet.status import StatusManager
from netsim.cluster.kubelet.worker import PodWorker, Stage
from netsim.cluster.objects import Container, HTTPGetAction, Pod, Probe
from netsim.cluster.ratelimit import TokenBucket
from netsim.cluster.records import Recorder
from netsim.cluster.runtime import NodeConfig, PodRuntime, Prober
from netsim.cluster.timing import Timing
from netsim.cluster.watch import Watch, WatchEvent
from netsim.engine import Engine, S

ResolvConfOf = Callable[[Pod], Any]

_NO_LIMIT_NS: Final = 2**62


@dataclass(frozen=True, slots=True)
class KubeletContext:
    """What all kubelets of a cluster share."""

    engine: Engine
    api: ApiServer
    timing: Timing
    runtime: PodRuntime
    prober: Prober
    environment: ServiceEnvironment
    resolv_conf: ResolvConfOf


class Kubelet:
    """One node's kubelet. `addresses` (and `more`, of other families) outlive it: a node that comes back does not reuse
    addresses at once."""

    def __init__(
        self,
        context: KubeletContext,
        config: NodeConfig,
        addresses: PodRange,
        more: tuple[PodRange, ...] = (),
    ) -> None:
        engine, api, timing = context.engine, context.api, context.timing
        self.engine = engine
        self.timing = timing.kubelet
        self.config = config
        self.node = config.name
        self.node_address = config.address
        self.runtime = context.runtime
        self.record = Recorder(engine, "kubelet")
        self.connection = Connection()
        self.started_ns = 0
        self.alive = False
        self.workers: dict[str, PodWorker] = {}
        self._context = context
        self._addresses = addresses
        self._more_addresses = more
        self._watch: Watch | None = None
        name = f"kubelet/{self.node}"
        limiter = TokenBucket(self.timing.api_qps, self.timing.api_burst)
        self._client = ApiClient(engine, api, timing, name, limiter, self.connection)
        self.pleg = Pleg(engine, self.timing, engine.stream(f"{name}/pleg"))
        self.status = StatusManager(engine, self._client, self.timing, self.record, self.node)
        self.heartbeat = Heartbeat(engine, self._client, self.timing, config)

    # ------------------------------------------------------------------------------------------------ process
    def start(self) -> None:
        """Start: register the node, list and watch its pods."""
        self.alive = True
        self.started_ns = self.engine.now
        self.heartbeat.start()
        self._watch = self._context.api.watch_pods_of(self.node, self._pod_changed, f"kubelet/{self.node}")

    def crash(self) -> None:
        """The node loses power: every process on it ends, and nobody notices."""
        self.alive = False
        self.heartbeat.stop()
        self.pleg.alive = False
        self.connection.die()
        if self._watch is not None:
            self._watch.stop()
        for worker in self.workers.values():
            worker.crash()

    def discard(self) -> None:
        """A dead node comes back: what is left of its old sandboxes is torn down."""
        for worker in self.workers.values():
            worker.release()
        self.workers = {}

    def disconnect(self) -> None:
        """The node cannot reach the API server: its pods run on, nothing is reported or heard."""
        self.connection.cut()
        if self._watch is not None:
            self._watch.disconnect()

    def reconnect(self) -> None:
        """It can again."""
        if not self.alive:
            return
        self.connection.restore()
        if self._watch is not None:
            self._watch.reconnect(self.engine.now)

    # ------------------------------------------------------------------------------------------------ pods
    def _pod_changed(self, event: WatchEvent[Pod]) -> None:
        pod = event.object
        worker = self.workers.get(pod.metadata.uid)
        if event.type == "DELETED":
            self._removed(pod, worker)
        elif worker is None:
            self._added(pod)
        else:
            worker.updated(pod)
            self._maybe_terminate(pod, worker)
            self.status.reconcile(pod)

    def _added(self, pod: Pod) -> None:
        if pod.status.phase in ("Succeeded", "Failed") and pod.metadata.deletionTimestamp is None:
            return
        worker = PodWorker(self, pod)
        self.workers[pod.metadata.uid] = worker
        worker.start()
        self._maybe_terminate(pod, worker)

    def _maybe_terminate(self, pod: Pod, worker: PodWorker) -> None:
        if pod.metadata.deletionTimestamp is not None and not worker.deleting:
            grace = pod.metadata.deletionGracePeriodSeconds
            worker.terminate((pod.spec.terminationGracePeriodSeconds if grace is None else grace) * S)

    def _removed(self, pod: Pod, worker: PodWorker | None) -> None:
        """The object is gone: normally by our own doing; by force, the pod still has to end (within 1 s at least)."""
        if worker is None:
            return
        worker.object_gone = True
        if worker.stage is Stage.TERMINATED:
            self.forget(pod)
        else:
            worker.terminate(max(1, pod.metadata.deletionGracePeriodSeconds or 0) * S)

    def forget(self, pod: Pod) -> None:
        """Nothing is left of the pod, here or in the API server."""
        self.workers.pop(pod.metadata.uid, None)
        self.status.forget(pod.metadata.uid)

    def worker_of(self, pod: Pod) -> PodWorker | None:
        """The worker of a pod that is (or was, while it ends) on this node."""
        return self.workers.get(pod.metadata.uid)

    # ------------------------------------------------------------------------------------------------ for workers
    def allocate_address(self, pod: Pod) -> str:
        """The pod's address: its own, or the node's with hostNetwork."""
        return self.node_address if pod.spec.hostNetwork else self._addresses.allocate()

    def more_addresses(self, pod: Pod) -> tuple[str, ...]:
        """The pod's addresses in the families beside the primary one."""
        if pod.spec.hostNetwork:
            return self.config.more_addresses
        return tuple(addresses.allocate() for addresses in self._more_addresses)

    def release_address(self, pod: Pod, address: str) -> None:
        """The pod's sandbox is gone."""
        if address and not pod.spec.hostNetwork:
            for addresses in (self._addresses, *self._more_addresses):
                addresses.release(address)

    def prepare_host(self, pod: Pod, host: Any) -> None:
        """What the kubelet writes into a new sandbox: host name and resolv.conf. With hostNetwork the host name is the
        node's (kubelet_pods.go GeneratePodHostNameAndDomain)."""
        host.hostname = self.node if pod.spec.hostNetwork else pod.spec.hostname or pod.metadata.name
        host.resolv_conf = self._context.resolv_conf(pod)

    def set_environment(self, pod: Pod, container: Container, host: Any, pod_ips: tuple[str, ...]) -> None:
        """The container's variables, as they are when it starts; the host shows those of the pod's first container.
        Raises ConfigError."""
        api, services = self._context.api, self._context.environment.of(pod)
        env = container_environment(pod, container, services, api, pod_ips, self.config.addresses)
        if container.name == pod.spec.containers[0].name or not host.env:
            host.env = env

    def run_probe(
        self, worker: PodWorker, container: ContainerRun, probe: Probe, done: Callable[[bool, str], None]
    ) -> None:
        """Probe a container over the network, or by a command."""
        timeout_ns = probe.timeoutSeconds * S
        if probe.httpGet is not None:
            address, port = self._place(worker, probe.httpGet.host, probe.httpGet.port, container)
            self._context.prober.http_get(self.node, address, port, probe.httpGet.path, timeout_ns, done)
        elif probe.tcpSocket is not None:
            address, port = self._place(worker, probe.tcpSocket.host, probe.tcpSocket.port, container)
            self._context.prober.tcp_connect(self.node, address, port, timeout_ns, done)
        elif probe.grpc is not None:  # the health service answers whenever the server accepts
            self._context.prober.tcp_connect(self.node, worker.ip, probe.grpc.port, timeout_ns, done)
        elif probe.exec is not None and container.app is not None:
            limit_ns = timeout_ns if self.timing.exec_probe_timeout else _NO_LIMIT_NS
            self._context.prober.exec_command(container.app, probe.exec.command, limit_ns, done)
        else:
            done(True, "no handler")

    def http_hook(
        self, worker: PodWorker, action: HTTPGetAction, timeout_ns: int, done: Callable[[], None]
    ) -> None:
        """A preStop hook that is a request."""
        address, port = self._place(worker, action.host, action.port, None)
        self._context.prober.http_get(
            self.node, address, port, action.path, timeout_ns, lambda _ok, _why: done()
        )

    def _place(
        self, worker: PodWorker, host: str, port: int | str, container: ContainerRun | None
    ) -> tuple[str, int]:
        if isinstance(port, int):
            return host or worker.ip, port
        specs = [container.spec] if container else [run.spec for run in worker.containers]
        for spec in specs:
            for offered in spec.ports:
                if offered.name == port:
                    return host or worker.ip, offered.containerPort
        return host or worker.ip, int(port) if port.isdigit() else 0
