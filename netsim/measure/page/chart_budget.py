"""Where did the seconds go: a stacked bar per replication, and when each node's kube-proxy learned of the change.

Called by `run_sections`. Stages and their words are those of `measure.budget`.
"""

import math
from collections.abc import Sequence
from typing import Final

import pandas as pd

from netsim.measure.budget import STAGE_WORDS, STAGES
from netsim.measure.page.markup import Html, el
from netsim.measure.page.svg import (
    WIDTH,
    Box,
    Scale,
    chart,
    figure,
    fitted,
    legend,
    swatch,
    time_unit,
    titled,
    x_axis,
)
from netsim.measure.summary import Failover, seconds
from netsim.measure.text import percent

_S: Final = 1e9
_MOST_ROWS: Final = 24
_PLAIN: Final = ("detect", "watch")  # without a hatch
_ROW, _MEAN = 20.0, 30.0


def stage_fill(stage: str) -> dict[str, str]:
    """The attributes that colour a stage."""
    return (
        {"class_": f"stage fill-{stage}"}
        if stage in _PLAIN
        else {"class_": "stage", "fill": f"url(#hatch-{stage})"}
    )


def budget_chart(failover: Failover, fault: str) -> Html:
    """One bar per replication, longest first, and their mean, over the time since the fault."""
    part = failover.of(fault)
    means = [float(part[f"{stage}_stage_ns"].mean()) for stage in STAGES]
    shown = part.sort_values("outage_ns", ascending=False, kind="stable").head(_MOST_ROWS)
    rows = [
        (f"replication {r['replication']}", [float(r[f"{s}_stage_ns"]) for s in STAGES])
        for _, r in shown.iterrows()
    ]
    several = len(part) > 1
    height = 14 + _ROW * len(rows) + (_MEAN + 14 if several else 0) + 40
    box = Box(112, 8, WIDTH - 76, height - 40)
    longest = max(sum(stages) for _, stages in rows)
    size, unit = time_unit(longest)
    scale = Scale(0, max(longest, 1.0), box.left, box.right)
    axis = Scale(0, max(longest, 1.0) / size, box.left, box.right)
    drawn, top = [x_axis(box, axis, f"time since the fault [{unit}]", lambda v: f"{v:g}")], box.top + 4
    if several:
        drawn += _bar("mean", means, top, _MEAN - 4, scale, "strong")
        top += _MEAN + 8
    for label, stages in rows:
        drawn += _bar(label, stages, top, _ROW - 6, scale, "")
        top += _ROW
    hidden = (
        f" The {_MOST_ROWS} longest of {len(part)} replications are shown." if len(part) > len(shown) else ""
    )
    label = f"Outage by stage, mean {seconds(sum(means))}: " + _said(means)
    return figure(
        f"Each bar is the time from the fault to the end of the last failed request, cut into stages.{hidden}",
        _legend(means),
        chart(height, label, drawn),
    )


def _bar(
    label: str, stages: Sequence[float], top: float, height: float, scale: Scale, name: str
) -> list[Html]:
    total, left = sum(stages), 0.0
    parts = [el("text", label, x=scale.start - 8, y=top + height / 2 + 4, class_=f"end {name}".strip())]
    for stage, ns in zip(STAGES, stages, strict=True):
        if ns > 0:
            x = scale.at(left)
            tip = f"{label}: {stage} {seconds(ns)} ({percent(ns / total)}), {STAGE_WORDS[stage]}"
            width = max(0.4, scale.at(left + ns) - x)
            parts.append(titled("rect", tip, x=x, y=top, width=width, height=height, **stage_fill(stage)))
        left += ns
    told = seconds(total) if total else "no outage"
    parts.append(el("text", told, x=scale.at(total) + 6, y=top + height / 2 + 4, class_=name or None))
    return parts


def _said(means: Sequence[float]) -> str:
    total = sum(means)
    told = [f"{s} {seconds(ns)} ({percent(ns / total)})" for s, ns in zip(STAGES, means, strict=True) if ns]
    return ", ".join(told) or "nothing failed"


def _legend(means: Sequence[float]) -> Html:
    total = sum(means) or 1.0
    return legend(
        [
            (swatch(el("rect", width=22, height=14, **stage_fill(stage))), f"{stage} {percent(ns / total)}")
            for stage, ns in zip(STAGES, means, strict=True)
        ]
    )


