"""The kubelet of one node: takes in the pods bound to it, renews the node's lease, and relists containers once a second (PLEG).

PLEG is not polled: what happens to a container at a moment is seen at the first relist after it, whose phase is random per node, plus the
time that the relist itself takes (F:kubelet.plegRelistPeriod; 50 to 300 ms).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netsim.cluster.client import ApiClient, Connection
from netsim.cluster.ipam import PodRange
from netsim.cluster.kubelet.lease import LeaseRenewer
from netsim.cluster.kubelet.pod_worker import PodWorker
from netsim.cluster.objects import Pod
from netsim.cluster.ratelimit import TokenBucket
from netsim.cluster.records import Recorder
from netsim.cluster.runtime import PodRuntime, Prober
from netsim.cluster.watch import Watch, WatchEvent

if TYPE_CHECKING:
    from netsim.cluster.apiserver import ApiServer
    from netsim.cluster.timing import Timing
    from netsim.engine import Engine

ResolvConfFor = Callable[[Pod], Any]


class Kubelet:
    """One node's kubelet. `address` is the node's InternalIP, `pod_cidr` the range of its pods' addresses."""

    def __init__(
        self,
        engine: "Engine",
        api: "ApiServer",
        timing: "Timing",
        node: str,
        address: str,
        pod_cidr: str,
        runtime: PodRuntime,
        prober: Prober,
        resolv_conf: ResolvConfFor,
    ) -> None:
        self.engine = engine
        self.api = api
        self.timing = timing
        self.node = node
        self.address = address
        self.runtime = runtime
        self.prober = prober
        self.resolv_conf = resolv_conf
        self.addresses = PodRange(pod_cidr)
        self.connection = Connection()
        limiter = TokenBucket(timing.kubelet.api_qps, timing.kubelet.api_burst)
        self.client = ApiClient(engine, api, timing, f"kubelet/{node}", limiter, self.connection)
        self.record = Recorder(engine, "kubelet")
        self.dead = False
        self.workers: dict[str, PodWorker] = {}
        self._lease = LeaseRenewer(engine, ApiClient(engine, api, timing, f"lease/{node}", None, self.connection), timing, node)
        self._random = engine.stream(f"kubelet/{node}/pleg")
        self._phase_ns = int(self._random.random() * timing.kubelet.pleg_relist_period_ns)
        self._watch: Watch | None = None

    def start(self) -> None:
        """Start the process."""
        self._lease.start()
        self._watch = self.api.watch_pods_of(self.node, self._changed, f"kubelet/{self.node}")

    def die(self) -> None:
        """The node is gone, and everything on it."""
        self.dead = True
        self._lease.stop()
        self.connection.die()
        if self._watch is not None:
            self._watch.stop()
        for worker in self.workers.values():
            for container in worker.containers:
                container.stop_probes(keep_readiness=False)

    def pleg_delay_ns(self) -> int:
        """From now until the kubelet has seen what has just happened to a container."""
        times = self.timing.kubelet
        since_tick = (self.engine.now - self._phase_ns) % times.pleg_relist_period_ns
        return times.pleg_relist_period_ns - since_tick + times.pleg_relist.sample(self._random)

    def worker(self, pod: Pod) -> PodWorker | None:
        """The worker of a pod that is here."""
        return self.workers.get(pod.metadata.uid)

    def removed(self, worker: PodWorker) -> None:
        """A pod has been torn down."""
        self.workers.pop(worker.pod.metadata.uid, None)

    def _changed(self, event: WatchEvent[Pod]) -> None:
        pod = event.object
        worker = self.workers.get(pod.metadata.uid)
        if event.type == "DELETED":
            if worker is not None:
                worker.pod = pod
                worker.terminate(1)  # removed by force: the kubelet still gives the processes a second
        elif worker is not None:
            worker.updated(pod)
        elif pod.metadata.deletionTimestamp is None and pod.status.phase not in ("Succeeded", "Failed"):
            self.workers[pod.metadata.uid] = PodWorker(self, pod)
        elif pod.metadata.deletionTimestamp is not None:
            self.client.submit(lambda: self.api.delete(Pod, *pod.key, 0, pod.metadata.uid))
