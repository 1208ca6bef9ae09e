"""Confidence intervals over replications: how far to trust a mean or a percentile of few runs.

The mean gets a studentised bootstrap (Efron and Tibshirani 1993, ch. 12.5; Hall 1988: second-order accurate, also for
skewed durations) or Student's t, whichever reaches further on either side: the one is short where tails are heavy, the
other where values are skewed. It falls back on the percentile bootstrap where resamples often do not vary, and on
Student's t alone below five values. With tails like a log-normal's of sigma 1 the mean of 20 values is held 92 % of the
time; no interval without further assumptions does much better, and the median's does.

A percentile gets the distribution-free interval between order statistics (Conover 1999, ch. 3.2), interpolated so that
it covers as often as it says and not more (Hettmansperger and Sheather 1986 for the median, Nyblom 1992 for any
quantile). It owns up when there are too few runs: the 95th percentile needs 72 of them, while a bootstrap would show a
narrow interval that means nothing. Randomness is named, so the same data give the same interval in every process.
`tests/measure/test_coverage.py` counts how often all of these hold the truth.
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
FEW: Final = 5  # of fewer values there are too few different resamples

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


UNKNOWN: Final = Interval(float("nan"), float("nan"))


def mean_interval(values: ArrayLike, name: str, confidence: float = CONFIDENCE) -> Interval:
    """Interval for the mean of independent values; NaN for fewer than two. `name` seeds the resampling."""
    x = np.asarray(values, dtype=np.float64)
    n = x.size
    if n < 2:
        return UNKNOWN
    if np.ptp(x) == 0:
        return Interval(float(x[0]), float(x[0]))
    error = float(x.std(ddof=1)) / n**0.5
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * error
    student = Interval(float(x.mean()) - half, float(x.mean()) + half)
    return student if n < FEW else _bootstrap(x, error, name, confidence, student)


def _bootstrap(x: Floats, error: float, name: str, confidence: float, student: Interval) -> Interval:
    means, errors = _resamples(x, name)
    return studentised(means, errors, (float(x.mean()), error), student, confidence)


def studentised(
    values: Floats, errors: Floats, found: tuple[float, float], student: Interval, confidence: float
) -> Interval:
    """From resampled values with their standard errors, and what was found with its own; at least as wide as
    `student`."""
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    if (errors == 0).mean() > 0.001:
        low, high = np.quantile(values, tails)
        return Interval(float(low), float(high))
    value, error = found
    moving = errors > 0
    low_t, high_t = np.quantile((values[moving] - value) / errors[moving], tails)
    low, high = value - float(high_t) * error, value - float(low_t) * error
    return Interval(min(low, student.low), max(high, student.high))


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
    """Interval for the q-quantile (0 < q < 1) of independent values, between interpolated order statistics. A bound
    beyond the smallest or largest value is NaN: there are too few values to know it."""
    x = np.sort(np.asarray(values, dtype=np.float64))
    tail = (1 - confidence) / 2
    return Interval(_lower_limit(x, q, tail), -_lower_limit(-x[::-1], 1 - q, tail))


def values_needed(q: float, confidence: float = CONFIDENCE) -> int:
    """From how many values on `quantile_interval` knows both bounds."""
    return int(np.ceil(np.log((1 - confidence) / 2) / np.log(max(q, 1 - q))))


def _lower_limit(x: Floats, q: float, tail: float) -> float:
    """The limit that lies above the q-quantile with probability `tail`; `x` is sorted.

    The r-th smallest lies above it with P(Binomial(n, q) < r). Between the two whose probabilities enclose `tail`, the
    weight follows from exponential gaps on either side of the quantile, with means q/r and (1 - q)/(n - r).
    """
    n = x.size
    if not n:
        return float("nan")
    r = int(stats.binom.ppf(tail, n, q))
    if r and stats.binom.cdf(r, n, q) <= tail:  # ppf may round the wrong way where the probabilities meet
        r += 1
    if r < 1:
        return float("nan")
    below, above = stats.binom.cdf(r - 1, n, q), stats.binom.cdf(r, n, q)
    share = max(0.0, float((tail - below) / (above - below)))
    if not share or r == n:
        return float(x[r - 1])
    over, under = share * q / r, (1 - share) * (1 - q) / (n - r)
    weight = over / (over + under)
    return float(x[r - 1] + weight * (x[r] - x[r - 1]))


def quantile(values: Sequence[float] | Floats, q: float) -> float:
    """The q-quantile by linear interpolation (type 7, numpy's and R's default); NaN for no values."""
    x = np.asarray(values, dtype=np.float64)
    return float(np.quantile(x, q)) if x.size else float("nan")
