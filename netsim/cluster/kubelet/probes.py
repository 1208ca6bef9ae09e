"""Probe workers: one per container and kind of probe (pkg/kubelet/prober/worker.go).

Theory of operation. The worker's ticker starts when the pod is taken in and ticks every period, whatever happens; so the time from an
outside failure to the next probe is uniform over the period. A tick does nothing while the container is not running, within the
initial delay, or (readiness, liveness) until the startup probe has succeeded; a container that is not running is not ready at once.
Results of the same kind in a row are counted; the opinion changes when the count reaches the threshold, and any other result
starts the count anew. A container that is seen running for the first time is probed for readiness at once (manualTriggerCh).
A failed liveness or startup probe is on hold until the container has been restarted; both end when the pod is being
deleted, readiness goes on. Sources: F:probe.phase, F:probe.threshold_reset, F:probe.nonrunning_container, F:probe.on_deletion,
F:probe.manual_trigger.
"""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from netsim.cluster.objects import Probe
from netsim.engine import S

if TYPE_CHECKING:
    from netsim.cluster.kubelet.container import ContainerRun
    from netsim.engine import Call, Engine


class ProbeKind(Enum):
    """Which probe of a container."""

    READINESS = "readiness"
    LIVENESS = "liveness"
    STARTUP = "startup"


class ProbeWorker:
    """Runs one probe and keeps its opinion: `healthy` is None until there is one."""

    __slots__ = (
        "_asking",
        "_call",
        "_container",
        "_engine",
        "_generation",
        "_in_a_row",
        "_last",
        "_on_change",
        "_on_hold",
        "_ticked",
        "healthy",
        "kind",
        "probe",
    )

    def __init__(
        self,
        engine: "Engine",
        kind: ProbeKind,
        probe: Probe,
        container: "ContainerRun",
        on_change: Callable[["ProbeWorker"], None],
    ) -> None:
        self._engine = engine
        self.kind = kind
        self.probe = probe
        self._container = container
        self._on_change = on_change
        self.healthy: bool | None = None
        self._generation = 0  # which start of the container the counts belong to
        self._last: bool | None = None
        self._in_a_row = 0
        self._on_hold = False
        self._asking = False
        self._ticked = False
        self._call: Call | None = engine.call_later(probe.periodSeconds * S, self._tick)

    def stop(self) -> None:
        """The pod is going or gone."""
        if self._call is not None:
            self._call.cancel()
        self._call = None

    def container_started(self) -> None:
        """A new container runs: forget what was known of its predecessor."""
        self._generation += 1
        self.healthy, self._last, self._in_a_row, self._on_hold, self._asking = None, None, 0, False, False

    def trigger(self) -> None:
        """Probe now, besides the ticks (a started container without a readiness result)."""
        if self._call is not None:
            self._run()

    def _tick(self) -> None:
        self._call = self._engine.call_later(self.probe.periodSeconds * S, self._tick)
        if self._asking:
            self._ticked = True  # the ticker's channel holds one tick; it is taken up when the probe returns
        else:
            self._run()

    def _run(self) -> None:
        container = self._container
        if not container.seen_running or self._on_hold or self._asking:
            return
        if self._engine.now - container.started_ns < self.probe.initialDelaySeconds * S:
            return
        if container.passed_startup == (self.kind is ProbeKind.STARTUP):
            return
        self._asking = True
        generation = self._generation
        container.ask(self.probe, lambda success: self._answered(generation, success))

    def _answered(self, generation: int, success: bool) -> None:
        if generation != self._generation or self._call is None:
            return
        self._asking = False
        self._count(success)
        if self._ticked:
            self._ticked = False
            self._run()

    def _count(self, success: bool) -> None:
        self._in_a_row = self._in_a_row + 1 if success == self._last else 1
        self._last = success
        threshold = self.probe.successThreshold if success else self.probe.failureThreshold
        if self._in_a_row < threshold:
            return
        if not success and self.kind is not ProbeKind.READINESS:
            self._on_hold, self._in_a_row = True, 0
        if success != self.healthy:
            self.healthy = success
            self._on_change(self)
