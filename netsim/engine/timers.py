"""Lazy timers: thousands of TCP, resolver and request timers behind a single SimPy event.

A timed object keeps its own `deadline_ns` and appears at most once in the queue's heap. Moving a deadline later costs
one attribute: when the old entry comes up, the object is put back at its new deadline. Cancelling is `deadline_ns = 0`.
Pending SimPy events make every other event dearer (the heap grows), which is why there is one of them and not
thousands.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol


class Timed(Protocol):
    """What can be armed. `deadline_ns` 0 means none; `armed_ns` belongs to the queue."""

    deadline_ns: int
    armed_ns: int

    def expired(self, now: int) -> None:
        """Called at the deadline, with the deadline already cleared."""


class TimerQueue:
    """A heap of (time, sequence, object) whose earliest time is the only thing the engine has to know."""

    __slots__ = ("_alarms", "_heap", "_sequence", "_wake_at")

    def __init__(self, wake_at: Callable[[int], None]) -> None:
        self._heap: list[tuple[int, int, Timed]] = []
        self._sequence = 0
        # When the engine has been asked to call; each alarm was earlier than those before it, so the next one is last.
        self._alarms: list[int] = []
        self._wake_at = wake_at

    def arm(self, timed: Timed, at_ns: int) -> None:
        """Let `timed.expired` be called at `at_ns`, instead of whenever it was due before."""
        timed.deadline_ns = at_ns
        armed = timed.armed_ns
        if armed and armed <= at_ns:
            return
        self._push(timed, at_ns)

    def _push(self, timed: Timed, at_ns: int) -> None:
        timed.armed_ns = at_ns
        self._sequence += 1
        heappush(self._heap, (at_ns, self._sequence, timed))
        self._set_alarm(at_ns)

    def _set_alarm(self, at_ns: int) -> None:
        alarms = self._alarms
        if not alarms or at_ns < alarms[-1]:
            alarms.append(at_ns)
            self._wake_at(at_ns)

    def run_due(self, now: int) -> None:
        """Expire everything due by `now`; called by the engine when an alarm rings."""
        heap, alarms = self._heap, self._alarms
        while heap and heap[0][0] <= now:
            at_ns, _, timed = heappop(heap)
            if at_ns == timed.armed_ns:
                self._came_up(timed, now)
        while alarms and alarms[-1] <= now:
            alarms.pop()
        self._drop_cancelled()
        if heap:
            self._set_alarm(heap[0][0])

    def _drop_cancelled(self) -> None:
        """No alarm for what has been cancelled or postponed meanwhile: most time-outs are, long before they are due."""
        heap = self._heap
        while heap:
            at_ns, _, timed = heap[0]
            if at_ns == timed.armed_ns:
                deadline = timed.deadline_ns
                if deadline == at_ns:
                    return
                timed.armed_ns = 0
                heappop(heap)
                if deadline:
                    timed.armed_ns = deadline
                    self._sequence += 1
                    heappush(heap, (deadline, self._sequence, timed))
            else:
                heappop(heap)

    def _came_up(self, timed: Timed, now: int) -> None:
        timed.armed_ns = 0
        deadline = timed.deadline_ns
        if not deadline:
            return
        if deadline > now:
            self._push(timed, deadline)
            return
        timed.deadline_ns = 0
        timed.expired(now)

    def __len__(self) -> int:
        return len(self._heap)
