"""The bounded-frequency runner: how kube-proxy turns a stream of changes into not too many synchronisations.

Theory of operation (pkg/proxy/runner/bounded_frequency_runner.go; timing facts kp.bfr.semantics). A change asks for a
run. A run begins at once if at least the minimum interval has passed since the last one *ended*; otherwise it begins
when the interval is over, and whatever is asked meanwhile is served by the same run. What is asked during a run is
served by the next. A run is forced when none has happened for the maximum interval, which is an hour for today's
kube-proxy (`full_sync_period_ns`).

Before 1.34 (pkg/util/async) a token bucket decided instead: a token comes every minimum interval, two may be saved up,
so the first two of a burst of changes run back to back (timing facts: recall).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from netsim.cluster.timing import ProxyTiming

if TYPE_CHECKING:
    from netsim.engine import Call, Engine


class BoundedFrequencyRunner:
    """Calls `begin(forced)` when a run may start; whoever runs calls `ended()` when it is over."""

    __slots__ = (
        "_asked",
        "_begin",
        "_engine",
        "_force",
        "_last_ended_ns",
        "_next",
        "_running",
        "_stopped",
        "_timing",
        "_tokens",
        "_tokens_at_ns",
    )

    def __init__(self, engine: "Engine", timing: ProxyTiming, begin: Callable[[bool], None]) -> None:
        self._engine = engine
        self._timing = timing
        self._begin = begin
        self._running = False
        self._asked = False
        self._stopped = False
        self._last_ended_ns: int | None = None
        self._next: Call | None = None
        self._force: Call | None = None
        self._tokens = float(timing.burst)
        self._tokens_at_ns = engine.now

    def ask(self) -> None:
        """Something has changed."""
        if self._stopped:
            return
        self._asked = True
        if not self._running and (self._next is None or not self._next.pending):
            self._schedule()

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._running

    def ended(self) -> None:
        """The run that `begin` started is over."""
        self._running = False
        self._last_ended_ns = self._engine.now
        if self._stopped:
            return
        self._force = self._engine.call_later(self._timing.full_sync_period_ns, self._run, True)
        if self._asked:
            self._schedule()

    def stop(self) -> None:
        """No further runs."""
        self._stopped = True
        for call in (self._next, self._force):
            if call is not None:
                call.cancel()

    def _schedule(self) -> None:
        wait_ns = self._wait_ns()
        if wait_ns:
            self._next = self._engine.call_later(wait_ns, self._run, False)
        else:
            self._run(False)

    def _wait_ns(self) -> int:
        if self._timing.runner == "burst":
            return self._wait_for_token_ns()
        if self._last_ended_ns is None:
            return 0
        return max(0, self._last_ended_ns + self._timing.min_sync_period_ns - self._engine.now)

    def _wait_for_token_ns(self) -> int:
        period = self._timing.min_sync_period_ns
        if not period:
            return 0
        now = self._engine.now
        self._tokens = min(float(self._timing.burst), self._tokens + (now - self._tokens_at_ns) / period)
        self._tokens_at_ns = now
        return 0 if self._tokens >= 1 else int((1 - self._tokens) * period) + 1

    def _run(self, forced: bool) -> None:
        if self._running or self._stopped:
            return
        for call in (self._next, self._force):
            if call is not None:
                call.cancel()
        if self._timing.runner == "burst":
            self._wait_for_token_ns()
            self._tokens = max(0.0, self._tokens - 1)
        self._running, self._asked = True, False
        self._begin(forced)
