"""One container of a pod: its process, what the kubelet has seen of it, its probes and its restarts.

Two truths are kept apart: whether the process runs (`app`), and whether the kubelet knows (`seen_running`, `seen_dead`), which is PLEG's
business. The restart back-off is client-go's flowcontrol.Backoff as the kubelet uses it: the first restart is immediate, then
10 s after the end, doubling to 300 s, forgotten when the container ran for twice the maximum (F:kubelet.crashLoop).
"""

from typing import TYPE_CHECKING

from netsim.cluster.kubelet.probes import ProbeKind, ProbeWorker
from netsim.cluster.objects import (
    Container,
    ContainerState,
    ContainerStatus,
    HTTPGetAction,
    Probe,
)
from netsim.cluster.objects.pod import (
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
)
from netsim.engine import S

if TYPE_CHECKING:
    from netsim.cluster.kubelet.pod_worker import PodWorker
    from netsim.cluster.runtime import ProbeDone
    from netsim.fabric.app import App


class ContainerRun:
    """A container through all its restarts."""

    def __init__(self, pod: "PodWorker", spec: Container) -> None:
        self._pod = pod
        self.spec = spec
        self.app: App | None = None
        self.app_ended = False
        self.started_ns = 0
        self.finished_ns = 0
        self.exit_code = 0
        self.restarts = 0
        self.seen_running = False
        self.seen_dead = False
        self.waiting = "ContainerCreating"
        self._backoff_ns = 0
        self._last: ContainerStateTerminated | None = None
        self.probes = [
            ProbeWorker(pod.engine, kind, probe, self, pod.probe_changed)
            for kind, probe in (
                (ProbeKind.READINESS, spec.readinessProbe),
                (ProbeKind.LIVENESS, spec.livenessProbe),
                (ProbeKind.STARTUP, spec.startupProbe),
            )
            if probe is not None
        ]

    # ------------------------------------------------------------------ the process
    @property
    def running(self) -> bool:
        """Whether the process is alive, known or not."""
        return self.app is not None and not self.app_ended

    def start(self, now: int) -> None:
        """Create and start the process."""
        self.app = self._pod.make_app(self.spec)
        self.app_ended = self.seen_dead = self.seen_running = False
        self.started_ns = now
        self.app.exited = self._exited
        self.app.start(now)
        self._pod.container_started(self)

    def _exited(self, exit_code: int, now: int) -> None:
        if self.app_ended:
            return
        self.app_ended = True
        self.exit_code = exit_code
        self.finished_ns = now
        self._pod.container_died(self)

    # ------------------------------------------------------------------ what PLEG sees
    def saw_running(self) -> None:
        """The kubelet learns that the container runs."""
        self.seen_running = True
        self.waiting = ""
        for worker in self.probes:
            worker.container_started()

    def saw_dead(self) -> None:
        """The kubelet learns that it has ended."""
        self.seen_running, self.seen_dead = False, True
        self._last = ContainerStateTerminated(
            exitCode=self.exit_code,
            reason="Completed" if self.exit_code == 0 else "Error",
            startedAt=self.started_ns,
            finishedAt=self.finished_ns,
        )

    def restart_wait_ns(self, now: int) -> int | None:
        """How long to wait before the restart that the policy asks for; None: no restart."""
        policy = self._pod.pod.spec.restartPolicy
        if policy == "Never" or (policy == "OnFailure" and self.exit_code == 0):
            return None
        times = self._pod.timing.kubelet
        if self.finished_ns - self.started_ns > 2 * times.crash_backoff_max_ns:
            self._backoff_ns = 0
        wait_ns = max(0, self.finished_ns + self._backoff_ns - now) if self._backoff_ns else 0
        self._backoff_ns = min(max(times.crash_backoff_ns, 2 * self._backoff_ns), times.crash_backoff_max_ns)
        self.waiting = "CrashLoopBackOff" if wait_ns else "ContainerCreating"
        self.restarts += 1
        return wait_ns

    # ------------------------------------------------------------------ probes
    def _worker(self, kind: ProbeKind) -> ProbeWorker | None:
        return next((worker for worker in self.probes if worker.kind is kind), None)

    @property
    def passed_startup(self) -> bool:
        """Whether the startup probe, if there is one, has succeeded since the last start."""
        worker = self._worker(ProbeKind.STARTUP)
        return worker is None or worker.healthy is True

    @property
    def ready(self) -> bool:
        """The container's part of the pod's readiness, as the kubelet sees it."""
        worker = self._worker(ProbeKind.READINESS)
        return self.seen_running and self.passed_startup and (worker is None or worker.healthy is True)

    def trigger_readiness(self) -> None:
        """Ask at once, if readiness is not known yet."""
        worker = self._worker(ProbeKind.READINESS)
        if worker is not None and worker.healthy is None:
            worker.trigger()

    def ask(self, probe: Probe, done: "ProbeDone") -> None:
        """Run a probe against the container."""
        timeout_ns = probe.timeoutSeconds * S
        address, node, prober = self._pod.address, self._pod.node, self._pod.prober
        if probe.httpGet is not None:
            action: HTTPGetAction = probe.httpGet
            port = self._port(action.port)
            prober.http(node, action.host or address, port, action.path, timeout_ns, done)
        elif probe.tcpSocket is not None:
            prober.tcp(node, probe.tcpSocket.host or address, self._port(probe.tcpSocket.port), timeout_ns, done)
        elif probe.grpc is not None:
            prober.tcp(node, address, probe.grpc.port, timeout_ns, done)
        else:
            command = probe.exec.command if probe.exec is not None else ()
            prober.exec(node, self.app, command, timeout_ns, done)

    def _port(self, port: int | str) -> int:
        if isinstance(port, int):
            return port
        named = (entry.containerPort for entry in self.spec.ports if entry.name == port)
        return next(named, int(port) if port.isdigit() else 0)

    def stop_probes(self, keep_readiness: bool) -> None:
        """The pod is being deleted (readiness goes on) or is over."""
        for worker in self.probes:
            if not (keep_readiness and worker.kind is ProbeKind.READINESS):
                worker.stop()

    # ------------------------------------------------------------------ reporting
    def status(self) -> ContainerStatus:
        """What the kubelet reports."""
        if self.seen_running:
            state = ContainerState(running=ContainerStateRunning(startedAt=self.started_ns))
        elif self.seen_dead and self._last is not None and not self.waiting:
            state = ContainerState(terminated=self._last)
        else:
            state = ContainerState(waiting=ContainerStateWaiting(reason=self.waiting))
        return ContainerStatus(
            name=self.spec.name,
            image=self.spec.image,
            ready=self.ready,
            started=self.seen_running and self.passed_startup,
            restartCount=self.restarts,
            state=state,
            lastState=ContainerState(terminated=self._last if not state.terminated else None),
        )

