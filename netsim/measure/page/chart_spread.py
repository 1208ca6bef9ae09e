"""Distributions: how long outages lasted over the replications, how long requests and look-ups took.

Called by `run_sections`. Intervals are those of `measure.confidence`.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from netsim.measure.confidence import Interval, quantile, quantile_interval
from netsim.measure.gof import Floats
from netsim.measure.page.markup import Html, el, number
from netsim.measure.page.svg import (
    SHAPES,
    WIDTH,
    Box,
    Scale,
    chart,
    figure,
    legend,
    swatch,
    titled,
    x_axis,
    y_axis,
)
from netsim.measure.summary import Failover, seconds, seconds_range

_S: Final = 1e9
_BINS: Final = 72
_MOST_CORNERS: Final = 400
_RANKS: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


def outage_chart(failover: Failover, fault: str) -> Html | None:
    """The share of replications whose outage was at most that long; None for fewer than two."""
    x = np.sort(failover.of(fault)["outage_ns"].to_numpy(dtype=float)) / _S
    if x.size < 2 or x[-1] <= 0:
        return None
    box = Box(64, 24, WIDTH - 24, 250)
    mean = _seconds(failover.interval(fault))
    longest = max(float(x[-1]), mean.high if mean.known else 0.0)
    across, up = Scale(0, longest * 1.04, box.left, box.right), Scale(0, 1, box.bottom, box.top)
    drawn = [
        y_axis(box, up, "replications at most that long", lambda v: f"{100 * v:g}%"),
        x_axis(box, across, "outage [s]", lambda v: f"{v:g}", 8),
        el("path", d=_stairs(x, across, up), class_="line series0"),
    ]
    entries = [(swatch(el("line", x2=22, y1=7, y2=7, class_="line series0")), "replications")]
    median = quantile(x, 0.5)
    estimates = (
        ("median", median, quantile_interval(x, 0.5), 0.5, "m-5 0l5-5l5 5l-5 5z"),
        ("mean", float(x.mean()), mean, 0.08, "m-5-5h10v10h-10z"),
    )
    for name, value, interval, height, shape in estimates:
        words, marks = _estimate(name, value, interval, (across, up.at(height)), shape)
        drawn += marks
        entries.append((swatch(el("path", d=f"M11 7{shape}", class_="median")), words))
    reach = f"{seconds(x[0] * _S)} to {seconds(x[-1] * _S)}, median {seconds(median * _S)}"
    label = f"Outage over {x.size} replications: {reach}"
    return figure(f"How long it hurt, over {x.size} replications.", legend(entries), chart(290, label, drawn))


def _seconds(interval: Interval) -> Interval:
    return Interval(interval.low / _S, interval.high / _S)


def _estimate(
    name: str, value: float, interval: Interval, place: tuple[Scale, float], shape: str
) -> tuple[str, list[Html]]:
    """A mark with its 95 % interval, and the words for both."""
    across, y = place
    words, marks = f"{name} {seconds(value * _S)}", []
    if interval.known:
        low, high = across.at(interval.low), across.at(interval.high)
        words += f", 95% CI {seconds_range(Interval(interval.low * _S, interval.high * _S))}"
        marks.append(titled("rect", words, x=low, y=y - 4, width=high - low, height=8, class_="interval"))
    dot = f"M{number(across.at(value))} {number(y)}{shape}"
    return words, [*marks, titled("path", words, d=dot, class_="median")]


def _stairs(x: Floats, across: Scale, up: Scale) -> str:
    """The empirical distribution function as path data, with at most so many steps."""
    ranks = np.unique(np.linspace(0, x.size - 1, min(x.size, _MOST_CORNERS)).astype(int))
    corners = [f"M{number(across.at(float(x[0])))} {number(up.at(0))}"]
    for rank in ranks:
        corners.append(f"H{number(across.at(float(x[rank])))}V{number(up.at((rank + 1) / x.size))}")
    return "".join(corners) + f"H{number(across.end)}"


# ---------------------------------------------------------------- latency
def latency_chart(requests: pd.DataFrame, load: str) -> Html | None:
    """Histogram of a load's successes over the time they took, both axes logarithmic, with percentiles."""
    good = requests.loc[requests["outcome"] == "ok", "latency_ns"].to_numpy(dtype=float) / 1e6
    good = good[good > 0]
    if good.size < 2:
        return None
    low, high = float(good.min()) * 0.95, float(good.max()) * 1.05
    edges = np.geomspace(low, high, _BINS + 1)
    counts, _ = np.histogram(good, edges)
    box = Box(64, 44, WIDTH - 24, 240)
    across = Scale(low, high, box.left, box.right, log=True)
    up = Scale(0.7, float(counts.max()) * 1.3, box.bottom, box.top, log=True)
    drawn = [
        y_axis(box, up, "requests, logarithmic", lambda v: f"{v:,.0f}"),
        x_axis(box, across, "latency of successful requests [ms], logarithmic", lambda v: f"{v:g}"),
    ]
    for count, begin, end in zip(counts, edges, edges[1:], strict=False):
        if count:
            x, top = across.at(float(begin)), up.at(float(count))
            tip = f"{count:,} requests took {seconds(begin * 1e6)} to {seconds(end * 1e6)}"
            width = across.at(float(end)) - x
            drawn.append(
                titled("rect", tip, x=x, y=top, width=width, height=box.bottom - top, class_="bar series0")
            )
    drawn += _percentiles(good, across, box)
    told = ", ".join(f"{name} {seconds(quantile(good, q) * 1e6)}" for name, q in _RANKS)
    return figure(
        f"{load}: {good.size:,} successful requests.", chart(280, f"Latency of {load}: {told}", drawn)
    )


