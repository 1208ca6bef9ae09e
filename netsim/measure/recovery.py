"""When was an outage over? The change point between the fault's failing share and the background's.

"The last failed request" is a poor end: one stray failure five minutes later, or a link that always loses 1 %, would
stretch the outage. So the requests after a fault, in order of their start, are read as two Bernoulli series: before
the change they fail with the share observed there, after it with the background share from before the fault (at least
1 in 10,000), and the change is where that explains the observations best (maximum likelihood; Page 1954, Hinkley 1970).
Without background failures this is right behind the last failure of the cluster that the fault caused. No change at
all is an answer too: then the failures are what happens anyhow, and the outage is 0.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BACKGROUND: Final = 1e-4
# What follows the change must be this much likelier under the background than under the fault to count as recovered.
_EVIDENCE: Final = math.log(100)
# Where requests fail anyway a change must be that much likelier than none: any series has a worst stretch by chance.
_BEYOND_CHANCE: Final = math.log(1000)
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Recovery:
    """`affected` requests (the first ones by start) lie before the change, `failed` of them failed; `certain` says
    whether enough requests followed to call it recovered."""

    affected: int
    failed: int
    certain: bool


def change_point(
    failed: NDArray[np.bool_], background: float, unrepaired: int = 0, observable: int | None = None
) -> Recovery:
    """Where the fault stops to bite. `failed` is in order of the requests' starts; `background` is the failing share
    before the fault; the first `unrepaired` requests began before the rules were repaired, so a failure among them is
    the fault's (unless such failures are usual and there is no change at all). Only the first `observable` requests
    (default: all) can vouch for recovery: of later ones those that hang have not been seen to fail.
    """
    n, total = failed.size, int(failed.sum())
    if not total:
        return Recovery(0, 0, True)
    q0 = min(max(background, _BACKGROUND), 0.5)
    count = np.arange(n + 1)
    bad = np.concatenate(([0], np.cumsum(failed)))
    q1 = np.maximum(bad / np.maximum(count, 1), q0)
    likelihood = _log(bad, count, q1) + _log(total - bad, n - count, np.full(n + 1, q0))
    k = int(np.argmax(likelihood))
    if likelihood[k] - likelihood[0] <= (_BEYOND_CHANCE if background else _ROUNDING):
        k = 0
    if k or not background:
        k = max(k, int(np.flatnonzero(failed[:unrepaired]).max(initial=-1)) + 1)
    until = n if observable is None else max(k, observable)
    certain = k == 0 or _certain(until - k, int(bad[until] - bad[k]), float(q1[k]), q0)
    return Recovery(k, int(bad[k]), certain)


def _log(bad: NDArray[np.int64], count: NDArray[np.int64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihood of `bad` failures among `count` requests that fail with probability q; q = 1 means all failed."""
    good = count - bad
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(bad * np.log(q) + np.where(good > 0, good * np.log1p(-q), 0.0), dtype=np.float64)


def _certain(after: int, bad: int, q1: float, q0: float) -> bool:
    if q1 >= 1:
        return after > bad
    return (after - bad) * (math.log1p(-q0) - math.log1p(-q1)) + bad * (
        math.log(q0) - math.log(q1)
    ) >= _EVIDENCE
