"""A sweep as a figure: a metric against the first parameter with its interval, a line per value of the second, columns
and rows of panels for the third and fourth.

Called by `experiment.sweep_results`. Numbers are drawn along an axis, anything else at even distances. What varies
besides the four is averaged within each replication, as in `sweep_summary`. Random values of the first parameter are
points without lines.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from netsim.measure.metrics import METRICS, Metric, value_text
from netsim.measure.style import GREY, MARKERS, SERIES, Plot, look, thin
from netsim.measure.sweep_summary import interval
from netsim.measure.sweep_text import shown

_MOST_LINES: Final = 7
_MOST_PANELS: Final = 6
_MOST_TICKS: Final = 8
_MOST_JOINED: Final = 30  # values of the first parameter that are joined by a line


def sweep_plot(part: pd.DataFrame, columns: Mapping[str, str], metric: str, service: str) -> Plot:
    """The figure of one Service. KeyError for an unknown metric."""
    what = METRICS[metric]
    roles = _roles(part, list(columns.items()))
    across, down = (_values(part, roles.get(role)) for role in ("columns", "rows"))
    with look():
        size = (max(5.2, 1.6 + 2.5 * len(across)), 1.3 + 2.1 * len(down))
        plot = Plot(figsize=size, layout="constrained")
        panels = plot.subplots(len(down), len(across), sharex=True, sharey=True, squeeze=False)
        for i, row in enumerate(down):
            for j, col in enumerate(across):
                here = _where(_where(part, roles.get("rows"), row), roles.get("columns"), col)
                _panel(panels[i, j], here, roles, what)
                title = [_said(roles.get("columns"), col), _said(roles.get("rows"), row)]
                panels[i, j].set_title(
                    ", ".join(text for text in title if text), fontsize=9, fontweight="normal"
                )
        _finish(plot, panels, roles, what, service, _rest(part, columns, roles))
        return plot


Role = tuple[str, str]
"""A parameter's name and its column."""


def _roles(part: pd.DataFrame, columns: Sequence[Role]) -> dict[str, Role]:
    """Which parameter goes where; one that never varies, or has too many values for its place, nowhere."""
    varied = [role for role in columns if part[role[1]].nunique() > 1] or list(columns[:1])
    roles = {"x": varied[0]}
    limits = {"lines": _MOST_LINES, "columns": _MOST_PANELS, "rows": _MOST_PANELS}
    for place, role in zip(limits, varied[1:], strict=False):
        if part[role[1]].nunique() <= limits[place]:
            roles[place] = role
    return roles


def _values(part: pd.DataFrame, role: Role | None) -> list[Any]:
    return list(dict.fromkeys(part[role[1]].tolist())) if role else [None]


def _where(part: pd.DataFrame, role: Role | None, value: Any) -> pd.DataFrame:
    return part[part[role[1]] == value] if role else part


def _said(role: Role | None, value: Any) -> str:
    return f"{role[0]} {shown(value, role[1])}" if role else ""


def _rest(part: pd.DataFrame, columns: Mapping[str, str], roles: Mapping[str, Role]) -> list[str]:
    used = {role[0] for role in roles.values()}
    return [name for name, column in columns.items() if name not in used and part[column].nunique() > 1]


def _panel(axes: Axes, part: pd.DataFrame, roles: Mapping[str, Role], metric: Metric) -> None:
    x = roles["x"]
    everything = _values(part, x)
    numbers = pd.api.types.is_numeric_dtype(part[x[1]])
    for position, value in enumerate(_values(part, roles.get("lines"))):
        mine = _where(part, roles.get("lines"), value)
        at, middle, low, high = _line(mine, x[1], metric)
        place = (
            np.array(at, dtype=float) if numbers else np.array([everything.index(v) for v in at], dtype=float)
        )
        order = np.argsort(place)
        colour, marker = SERIES[position % len(SERIES)], MARKERS[position % len(MARKERS)]
        label = _said(roles.get("lines"), value)
        joined = "-" if len(everything) <= _MOST_JOINED else "none"
        axes.plot(
            place[order], middle[order], color=colour, marker=marker, markersize=4, linewidth=1.4, linestyle=joined,
            label=label, alpha=0.9,
        )  # fmt: skip
        known = order[~np.isnan(low[order])]
        if joined != "none" and known.size:
            axes.fill_between(place[known], low[known], high[known], color=colour, alpha=0.15, linewidth=0)
    if numbers and len(everything) <= _MOST_TICKS:
        axes.set_xticks(sorted(everything), [shown(v, x[1]) for v in sorted(everything)])
    if not numbers:
        axes.set_xticks(range(len(everything)), [shown(v, x[1]) for v in everything])


def _line(part: pd.DataFrame, column: str, metric: Metric) -> tuple[list[Any], Any, Any, Any]:
    """For each value of the first parameter: estimate and interval."""
    at = _values(part, ("", column))
    rows = []
    for value in at:
        here = part[part[column] == value].groupby("replication")[metric.column].mean()
        values = here.dropna().to_numpy(dtype=np.float64)
        found = interval(values, metric)
        rows.append((metric.estimate(values), found.low, found.high))
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return at, table[:, 0], table[:, 1], table[:, 2]


def _finish(
    plot: Plot, panels: Any, roles: Mapping[str, Role], metric: Metric, service: str, rest: Sequence[str]
) -> None:
    name, column = roles["x"]
    for axes in panels.flat:
        thin(axes, "y")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: value_text(value, metric.unit)))
        if column.endswith(("_ns", "_share")) and len(axes.get_xticks()) > _MOST_TICKS:
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, column)))
    for axes in panels[-1]:
        axes.set_xlabel(name)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    if "lines" in roles:
        plot.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    over = f" (averaged over {', '.join(rest)})" if rest else ""
    plot.suptitle(f"{metric.title}: {service}{over}", x=0.01, ha="left", fontsize=10, fontweight="bold")
    plot.text(0.995, 0.004, "band: 95% interval", ha="right", va="bottom", fontsize=7.5, color=GREY)
