"""The discrete-event engine: an integer-nanosecond clock on SimPy, named random streams, timers and the record bus.

This is the only package that imports SimPy. Everything above says `engine.call_later(...)`, `engine.process(...)`
or arms a timer; `engine.env` is a genuine `simpy.Environment`, so a user's own process can join in.
"""

from netsim.engine.bus import Bus
from netsim.engine.engine import Call, Engine
from netsim.engine.timers import Timed, TimerQueue
from netsim.engine.units import MS, NS, US, S, format_duration, parse_duration, parse_rate

__all__ = [
    "MS",
    "NS",
    "US",
    "Bus",
    "Call",
    "Engine",
    "S",
    "Timed",
    "TimerQueue",
    "format_duration",
    "parse_duration",
    "parse_rate",
]
