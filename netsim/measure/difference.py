"""Confidence intervals for the difference of two samples: replications of two experiments.

Called by `pairs`. Where replications pair (same seeds, common random numbers) the mean difference is a mean of
differences, and a quantile's is resampled pair by pair. Otherwise each sample is resampled by itself: a studentised
bootstrap or Welch's t for means, whichever reaches further (Efron and Tibshirani 1993, ch. 12.5), a percentile
bootstrap for quantiles (ch. 13.3), which covers a little more often than it says. A quantile's difference has an
interval only where the quantiles themselves would have one.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy import stats

from netsim.measure.confidence import (
    CONFIDENCE,
    FEW,
    UNKNOWN,
    Floats,
    Interval,
    mean_interval,
    studentised,
    values_needed,
)
from netsim.measure.gof import named_generator

_RESAMPLES: Final = 4000
_CHUNK: Final = 2_000_000


def mean_difference(a: Floats, b: Floats, paired: bool, name: str) -> Interval:
    """Interval for mean(b) - mean(a). `name` seeds the resampling; NaN for fewer than two values of either."""
    if paired:
        return mean_interval(b - a, name)
    if min(a.size, b.size) < 2:
        return UNKNOWN
    shift = float(b.mean() - a.mean())
    error = float(_error(a[None], b[None])[0])
    if not error:
        return Interval(shift, shift)
    student = _welch(a, b, shift, error)
    if min(a.size, b.size) < FEW:
        return student
    moved, errors = [], []
    for x, y in _resamples(a, b, False, f"means/{name}"):
        moved.append(y.mean(axis=1) - x.mean(axis=1))
        errors.append(_error(x, y))
    return studentised(np.concatenate(moved), np.concatenate(errors), (shift, error), student, CONFIDENCE)


def quantile_difference(a: Floats, b: Floats, q: float, paired: bool, name: str) -> Interval:
    """Interval for the difference of the q-quantiles."""
    if min(a.size, b.size) < values_needed(q):
        return UNKNOWN
    found = [
        np.quantile(y, q, axis=1) - np.quantile(x, q, axis=1)
        for x, y in _resamples(a, b, paired, f"quantile/{name}")
    ]
    low, high = np.quantile(np.concatenate(found), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def _error(a: Floats, b: Floats) -> Floats:
    """Standard errors of the difference of means, row by row."""
    return np.asarray(
        np.sqrt(a.var(axis=1, ddof=1) / a.shape[1] + b.var(axis=1, ddof=1) / b.shape[1]), dtype=np.float64
    )


def _welch(a: Floats, b: Floats, shift: float, error: float) -> Interval:
    parts = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (a.size - 1) + parts[1] ** 2 / (b.size - 1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Interval(shift - half, shift + half)


def _resamples(a: Floats, b: Floats, paired: bool, name: str) -> Iterator[tuple[Floats, Floats]]:
    """Resamples of both, row by row, in chunks that keep memory small."""
    generator = named_generator(f"difference/{name}")
    size = max(1, _CHUNK // max(a.size, b.size))
    for start in range(0, _RESAMPLES, size):
        count = min(size, _RESAMPLES - start)
        chosen = generator.integers(0, a.size, (count, a.size))
        yield a[chosen], b[chosen if paired else generator.integers(0, b.size, (count, b.size))]
