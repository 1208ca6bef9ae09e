"""What every controller of kube-controller-manager is given.

Called by: `controlplane.py` makes one; every controller takes it.
"""

from dataclasses import dataclass, field
from typing import TypeVar

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.client import ApiClient, Connection
from netsim.cluster.informer import Informers
from netsim.cluster.ratelimit import TokenBucket
from netsim.cluster.records import Recorder
from netsim.cluster.timing import Timing
from netsim.cluster.workqueue import Sync, WorkQueue
from netsim.engine import Engine

K = TypeVar("K", bound=tuple[str, ...])


@dataclass(frozen=True, slots=True)
class ControllerContext:
    """Engine, API server, times, the process's shared informers and its way to the API server."""

    engine: Engine
    api: ApiServer
    timing: Timing
    informers: Informers
    connection: Connection = field(default_factory=Connection)

    def client(self, controller: str) -> ApiClient:
        """A client of its own for a controller, limited as kube-controller-manager limits each (--kube-api-qps)."""
        times = self.timing.controllers
        limiter = TokenBucket(times.api_qps, times.api_burst)
        return ApiClient(self.engine, self.api, self.timing, controller, limiter, self.connection)

    def queue(self, controller: str, sync: "Sync[K]", workers: int = 0) -> "WorkQueue[K]":
        """A work queue with client-go's default back-off; `workers` 0 means the usual five."""
        times = self.timing.controllers
        count = workers or times.concurrent_syncs
        return WorkQueue(self.engine, controller, sync, count, times.retry_ns, times.retry_max_ns)

    def recorder(self, controller: str) -> Recorder:
        """Publishes the controller's events."""
        return Recorder(self.engine, controller)
