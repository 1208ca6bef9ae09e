"""One pod's life on its node: sandbox, containers, probes, crashes and restarts, deletion.

Called by: `kubelet.py`. Source: pkg/kubelet/pod_workers.go, kubelet.go (SyncPod, SyncTerminatingPod,
SyncTerminatedPod), kuberuntime_manager.go (computePodActions), kuberuntime_container.go (killContainer).

Theory of operation::

    starting <-> running -> terminating -> terminated
        |__________________^ (deleted before it ran)

It goes back to starting when its sandbox has died.

Starting and terminating take time and run as processes; in between the worker only reacts: to the relist (a container
started or ended), to probe results, to timers of CrashLoopBackOff. Each reaction computes the pod's status anew and
gives it to the status manager, which writes what has changed.

Simplified: ordinary init containers take the time of a container start and succeed; images are there.
"""

from collections.abc import Generator
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster.kubelet.container import ContainerRun, RunState
from netsim.cluster.kubelet.container_env import ConfigError
from netsim.cluster.kubelet.podstatus import pod_status
from netsim.cluster.kubelet.probes import ProbeKind, ProbeWorker, Result
from netsim.cluster.kubelet.termination import kill_container
from netsim.cluster.objects import Container, Pod, PodStatus
from netsim.engine import S

if TYPE_CHECKING:
    from netsim.cluster.kubelet.kubelet import Kubelet


# backOffPeriod with workerBackOffPeriodJitterFactor 0.5 (pkg/kubelet/kubelet.go, pod_workers.go).
_CONFIG_RETRY_NS: Final = 10 * S


