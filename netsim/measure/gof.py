"""Goodness of fit: is this split what the rules' probabilities would give by chance?

One connection is one draw among the endpoints in the rules of its node at its time. Draws come in segments (a node, a
period) with their own probabilities p, and may carry weights w (requests per connection). Under chance the totals per
endpoint have mean and covariance

    E = sum over segments of (sum of w) p          V = sum over segments of (sum of w^2) (diag p - p p')

and d' V+ d, with d = observed - E and V+ the pseudo-inverse, follows a chi-square law with rank V degrees of freedom.
For one segment without weights this is exactly Pearson's sum of (O - E)^2 / E. Where an endpoint expects fewer than 5
effective draws the chi-square law is a bad approximation, and the p-value is found by simulating the draws instead.
Source: Cochran 1954 for the rule of 5; Besag and Clifford 1991 for the Monte Carlo p-value (1 + hits) / (1 + draws).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

_RULE_OF_FIVE: Final = 5.0
_SIMULATIONS: Final = 4999
_WORK: Final = 40_000_000
_CHUNK: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Segment:
    """Draws with the same probabilities: `probability` sums to 1 over the endpoints; one weight per draw."""

    probability: Floats
    weights: Floats


@dataclass(frozen=True, slots=True)
class Fit:
    """Outcome of a test: `expected` per endpoint, and how probable a split at least this uneven is by chance."""

    expected: Floats
    statistic: float
    dof: int
    pvalue: float
    method: str


def named_generator(name: str) -> np.random.Generator:
    """A generator that depends on a name only, so that statistics are the same in every process."""
    return np.random.Generator(
        np.random.PCG64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big"))
    )


def fit(observed: Floats, segments: Sequence[Segment], name: str) -> Fit:
    """Test observed totals (n endpoints, weighted) against what the segments expect. `name` seeds the simulation."""
    expected, covariance = _moments(observed.size, segments)
    inverse, dof = _pseudo_inverse(covariance)
    if dof == 0:
        return Fit(expected, 0.0, 0, 1.0, "nothing to choose")
    d = observed - expected
    statistic = float(d @ inverse @ d)
    if _enough(expected, segments):
        return Fit(expected, statistic, dof, float(stats.chi2.sf(statistic, dof)), "chi-square")
    pvalue = _simulated(statistic, expected, inverse, segments, name)
    return Fit(expected, statistic, dof, pvalue, "simulated")


def expectation(n: int, segments: Sequence[Segment]) -> Floats:
    """What n endpoints get on average."""
    return _moments(n, segments)[0]


def _moments(n: int, segments: Sequence[Segment]) -> tuple[Floats, Floats]:
    expected, covariance = np.zeros(n), np.zeros((n, n))
    for s in segments:
        p = s.probability
        expected += s.weights.sum() * p
        covariance += np.square(s.weights).sum() * (np.diag(p) - np.outer(p, p))
    return expected, covariance


def _pseudo_inverse(covariance: Floats) -> tuple[Floats, int]:
    values, vectors = np.linalg.eigh(covariance)
    keep = values > 1e-9 * max(float(values.max(initial=0.0)), 1e-300)
    kept = vectors[:, keep]
    return (kept / values[keep]) @ kept.T, int(keep.sum())


def _enough(expected: Floats, segments: Sequence[Segment]) -> bool:
    total = sum(float(s.weights.sum()) for s in segments)
    squares = sum(float(np.square(s.weights).sum()) for s in segments)
    share = expected[expected > 0] / total
    return bool((share * total * total / squares).min() >= _RULE_OF_FIVE)


def _simulated(
    statistic: float, expected: Floats, inverse: Floats, segments: Sequence[Segment], name: str
) -> float:
    generator = named_generator(f"goodness of fit/{name}")
    draws = max(1, sum(s.weights.size for s in segments))
    wanted = int(np.clip(_WORK // draws, 199, _SIMULATIONS))
    size = max(1, min(wanted, _CHUNK // draws))
    hits = done = 0
    while done < wanted:
        count = min(size, wanted - done)
        d = _totals(count, expected.size, segments, generator) - expected
        simulated = np.einsum("ij,jk,ik->i", d, inverse, d)
        hits += int((simulated >= statistic - 1e-9 * max(1.0, statistic)).sum())
        done += count
    return (1 + hits) / (1 + wanted)


def _totals(count: int, n: int, segments: Sequence[Segment], generator: np.random.Generator) -> Floats:
    totals = np.zeros((count, n))
    for s in segments:
        chosen = np.searchsorted(
            np.cumsum(s.probability), generator.random((count, s.weights.size)), side="right"
        )
        chosen = np.minimum(chosen, n - 1)
        for endpoint in np.flatnonzero(s.probability):
            totals[:, endpoint] += (chosen == endpoint) @ s.weights
    return totals


def jain(values: Floats) -> float:
    """Jain's fairness index (sum x)^2 / (n sum x^2): 1 is perfectly fair, 1/n is all on one. Source: Jain, Chiu, Hawe
    1984 (DEC-TR-301). 1 for no values and for nothing but zeros."""
    squares = float(np.square(values).sum())
    return float(values.sum()) ** 2 / (values.size * squares) if squares else 1.0
