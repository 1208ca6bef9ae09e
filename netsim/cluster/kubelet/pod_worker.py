"""A pod's life on its node, from sandbox to removal (pkg/kubelet/pod_workers.go, kuberuntime_manager.go).

::

    taken in -> sandbox -> containers -> seen running -> ready ... -> terminating -> all dead -> sandbox gone -> removed
                              ^   |                                       (preStop, SIGTERM, SIGKILL)
                              +---+ crash seen, back-off

Deletion: the kubelet runs preStop, then sends SIGTERM, and SIGKILL when the grace period, which began with preStop, is over (a preStop that
overran it leaves 2 s). Meanwhile the endpoint goes by its own way, through the API server: that race is not decided here.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from netsim.cluster.kubelet.container import ContainerRun
from netsim.cluster.kubelet.envvars import service_env, services_for_pod
from netsim.cluster.kubelet.probes import ProbeKind, ProbeWorker
from netsim.cluster.kubelet.status import StatusWriter, status_of
from netsim.cluster.objects import Container, LifecycleHandler, Pod, Service
from netsim.engine import S

if TYPE_CHECKING:
    from netsim.cluster.kubelet.kubelet import Kubelet
    from netsim.fabric.app import App
    from netsim.fabric.host import Host


class PodWorker:
    """One pod."""

    def __init__(self, kubelet: "Kubelet", pod: Pod) -> None:
        self._kubelet = kubelet
        self.engine = kubelet.engine
        self.timing = kubelet.timing
        self.prober = kubelet.prober
        self.node = kubelet.node
        self.pod = pod
        self.host: Host | None = None
        self.address = ""
        self.terminating = False
        self.finished = False
        self._ready = False
        self._random = self.engine.stream(f"kubelet/{self.node}/pod/{pod.metadata.namespace}/{pod.metadata.name}")
        self.containers = [ContainerRun(self, spec) for spec in pod.spec.containers]
        self._status = StatusWriter(kubelet.client, kubelet.record, self.node, self._status_of)
        self._later(kubelet.timing.kubelet.sandbox_create.sample(self._random), self._sandbox_ready)

    def _later(self, delay_ns: int, function: Any, *args: Any) -> None:
        self.engine.call_later(delay_ns, self._unless_dead, function, *args)

    def _unless_dead(self, function: Any, *args: Any) -> None:
        if not self._kubelet.dead and not self.finished:
            function(*args)

    # ------------------------------------------------------------------ starting
    def _sandbox_ready(self) -> None:
        if self.terminating:
            self._remove()
            return
        self.address = self._kubelet.addresses.allocate()
        self.host = self._kubelet.runtime.create_sandbox(self.node, self.pod, self.address)
        self.host.hostname = self.pod.spec.hostname or self.pod.metadata.name
        self.host.resolv_conf = self._kubelet.resolv_conf(self.pod)
        wait_ns = 0
        times = self.timing.kubelet
        for _init in self.pod.spec.initContainers:  # each runs to its end before the next; what it does takes no time
            wait_ns += times.container_start.sample(self._random)
        for container in self.containers:
            wait_ns += times.container_start.sample(self._random)
            self._later(wait_ns, self._start, container)
        self.report()

    def _start(self, container: ContainerRun) -> None:
        if self.terminating or self.host is None:
            return
        services = services_for_pod(
            self._kubelet.api.list(Service), self.pod.metadata.namespace, self.pod.spec.enableServiceLinks
        )
        self.host.env = {"HOSTNAME": self.host.hostname, **service_env(services)}
        container.start(self.engine.now)

    def make_app(self, spec: Container) -> "App":
        """The process of a container."""
        assert self.host is not None
        return self._kubelet.runtime.app_for(self.pod, spec, self.host)

    # ------------------------------------------------------------------ what happens to containers
    def container_started(self, container: ContainerRun) -> None:
        """A process runs; the kubelet sees it at its next relist."""
        self._kubelet.record.about(
            self.pod, "ContainerStarted", self.node, container=container.spec.name, pod_ip=self.address
        )
        self._later(self._kubelet.pleg_delay_ns(), self._saw_running, container, container.started_ns)

    def container_died(self, container: ContainerRun) -> None:
        """A process ended; the kubelet sees it at its next relist (or, while terminating, from the runtime)."""
        self._kubelet.record.about(
            self.pod,
            "ContainerDied",
            self.node,
            container=container.spec.name,
            exit_code=str(container.exit_code),
            pod_ip=self.address,
        )
        if self.terminating:
            self._later(self.timing.kubelet.container_reap.sample(self._random), self._saw_dead, container)
        else:
            self._later(self._kubelet.pleg_delay_ns(), self._saw_dead, container)

    def _saw_running(self, container: ContainerRun, started_ns: int) -> None:
        if not container.running or container.started_ns != started_ns:
            return
        container.saw_running()
        container.trigger_readiness()
        self.report()

    def _saw_dead(self, container: ContainerRun) -> None:
        if container.running or container.seen_dead:
            return
        container.saw_dead()
        if self.terminating:
            self.report("deleted")
            self._removed_if_all_dead()
            return
        wait_ns = container.restart_wait_ns(self.engine.now)
        self.report("exit")
        if wait_ns is not None:
            start_ns = self.timing.kubelet.container_start.sample(self._random)
            self._later(wait_ns + start_ns, self._start, container)

    def probe_changed(self, worker: ProbeWorker) -> None:
        """A probe changed its opinion."""
        if self.finished or self._kubelet.dead:
            return
        container = next(c for c in self.containers if worker in c.probes)
        if worker.kind is not ProbeKind.READINESS and worker.healthy is False:
            self._kill(container, worker.probe.terminationGracePeriodSeconds)
        if worker.kind is ProbeKind.STARTUP and worker.healthy:
            container.trigger_readiness()
        self.report("probe")

    # ------------------------------------------------------------------ ending
    def updated(self, pod: Pod) -> None:
        """The API server has a newer version of the pod."""
        gates_before = [c for c in self.pod.status.conditions if c.type not in ("Ready", "ContainersReady")]
        self.pod = pod
        if pod.metadata.deletionTimestamp is not None and not self.terminating:
            self.terminate(pod.metadata.deletionGracePeriodSeconds or 0)
        elif [c for c in pod.status.conditions if c.type not in ("Ready", "ContainersReady")] != gates_before:
            self.report("gate")

    def terminate(self, grace_seconds: int) -> None:
        """The pod is to go within the grace period."""
        if self.terminating or self.finished:
            return
        self.terminating = True
        self._kubelet.record.about(self.pod, "PodTerminating", self.node, pod_ip=self.address)
        for container in self.containers:
            container.stop_probes(keep_readiness=True)
            if container.running:
                self._kill(container, grace_seconds)
        self._removed_if_all_dead()

    def _kill(self, container: ContainerRun, grace_seconds: int | None) -> None:
        """preStop, SIGTERM, SIGKILL."""
        grace = self.pod.spec.terminationGracePeriodSeconds if grace_seconds is None else grace_seconds
        hook = container.spec.lifecycle.preStop if container.spec.lifecycle is not None else None
        hook_ns = min(_hook_ns(hook), grace * S)
        left_ns = max(grace * S - hook_ns, self.timing.kubelet.minimum_grace_ns if hook else 0)
        app = container.app
        self._later(hook_ns, self._signal, container, app, "terminate")
        self._later(hook_ns + left_ns, self._signal, container, app, "kill")

    def _signal(self, container: ContainerRun, app: "App", signal: str) -> None:
        if container.running and container.app is app:
            getattr(app, signal)(self.engine.now)

    def _removed_if_all_dead(self) -> None:
        if any(container.running or (container.app and not container.seen_dead) for container in self.containers):
            return
        self._later(self.timing.kubelet.sandbox_remove.sample(self._random), self._remove)

    def _remove(self) -> None:
        """Nothing runs any more: tear the sandbox down and let the API server forget the pod."""
        self.release()
        api, pod = self._kubelet.api, self.pod
        self._kubelet.client.submit(partial(api.delete, Pod, *pod.key, 0, pod.metadata.uid))
        self._kubelet.removed(self)

    def release(self) -> None:
        """Give back what the pod held on the node."""
        self.finished = True
        self._status.stop()
        for container in self.containers:
            container.stop_probes(keep_readiness=False)
        if self.host is not None:
            self._kubelet.runtime.remove_sandbox(self.host)
            self._kubelet.addresses.release(self.address)
            self.host = None

    # ------------------------------------------------------------------ reporting
    def _status_of(self, pod: Pod) -> Any:
        return status_of(pod, self.containers, self.address, self._kubelet.address, self.engine.now)

    def report(self, cause: str = "") -> None:
        """Tell the API server, and the record bus when readiness has changed."""
        status = self._status_of(self.pod)
        if status.is_ready != self._ready:
            self._ready = status.is_ready
            reason = "PodReady" if self._ready else "PodUnready"
            self._kubelet.record.about(self.pod, reason, self.node, cause=cause, pod_ip=self.address)
        self._status.write(self.pod)


def _hook_ns(hook: LifecycleHandler | None) -> int:
    """How long a preStop hook takes: a sleep as long as it says; HTTP and other commands are over at once."""
    if hook is None:
        return 0
    if hook.sleep is not None:
        return hook.sleep.seconds * S
    words = " ".join(hook.exec.command).split() if hook.exec is not None else []
    if "sleep" in words[:-1]:
        text = words[words.index("sleep") + 1].rstrip("s;")
        return int(float(text) * S) if text.replace(".", "", 1).isdigit() else 0
    return 0