class Stage(Enum):
    """Where a pod is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class PodWorker:
    """One pod on this node."""

    def __init__(self, kubelet: "Kubelet", pod: Pod) -> None:
        self._kubelet = kubelet
        self._engine = kubelet.engine
        self._random = kubelet.engine.stream(f"kubelet/{kubelet.node}/pod/{pod.metadata.name}")
        self.pod = pod
        self.ip = ""
        self.more_ips: tuple[str, ...] = ()  # in other families
        self.host: Any = None
        self.stage = Stage.STARTING
        self.started_ns = kubelet.engine.now
        self.containers = [ContainerRun(spec, kubelet.timing) for spec in _long_running(pod)]
        self._probes: dict[tuple[str, ProbeKind], ProbeWorker] = {}
        self._ready = False
        self._status: PodStatus | None = None
        self.gone = False  # the node has died
        self.object_gone = False  # removed from the API by force

    @property
    def deleting(self) -> bool:
        """Whether the pod is being deleted, as far as the kubelet knows."""
        return self.stage in (Stage.TERMINATING, Stage.TERMINATED)

    # ------------------------------------------------------------------------------------------------ start
    def start(self) -> None:
        """Begin the pod's life."""
        self._report("")
        self._start_probes()
        self._engine.process(self._starting(), f"pod/{self.pod.metadata.name}")

    def _starting(self) -> Generator[Any, Any, None]:
        timing, runtime = self._kubelet.timing, self._kubelet.runtime
        yield self._engine.timeout(timing.sandbox_create.sample(self._random))
        if self.stage is not Stage.STARTING or self.gone:
            return
        self.ip = self._kubelet.allocate_address(self.pod)
        self.more_ips = self._kubelet.more_addresses(self.pod)
        self.host = runtime.create_sandbox(self._kubelet.node, self.pod, self.ip, *self.more_ips)
        self._kubelet.prepare_host(self.pod, self.host)
        for _ in range(len(self.pod.spec.initContainers) - _sidecars(self.pod)):
            yield self._engine.timeout(timing.container_start.sample(self._random))
        for container in self.containers:
            yield self._engine.timeout(timing.container_start.sample(self._random))
            yield from self._configuring(container, Stage.STARTING)
            if self.stage is not Stage.STARTING or self.gone:
                return
            self._run(container)
        self.stage = Stage.RUNNING
        # A container may have ended, and been noticed, while the next one was being started.
        for container in self.containers:
            if container.seen.state is RunState.EXITED and not container.running:
                self._restart_if_wanted(container)

    def _configuring(self, container: ContainerRun, stage: Stage) -> Generator[Any, Any, None]:
        """Wait until the container has its environment; retried as a failed sync of the pod is."""
        while self.stage is stage and not self.gone and not self._configured(container):
            yield self._engine.timeout(int(_CONFIG_RETRY_NS * (1 + self._random.random() / 2)))

    def _configured(self, container: ContainerRun) -> bool:
        try:
            self._kubelet.set_environment(self.pod, container.spec, self.host, (self.ip, *self.more_ips))
        except ConfigError as error:
            container.not_configured()
            self._record("ContainerConfigError", container=container.name, message=str(error))
            self._report("")
            return False
        return True

    def _run(self, container: ContainerRun) -> None:
        app = self._kubelet.runtime.app_factory(self.pod, container.spec, self.host)
        app.exited = partial(self._exited, container, app)
        self._record("ContainerStarted", container=container.name, restarts=str(container.now.instance))
        container.start(app, self._engine.now)
        self._kubelet.pleg.changed(self._relisted)

    def _record(self, reason: str, **detail: str) -> None:
        pod_ip = ",".join((self.ip, *self.more_ips))
        self._kubelet.record.about(self.pod, reason, self._kubelet.node, pod_ip=pod_ip, **detail)

    # ------------------------------------------------------------------------------------------------ end of a process
    def _exited(self, container: ContainerRun, app: object, code: int, now: int) -> None:
        if app is not container.app or not container.running:
            return
        cause = container.kill_cause or "exit"
        self._record("ContainerDied", container=container.name, exit_code=str(code), cause=cause)
        container.exited(code, now)
        if not self.gone:
            self._kubelet.pleg.changed(self._relisted)

    def kill(self, container_name: str = "") -> None:
        """SIGKILL from outside to one container or to all: what `kill -9` or the OOM killer does."""
        for container in self.containers:
            if container.running and container.app is not None and container_name in ("", container.name):
                container.kill_cause = "killed"
                container.app.kill(self._engine.now)

    def kill_sandbox(self) -> None:
        """The pause process dies; the containers live on until the kubelet has noticed."""
        if self.stage is Stage.RUNNING:
            self._kubelet.pleg.changed(self._sandbox_changed)

    def _sandbox_changed(self) -> None:
        """No ready sandbox: computePodActions kills the pod and creates another one."""
        if self.stage is Stage.RUNNING and not self.gone:
            self._record("SandboxChanged")
            self.stage = Stage.STARTING
            self._engine.process(self._recreating(), f"sandbox/{self.pod.metadata.name}")

    def _recreating(self) -> Generator[Any, Any, None]:
        grace_ns = self.pod.spec.terminationGracePeriodSeconds * S
        yield from self._killing(grace_ns)
        yield self._engine.timeout(self._kubelet.timing.sandbox_remove.sample(self._random))
        if self.stage is Stage.STARTING and not self.gone:
            self.release()
            yield from self._starting()

    def _relisted(self) -> None:
        """The PLEG shows what the runtime knows."""
        if self.gone:
            return
        news = [container for container in self.containers if container.notice()]
        died = [container for container in news if container.seen.state is RunState.EXITED]
        self._report(died[0].kill_cause or "exit" if died else "")
        if self.stage is Stage.RUNNING:
            for container in died:
                self._restart_if_wanted(container)

    def _restart_if_wanted(self, container: ContainerRun) -> None:
        policy = container.spec.restartPolicy or self.pod.spec.restartPolicy
        if policy == "Never" or (policy == "OnFailure" and container.seen.exit_code == 0):
            return
        finished_ns = container.now.finished_ns
        wait_ns = container.backoff.wait_ns(finished_ns, self._engine.now)
        if wait_ns:
            container.waiting_reason = "CrashLoopBackOff"
            self._report("")
            self._record("BackOff", container=container.name, wait_ns=str(wait_ns))
        self._engine.process(self._restarting(container, wait_ns, finished_ns), f"restart/{container.name}")

    def _restarting(
        self, container: ContainerRun, wait_ns: int, finished_ns: int
    ) -> Generator[Any, Any, None]:
        instance = container.now.instance
        yield self._engine.timeout(wait_ns)
        container.backoff.restarted(finished_ns, self._engine.now)
        yield self._engine.timeout(self._kubelet.timing.container_start.sample(self._random))
        yield from self._configuring(container, Stage.RUNNING)
        if self.stage is Stage.RUNNING and not self.gone and container.now.instance == instance:
            self._run(container)

    # ------------------------------------------------------------------------------------------------ probes
    def _start_probes(self) -> None:
        age_ns = self._engine.now - self._kubelet.started_ns
        for container in self.containers:
            spec = container.spec
            for kind, probe in (
                (ProbeKind.STARTUP, spec.startupProbe),
                (ProbeKind.READINESS, spec.readinessProbe),
                (ProbeKind.LIVENESS, spec.livenessProbe),
            ):
                if probe is None:
                    continue
                run = partial(self._kubelet.run_probe, self)
                worker = ProbeWorker(self._engine, self, container, kind, probe, run)
                self._probes[container.name, kind] = worker
                name = f"kubelet/{self._kubelet.node}/probe/{self.pod.metadata.name}/{container.name}/{kind.value}"
                worker.start(age_ns, self._engine.stream(name))

    def probe_result(self, container: ContainerRun, kind: ProbeKind, result: Result) -> None:
        """A probe's state has changed."""
        if self.gone or self.stage is Stage.TERMINATED:
            return
        self._report("probe")
        if result is Result.FAILURE and kind is not ProbeKind.READINESS and self.stage is Stage.RUNNING:
            self._kill_unhealthy(container, kind)

    def _kill_unhealthy(self, container: ContainerRun, kind: ProbeKind) -> None:
        if not container.running or container.killing:
            return
        spec = container.spec
        probe = spec.livenessProbe if kind is ProbeKind.LIVENESS else spec.startupProbe
        grace = probe.terminationGracePeriodSeconds if probe else None
        if grace is None:
            grace = self.pod.spec.terminationGracePeriodSeconds
        self._record("Unhealthy", container=container.name, probe=kind.value)
        container.kill_cause = kind.value
        self._engine.process(kill_container(self._kubelet, self, container, grace * S), "kill")

    # ------------------------------------------------------------------------------------------------ deletion
    def terminate(self, grace_ns: int) -> None:
        """The pod is to end: hooks and SIGTERM now, SIGKILL after the grace period."""
        if self.deleting:
            self._engine.call_later(grace_ns, self.kill)  # a repeated deletion can only shorten the period
            return
        self.stage = Stage.TERMINATING
        for (_, kind), worker in self._probes.items():
            if kind is not ProbeKind.READINESS:
                worker.stop()
        self._engine.process(self._terminating(grace_ns), f"terminate/{self.pod.metadata.name}")

    def _killing(self, grace_ns: int) -> Generator[Any, Any, None]:
        """All containers at once; over when the last has ended."""
        running = [container for container in self.containers if container.running]
        killing = [
            self._engine.process(kill_container(self._kubelet, self, container, grace_ns), "kill")
            for container in running
        ]
        yield from killing

    def _terminating(self, grace_ns: int) -> Generator[Any, Any, None]:
        yield from self._killing(grace_ns)
        if self.gone:
            return
        for container in self.containers:
            container.notice()
        self._report("deleted")
        if self.host is not None:
            yield self._engine.timeout(self._kubelet.timing.sandbox_remove.sample(self._random))
        if not self.gone:
            self._terminated()

    def _terminated(self) -> None:
        """Nothing of the pod is left on the node; the object goes when the next relist has confirmed it."""
        self._stop_probes()
        self.release()
        self.stage = Stage.TERMINATED
        self._report("deleted")
        if self.object_gone:
            self._kubelet.forget(self.pod)
        else:
            self._kubelet.pleg.changed(partial(self._kubelet.status.finish, self.pod))

    def release(self) -> None:
        """Tear the sandbox down and give the address back."""
        if self.host is not None:
            self._kubelet.runtime.remove_sandbox(self.host)
            self.host = None
        for address in (self.ip, *self.more_ips):
            self._kubelet.release_address(self.pod, address)

    def crash(self) -> None:
        """The node has died with everything on it."""
        self.gone = True
        self._stop_probes()
        for container in self.containers:
            if container.running and container.app is not None:
                container.kill_cause = "node"
                container.app.kill(self._engine.now)

    def _stop_probes(self) -> None:
        for worker in self._probes.values():
            worker.stop()

    def updated(self, pod: Pod) -> None:
        """A newer version of the object; a readiness gate may have changed."""
        self.pod = pod
        if pod.spec.readinessGates and not self.deleting:
            self._report("")

    # ------------------------------------------------------------------------------------------------ status
    def _report(self, cause: str) -> None:
        """Compute the status and hand it to the status manager; `cause` is what a loss of readiness is put down to."""
        for container in self.containers:
            self._judge(container)
        status = self._status = pod_status(
            self, self._status, self._engine.now, self._kubelet.config.addresses
        )
        self._kubelet.status.set(self.pod, status)
        self._tell_ready(status, cause)

    def _judge(self, container: ContainerRun) -> None:
        """Is it started, is it ready (prober_manager.go UpdatePodStatus)?"""
        seen = container.seen
        running = seen.state is RunState.RUNNING
        startup = self._probes.get((container.name, ProbeKind.STARTUP))
        readiness = self._probes.get((container.name, ProbeKind.READINESS))
        container.started = running and (startup is None or startup.succeeded(seen.instance))
        container.ready = container.started and (readiness is None or readiness.succeeded(seen.instance))
        if container.started and not container.ready and readiness is not None:
            readiness.trigger()

    def _tell_ready(self, status: PodStatus, cause: str) -> None:
        if status.is_ready == self._ready:
            return
        self._ready = status.is_ready
        if self._ready:
            self._record("PodReady")
        else:
            self._record("PodUnready", cause=cause or "condition")


def _long_running(pod: Pod) -> list[Container]:
    """Sidecars (restartable init containers) first, then the containers."""
    sidecars = [spec for spec in pod.spec.initContainers if spec.restartPolicy == "Always"]
    return [*sidecars, *pod.spec.containers]


def _sidecars(pod: Pod) -> int:
    return sum(spec.restartPolicy == "Always" for spec in pod.spec.initContainers)
