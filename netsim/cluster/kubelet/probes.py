"""Probe workers: one per container and kind of probe.

Called by: `worker.py`, which starts them with the pod and is told of results. Source: pkg/kubelet/prober/worker.go and
prober_manager.go (Kubernetes 1.34); timing facts probe.*.

Theory of operation. A worker probes when it starts, then at every tick of a fixed-period ticker; only if the kubelet
itself started less than a period ago does it first sleep a random part of the period. While a probe is under way the
ticker can remember one tick. A manual trigger (the pod's status was computed and the container is not ready yet)
probes at once and restarts the ticker, so that a new container's probes run from the moment it was seen to run.

A result counts after it has come `threshold` times in a row; a run of the other result starts the count anew.

==========  ============  ==========================================================================
kind        before first  special
==========  ============  ==========================================================================
readiness   Failure       goes on while the pod terminates
liveness    Success       Failure: the container is killed, probing waits for its successor;
                          deletion of the pod: Success, and the worker ends
startup     Unknown       others wait for its Success; then it rests; Failure and deletion as liveness
==========  ============  ==========================================================================

A container that does not run is not ready at once, without any threshold.
"""

from collections.abc import Callable
from enum import Enum
from random import Random
from typing import Protocol

from netsim.cluster.kubelet.container import ContainerRun, RunState
from netsim.cluster.objects import Probe
from netsim.engine import Call, Engine, S


class ProbeKind(Enum):
    """What a probe decides."""

    READINESS = "readiness"
    LIVENESS = "liveness"
    STARTUP = "startup"


class Result(Enum):
    """The state of a probe."""

    SUCCESS = "Success"
    FAILURE = "Failure"
    UNKNOWN = "Unknown"


_INITIAL = {
    ProbeKind.READINESS: Result.FAILURE,
    ProbeKind.LIVENESS: Result.SUCCESS,
    ProbeKind.STARTUP: Result.UNKNOWN,
}

RunProbe = Callable[[ContainerRun, Probe, Callable[[bool, str], None]], None]


class ProbedPod(Protocol):
    """What a worker needs of its pod."""

    @property
    def deleting(self) -> bool:
        """Whether the pod has a deletionTimestamp, as far as the kubelet knows."""

    def probe_result(self, container: ContainerRun, kind: ProbeKind, result: Result) -> None:
        """A probe's state has changed."""


class ProbeWorker:
    """One probe of one container."""

    def __init__(
        self,
        engine: Engine,
        pod: ProbedPod,
        container: ContainerRun,
        kind: ProbeKind,
        probe: Probe,
        run: RunProbe,
    ) -> None:
        self._engine = engine
        self._pod = pod
        self._container = container
        self._probe = probe
        self._run = run
        self._period_ns = probe.periodSeconds * S
        self._ticker: Call | None = None
        self._asleep = True
        self._in_flight = False
        self._tick_waits = False
        self._trigger_waits = False
        self._stopped = False
        self._on_hold = False
        self._instance = 0
        self._last: Result | None = None
        self._run_length = 0
        self.kind = kind
        self.result = _INITIAL[kind]

    # ------------------------------------------------------------------------------------------------ rhythm
    def start(self, kubelet_age_ns: int, random: Random) -> None:
        """Begin; `kubelet_age_ns` is how long the kubelet has been running."""
        sleep_ns = 0
        if self._period_ns > kubelet_age_ns:
            sleep_ns = int(random.random() * self._period_ns)
        self._ticker = self._engine.call_later(sleep_ns, self._awake)

    def _awake(self) -> None:
        self._asleep = False
        self._restart_ticker()
        self._probe_once()

    def _restart_ticker(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._ticker = self._engine.call_later(self._period_ns, self._tick)

    def _tick(self) -> None:
        self._ticker = self._engine.call_later(self._period_ns, self._tick)
        if self._in_flight:
            self._tick_waits = True
        else:
            self._probe_once()

    def trigger(self) -> None:
        """Probe now, or as soon as the present probe is over."""
        if self._stopped:
            return
        if self._in_flight or self._asleep:
            self._trigger_waits = True
            return
        self._restart_ticker()
        self._probe_once()

    def stop(self) -> None:
        """No further probes."""
        self._stopped = True
        if self._ticker is not None:
            self._ticker.cancel()

    def _idle(self) -> None:
        """Between two probes: a trigger or a tick may have come meanwhile."""
        if self._stopped:
            return
        if self._trigger_waits:
            self._trigger_waits = False
            self.trigger()
        elif self._tick_waits:
            self._tick_waits = False
            self._probe_once()

    def succeeded(self, instance: int) -> bool:
        """Whether the probe's state is Success for this instance of the container."""
        return self.result is Result.SUCCESS and self._instance == instance

    # ------------------------------------------------------------------------------------------------ one probe
    def _probe_once(self) -> None:
        self._in_flight = True  # also while deciding: what a new result triggers has to wait
        if self._may_probe():
            self._run(self._container, self._probe, self._done)
        else:
            self._in_flight = False
            self._idle()

    def _may_probe(self) -> bool:
        """Whether there is anything to probe; sets the result where that is already decided."""
        seen = self._container.seen
        if not seen.instance:
            return False
        if seen.instance != self._instance:
            self._instance = seen.instance
            self._on_hold = False
            self._set(_INITIAL[self.kind])
        if self._on_hold:
            return False
        if seen.state is not RunState.RUNNING:
            self._set(Result.FAILURE)
            return False
        if self._pod.deleting and self.kind is not ProbeKind.READINESS:
            self._set(Result.SUCCESS)
            self.stop()
            return False
        if (self._engine.now - seen.started_ns) // S < self._probe.initialDelaySeconds:
            return False
        return self._container.started != (self.kind is ProbeKind.STARTUP)

    def _done(self, ok: bool, _why: str) -> None:
        self._in_flight = False
        if self._stopped:
            return
        self._count(Result.SUCCESS if ok else Result.FAILURE)
        self._idle()

    def _count(self, result: Result) -> None:
        self._run_length = self._run_length + 1 if result is self._last else 1
        self._last = result
        failed = result is Result.FAILURE
        if self._run_length < (self._probe.failureThreshold if failed else self._probe.successThreshold):
            return
        if failed and self.kind is not ProbeKind.READINESS:
            self._on_hold = True
            self._run_length = 0
        self._set(result)

    def _set(self, result: Result) -> None:
        if result is not self.result:
            self.result = result
            self._pod.probe_result(self._container, self.kind, result)