# ---------------------------------------------------------------- by node
_MARKS: Final = (
    ("detected", "detected_ns"),
    ("status written", "status_ns"),
    ("endpoints updated", "endpoints_ns"),
)


def nodes_chart(failover: Failover, fault: str) -> Html | None:
    """Per client node, on average: when it saw the change, began to write its rules, and had them; None when no
    node's rules changed."""
    nodes = failover.nodes[(failover.nodes["fault"] == fault) & failover.nodes["synced_ns"].notna()]
    if nodes.empty:
        return None
    part = failover.of(fault)
    fault_ns = part.set_index("replication")["fault_ns"]
    zero = nodes["replication"].map(fault_ns)
    after = nodes.assign(
        **{c: (nodes[c] - zero).astype("float64") for c in ("seen_ns", "started_ns", "synced_ns")}
    )
    mean = after.groupby("node", sort=True)[["seen_ns", "started_ns", "synced_ns"]].mean()
    mean = mean.sort_values("synced_ns", kind="stable", ascending=False).head(_MOST_ROWS)
    marks = [
        (name, float((part[column] - part["fault_ns"]).astype("float64").mean())) for name, column in _MARKS
    ]
    marks = [(name, at) for name, at in marks if not math.isnan(at)]
    return _nodes_drawing(mean, marks, len(part))


def _nodes_drawing(mean: pd.DataFrame, marks: Sequence[tuple[str, float]], replications: int) -> Html:
    height = 30 + 22 * len(mean) + 44
    box = Box(170, 24, WIDTH - 76, height - 40)
    ends = [*mean["synced_ns"].tolist(), *(at for _, at in marks)]
    begins = [*mean["seen_ns"].dropna().tolist(), *(at for _, at in marks)]
    low, high = min(begins), max(ends)
    room = max((high - low) * 0.08, high * 0.002, 1e6)
    scale = Scale((low - room) / _S, (high + room) / _S, box.left, box.right)
    drawn = [x_axis(box, scale, "time since the fault [s]", lambda v: f"{v:g}")]
    taken = -1e9
    for name, at in sorted(marks, key=lambda mark: mark[1]):
        x = scale.at(at / _S)
        drawn.append(
            titled(
                "line", f"{name} after {seconds(at)}", x1=x, x2=x, y1=box.top, y2=box.bottom, class_="mark"
            )
        )
        at_x = max(x - 4, taken)
        drawn.append(el("text", name, x=at_x, y=14.0, class_="tick"))
        taken = at_x + 6.2 * len(name) + 12
    for row, (node, times) in enumerate(mean.iterrows()):
        drawn += _node_row(str(node), times, box.top + 6 + 22 * row, scale)
    over = "" if replications == 1 else f", means of {replications} replications"
    waits = legend(
        [
            (
                swatch(el("rect", width=22, height=14, **stage_fill("wait"))),
                "seen, waiting for minSyncPeriod or a running sync",
            ),
            (swatch(el("rect", width=22, height=14, **stage_fill("sync"))), "writing the rules"),
        ]
    )
    told = ", ".join(f"{node} {seconds(float(t['synced_ns']))}" for node, t in mean.iterrows())
    return figure(
        f"When each client node's kube-proxy had the change in its rules{over}. Until the end of its bar a node sends "
        "new connections as before.",
        waits,
        chart(height, f"Rules written after the fault: {told}", drawn),
    )


def _node_row(node: str, times: "pd.Series[float]", top: float, scale: Scale) -> list[Html]:
    seen, started, synced = (float(times[c]) for c in ("seen_ns", "started_ns", "synced_ns"))
    parts = [el("text", fitted(node, 156), x=scale.start - 8, y=top + 11, class_="end")]
    spans = (("wait", seen, started, "waited"), ("sync", started, synced, "wrote its rules"))
    for stage, begin, end, words in spans:
        if end > begin:
            x = scale.at(begin / _S)
            tip = f"{node} {words} for {seconds(end - begin)}, until {seconds(end)} after the fault"
            width = max(1.0, scale.at(end / _S) - x)
            parts.append(titled("rect", tip, x=x, y=top, width=width, height=14, **stage_fill(stage)))
    parts.append(el("text", seconds(synced), x=scale.at(synced / _S) + 6, y=top + 11))
    return parts
