"""Stopping when the answer is precise enough: after each batch of replications, is the interval narrow enough?

Called by the runner (`experiment.stopping`), by sweeps and by the report. The number of replications follows from the
values alone, never from the number of processes or the time they take. Batches grow towards the number that the
interval so far asks for (its width goes with the root of the number), so the data are looked at a few times only: each
look is a chance to stop too early (Chow and Robbins 1965; Glynn and Whitt 1992).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netsim.measure.confidence import Interval, values_needed
from netsim.measure.metrics import METRICS, value_text
from netsim.measure.observations import services_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class StopRule:
    """`relative` is a share of the estimate; `half_width` an absolute one in the metric's unit, where that is 0.

    `service` empty: it has to hold for each Service."""

    metric: str
    relative: float
    half_width: float
    least: int
    most: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class Precision:
    """How precise a metric is after so many replications, for the Service for which that is worst."""

    rule: StopRule
    service: str
    estimate: float
    interval: Interval
    replications: int

    @property
    def half_width(self) -> float:
        """Of the interval, NaN when it is not known."""
        return (self.interval.high - self.interval.low) / 2

    @property
    def wanted(self) -> float:
        """The half width asked for."""
        return self.rule.half_width or self.rule.relative * abs(self.estimate)

    @property
    def excess(self) -> float:
        """How many times too wide; infinite when there is no interval."""
        if not self.interval.known:
            return math.inf
        if self.half_width <= self.wanted:
            return min(1.0, self.half_width / self.wanted) if self.wanted else 0.0
        return self.half_width / self.wanted if self.wanted else math.inf

    @property
    def reached(self) -> bool:
        """Whether that is precise enough."""
        return self.excess <= 1

    def line(self) -> str:
        """For the report."""
        metric = METRICS[self.rule.metric]
        wanted = (
            f"{100 * self.rule.relative:.3g}%" if self.rule.relative else value_text(self.wanted, metric.unit)
        )
        end = f"after {self.replications} replications"
        if math.isnan(self.estimate):
            return f"precision: {metric.name} has no value {end}, so a half width of {wanted} was not reached"
        whose = self.service or "requests to no Service"
        what = f"{metric.name} of {whose} is {value_text(self.estimate, metric.unit)}"
        if not self.interval.known:
            return (
                f"precision: {what} {end}, too few for an interval: a half width of {wanted} was not reached"
            )
        half = value_text(self.half_width, metric.unit)
        part = f" ({100 * self.half_width / abs(self.estimate):.3g}%)" if self.estimate else ""
        verdict = "reached" if self.reached else f"not reached (at most {self.rule.most} replications)"
        return f"precision: {what} +- {half}{part} {end}; a half width of {wanted} was {verdict}"


def precision(observed: "pd.DataFrame", rule: StopRule) -> Precision:
    """Of all replications observed so far (see `observations`)."""
    replications = observed["replication"].nunique()
    found = [
        _of_service(service, observed[observed["service"] == service], rule, replications)
        for service in services_of([observed])
        if rule.service in ("", service)
    ]
    valued = [one for one in found if not math.isnan(one.estimate)]
    nothing = Precision(rule, rule.service, math.nan, Interval(math.nan, math.nan), replications)
    return max(valued, key=lambda one: one.excess, default=nothing)


def _of_service(service: str, part: "pd.DataFrame", rule: StopRule, replications: int) -> Precision:
    metric = METRICS[rule.metric]
    values = part[metric.column].dropna().to_numpy(dtype=np.float64)
    interval = metric.interval(values, f"stop/{service}")
    return Precision(rule, service, metric.estimate(values), interval, replications)


def next_number(found: Precision) -> int:
    """How many replications there should be in all; the number there is when that is enough."""
    rule, n = found.rule, found.replications
    if found.reached or n >= rule.most:
        return n
    metric = METRICS[rule.metric]
    if metric.q and n < values_needed(metric.q):
        wanted = values_needed(metric.q)
    else:
        wanted = math.ceil(n * min(found.excess, 2.0) ** 2)
    step = max(2, n // 4)
    return min(rule.most, max(n + step, min(wanted, max(2 * n, rule.least))))


def enough(observed: Iterable["pd.DataFrame"], rule: StopRule) -> int:
    """The number of replications to have after these; that of `observed` when no more are needed."""
    import pandas as pd

    tables = list(observed)
    return next_number(precision(pd.concat(tables, ignore_index=True), rule)) if tables else rule.least
