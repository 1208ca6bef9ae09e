"""Summaries of a sweep's table: per cell, and per value of a parameter whatever the others are.

Called by `sweep_text`, `figures_sweep`, `experiment.sweep_results`. All cells run with the same seeds, so replications
are what varies by chance: a mean over cells is taken within each replication first, and its interval is that over the
replications. Intervals use Student's t: a sweep has many cells of few replications each.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from netsim.measure.confidence import CONFIDENCE, Floats, Interval, quantile_interval
from netsim.measure.frames import typed
from netsim.measure.metrics import METRICS, Metric

_TYPES: Final[Mapping[str, str]] = {
    "service": "str",
    "metric": "str",
    "replications": "int64",
    "estimate": "float64",
    "low": "float64",
    "high": "float64",
}


def cell_summary(table: pd.DataFrame, columns: Sequence[str], metrics: Iterable[str]) -> pd.DataFrame:
    """One row per cell, Service and metric, with the cell's settings."""
    rows = []
    for (number, service), part in table.groupby(["cell", "service"], sort=True):
        for metric in (METRICS[name] for name in metrics):
            rows.append(
                (
                    int(str(number)),
                    *(part[name].iloc[0] for name in columns),
                    str(service),
                    *_line(part, metric),
                )
            )
    types = {"cell": "int64", **{name: str(table[name].dtype) for name in columns}, **_TYPES}
    return typed(rows, types)


def _line(part: pd.DataFrame, metric: Metric) -> tuple[Any, ...]:
    values = part[metric.column].dropna().to_numpy(dtype=np.float64)
    found = interval(values, metric)
    return metric.name, values.size, metric.estimate(values), found.low, found.high


def interval(values: Floats, metric: Metric) -> Interval:
    """Student's t for a mean (not below 0), order statistics for a quantile; NaN where there are too few values."""
    if metric.q:
        return quantile_interval(values, metric.q)
    if values.size < 2:
        return Interval(float("nan"), float("nan"))
    mean = float(values.mean())
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, values.size - 1) * values.std(ddof=1)) / values.size**0.5
    return Interval(max(0.0, mean - half), mean + half)


def marginal(table: pd.DataFrame, column: str, metric: Metric) -> list[tuple[Any, int, float, Interval]]:
    """(value, cells, mean, interval) for each value of a parameter, averaged over all other settings."""
    found = []
    for value in dict.fromkeys(table[column].tolist()):
        part = table[table[column] == value]
        by_replication = part.groupby("replication")[metric.column].mean().dropna().to_numpy(dtype=np.float64)
        mean = float(by_replication.mean()) if by_replication.size else float("nan")
        plain = Metric(metric.name, metric.column, metric.unit, 0.0, metric.title, metric.more, metric.less)
        found.append((value, part["cell"].nunique(), mean, interval(by_replication, plain)))
    return found
