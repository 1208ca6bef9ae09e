"""Watches: how a change in the API server's store reaches the components, late but in order.

Called by: `apiserver.py`, which appends every committed change to the log of its kind; informers, kube-proxy, kubelet
and DNS servers, which hold a `Watch` on a log.

Theory of operation. A log is a list of changes with the time of their commit; a watch is a position in it. An idle
watch draws a delay when a change is committed and delivers at commit + delay. Changes committed meanwhile wait in the
log and travel in the same frame if they are older than the delay, else in the next one, which draws its own delay. So
delivery is in order, each watcher is late by its own amount, and a burst of changes costs one timer per watcher and
frame instead of one per change.

Simplified: all of one frame share a delay; a watch is never closed by the server (no "too old resource version").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Generic, Literal, TypeVar

from netsim.cluster.delays import Delay
from netsim.cluster.objects import ApiObject
from netsim.engine import TimerQueue

T = TypeVar("T", bound=ApiObject)

_TRIM_AT: Final = 4096


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[T]):
    """One committed change. `old` is the object before it (None for ADDED); `at_ns` is the commit."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: T
    old: T | None
    at_ns: int


Frame = Sequence[WatchEvent[Any]]


class ChangeLog:
    """The changes of one kind (or of one kind on one node) that some watcher has not seen yet."""

    __slots__ = ("_base", "_events", "_idle", "watches")

    def __init__(self) -> None:
        self._events: list[WatchEvent[Any]] = []
        self._base = 0
        self._idle: list[Watch] = []
        self.watches: list[Watch] = []

    @property
    def end(self) -> int:
        """The position after the newest change; grows by one per change."""
        return self._base + len(self._events)

    @property
    def drained(self) -> bool:
        """Whether every watch has seen everything."""
        end = self.end
        return all(watch.position == end for watch in self.watches)

    @property
    def oldest(self) -> int:
        """The position of the slowest watch; the end when there is none."""
        return min((watch.position for watch in self.watches), default=self.end)

    def append(self, event: WatchEvent[Any]) -> None:
        """Commit a change and start the timers of the idle watches."""
        if not self.watches:
            self._base += 1
            return
        self._events.append(event)
        idle, self._idle = self._idle, []
        for watch in idle:
            watch.start_frame(event.at_ns)
        if len(self._events) >= _TRIM_AT and len(self._events) % _TRIM_AT == 0:
            self._trim()

    def at(self, position: int) -> WatchEvent[Any]:
        """The change at a position not before the oldest watch."""
        return self._events[position - self._base]

    def between(self, start: int, end: int) -> Frame:
        """The changes from one position to before another."""
        return self._events[start - self._base : end - self._base]

    def park(self, watch: "Watch") -> None:
        """This watch has seen everything."""
        self._idle.append(watch)

    def forget(self, watch: "Watch") -> None:
        """This watch is over."""
        self.watches = [other for other in self.watches if other is not watch]
        self._idle = [other for other in self._idle if other is not watch]

    def _trim(self) -> None:
        oldest = self.oldest
        del self._events[: oldest - self._base]
        self._base = oldest


class Watch:
    """One watcher's position in a log; a timed object of the engine's timer queue.

    `deliver(frame)` is called with one or more changes, oldest first. `position` already stands behind them then.
    """

    __slots__ = (
        "_delay",
        "_deliver",
        "_frame_delay_ns",
        "_log",
        "_random",
        "_timers",
        "armed_ns",
        "connected",
        "deadline_ns",
        "position",
    )

    def __init__(
        self,
        log: ChangeLog,
        deliver: Callable[[Frame], None],
        delay: Delay,
        random: Random,
        timers: TimerQueue,
    ) -> None:
        self._log = log
        self._deliver = deliver
        self._delay = delay
        self._random = random
        self._timers = timers
        self._frame_delay_ns = 0
        self.deadline_ns = 0
        self.armed_ns = 0
        self.connected = True
        self.position = log.end
        log.watches.append(self)
        log.park(self)

    @property
    def current(self) -> bool:
        """Whether everything that was committed has arrived."""
        return self.position == self._log.end

    def start_frame(self, committed_ns: int, not_before_ns: int = 0) -> None:
        """A change is waiting: draw the delay of the frame that will bring it."""
        if not self.connected:
            return
        self._frame_delay_ns = self._delay.sample(self._random)
        self._timers.arm(self, max(committed_ns + self._frame_delay_ns, not_before_ns))

    def expired(self, now: int) -> None:
        """Timer queue: the frame arrives."""
        log, start = self._log, self.position
        oldest_too_young = now - self._frame_delay_ns
        end = start
        while end < log.end and log.at(end).at_ns <= oldest_too_young:
            end += 1
        frame = log.between(start, end)
        self.position = end
        if frame:
            self._deliver(frame)
        self._next_frame(now)

    def _next_frame(self, now: int) -> None:
        if not self.connected:
            return
        if self.position < self._log.end:
            self.start_frame(self._log.at(self.position).at_ns, now)
        else:
            self._log.park(self)

    def disconnect(self) -> None:
        """The way to the API server is cut: nothing arrives, nothing is lost."""
        if self.connected:
            self.connected = False
            self.deadline_ns = 0

    def reconnect(self, now: int) -> None:
        """The way is open again: what was missed arrives after one delay from now."""
        if self.connected:
            return
        self.connected = True
        self._log.forget(self)
        self._log.watches.append(self)
        if self.position < self._log.end:
            self.start_frame(now)
        else:
            self._log.park(self)

    def stop(self) -> None:
        """End the watch (the watcher died); harmless when it has ended."""
        self.connected = False
        self.deadline_ns = 0
        self._log.forget(self)
