"""What can be compared, stopped by and swept: metrics by name, each a column of `observations` and a statistic of it.

Called by `pairs`, the stop rule, sweeps and their loaders. The names are those of the check language (`outage.p95`,
`latency.p99`, `errors`). One outage belongs to one replication, so `outage.p95` is a percentile over replications. A
replication has many requests, so `latency.p99` is the 99th percentile of each replication's own, averaged over the
replications; its interval is that of a mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from netsim.measure.budget import STAGES

if TYPE_CHECKING:
    from netsim.measure.confidence import Floats, Interval

Unit = Literal["ns", "share", "plain"]


@dataclass(frozen=True, slots=True)
class Metric:
    """`q` 0 is the mean over replications, else the quantile. `more` and `less` say in words what a larger and a
    smaller value of B mean, with `{}` for the difference."""

    name: str
    column: str
    unit: Unit
    q: float
    title: str
    more: str
    less: str

    def estimate(self, values: "Floats") -> float:
        """The statistic of values, NaN for none."""
        from netsim.measure.confidence import quantile

        if not len(values):
            return float("nan")
        return quantile(values, self.q) if self.q else float(values.mean())

    def interval(self, values: "Floats", name: str) -> "Interval":
        """Its 95 % interval; a duration, a share and an index are not below 0."""
        from netsim.measure.confidence import Interval, mean_interval, quantile_interval

        if self.q:
            return quantile_interval(values, self.q)
        found = mean_interval(values, f"{name}/{self.column}")
        return Interval(max(0.0, found.low), found.high) if found.known else found


_STATISTICS: Final = {"mean": (0.0, "mean"), "p50": (0.5, "median"), "p95": (0.95, "p95")}
_OF_REQUESTS: Final = {"p50": "median", "p95": "p95", "p99": "p99"}
_STATISTIC_WORDS: Final = {
    "mean": " on average",
    "p50": " in the median replication",
    "p95": " in the worst 5%",
}


def _over_replications(what: str, title: str, more: str, less: str) -> list[Metric]:
    return [
        Metric(
            f"{what}.{short}", f"{what}_ns", "ns", q, f"{title}, {words}",
            more + _STATISTIC_WORDS[short], less + _STATISTIC_WORDS[short],
        )
        for short, (q, words) in _STATISTICS.items()
    ]  # fmt: skip


def _of_requests(what: str, title: str, purpose: str) -> list[Metric]:
    return [
        Metric(
            f"{what}.{short}", f"{what}_{short}_ns", "ns", 0.0, f"{title}, {words}",
            f"takes {{}} longer {purpose} ({words})", f"takes {{}} less {purpose} ({words})",
        )
        for short, words in _OF_REQUESTS.items()
    ]  # fmt: skip


def _all() -> list[Metric]:
    stages = [
        metric
        for stage in STAGES
        for metric in _over_replications(
            stage,
            f"stage {stage}",
            f"spends {{}} more in the stage {stage}",
            f"spends {{}} less in the stage {stage}",
        )
    ]
    return [
        *_over_replications("outage", "outage", "recovers {} later", "recovers {} sooner"),
        Metric(
            "errors", "failed_share", "share", 0.0, "failed share",
            "fails {} more of the requests", "fails {} less of the requests",
        ),
        Metric(
            "latency.mean", "latency_mean_ns", "ns", 0.0, "latency, mean",
            "takes {} longer for a request (mean)", "takes {} less for a request (mean)",
        ),
        *_of_requests("latency", "latency", "for a request"),
        *_of_requests("connect", "time to connect", "to connect"),
        Metric(
            "jain", "jain", "plain", 0.0, "Jain's index",
            "spreads connections more evenly, by {} of Jain's index",
            "spreads connections less evenly, by {} of Jain's index",
        ),
        *stages,
    ]  # fmt: skip


METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _all()}

# What `netsim compare` shows; stages only when asked for.
USUAL: Final = (
    "outage.mean", "outage.p50", "outage.p95", "errors",
    "latency.p50", "latency.p95", "latency.p99", "connect.p50", "connect.p99", "jain",
)  # fmt: skip


def value_text(value: float, unit: Unit) -> str:
    """A value of a metric for reading."""
    from math import isnan

    from netsim.measure.summary import seconds

    if isnan(value):
        return "-"
    if unit == "ns":
        return f"-{seconds(-value)}" if value <= -0.5 else seconds(abs(value))
    return f"{100 * value:.3g}%" if unit == "share" else f"{value:.4f}"


def range_text(interval: "Interval", unit: Unit) -> str:
    """`2.4 s to 3.9 s`; `-` where a bound is not known."""
    if not interval.known:
        return "-"
    return f"{value_text(interval.low, unit)} to {value_text(interval.high, unit)}"
