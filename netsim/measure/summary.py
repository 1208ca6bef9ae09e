"""Failover over replications: per fault the budget's means, percentiles and intervals, and one plain sentence.

`Results.failover(service)` returns a `Failover`; `text`, `html` and `figures` show it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd

from netsim.measure.budget import STAGE_WORDS, STAGES
from netsim.measure.confidence import Interval, mean_interval, quantile, quantile_interval
from netsim.measure.frames import typed

SUMMARY_TYPES: Final[Mapping[str, str]] = {
    "fault": "str",
    "stage": "str",
    "replications": "int64",
    "mean_ns": "float64",
    "mean_low_ns": "float64",
    "mean_high_ns": "float64",
    "p50_ns": "float64",
    "p95_ns": "float64",
    "p95_low_ns": "float64",
    "p95_high_ns": "float64",
    "min_ns": "float64",
    "max_ns": "float64",
}

# Somebody's orders, which take their time; nobody has to notice anything.
_ORDERED: Final = frozenset({"rollout", "scale", "drain", "apply", "delete"})

# The marks as durations since the fault, unclipped: what the control plane took, whether anybody noticed or not.
MARKS: Final[Mapping[str, str]] = {
    "detected": "detected_ns",
    "status written": "status_ns",
    "endpoints updated": "endpoints_ns",
    "rules everywhere": "rules_ns",
}


@dataclass(frozen=True, eq=False)
class Failover:
    """What faults did to one Service. `table` has a row per replication and fault, `nodes` one per client node too."""

    service: str
    table: pd.DataFrame
    nodes: pd.DataFrame

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults' names in order of their time."""
        ordered = self.table.sort_values(["fault_ns", "fault"], kind="stable")
        return tuple(dict.fromkeys(ordered["fault"].tolist()))

    def of(self, fault: str) -> pd.DataFrame:
        """The rows of one fault."""
        return self.table[self.table["fault"] == fault]

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Per fault: each stage and the outage over the replications; 95 % intervals, NaN where too few."""
        rows = [
            self._line(fault, stage, self.of(fault)[column])
            for fault in self.faults
            for stage, column in _columns().items()
        ]
        return typed(rows, SUMMARY_TYPES)

    @cached_property
    def propagation(self) -> pd.DataFrame:
        """Per fault: how long after the fault each mark came, over the replications in which it came."""
        rows = []
        for fault in self.faults:
            part = self.of(fault)
            for mark, column in MARKS.items():
                after = (part[column] - part["fault_ns"]).dropna()
                if len(after):
                    rows.append(self._line(fault, mark, after))
        return typed(rows, SUMMARY_TYPES)

    def _line(self, fault: str, stage: str, values: "pd.Series[Any]") -> tuple[Any, ...]:
        x = values.to_numpy(dtype=np.float64)
        name = f"{self.service}/{fault}/{stage}"
        mean, high = mean_interval(x, name), quantile_interval(x, 0.95)
        return (
            fault, stage, x.size, float(x.mean()), float(np.maximum(0.0, mean.low)), mean.high,
            quantile(x, 0.5), quantile(x, 0.95), high.low, high.high, float(x.min()), float(x.max()),
        )  # fmt: skip

    def interval(self, fault: str) -> Interval:
        """The 95 % interval of the mean outage."""
        row = self.summary[(self.summary["fault"] == fault) & (self.summary["stage"] == "outage")].iloc[0]
        return Interval(float(row["mean_low_ns"]), float(row["mean_high_ns"]))

    def sentence(self, fault: str) -> str:
        """What happened, in a line or two."""
        part = self.of(fault)
        hurt = part[part["failed"] > 0]
        if hurt.empty:
            return _unhurt(part)
        what = "new connections" if not int(hurt["failed_reused"].sum()) else "requests"
        return f"{what} failed for {self._how_long(fault, part)}{_blame(part)}{_unfinished(part)}"

    def _how_long(self, fault: str, part: pd.DataFrame) -> str:
        mean = seconds(float(part["outage_ns"].mean()))
        interval = self.interval(fault)
        if not interval.known:
            return mean
        if interval.low == interval.high:
            return f"{mean} in each of {len(part)} replications"
        return f"{mean} on average (95% CI {seconds_range(interval)})"

    def _repr_html_(self) -> str:
        from netsim.measure.html import failover_html

        return failover_html(self)


def _columns() -> dict[str, str]:
    return {**{stage: f"{stage}_stage_ns" for stage in STAGES}, "outage": "outage_ns"}


def _unhurt(part: pd.DataFrame) -> str:
    helped = int((part["retried"] > 0).sum())
    why = f"; retries hid it in {helped} of {len(part)} replications" if helped else ""
    return f"no request failed{why}"


def _blame(part: pd.DataFrame) -> str:
    """Which stage took most of the outage."""
    total = float(part["outage_ns"].sum())
    if not total:
        return ""
    shares = {stage: float(part[f"{stage}_stage_ns"].sum()) / total for stage in STAGES}
    worst = max(STAGES, key=lambda stage: shares[stage])
    if worst == "detect" and bool(part["detected_ns"].isna().all()):
        return "; the control plane never noticed"
    ordered = worst == "detect" and set(part["action"]) <= _ORDERED
    words = "the time until the last pod was told to end" if ordered else STAGE_WORDS[worst]
    return f"; {shares[worst]:.0%} of it was {words}"


def _unfinished(part: pd.DataFrame) -> str:
    open_ended = int((~part["recovered"]).sum())
    if not open_ended:
        return ""
    where = f"in {open_ended} of {len(part)} replications " if len(part) > 1 else ""
    return f"; {where}it had not recovered when the run or the fault's window ended, so it lasts longer than that"


def seconds(ns: float) -> str:
    """A duration for reading, three digits: `26.3 s`, `0.912 s`, `48 ms`, `310 us`."""
    if np.isnan(ns):
        return "-"
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if abs(ns) >= 0.0999 * size and (unit == "s" or abs(ns) >= size):
            return f"{_three(ns / size)} {unit}"
    return f"{ns:.0f} ns"


def seconds_range(interval: Interval) -> str:
    """`0.71 to 1.12 s`: both ends in the unit of the larger."""
    unit = seconds(interval.high).rsplit(" ", 1)[-1]
    size = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}[unit]
    return f"{_three(interval.low / size)} to {_three(interval.high / size)} {unit}"


def _three(value: float) -> str:
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"
