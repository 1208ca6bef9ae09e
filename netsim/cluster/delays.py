"""Distributions of delays, as frozen values that draw from a stream given to them.

Used by `timing.py` for everything that takes a random time in a real control plane.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Protocol


class Delay(Protocol):
    """Something that can be waited for."""

    def sample(self, random: Random) -> int:
        """One delay in nanoseconds, never negative."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every delay between two bounds is as likely as any other."""

    low_ns: int
    high_ns: int

    def sample(self, random: Random) -> int:
        """One delay in nanoseconds."""
        return self.low_ns + int(random.random() * (self.high_ns - self.low_ns))


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Most delays near the median, a few much longer: what queues and disks do. Cut off at both ends."""

    median_ns: int
    sigma: float
    low_ns: int = 0
    high_ns: int = 1 << 62

    def sample(self, random: Random) -> int:
        """One delay in nanoseconds."""
        drawn = int(self.median_ns * math.exp(random.gauss(0.0, self.sigma)))
        return min(max(drawn, self.low_ns), self.high_ns)


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same delay (tests, and models that want none)."""

    delay_ns: int = 0

    def sample(self, random: Random) -> int:
        """The delay in nanoseconds."""
        return self.delay_ns
