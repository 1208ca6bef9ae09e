"""A token bucket, as client-go's `flowcontrol` has it (golang.org/x/time/rate).

Called by API clients (kube-controller-manager 20 qps with bursts of 30), the eviction queue of the node lifecycle
controller (0.1 nodes per second) and the old bounded-frequency runner of kube-proxy. Time is an argument.
"""

from netsim.engine import S


class TokenBucket:
    """`qps` tokens a second, at most `burst` kept. A `qps` of 0 never gives any beyond those kept."""

    __slots__ = ("_at_ns", "_tokens", "burst", "qps")

    def __init__(self, qps: float, burst: int) -> None:
        self.qps = qps
        self.burst = burst
        self._tokens = float(burst)
        self._at_ns = 0

    def _refill(self, now: int) -> None:
        if now > self._at_ns:
            self._tokens = min(float(self.burst), self._tokens + (now - self._at_ns) * self.qps / S)
            self._at_ns = now

    def try_accept(self, now: int) -> bool:
        """Take a token if there is one."""
        self._refill(now)
        # A rounding error of a billionth must not cost a whole further wait.
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens -= 1.0
        return True

    def reserve(self, now: int) -> int:
        """Take a token that may still have to be made; returns the nanoseconds to wait for it. Needs `qps` > 0."""
        self._refill(now)
        self._tokens -= 1.0
        if self._tokens >= 0.0:
            return 0
        return int(-self._tokens * S / self.qps)

    def set_qps(self, qps: float, now: int) -> None:
        """Change the rate from now on."""
        self._refill(now)
        self.qps = qps
