"""The work queue of a controller: each key is worked on by one worker at a time, repeats are merged, errors back off.

Called by: every controller. Sources: k8s.io/client-go/util/workqueue (queue, delaying and rate-limiting queues).

Theory of operation. A key is in at most one of three states: waiting (in line for a worker), working, or both (it was
added while being worked on and goes back in line afterwards). A failed key is added again after a back-off that
doubles with each failure in a row.
"""

from collections import deque
from collections.abc import Callable, Generator, Hashable
from typing import Any, Generic, TypeVar

from netsim.cluster.errors import ApiError
from netsim.engine import Engine

K = TypeVar("K", bound=Hashable)
Sync = Callable[[K], Generator[Any, Any, None]]


class RetryError(Exception):
    """Raised by a sync that wants to be repeated after the back-off."""


class WorkQueue(Generic[K]):
    """Keys for `workers` parallel runs of `sync`, a generator function that runs as a process."""

    def __init__(
        self, engine: Engine, name: str, sync: Sync[K], workers: int, retry_ns: int, retry_max_ns: int
    ) -> None:
        self._engine = engine
        self._name = name
        self._sync = sync
        self._free = workers
        self._retry_ns = retry_ns
        self._retry_max_ns = retry_max_ns
        self._line: deque[K] = deque()
        self._waiting: dict[K, None] = {}
        self._working: dict[K, None] = {}
        self._failures: dict[K, int] = {}

    def add(self, key: K) -> None:
        """Work on this key soon."""
        if key in self._waiting:
            return
        self._waiting[key] = None
        if key not in self._working:
            self._line.append(key)
            self._dispatch()

    def add_after(self, key: K, delay_ns: int) -> None:
        """Work on this key after a delay."""
        if delay_ns <= 0:
            self.add(key)
        else:
            self._engine.call_later(delay_ns, self.add, key)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nobody works (delayed keys do not count)."""
        return not self._line and not self._working

    def _dispatch(self) -> None:
        while self._free and self._line:
            key = self._line.popleft()
            del self._waiting[key]
            self._working[key] = None
            self._free -= 1
            self._engine.process(self._work(key), self._name)

    def _work(self, key: K) -> Generator[Any, Any, None]:
        try:
            yield from self._sync(key)
            self._failures.pop(key, None)
        except (ApiError, RetryError):
            self._failed(key)
        self._free += 1
        del self._working[key]
        if key in self._waiting:
            self._line.append(key)
        self._dispatch()

    def _failed(self, key: K) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(self._retry_ns << min(failures, 40), self._retry_max_ns))