def _percentiles(good: Floats, across: Scale, box: Box) -> list[Html]:
    """Lines at p50, p90, p99; labels at their right, one under the other where they are close."""
    parts = []
    for rank, (name, q) in enumerate(_RANKS):
        value = quantile(good, q)
        x = across.at(value)
        left = x > across.start + 0.8 * (across.end - across.start)
        parts.append(el("line", x1=x, x2=x, y1=box.top - 30, y2=box.bottom, class_=f"mark rank{rank}"))
        parts.append(
            el("text", f"{name} {seconds(value * 1e6)}", x=x - 5 if left else x + 5, y=box.top - 22 + 14 * rank,
               class_="halo end" if left else "halo")
        )  # fmt: skip
    return parts


PERCENTILE_HEAD: Final = (
    "load",
    *(f"{name}{extra}" for name, _ in _RANKS for extra in ("", ", 95% interval")),
)


def percentile_rows(requests: pd.DataFrame) -> list[tuple[str, ...]]:
    """Per load: percentiles of the successes with the intervals that order statistics give."""
    rows = []
    for load in sorted(set(requests["load"])):
        mine = requests[(requests["load"] == load) & (requests["outcome"] == "ok")]
        x = mine["latency_ns"].to_numpy(dtype=float)
        rows.append((str(load), *(cell for _, q in _RANKS for cell in _with_interval(x, q))))
    return rows


def _with_interval(x: Floats, q: float) -> tuple[str, str]:
    interval = quantile_interval(x, q)
    return seconds(quantile(x, q)), seconds_range(interval) if interval.known else "-"


# ---------------------------------------------------------------- look-ups
def lookup_chart(groups: Sequence[tuple[str, Any]]) -> Html | None:
    """How long look-ups take, a staircase per load. `groups` are (words for the legend, nanoseconds)."""
    series = [(name, np.sort(np.asarray(ns, dtype=float)) / 1e6) for name, ns in groups if len(ns)]
    if not series:
        return None
    low = max(min(float(x[0]) for _, x in series) * 0.9, 1e-3)
    high = max(float(x[-1]) for _, x in series) * 1.1
    box = Box(64, 24, WIDTH - 24, 250)
    across = Scale(low, high, box.left, box.right, log=True)
    up = Scale(0.5 / max(len(x) for _, x in series), 1, box.bottom, box.top, log=True)
    drawn = [
        y_axis(box, up, "look-ups that take longer, logarithmic", lambda v: f"{100 * v:g}%"),
        x_axis(box, across, "time until the application knew [ms], logarithmic", lambda v: f"{v:g}"),
    ]
    entries = []
    for index, (name, x) in enumerate(series):
        kind = index % len(SHAPES)
        drawn.append(el("path", d=_tail(x, across, up), class_=f"line series{kind} dash{kind}"))
        entries.append((swatch(el("line", x2=22, y1=7, y2=7, class_=f"line series{kind} dash{kind}")), name))
    label = "Look-ups: " + "; ".join(name for name, _ in series)
    return figure(
        "The share of look-ups that took longer. A lost packet shows as a step at the resolver's time-out.",
        legend(entries),
        chart(290, label, drawn),
    )


def _tail(x: Floats, across: Scale, up: Scale) -> str:
    """The share that is larger, as path data; the steps that are left out are not those at the end."""
    ends = np.unique(np.geomspace(1, x.size, min(x.size, _MOST_CORNERS)).astype(int))[::-1]
    corners = [f"M{number(across.start)} {number(up.at(1))}"]
    for left in ends:
        corners.append(f"H{number(across.at(float(x[x.size - left])))}V{number(up.at((left - 1) / x.size))}")
    return "".join(corners)
