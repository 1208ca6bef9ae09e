"""The pod lifecycle event generator: when the kubelet notices what the container runtime knows.

Called by: `container.py` (something changed), tells `worker.py` (you may look). Source: pkg/kubelet/pleg/generic.go;
timing facts kubelet.plegRelistPeriod.

Upstream lists all containers every second and compares. The list takes a while, and a change is known when it is over.
Here the lists that would find nothing are left out: a change waits for the node's next list and its duration, which is
U(0, 1 s) + 0.05..0.3 s. Simplified: a list does not delay the following one.
"""

from collections.abc import Callable
from random import Random

from netsim.cluster.timing import KubeletTiming
from netsim.engine import Engine


class Pleg:
    """The relists of one node."""

    def __init__(self, engine: Engine, timing: KubeletTiming, random: Random) -> None:
        self._engine = engine
        self._timing = timing
        self._random = random
        self._phase_ns = int(random.random() * timing.pleg_relist_period_ns)
        self._waiting: dict[Callable[[], None], None] = {}
        self.alive = True

    def changed(self, look: Callable[[], None]) -> None:
        """Something changed in the runtime: call `look` when a list that began after this moment is over."""
        if not self._waiting:
            self._engine.call_later(self._until_next_ns(), self._list)
        self._waiting[look] = None

    def _until_next_ns(self) -> int:
        period = self._timing.pleg_relist_period_ns
        return period - (self._engine.now - self._phase_ns) % period

    def _list(self) -> None:
        found, self._waiting = self._waiting, {}
        if self.alive:
            self._engine.call_later(self._timing.pleg_relist.sample(self._random), self._listed, tuple(found))

    def _listed(self, found: tuple[Callable[[], None], ...]) -> None:
        for look in found:
            if self.alive:
                look()
