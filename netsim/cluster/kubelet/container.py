"""One container of a pod: its process, what the runtime knows of it, and what the kubelet has noticed.

Called by: `worker.py`. The runtime's knowledge (`state`) changes when the process starts or ends; the kubelet's
(`seen`) follows at the next relist, and the API's after a status write. Failures of detection live between the three.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from netsim.cluster.kubelet.backoff import CrashBackoff
from netsim.cluster.objects import Container, ContainerState, ContainerStatus
from netsim.cluster.objects.pod import ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting
from netsim.cluster.timing import KubeletTiming
from netsim.fabric.app import App


class RunState(Enum):
    """What the runtime says of a container."""

    WAITING = "waiting"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A container at one moment. `instance` counts its starts, as the container ID changes with each (0: never)."""

    state: RunState = RunState.WAITING
    instance: int = 0
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int = 0
    reason: str = "ContainerCreating"


class ContainerRun:
    """A container over all its restarts."""

    def __init__(self, spec: Container, timing: KubeletTiming) -> None:
        self.spec = spec
        self.app: App | None = None
        self.now = Snapshot()
        self.seen = Snapshot()
        self.last_exit: Snapshot | None = None
        self.started = False  # the startup probe has succeeded, or there is none
        self.ready = False
        self.killing = False
        self.kill_cause = ""
        self.waiting_reason = ""
        self.backoff = CrashBackoff(timing.crash_backoff_ns, timing.crash_backoff_max_ns)
        self.on_exit: list[Callable[[], None]] = []

    @property
    def name(self) -> str:
        """The container's name."""
        return self.spec.name

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.now.state is RunState.RUNNING

    def not_configured(self) -> None:
        """It cannot be created: what its environment refers to is not there."""
        self.now = self.seen = replace(self.now, reason="CreateContainerConfigError")

    def start(self, app: App, now: int) -> None:
        """The runtime has created the container: its process begins."""
        if self.now.state is RunState.EXITED:
            self.last_exit = self.now
        self.app = app
        self.now = Snapshot(RunState.RUNNING, self.now.instance + 1, started_ns=now)
        self.killing, self.kill_cause, self.waiting_reason = False, "", ""
        app.start(now)

    def exited(self, code: int, now: int) -> None:
        """Its process has ended."""
        reason = "Completed" if code == 0 else "Error"
        self.now = Snapshot(RunState.EXITED, self.now.instance, self.now.started_ns, now, code, reason)
        waiting, self.on_exit = self.on_exit, []
        for resume in waiting:
            resume()

    def notice(self) -> bool:
        """The kubelet sees the runtime's knowledge; whether that was news."""
        if self.seen == self.now:
            return False
        if self.seen.instance != self.now.instance:
            self.started = self.ready = False
        self.seen = self.now
        return True

    def status(self) -> ContainerStatus:
        """What the pod's status says of it; `waiting_reason` (CrashLoopBackOff) goes before how it ended."""
        seen = self.seen
        last = ContainerState()
        state = _state(seen)
        if self.waiting_reason and seen.state is RunState.EXITED:
            state, last = ContainerState(waiting=ContainerStateWaiting(reason=self.waiting_reason)), state
        elif self.last_exit is not None and self.last_exit.instance < seen.instance:
            last = _state(self.last_exit)
        return ContainerStatus(
            name=self.name,
            ready=self.ready,
            started=self.started,
            restartCount=max(0, seen.instance - 1),
            state=state,
            lastState=last,
            image=self.spec.image,
            containerID=f"netsim://{self.name}/{seen.instance}" if seen.instance else "",
        )


def _state(seen: Snapshot) -> ContainerState:
    if seen.state is RunState.RUNNING:
        return ContainerState(running=ContainerStateRunning(startedAt=seen.started_ns))
    if seen.state is RunState.WAITING:
        return ContainerState(waiting=ContainerStateWaiting(reason=seen.reason))
    ended = ContainerStateTerminated(
        exitCode=seen.exit_code,
        reason=seen.reason,
        startedAt=seen.started_ns,
        finishedAt=seen.finished_ns,
    )
    return ContainerState(terminated=ended)
