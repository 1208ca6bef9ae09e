"""Two experiments compared metric by metric over their replications: difference, interval, one plain sentence.

Called by `experiment.compare`. Where both ran with the same seeds, replication i of one is compared with replication i
of the other (common random numbers: the same requests at the same times, the same pod dies), which takes most chance
out of the difference. Otherwise the two are independent samples.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netsim.measure.confidence import UNKNOWN, Floats, Interval, values_needed
from netsim.measure.difference import mean_difference, quantile_difference
from netsim.measure.frames import typed
from netsim.measure.metrics import METRICS, Metric, value_text
from netsim.measure.observations import services_of

if TYPE_CHECKING:
    import pandas as pd

TYPES: Final[Mapping[str, str]] = {
    "service": "str",
    "metric": "str",
    "unit": "str",
    "a": "float64",
    "b": "float64",
    "difference": "float64",
    "low": "float64",
    "high": "float64",
    "shown": "bool",
    "detectable": "float64",
    "replications_a": "int64",
    "replications_b": "int64",
    "paired": "bool",
    "sentence": "str",
}


_POWER: Final = 1 + 0.8416 / 1.9600  # quantiles of the normal distribution: 0.8 and 0.975


@dataclass(frozen=True, slots=True)
class Difference:
    """B minus A in one metric of one Service. `sizes` are the numbers of replications with a value."""

    service: str
    metric: Metric
    a: float
    b: float
    interval: Interval
    sizes: tuple[int, int]
    paired: bool

    @property
    def value(self) -> float:
        """The difference."""
        return self.b - self.a

    @property
    def shown(self) -> bool:
        """Whether chance alone does not explain it: the interval does not hold 0."""
        return self.interval.known and 0 not in self.interval

    @property
    def detectable(self) -> float:
        """How large a difference would have been shown in four of five such comparisons: the half width of the interval
        holds 1.96 standard errors, a power of 80 % needs 0.84 more."""
        return _POWER * max(self.interval.high - self.value, self.value - self.interval.low)

    def sentence(self, name_b: str) -> str:
        """What that means."""
        unit = self.metric.unit
        if self.interval.known and self.interval.low == self.interval.high == 0:
            return f"the same in all of {self._replications()}"
        if not self.interval.known:
            return self._too_few()
        if not self.shown:
            return (
                f"no difference could be shown with {self._replications()}; "
                f"four times out of five, one of {points(self.detectable, unit)} would have been"
            )
        low, high = sorted(abs(bound) for bound in (self.interval.low, self.interval.high))
        words = self.metric.more if self.value > 0 else self.metric.less
        how = points(abs(self.value), unit)
        if low == high:
            return f"{name_b} {words.format(how)}, in all of {self._replications()}"
        between = f"{points(low, unit)} to {points(high, unit)}"
        return f"{name_b} {words.format(how)} ({between}); chance does not explain it"

    def _replications(self) -> str:
        one, other = self.sizes
        if self.paired or one == other:
            return f"{one} replications" if self.paired else f"{one} replications each"
        return f"{one} and {other} replications"

    def _too_few(self) -> str:
        needed = values_needed(self.metric.q) if self.metric.q else 2
        return f"too few replications to tell chance from cause: {needed} are needed, there are {min(self.sizes)}"


def points(value: float, unit: str) -> str:
    """A difference for reading: of shares in percentage points."""
    return (
        f"{100 * value:.3g} points"
        if unit == "share"
        else value_text(value, "ns" if unit == "ns" else "plain")
    )


def differences(
    a: "pd.DataFrame", b: "pd.DataFrame", paired: bool, metrics: Sequence[str]
) -> list[Difference]:
    """All metrics of all Services that both have values for. `paired`: replications with the same number pair."""
    return [
        found
        for service in services_of([a, b])
        for found in _of_service(
            service, a[a["service"] == service], b[b["service"] == service], paired, metrics
        )
    ]


def _of_service(
    service: str, a: "pd.DataFrame", b: "pd.DataFrame", paired: bool, metrics: Iterable[str]
) -> Iterator[Difference]:
    for metric in (METRICS[name] for name in metrics):
        x, y = (t.set_index("replication")[metric.column].dropna() for t in (a, b))
        if paired:
            both = x.index.intersection(y.index)
            x, y = x[both], y[both]
        if len(x) and len(y):
            yield _difference(service, metric, x.to_numpy(np.float64), y.to_numpy(np.float64), paired)


def _difference(service: str, metric: Metric, x: Floats, y: Floats, paired: bool) -> Difference:
    name = f"{service}/{metric.name}"
    if paired and np.array_equal(x, y):
        interval = Interval(0, 0) if x.size > 1 else UNKNOWN
    elif metric.q:
        interval = quantile_difference(x, y, metric.q, paired, name)
    else:
        interval = mean_difference(x, y, paired, name)
    return Difference(
        service, metric, metric.estimate(x), metric.estimate(y), interval, (x.size, y.size), paired
    )


def differences_frame(found: Iterable[Difference], name_b: str) -> "pd.DataFrame":
    """One row per Service and metric; values in nanoseconds, shares or plain numbers, as `unit` says."""
    rows: list[dict[str, Any]] = [
        {
            "service": d.service, "metric": d.metric.name, "unit": d.metric.unit, "a": d.a, "b": d.b,
            "difference": d.value, "low": d.interval.low, "high": d.interval.high, "shown": d.shown,
            "detectable": d.detectable, "replications_a": d.sizes[0], "replications_b": d.sizes[1],
            "paired": d.paired, "sentence": d.sentence(name_b),
        }
        for d in found
    ]  # fmt: skip
    return typed(rows, TYPES)
