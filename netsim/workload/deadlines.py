"""Time-outs that are all equally long, behind one timer: they end in the order in which they began.

Used by the HTTP client (a request's time-out) and server (an idle connection's). Nearly all of them are taken back
long before they are due; adding and taking back cost one dictionary operation each, where a timer of its own would
leave an entry in the engine's heap until its time has come.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from netsim.engine import TimerQueue

T = TypeVar("T")


class Deadlines(Generic[T]):
    """What is pending, in the order of its deadline; `over(item, now)` is called for what was not taken back. A
    time-out of 0 means none: items are pending until they are taken back."""

    __slots__ = ("_over", "_timeout_ns", "_timers", "armed_ns", "deadline_ns", "pending")

    def __init__(self, timers: "TimerQueue", timeout_ns: int, over: Callable[[T, int], None]) -> None:
        self._timers = timers
        self._timeout_ns = timeout_ns
        self._over = over
        self.pending: dict[T, int] = {}
        self.deadline_ns = 0
        self.armed_ns = 0

    def add(self, item: T, now: int) -> None:
        """Let a time-out begin. An item may be pending only once."""
        at = self.pending[item] = now + self._timeout_ns
        if not self.deadline_ns and self._timeout_ns:
            self._timers.arm(self, at)

    def discard(self, item: T) -> None:
        """Take it back; harmless when it is not pending."""
        self.pending.pop(item, None)

    def clear(self) -> None:
        """Take all back."""
        self.pending.clear()
        self.deadline_ns = 0

    def expired(self, now: int) -> None:
        """Timer queue: the deadline of what was the oldest when the timer was set."""
        pending = self.pending
        while pending:
            item = next(iter(pending))
            at = pending[item]
            if at > now:
                self._timers.arm(self, at)
                return
            del pending[item]
            self._over(item, now)
