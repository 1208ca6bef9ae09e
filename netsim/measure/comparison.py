"""Variants of one experiment side by side: one row per variant, with the figures that people compare.

Called by `experiment.comparison`. What is compared is told apart by topic: requests, the first packet of a connection
(the time to connect: there and back, names not counted), the split, kube-proxy's synchronisations, outages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pandas as pd

from netsim.measure.confidence import Interval, quantile
from netsim.measure.frames import typed
from netsim.measure.hurt import hurt_comparison_lines, hurt_frame
from netsim.measure.split import LoadSplit
from netsim.measure.summary import Failover, seconds, seconds_range
from netsim.measure.syncs import changes, first_syncs, syncs_frame
from netsim.measure.table import table
from netsim.measure.text import percent, request_rows
from netsim.measure.verdict import p_text


class Analysed(Protocol):
    """What is needed of a variant's results (see experiment/analysis.py)."""

    requests: pd.DataFrame
    events: pd.DataFrame

    @property
    def services(self) -> tuple[str, ...]: ...
    def load_split(self, service: str = "") -> LoadSplit: ...
    def failover(self, service: str = "") -> Failover: ...


@dataclass(frozen=True, slots=True)
class Condition:
    """The proxy mode and the number of Services that nobody asks for, where variants differ in these only; -1 for
    variants that differ in something else."""

    mode: str = ""
    fillers: int = -1


@dataclass(frozen=True, slots=True)
class Variant:
    """One column of the comparison, shown as a row."""

    name: str
    analysis: Analysed
    condition: Condition = Condition()


TYPES: Final[Mapping[str, str]] = {
    "variant": "str",
    "mode": "str",
    "fillers": "int64",
    "service": "str",
    "requests": "int64",
    "ok": "int64",
    "latency_p50_ns": "float64",
    "latency_p99_ns": "float64",
    "connections": "int64",
    "connect_p50_ns": "float64",
    "connect_p99_ns": "float64",
    "endpoints": "int64",
    "smallest_share": "float64",
    "largest_share": "float64",
    "jain": "float64",
    "split_pvalue": "float64",
    "first_sync_ns": "float64",
    "changes": "int64",
    "change_sync_ns": "float64",
    "change_sync_max_ns": "float64",
    "outages": "int64",
    "outage_ns": "float64",
    "outage_low_ns": "float64",
    "outage_high_ns": "float64",
    "failed": "int64",
}


def comparison_frame(variants: Iterable[Variant]) -> pd.DataFrame:
    """One row per variant and Service; the columns are `TYPES`. Outages are of the first fault."""
    return typed([_row(v, service) for v in variants for service in v.analysis.services], TYPES)


def _row(variant: Variant, service: str) -> dict[str, Any]:
    analysis = variant.analysis
    requests = analysis.requests[analysis.requests["service"] == service]
    return {
        "variant": variant.name,
        "mode": variant.condition.mode,
        "fillers": variant.condition.fillers,
        "service": service,
        **_request_figures(requests),
        **_split_figures(analysis.load_split(service)),
        **_sync_figures(syncs_frame(analysis.events)),
        **_outage_figures(analysis.failover(service)),
    }


def _request_figures(requests: pd.DataFrame) -> dict[str, Any]:
    good = requests[requests["outcome"] == "ok"]
    latency = good["latency_ns"].to_numpy(dtype=float)
    opened = good[~good["reused"]]["connect_ns"].dropna().to_numpy(dtype=float)
    return {
        "requests": len(requests),
        "ok": len(good),
        "latency_p50_ns": quantile(latency, 0.5),
        "latency_p99_ns": quantile(latency, 0.99),
        "connections": len(opened),
        "connect_p50_ns": quantile(opened, 0.5),
        "connect_p99_ns": quantile(opened, 0.99),
    }


def _split_figures(split: LoadSplit) -> dict[str, Any]:
    shares = split.table["connection_share"]
    return {
        "endpoints": len(split.table),
        "smallest_share": float(shares.min()) if len(shares) else float("nan"),
        "largest_share": float(shares.max()) if len(shares) else float("nan"),
        "jain": split.jain,
        "split_pvalue": split.pvalue,
    }


