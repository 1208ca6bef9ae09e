"""The engine: SimPy's event loop with whole nanoseconds, named random streams and one queue for all timers.

Sources: SimPy keeps the type of the delays it is given, so integer delays make an exact integer clock; events at the
same time run in the order in which they were scheduled, which makes a run reproducible.
"""

import gc
import hashlib
import random
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from types import GeneratorType
from typing import Any, cast

import simpy

from netsim.engine.bus import Bus
from netsim.engine.timers import TimerQueue


class EventLimitError(Exception):
    """More events happened than `Engine.limit_events` allows."""


class Call:
    """A function call at a later time; `cancel()` takes it back."""

    __slots__ = ("args", "armed_ns", "deadline_ns", "function")

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.deadline_ns = 0
        self.armed_ns = 0

    def cancel(self) -> None:
        """The call will not happen; harmless when it already did."""
        self.deadline_ns = 0

    @property
    def pending(self) -> bool:
        """Whether it is still to come."""
        return self.deadline_ns > 0

    def expired(self, now: int) -> None:
        """Timer queue: the time has come."""
        self.function(*self.args)


class Environment(simpy.Environment):
    """SimPy's environment; fed with whole nanoseconds only, its clock stays one."""

    _now: int


class _Alarm:
    """The one SimPy event behind the timer queue (SimPy's step needs only `callbacks` and `_ok`)."""

    __slots__ = ("callbacks",)
    _ok = True


class Engine:
    """Clock, processes, timers, random streams and record bus of one simulation."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.env = Environment()
        self.bus = Bus()
        self.timers = TimerQueue(self._wake_at)
        self.uids: Iterator[int] = count(1)
        self._streams: dict[str, random.Random] = {}
        self._events_left: int | None = None
        self._most_events = 0
        self._ring = (lambda _alarm: self.timers.run_due(self.env._now),)

    @property
    def now(self) -> int:
        """Nanoseconds since the start of the simulation."""
        return self.env._now

    def stream(self, name: str) -> random.Random:
        """The random stream of an entity. Streams depend on seed and name only, so adding one entity never shifts
        another's draws (common random numbers), and neither hash seed nor platform matters."""
        found = self._streams.get(name)
        if found is None:
            digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
            found = self._streams[name] = random.Random(digest)
        return found

    def process(self, generator: Generator[Any, Any, Any], name: str = "") -> simpy.Process:
        """Run a generator as a SimPy process."""
        process = self.env.process(generator)
        if name:
            cast("GeneratorType[Any, Any, Any]", generator).__name__ = name
        return process

    def timeout(self, delay_ns: int, value: object = None) -> simpy.Timeout:
        """An event that a process can yield to wait."""
        return self.env.timeout(delay_ns, value)

    def event(self) -> simpy.Event:
        """An event that somebody else triggers with `.succeed(value)`."""
        return self.env.event()

    def call_at(self, at_ns: int, function: Callable[..., object], *args: object) -> Call:
        """Call `function(*args)` at a time not before now. Raises ValueError for the past."""
        if at_ns < self.now:
            raise ValueError(f"cannot call at {at_ns} ns: it is already {self.now} ns")
        call = Call(function, args)
        # A deadline of 0 means none, so what is due at the very start runs 1 ns later.
        self.timers.arm(call, at_ns or 1)
        return call

    def call_later(self, delay_ns: int, function: Callable[..., object], *args: object) -> Call:
        """Call `function(*args)` after a delay that is not negative."""
        return self.call_at(self.now + delay_ns, function, *args)

    def run(self, until_ns: int) -> None:
        """Run all events before `until_ns`; afterwards the clock stands there."""
        with _quiet_collector():
            if self._events_left is not None:
                self._count_until(until_ns)
            self.env.run(until=until_ns)

    def limit_events(self, most: int) -> None:
        """Raise EventLimitError from `run` after this many more events (slower: for input that nobody vouches for)."""
        self._events_left = self._most_events = most

    def _count_until(self, until_ns: int) -> None:
        """Run all events before `until_ns`, counting them."""
        left = self._events_left or 0
        step, peek = self.env.step, self.env.peek
        while left and peek() < until_ns:
            step()
            left -= 1
        self._events_left = left
        if not left and peek() < until_ns:
            raise EventLimitError(f"more than {self._most_events:,} events: something here goes on for ever")

    def _wake_at(self, at_ns: int) -> None:
        alarm = _Alarm()
        alarm.callbacks = self._ring  # type: ignore[attr-defined]
        delay_ns = max(0, at_ns - self.env._now)
        self.env.schedule(alarm, 1, delay_ns)  # type: ignore[arg-type]


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Keep the garbage collector from walking a large, mostly living heap again and again (10 to 18 % of a run)."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(500_000, 20, 100)
    try:
        yield
    finally:
        gc.freeze()  # with `unfreeze`: everything young becomes old without being walked now
        gc.unfreeze()
        gc.set_threshold(*thresholds)
