"""Health checks of a load balancer: real requests from the balancer to a port of each node.

Used by `balancer.py`: one `NodeCheck` per node and target. What is asked depends on the Service (see
`cluster/controllers/service_lb.py`): `/healthz` of kube-proxy on 10256, the health check node port, or a plain TCP
connection.

A check begins every `interval`, whatever the last one said; a node changes sides after `unhealthy` failures or
`healthy` successes in a row. The first verdict needs one check only (AWS: "a newly registered target must pass one
health check"; the others differ in this by some seconds after the creation, which no experiment sees).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from netsim.fabric.http import ProbeResult, TcpCheck, http_get, tcp_check
from netsim.wire.addr import Address

if TYPE_CHECKING:
    from netsim.fabric.host import Host

_OK = 200  # all the providers' controllers ask for exactly this


class Target(NamedTuple):
    """What is asked of each node; an empty path is a TCP check."""

    port: int
    path: str = ""

    def __str__(self) -> str:
        return f"HTTP {self.port}{self.path}" if self.path else f"TCP {self.port}"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Times and thresholds of a check."""

    interval_ns: int
    timeout_ns: int
    healthy: int
    unhealthy: int


class NodeCheck:
    """The checks of one node; a timed object for the engine. `healthy` is None until the first result."""

    __slots__ = (
        "_address", "_done", "_host", "_probe", "_spec", "_streak", "_target", "armed_ns", "deadline_ns", "healthy"
    )  # fmt: skip

    def __init__(
        self,
        host: "Host",
        address: Address,
        target: Target,
        spec: HealthCheck,
        phase_ns: int,
        done: Callable[[bool, bool], None],
    ) -> None:
        self._host = host
        self._address = address
        self._target = target
        self._spec = spec
        self._done = done
        self._streak = 0
        self._probe: TcpCheck | None = None
        self.healthy: bool | None = None
        self.deadline_ns = self.armed_ns = 0
        host.engine.timers.arm(self, host.now + phase_ns + 1)

    def stop(self, now: int) -> None:
        """No more checks."""
        self.deadline_ns = 0
        if self._probe is not None:
            self._probe.cancel(now)
            self._probe = None

    def expired(self, now: int) -> None:
        """Timer queue: time for the next check."""
        self._host.engine.timers.arm(self, now + self._spec.interval_ns)
        timeout_ns = min(self._spec.timeout_ns, self._spec.interval_ns)
        if self._probe is not None:  # time-out and interval are equal, and it is about to expire
            self._probe.cancel(now)
            self._count(False)
        if self._target.path:
            self._probe = http_get(
                self._host, self._address, self._target.port, self._target.path, timeout_ns, self._told
            )
        else:
            self._probe = tcp_check(self._host, self._address, self._target.port, timeout_ns, self._told)

    def _told(self, result: ProbeResult, _now: int) -> None:
        self._probe = None
        good = not result.error and (not self._target.path or result.status == _OK)
        self._count(good)

    def _count(self, good: bool) -> None:
        if good == self.healthy:
            self._streak = 0
            return
        self._streak += 1
        first = self.healthy is None
        if first or self._streak >= (self._spec.healthy if good else self._spec.unhealthy):
            self.healthy, self._streak = good, 0
            self._done(good, first)
