"""The request timeline: every request around a fault as a point, coloured by endpoint, failures as crosses."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from netsim.measure.around import first_marks, window
from netsim.measure.events import find_service
from netsim.measure.gof import Floats
from netsim.measure.style import BLACK, GREY, MARKERS, SERIES, VERMILION, Plot, canvas, look, titled
from netsim.measure.summary import Failover

_S: Final = 1e9
_NAMED: Final = 6
_LINES: Final = 3
_DENSE: Final = 4000
_MARK_NAMES: Final[Mapping[str, str]] = {
    "detected_ns": "detected",
    "endpoints_ns": "endpoints updated",
    "rules_ns": "rules everywhere",
}


def timeline_plot(requests: pd.DataFrame, failover: Failover | None, service: str, replication: int) -> Plot:
    """Requests of one Service in one replication: start on the x axis, duration (log) on the y axis.

    With a failover the window is the time around its first fault, and the marks are drawn.
    """
    service = find_service(service, set(requests["service"]) - {""})
    own = requests[(requests["service"] == service) & (requests["replication"] == replication)]
    marks = first_marks(failover, replication)
    with look():
        plot, axes = canvas(7.2, 3.9)
        own = window(own, marks)
        zero = float(marks["fault_ns"]) if marks else 0.0
        _points(axes, own, zero)
        if marks:
            _draw_marks(axes, marks, zero)
        axes.set_yscale("log")
        axes.margins(y=0.08)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        low, high = axes.get_ylim()
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda v, _: f"{v:g}" if high < 20 * low else ""))
        axes.set_xlabel("request began [s after the fault]" if marks else "request began [s]")
        axes.set_ylabel("took [ms]")
        fault = f", {marks['fault']}" if marks else ""
        note = f"replication {replication}, {len(own):,} requests shown"
        titled(axes, f"Requests to {service}{fault}", note, _LINES if marks else 0)
        plot.legend(loc="outside lower center", ncols=3, handletextpad=0.3, columnspacing=1.4)
        return plot


def _points(axes: Axes, own: pd.DataFrame, zero: float) -> None:
    x = (own["t_ns"].to_numpy(dtype=float) - zero) / _S
    y = np.maximum(own["latency_ns"].to_numpy(dtype=float) / 1e6, 1e-3)
    good = (own["outcome"] == "ok").to_numpy()
    names = (
        own["pod"]
        .str.rsplit("/", n=1)
        .str[-1]
        .where(own["pod"] != "", own["endpoint"])
        .to_numpy(dtype=object)
    )
    often = pd.Series(names[good]).value_counts()
    named = sorted(str(name) for name in often.index[:_NAMED])
    _successes(axes, x[good], y[good], names[good], named)
    other = good & ~np.isin(names, named)
    if other.any():
        axes.plot(x[other], y[other], ".", color=GREY, markersize=3, label="other endpoints", rasterized=True)
    bad = ~good & (own["outcome"] != "aborted").to_numpy()
    if bad.any():
        label = f"failed ({int(bad.sum()):,})"
        axes.plot(
            x[bad],
            y[bad],
            "x",
            color=VERMILION,
            markersize=5,
            markeredgewidth=1.1,
            label=label,
            rasterized=True,
        )


def _successes(axes: Axes, x: Floats, y: Floats, names: "NDArray[np.object_]", named: Sequence[str]) -> None:
    """Few points: a marker per endpoint. Many: small dots in order of time, so that no endpoint hides the others."""
    dense = x.size > _DENSE
    for number, name in enumerate(named):
        mine = names == name
        shown = ([], []) if dense else (x[mine], y[mine])
        axes.plot(*shown, MARKERS[0 if dense else number], color=SERIES[number], markersize=3.2, alpha=0.75,
                  markeredgewidth=0, label=name, rasterized=True)  # fmt: skip
    if dense:
        colours = dict(zip(named, SERIES, strict=False))
        mine = np.isin(names, list(named))
        colour = [colours[str(name)] for name in names[mine]]
        axes.scatter(x[mine], y[mine], s=4, c=colour, alpha=0.7, linewidths=0, rasterized=True)


def _draw_marks(axes: Axes, marks: Mapping[str, Any], zero: float) -> None:
    axes.axvline(0, color=VERMILION, linewidth=1.3)
    shown = [("fault", 0.0)]
    for column, name in _MARK_NAMES.items():
        if pd.notna(marks[column]):
            at = (float(marks[column]) - zero) / _S
            axes.axvline(at, color=BLACK, linewidth=0.9, linestyle="--")
            shown.append((name, at))
    _labels(axes, shown)


def _labels(axes: Axes, shown: list[tuple[str, float]]) -> None:
    """Names above the plot, each in the lowest line where it does not run into the one before."""
    low, high = axes.get_xlim()
    free = [low - (high - low)] * _LINES
    for name, at in shown:
        half = (high - low) * 0.0075 * len(name)
        line = next((i for i, end in enumerate(free) if at - half >= end), _LINES - 1)
        free[line] = at + half
        axes.annotate(
            name, (at, 1), xycoords=("data", "axes fraction"), xytext=(0, 3 + 11 * line),
            textcoords="offset points", ha="center", fontsize=8, color=BLACK if name != "fault" else VERMILION,
        )  # fmt: skip
