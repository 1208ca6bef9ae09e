"""Variants side by side: a panel per question, a bar per variant; and lines over the number of Services.

Called by `compare_sections`. Questions and columns are those of `measure.comparison`.
"""

import math
from typing import Any, Final

import pandas as pd

from netsim.measure.page.markup import Html, el
from netsim.measure.page.svg import (
    SHAPES,
    WIDTH,
    Box,
    Scale,
    chart,
    figure,
    fitted,
    legend,
    points,
    sample,
    titled,
    x_axis,
    y_axis,
)
from netsim.measure.summary import seconds

_ROW: Final = 22.0
_LEFT: Final = 190
# Question, column of the bars, their lower and upper ends ("" none), colour, logarithmic or not.
_PANELS: Final = (
    ("Time to connect: median, and p99 as a line", "connect_p50_ns", "", "connect_p99_ns", "series0", False),
    ("First sync of all rules", "first_sync_ns", "", "", "series3", True),
    ("Sync after a change: mean, longest as a line", "change_sync_ns", "", "change_sync_max_ns", "series1", True),
    ("Outage: mean, and its 95% CI as a line", "outage_ns", "outage_low_ns", "outage_high_ns", "series2", False),
)  # fmt: skip


def comparison_charts(part: pd.DataFrame) -> list[Html]:
    """The panels that have something to show; `part` has one row per variant."""
    return [_panel(part, *panel) for panel in _PANELS if part[panel[1]].notna().any()]


def _panel(part: pd.DataFrame, title: str, column: str, low: str, high: str, colour: str, log: bool) -> Html:
    rows = [_values(row, column, low, high) for _, row in part.iterrows()]
    height = 12 + _ROW * len(rows) + 24
    box = Box(_LEFT, 6, WIDTH - 90, height - 22)
    known = [value for _, *values in rows for value in values if value > 0]
    most, least = max(known, default=1.0), min(known, default=1.0)
    begin = 10 ** math.floor(math.log10(least)) if log else 0.0
    scale = Scale(begin, most * (1.6 if log else 1.02), box.left, box.right, log)
    drawn = [x_axis(box, scale, "", seconds, 5)]
    for index, (name, value, start, end) in enumerate(rows):
        top = box.top + 4 + _ROW * index
        drawn.append(el("text", fitted(name, _LEFT - 16), x=_LEFT - 8, y=top + 12, class_="end"))
        drawn += _bar(f"{name}: {seconds(value)}", (value, start, end), top, scale, colour)
    scaled = ", logarithmic" if log else ""
    told = ", ".join(f"{name} {seconds(value)}" for name, value, *_ in rows)
    return figure(f"{title}{scaled}.", chart(height, f"{title}: {told}", drawn))


def _values(row: "pd.Series[Any]", column: str, low: str, high: str) -> tuple[str, float, float, float]:
    value = float(row[column])
    return str(row["variant"]), value, float(row[low]) if low else value, float(row[high]) if high else value


def _bar(tip: str, values: tuple[float, float, float], top: float, scale: Scale, colour: str) -> list[Html]:
    value, low, high = values
    if math.isnan(value):
        return [el("text", "nothing measured", x=scale.start + 6, y=top + 12, class_="tick")]
    width = max(0.5, scale.at(value) - scale.start)
    parts = [
        titled("rect", tip, x=scale.start, y=top + 1, width=width, height=_ROW - 7, class_=f"bar {colour}")
    ]
    reach = value
    if high > low:
        y, reach = top + _ROW / 2 - 2.5, max(value, high)
        parts.append(el("line", x1=scale.at(low), x2=scale.at(high), y1=y, y2=y, class_="whisker"))
    parts.append(el("text", seconds(value), x=scale.at(reach) + 6, y=top + 12))
    return parts


# ---------------------------------------------------------------- over the number of Services
_LINES: Final = (
    ("Time to connect, median", "connect_p50_ns", False),
    ("First sync of all rules", "first_sync_ns", True),
    ("Sync after a change", "change_sync_ns", True),
)


def scaling_charts(part: pd.DataFrame) -> list[Html]:
    """What grows with the number of Services: a line per proxy mode. [] where the variants don't differ in it."""
    if part["fillers"].min() < 0 or part["fillers"].nunique() < 2:
        return []
    return [_lines(part, *line) for line in _LINES if part[line[1]].notna().any()]


def _lines(part: pd.DataFrame, title: str, column: str, log: bool) -> Html:
    box = Box(84, 24, WIDTH - 24, 220)
    sizes = sorted(set(part["fillers"]))
    # Room for a cluster without fillers on a logarithmic axis: it stands where 1 would.
    across = Scale(max(1.0, float(sizes[0])) * 0.85, float(sizes[-1]) * 1.15, box.left, box.right, log=True)
    values = part[column].dropna()
    least, most = float(values.min()), float(values.max())
    up = (
        Scale(least * 0.7, most * 1.4, box.bottom, box.top, True)
        if log and least > 0
        else Scale(0, most * 1.15, box.bottom, box.top)
    )
    drawn = [y_axis(box, up, f"{title}{', logarithmic' if log else ''}", seconds)]
    drawn += [_size(box, across, float(size)) for size in sizes]
    entries = []
    for index, mode in enumerate(dict.fromkeys(part["mode"])):
        mine = part[(part["mode"] == mode) & part[column].notna()].sort_values("fillers")
        at = [
            (across.at(float(n)), up.at(float(v))) for n, v in zip(mine["fillers"], mine[column], strict=True)
        ]
        kind = index % len(SHAPES)
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        drawn.append(el("path", d=path, class_=f"line series{kind} dash{kind}"))
        drawn.append(el("path", d=points(at, SHAPES[kind]), class_=f"points big mark{kind}"))
        entries.append((sample(SHAPES[kind], f"points mark{kind}"), str(mode)))
    drawn.append(
        el(
            "text",
            "other Services in the cluster, logarithmic",
            x=box.right,
            y=box.bottom + 33,
            class_="label end",
        )
    )
    return figure(f"{title}, over the number of Services.", legend(entries), chart(258, title, drawn))


def _size(box: Box, across: Scale, size: float) -> Html:
    x = across.at(size)
    return el(
        "g",
        el("line", x1=x, x2=x, y1=box.top, y2=box.bottom, class_="grid"),
        el("text", f"{size:,.0f}", x=x, y=box.bottom + 16, class_="tick mid"),
    )
