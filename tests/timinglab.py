"""Distributions of the stages of a failover, as formulas: what the components are held against.

Times are in seconds. `P` is a probe's period, `F` its failure threshold, `T` its time-out; `G` the node monitor's grace
period, `R` the lease's renewal interval, `M` the monitor's period; `m` kube-proxy's minSyncPeriod, `S` a sync's
duration; `I` a load balancer's interval, `U` its unhealthy threshold.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Cdf = Callable[[Floats], Floats]


def uniform(low: float, high: float) -> Cdf:
    """U(low, high)."""
    return lambda x: np.asarray(stats.uniform.cdf(x, low, high - low))


def uniform_plus_uniform(width: float, low: float, high: float) -> Cdf:
    """U(0, width) + U(low, high): a wait for the next list, and the list."""

    def area(y: Floats) -> Floats:  # the integral of U(0, width)'s distribution function
        inside = np.clip(y, 0, width)
        return inside**2 / (2 * width) + np.maximum(y - width, 0)

    return lambda x: (area(x - low) - area(x - high)) / (high - low)


def cut_log_normal(median: float, sigma: float, low: float, high: float) -> Cdf:
    """A log-normal whose tails are put onto the bounds."""
    return lambda x: np.where(
        x < low, 0.0, np.where(x >= high, 1.0, stats.lognorm.cdf(x, sigma, scale=median))
    )


def slowest_of(number: int, one: Cdf) -> Cdf:
    """The maximum of so many independent ones: the last of several client nodes."""
    return lambda x: one(x) ** number


def node_loss(random: np.random.Generator, draws: int, grace: float, renew: float, monitor: float) -> Floats:
    """G - A + W + o: the age A of the last renewal, the wait W for the pass that saw it, the passes' overruns o."""
    # A renewal interval is R(1..1.04); a moment falls into a longer one more often.
    interval = renew * (1 + 0.04 * random.random(draws))
    age = interval * random.random(draws)
    passes = int(grace / monitor)
    overruns = random.uniform(0.005, 0.035, (draws, passes)).sum(axis=1)
    wait = (monitor + 0.02) * random.random(draws)
    return np.asarray(grace - age + wait + overruns)


def agrees(found: Floats, expected: Cdf, level: float = 0.01) -> None:
    """Kolmogorov-Smirnov: fails when such a distance has a probability below `level`."""
    result = stats.kstest(found, expected)
    assert result.pvalue > level, f"D = {result.statistic:.4f}, p = {result.pvalue:.2g}"