def _sync_figures(syncs: pd.DataFrame) -> dict[str, Any]:
    later = changes(syncs)["cost_ns"]
    return {
        "first_sync_ns": float(first_syncs(syncs).mean()) if len(syncs) else float("nan"),
        "changes": len(later),
        "change_sync_ns": float(later.mean()) if len(later) else float("nan"),
        "change_sync_max_ns": float(later.max()) if len(later) else float("nan"),
    }


def _outage_figures(failover: Failover) -> dict[str, Any]:
    if not failover.faults:
        nothing = float("nan")
        return {
            "outages": 0,
            "outage_ns": nothing,
            "outage_low_ns": nothing,
            "outage_high_ns": nothing,
            "failed": 0,
        }
    fault = failover.faults[0]
    rows, interval = failover.of(fault), failover.interval(fault)
    return {
        "outages": len(rows),
        "outage_ns": float(rows["outage_ns"].mean()),
        "outage_low_ns": interval.low,
        "outage_high_ns": interval.high,
        "failed": int(rows["failed"].sum()),
    }


# ---------------------------------------------------------------------- text
REQUEST_HEAD: Final = ("variant", "load", "requests", "ok", "failed", "retried", "p50", "p95", "p99", "max")


def comparison_lines(variants: Sequence[Variant]) -> list[list[str]]:
    """The sections of the report, each as its lines: requests, then for each Service what was compared."""
    frame = comparison_frame(variants)
    rows = [(v.name, *row[:-1]) for v in variants for row in request_rows(v.analysis.requests)]
    sections = [["Requests (latency of those that succeeded)", *table(REQUEST_HEAD, rows, "LLrrrrrrrr")]]
    for service in dict.fromkeys(frame["service"]):
        part = frame[frame["service"] == service]
        sections += [_connect_lines(service, part), _split_lines(service, part), _outage_lines(service, part)]
    sections.append(
        hurt_comparison_lines((v.name, hurt_frame(v.analysis.requests, v.analysis.events)) for v in variants)
    )
    sections.append(_sync_lines(frame.drop_duplicates("variant")))
    return [lines for lines in sections if lines]


def _connect_lines(service: str, part: pd.DataFrame) -> list[str]:
    if not part["connections"].sum():
        return []
    first = float(part.iloc[0]["connect_p50_ns"])
    rows = [
        (
            row["variant"],
            f"{row['connections']:,}",
            seconds(row["connect_p50_ns"]),
            seconds(row["connect_p99_ns"]),
            f"{row['connect_p50_ns'] / first:.2f}",
        )
        for row in _records(part)
    ]
    title = f"First packet to {service} and back (time to connect)"
    return [title, *table(("variant", "connections", "p50", "p99", "p50 / first"), rows, "Lrrrr")]


def _split_lines(service: str, part: pd.DataFrame) -> list[str]:
    rows = [
        (
            row["variant"],
            str(row["endpoints"]),
            percent(row["smallest_share"]),
            percent(row["largest_share"]),
            f"{row['jain']:.4f}",
            p_text(row["split_pvalue"]).removeprefix("p ").removeprefix("= "),
        )
        for row in _records(part)
    ]
    head = ("variant", "endpoints", "least", "most", "Jain", "p")
    return [f"Load split of {service}", *table(head, rows, "Lrrrrr")]


def _outage_lines(service: str, part: pd.DataFrame) -> list[str]:
    if not part["outages"].sum():
        return []
    rows = [
        (
            row["variant"],
            str(row["outages"]),
            seconds(row["outage_ns"]),
            seconds_range(_interval(row)) if row["outages"] > 1 else "",
            f"{row['failed']:,}",
        )
        for row in _records(part)
    ]
    head = ("variant", "outages", "mean", "95% CI of mean", "failed requests")
    return [f"Failover of {service}", *table(head, rows, "Lrrrr")]


def _records(part: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(part.columns, row, strict=True)) for row in part.itertuples(index=False)]


def _interval(row: Mapping[str, Any]) -> Interval:
    return Interval(float(row["outage_low_ns"]), float(row["outage_high_ns"]))


def _sync_lines(part: pd.DataFrame) -> list[str]:
    rows = [
        (
            row["variant"],
            seconds(row["first_sync_ns"]),
            str(row["changes"]),
            seconds(row["change_sync_ns"]),
            seconds(row["change_sync_max_ns"]),
        )
        for row in _records(part)
    ]
    head = ("variant", "first sync", "later syncs", "mean", "longest")
    return ["kube-proxy: how long it takes to write the rules (simulated)", *table(head, rows, "Lrrrr")]
