"""Confidence intervals over replications: how far to trust a mean or a percentile of few runs.

The mean gets a studentised bootstrap (Efron and Tibshirani 1993, ch. 12.5; Hall 1988: second-order accurate, also for
skewed durations), which falls back on the percentile bootstrap where resamples often do not vary, and on Student's t
below five values. A percentile gets the distribution-free interval between order statistics (Conover 1999, ch. 3.2),
which owns up when there are too few runs: the 95th percentile needs 72 of them, while a bootstrap would show a narrow
interval that means nothing. Randomness is named, so the same data give the same interval in every process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from netsim.measure.gof import named_generator

CONFIDENCE: Final = 0.95
_RESAMPLES: Final = 4000
_CHUNK: Final = 2_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval; a bound is NaN where the data cannot give one."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether both bounds are there."""
        return not (np.isnan(self.low) or np.isnan(self.high))

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


_UNKNOWN: Final = Interval(float("nan"), float("nan"))


def mean_interval(values: ArrayLike, name: str, confidence: float = CONFIDENCE) -> Interval:
    """Interval for the mean of independent values; NaN for fewer than two. `name` seeds the resampling."""
    x = np.asarray(values, dtype=np.float64)
    n = x.size
    if n < 2:
        return _UNKNOWN
    if np.ptp(x) == 0:
        return Interval(float(x[0]), float(x[0]))
    error = float(x.std(ddof=1)) / n**0.5
    if n < 5:
        half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * error
        return Interval(float(x.mean()) - half, float(x.mean()) + half)
    return _bootstrap(x, error, name, confidence)


def _bootstrap(x: Floats, error: float, name: str, confidence: float) -> Interval:
    means, errors = _resamples(x, name)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    if (errors == 0).mean() > 0.001:
        low, high = np.quantile(means, tails)
        return Interval(float(low), float(high))
    moving = errors > 0
    t = (means[moving] - x.mean()) / errors[moving]
    low_t, high_t = np.quantile(t, tails)
    return Interval(float(x.mean() - high_t * error), float(x.mean() - low_t * error))


def _resamples(x: Floats, name: str) -> tuple[Floats, Floats]:
    """Means and standard errors of resamples, in chunks that keep memory small."""
    generator = named_generator(f"bootstrap/{name}")
    size = max(1, min(_RESAMPLES, _CHUNK // x.size))
    means: list[Floats] = []
    errors: list[Floats] = []
    done = 0
    while done < _RESAMPLES:
        count = min(size, _RESAMPLES - done)
        sample = x[generator.integers(0, x.size, (count, x.size))]
        means.append(sample.mean(axis=1))
        errors.append(sample.std(axis=1, ddof=1) / x.size**0.5)
        done += count
    return np.concatenate(means), np.concatenate(errors)


def quantile_interval(values: ArrayLike, q: float, confidence: float = CONFIDENCE) -> Interval:
    """Interval for the q-quantile (0 < q < 1) of independent values, between two of them. A bound beyond the smallest
    or largest value is NaN: there are too few values to know it. It covers at least as often as it says."""
    x = np.sort(np.asarray(values, dtype=np.float64))
    n = x.size
    tail = (1 - confidence) / 2
    # The r-th smallest lies above the quantile with P(Binomial(n, q) < r), which may be `tail` at most; likewise above.
    lower = int(stats.binom.ppf(tail, n, q)) if n else 0
    upper = int(stats.binom.ppf(1 - tail, n, q)) + 1 if n else 1
    low = float(x[lower - 1]) if lower >= 1 else float("nan")
    high = float(x[upper - 1]) if upper <= n else float("nan")
    return Interval(low, high)


def quantile(values: Sequence[float] | Floats, q: float) -> float:
    """The q-quantile by linear interpolation (type 7, numpy's and R's default); NaN for no values."""
    x = np.asarray(values, dtype=np.float64)
    return float(np.quantile(x, q)) if x.size else float("nan")
