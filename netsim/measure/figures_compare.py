"""Figures of an experiment's variants: one panel per question, one bar per variant; and where the variants are
proxy modes and numbers of Services, the same as lines over the number of Services, one per mode.

Called by `experiment.comparison`. Each returns a new `Plot`; nothing is shown or saved here.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from netsim.measure.style import (
    BLACK,
    BLUE,
    GREEN,
    MARKERS,
    ORANGE,
    PURPLE,
    SERIES,
    Plot,
    look,
    thin,
    titled,
)
from netsim.measure.summary import seconds

# Title, column of the bars, their lower and upper ends ("" none), colour, whether a logarithmic scale.
_PANELS: Final = (
    ("Time to connect, median and p99", "connect_p50_ns", "", "connect_p99_ns", BLUE, False),
    ("First sync of all rules", "first_sync_ns", "", "", PURPLE, True),
    ("Sync after a change, mean and longest", "change_sync_ns", "", "change_sync_max_ns", ORANGE, True),
    ("Outage, mean and its 95% interval", "outage_ns", "outage_low_ns", "outage_high_ns", GREEN, False),
)


def comparison_plots(table: pd.DataFrame) -> "Iterator[tuple[str, Plot]]":
    """(file name without ending, figure) for each Service."""
    for service in dict.fromkeys(table["service"]):
        part = table[table["service"] == service]
        yield f"variants-{service.replace('/', '-')}", comparison_plot(part)
        if part["fillers"].min() >= 0 and part["fillers"].nunique() > 1:
            yield f"scaling-{service.replace('/', '-')}", scaling_plot(part)


def comparison_plot(part: pd.DataFrame) -> Plot:
    """The panels that have anything to show, one above the other. `part` has one row per variant."""
    shown = [panel for panel in _PANELS if part[panel[1]].notna().any()]
    with look():
        plot = Plot(figsize=(7.2, 0.6 + (0.75 + 0.24 * len(part)) * len(shown)), layout="constrained")
        service = str(part["service"].iloc[0])
        for axes, panel in zip(plot.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
            _panel(axes, part, panel, service)
        return plot


def _panel(
    axes: Axes, part: pd.DataFrame, panel: "tuple[str, str, str, str, str, bool]", service: str
) -> None:
    title, column, low, high, colour, logarithmic = panel
    y = np.arange(len(part))
    values = part[column].to_numpy(dtype=float)
    axes.barh(y, values, height=0.66, color=colour)
    if high:
        begin = part[low].to_numpy(dtype=float) if low else values
        axes.hlines(y, begin, part[high].to_numpy(dtype=float), color=BLACK, linewidth=1.2)
    axes.set_yticks(y, [str(name) for name in part["variant"]])
    axes.set_ylim(len(part) - 0.5, -0.5)
    ends = np.fmax(values, part[high].to_numpy(dtype=float)) if high else values
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(10 ** np.floor(np.log10(np.nanmin(values))), np.nanmax(ends) * 3)
    else:
        axes.set_xlim(0, np.nanmax(ends) * 1.18)
    for at, value, end in zip(y, values, ends, strict=True):
        if not np.isnan(value):
            axes.annotate(
                seconds(value),
                (end, at),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
            )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    thin(axes, "x")
    titled(axes, f"{title}: {service}" if "sync" not in title.lower() else title)


# Title, column, whether a logarithmic scale.
_LINES: Final = (
    ("Time to connect, median", "connect_p50_ns", False),
    ("First sync of all rules", "first_sync_ns", True),
    ("Sync after a change", "change_sync_ns", True),
)


def scaling_plot(part: pd.DataFrame) -> Plot:
    """What grows with the number of Services and what does not: one line per proxy mode."""
    shown = [line for line in _LINES if part[line[1]].notna().any()]
    with look():
        plot = Plot(figsize=(7.2, 0.3 + 2.3 * len(shown)), layout="constrained")
        panels = plot.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, line in zip(panels, shown, strict=True):
            _lines(axes, part, line, str(part["service"].iloc[0]))
        panels[-1].set_xlabel("other Services in the cluster")
        return plot


def _lines(axes: Axes, part: pd.DataFrame, line: "tuple[str, str, bool]", service: str) -> None:
    title, column, logarithmic = line
    sizes = sorted(part["fillers"].unique())
    for number, mode in enumerate(dict.fromkeys(part["mode"])):
        mine = part[part["mode"] == mode].sort_values("fillers")
        axes.plot(
            mine["fillers"], mine[column], color=SERIES[number % len(SERIES)], label=mode, linewidth=1.6,
            marker=MARKERS[number % len(MARKERS)], markersize=5, alpha=0.9,
        )  # fmt: skip
    axes.set_xscale("symlog" if sizes[0] == 0 else "log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    if logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, part[column].max() * 1.15)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    thin(axes, "y")
    if not logarithmic:
        axes.legend(loc="lower left")  # under the lines; the panels below have the same colours and markers
    titled(axes, f"{title}: {service}" if not logarithmic else title)
