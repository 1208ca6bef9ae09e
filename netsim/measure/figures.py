"""Figures of a run: load split, failover budget, outages, latencies (the request timeline is in `timeline`).

Each function takes tables or results of this package and returns a new `Plot`; nothing is shown or saved here.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from netsim.measure.budget import STAGES
from netsim.measure.confidence import Interval, quantile, quantile_interval
from netsim.measure.gof import Floats
from netsim.measure.split import LoadSplit
from netsim.measure.style import BLACK, BLUE, ORANGE, STAGE_LOOK, VERMILION, Plot, canvas, look, thin, titled
from netsim.measure.summary import Failover, seconds, seconds_range
from netsim.measure.verdict import p_text

_S: Final = 1e9
_MOST_BARS: Final = 30
_LEGEND: Final = ("connections", "requests", "expected", "95% of chance")


def split_plot(split: LoadSplit) -> Plot:
    """Bars of connection share per endpoint with the band that chance gives, and of request share under keep-alive."""
    with look():
        table = split.table.head(_MOST_BARS)
        n, kept = len(table), split.requests != split.connections
        plot, axes = canvas(7.2, 1.75 + (0.5 if kept else 0.38) * max(n, 2))
        y = np.arange(n, dtype=np.float64)
        tall = 0.36 if kept else 0.62
        at = y - tall / 2 - 0.02 if kept else y
        axes.barh(at, table["connection_share"], height=tall, color=BLUE, label="connections")
        if kept:
            axes.barh(at + tall + 0.04, table["request_share"], height=tall, color=ORANGE, label="requests")
        _bands(axes, table, y)
        _values(axes, table, y)
        axes.set_yticks(y, [_endpoint_label(row) for _, row in table.iterrows()])
        axes.set_ylim(n - 0.4, -0.6)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
        axes.set_xlabel("share of the Service's connections" + (" and requests" if kept else ""))
        thin(axes, "x")
        verdict = f"{split.verdict.word} ({split.verdict.reason.replace('-', ' ')})"
        note = f"{split.connections:,} connections, Jain {split.jain:.3f}, {p_text(split.pvalue)}: {verdict}"
        titled(axes, f"Load split of {split.service}", note)
        handles, names = axes.get_legend_handles_labels()
        shown = sorted(zip(handles, names, strict=True), key=lambda item: _LEGEND.index(item[1]))
        plot.legend([h for h, _ in shown], [n for _, n in shown], loc="outside lower center", ncols=4)
        return plot


def _endpoint_label(row: "pd.Series[Any]") -> str:
    pod = str(row["pod"]).rsplit("/", 1)[-1]
    return f"{pod}\n{row['endpoint']}" if pod else str(row["endpoint"])


def _bands(axes: Axes, table: pd.DataFrame, y: Floats) -> None:
    low, high, mid = (table[c].to_numpy(dtype=float) for c in ("low", "high", "expected_share"))
    axes.barh(
        y, high - low, left=low, height=0.86, color="none", edgecolor=BLACK, linewidth=0.9, hatch="////",
        alpha=0.55, label="95% of chance",
    )  # fmt: skip
    axes.vlines(mid, y - 0.43, y + 0.43, color=BLACK, linewidth=1.4, label="expected")


def _values(axes: Axes, table: pd.DataFrame, y: Floats) -> None:
    """The share in figures right of each bar, and how many requests failed there."""
    columns = ["high", "connection_share", "request_share"]
    ends = table[columns].max(axis=1).to_numpy(dtype=float)
    right = float(ends.max())
    axes.set_xlim(0, right * 1.25)
    for at, end, (_, row) in zip(y, ends, table.iterrows(), strict=True):
        share = axes.text(
            end + right * 0.012, at, f"{row['connection_share']:.1%}", va="center", fontsize=8.5
        )
        if row["failed"]:
            axes.annotate(
                f"{row['failed']:,} failed", (1, 0.5), xycoords=share, xytext=(6, 0),
                textcoords="offset points", va="center", color=VERMILION, fontsize=8.5,
            )  # fmt: skip


def failover_plot(failover: Failover, fault: str) -> Plot:
    """The budget: one stacked bar per replication, the mean at the bottom, where did the seconds go."""
    with look():
        part = failover.of(fault).sort_values("outage_ns", ascending=False, kind="stable").head(_MOST_BARS)
        n = len(part)
        plot, axes = canvas(7.2, 1.9 + 0.16 * n)
        bars = [(row, float(i), 0.74) for i, (_, row) in enumerate(part.iterrows())]
        for row, at, height in bars:
            _stack(axes, [float(row[f"{s}_stage_ns"]) for s in STAGES], at, height)
        if n > 1:
            mean = [float(failover.of(fault)[f"{s}_stage_ns"].mean()) for s in STAGES]
            _stack(axes, mean, n + 1.2, 1.7)
            axes.text(sum(mean) / _S, n + 1.2, f"  {seconds(sum(mean))}", va="center", fontweight="bold")
        ticks = [at for _, at, _ in bars] + ([n + 1.2] if n > 1 else [])
        axes.set_yticks(ticks, [str(row["replication"]) for row, _, _ in bars] + (["mean"] if n > 1 else []))
        axes.tick_params(axis="y", length=0, labelsize=8.5 if n <= 12 else 6.5)
        axes.set_ylim(n + 2.3 if n > 1 else 0.6, -0.6)
        axes.set_xlim(0, max(axes.get_xlim()[1] * 1.02, 1e-9))
        axes.set_ylabel("replication" + (", longest first" if n > 1 else ""))
        axes.set_xlabel("time since the fault [s]")
        thin(axes, "x")
        titled(
            axes,
            f"Where did the time go? {failover.service}, {fault}",
            f"outage {_mean_text(failover, fault)}",
        )
        _stage_legend(axes, failover.of(fault))
        return plot


def _mean_text(failover: Failover, fault: str) -> str:
    mean = seconds(float(failover.of(fault)["outage_ns"].mean()))
    interval = failover.interval(fault)
    return f"{mean} on average, 95% CI {seconds_range(interval)}" if interval.known else mean


def _stack(axes: Axes, parts: Sequence[float], at: float, height: float) -> None:
    left = 0.0
    for stage, part in zip(STAGES, parts, strict=True):
        colour, hatch = STAGE_LOOK[stage]
        axes.barh(
            at,
            part / _S,
            left=left / _S,
            height=height,
            color=colour,
            hatch=hatch,
            edgecolor=BLACK,
            linewidth=0.3,
        )
        left += part


def _stage_legend(axes: Axes, part: pd.DataFrame) -> None:
    from matplotlib.patches import Patch

    total = max(1.0, float(part["outage_ns"].sum()))
    handles = []
    for stage in STAGES:
        colour, hatch = STAGE_LOOK[stage]
        share = float(part[f"{stage}_stage_ns"].sum()) / total
        handles.append(
            Patch(
                facecolor=colour,
                hatch=hatch,
                edgecolor=BLACK,
                linewidth=0.3,
                label=f"{stage} {_about(share)}",
            )
        )
    axes.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=1.8, handleheight=1.2
    )


def _about(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def outage_plot(failover: Failover, fault: str) -> Plot:
    """Distribution of the outage over the replications, with median and mean and their 95 % intervals."""
    with look():
        plot, axes = canvas(7.2, 3.2)
        x = np.sort(failover.of(fault)["outage_ns"].to_numpy(dtype=float)) / _S
        axes.ecdf(x, color=BLUE, linewidth=1.8)
        axes.plot(x, np.arange(1, x.size + 1) / x.size, "o", color=BLUE, markersize=3.5)
        mean = failover.interval(fault)
        _estimate(axes, "median", quantile(x, 0.5), quantile_interval(x, 0.5), (0.5, "D"))
        _estimate(axes, "mean", float(x.mean()), Interval(mean.low / _S, mean.high / _S), (0.06, "s"))
        axes.set_ylim(0, 1.03)
        axes.margins(x=0.06)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
        axes.set_xlabel("outage [s]")
        axes.set_ylabel("replications at most that long")
        titled(axes, f"Outage of {failover.service}, {fault}", f"{x.size} replications")
        axes.legend(loc="center right")
        return plot


def _estimate(axes: Axes, name: str, value: float, interval: Interval, look_: tuple[float, str]) -> None:
    """A mark at a height, with its 95 % interval as a bar."""
    height, marker = look_
    words = f"{name} {seconds(value * _S)}"
    if interval.known:
        axes.plot([interval.low, interval.high], [height, height], color=ORANGE, linewidth=5, solid_capstyle="butt",
                  alpha=0.8)  # fmt: skip
        words += f", 95% CI {seconds_range(Interval(interval.low * _S, interval.high * _S))}"
    axes.plot([value], [height], marker, color=BLACK, markersize=6, linestyle="", label=words)


def latency_plot(requests: pd.DataFrame, title: str = "Latency") -> Plot:
    """Histogram of the successes' latency, both axes logarithmic, with percentiles; the title counts failures."""
    with look():
        plot, axes = canvas(7.2, 3.2)
        good = requests.loc[requests["outcome"] == "ok", "latency_ns"].to_numpy(dtype=float) / 1e6
        if good.size:
            low, high = float(good.min()), float(good.max())
            bins = np.geomspace(max(low, 1e-6) * 0.98, max(high, 1e-6) * 1.02, 70)
            axes.hist(good, bins=list(bins), color=BLUE, alpha=0.85)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            axes.xaxis.set_minor_formatter(FuncFormatter(_minor_ms) if high / low < 50 else "")
            axes.set_yscale("symlog", linthresh=10)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
            _percentiles(axes, good)
        bad = int((~requests["outcome"].isin(["ok", "aborted"])).sum())
        axes.set_xlabel("latency of successful requests [ms], logarithmic")
        axes.set_ylabel("requests, logarithmic")
        thin(axes, "y")
        titled(axes, title, f"{good.size:,} ok, {bad:,} failed")
        return plot


def _minor_ms(value: float, _: object) -> str:
    leading = f"{value:e}"[0]
    return f"{value:g}" if leading in "2357" else ""


def _percentiles(axes: Axes, good: Floats) -> None:
    axes.set_ylim(0, _with_room(axes.get_ylim()[1]))
    left, right = np.log10(axes.get_xlim())
    for rank, (name, q) in enumerate((("p50", 0.5), ("p90", 0.9), ("p99", 0.99))):
        value = quantile(good, q)
        axes.axvline(value, color=BLACK, linewidth=0.9, linestyle=("-", "--", ":")[rank])
        side = "right" if np.log10(value) > 0.2 * left + 0.8 * right else "left"
        label, height = f" {name} {seconds(value * 1e6)} ", 0.99 - 0.08 * rank
        axes.text(value, height, label, transform=axes.get_xaxis_transform(), fontsize=8.5, va="top", ha=side)


def _with_room(top: float) -> float:
    """The end of a symlog axis (linear up to 10) that leaves the upper quarter of the picture to the labels."""
    decades = np.log10(max(top, 10.0) / 10) + 1
    return float(10 ** (decades * 4 / 3))
