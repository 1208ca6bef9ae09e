"""CrashLoopBackOff: how long a container that keeps ending has to wait before it is started again.

Called by: `worker.py`. Source: k8s.io/client-go/util/flowcontrol/backoff.go and doBackOff in
pkg/kubelet/kuberuntime/kuberuntime_manager.go; timing facts kubelet.crashLoop.

The first restart is immediate and sets 10 s, which count from the end of the container; each further restart doubles
them up to the maximum. They are forgotten when a container ends more than twice the maximum after the last restart.
Simplified: a restart happens when its time has come; upstream looks again every 10 to 15 s.
"""


class CrashBackoff:
    """The back-off of one container."""

    __slots__ = ("_delay_ns", "_initial_ns", "_max_ns", "_updated_ns")

    def __init__(self, initial_ns: int, max_ns: int) -> None:
        self._initial_ns = min(initial_ns, max_ns)
        self._max_ns = max_ns
        self._delay_ns = 0
        self._updated_ns = 0

    def wait_ns(self, finished_ns: int, now: int) -> int:
        """How long from now until a container that ended at `finished_ns` may start again."""
        if not self._delay_ns or self._expired(finished_ns):
            return 0
        return max(0, finished_ns + self._delay_ns - now)

    def restarted(self, finished_ns: int, now: int) -> None:
        """It is being started again."""
        if not self._delay_ns or self._expired(finished_ns):
            self._delay_ns = self._initial_ns
        else:
            self._delay_ns = min(self._delay_ns * 2, self._max_ns)
        self._updated_ns = now

    def _expired(self, finished_ns: int) -> bool:
        return finished_ns - self._updated_ns > 2 * self._max_ns
