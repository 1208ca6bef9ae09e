"""The request timeline: every request around a fault as a mark whose shape and colour say which endpoint answered.

Called by `run_sections`. Marks of an endpoint are one path; page.js reads places back from it to say, under the
pointer, which request that is. Where there are more than fit, every n-th success is drawn and every failure.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from netsim.measure.around import first_marks, window
from netsim.measure.page.markup import Html, el, table
from netsim.measure.page.svg import (
    CROSS,
    SHAPES,
    WIDTH,
    Box,
    Scale,
    chart,
    figure,
    legend,
    points,
    sample,
    x_axis,
    y_axis,
)
from netsim.measure.summary import Failover, seconds

_S: Final = 1e9
_MOST_POINTS: Final = 2500
_NAMED: Final = 6
_HEIGHT: Final = 380
_LINES: Final[Mapping[str, str]] = {
    "detected_ns": "detected",
    "endpoints_ns": "endpoints updated",
    "rules_ns": "rules everywhere",
}


def timeline_chart(
    requests: pd.DataFrame, failover: Failover | None, service: str, replication: int
) -> Html | None:
    """Requests of one Service in one replication around its first fault, or of the whole run; None for none."""
    marks = first_marks(failover, replication)
    own = requests[(requests["service"] == service) & (requests["replication"] == replication)]
    own = window(own[own["outcome"] != "aborted"], marks)
    if own.empty:
        return None
    zero = float(marks["fault_ns"]) if marks else 0.0
    shown, step = _thinned(own)
    x = (shown["t_ns"].to_numpy(dtype=float) - zero) / _S
    y = np.maximum(shown["latency_ns"].to_numpy(dtype=float) / 1e6, 1e-3)
    box = Box(64, 74 if marks else 30, WIDTH - 14, _HEIGHT - 40)
    across = Scale(float(x.min()), float(x.max()), box.left + 6, box.right - 6)
    up = Scale(float(y.min()) * 0.85, float(y.max()) * 1.2, box.bottom, box.top, log=True)
    label = "request began [s after the fault]" if marks else "request began [s]"
    series = _series(shown)
    drawn = [
        y_axis(box, up, "took [ms], logarithmic", lambda v: f"{v:g}"),
        x_axis(box, across, label, lambda v: f"{v:g}", 9),
        *(_mark_lines(marks, zero, across, box) if marks else ()),
        *(_marks(name, kind, mask, x, y, across, up) for name, kind, mask in series),
    ]
    held = el("g", *drawn, class_="timeline", data_x0=_exact(across.low), data_x1=_exact(across.high),
              data_left=across.start, data_right=across.end, data_y0=_exact(up.low), data_y1=_exact(up.high),
              data_bottom=up.start, data_top=up.end, data_after="after the fault" if marks else "")  # fmt: skip
    return figure(
        _caption(own, step, replication),
        legend([(_swatch(kind), name) for name, kind, _ in series]),
        chart(_HEIGHT, f"Requests to {service} over time; the table below has the counts", [held], "points"),
    )


def _exact(value: float) -> str:
    return f"{value:.9g}"


def _thinned(own: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """All failures, and every n-th success where there are too many."""
    good = own["outcome"] == "ok"
    step = max(1, -(-int(good.sum()) // _MOST_POINTS))
    if step == 1:
        return own, 1
    kept = ~good | (np.arange(len(own)) % step == 0)
    return own[kept], step


def endpoint_names(requests: pd.DataFrame) -> "pd.Series[str]":
    """What answered, for people: the pod's name, else the endpoint, else that nothing did."""
    names = requests["pod"].str.rsplit("/", n=1).str[-1]
    names = names.where(names != "", requests["endpoint"])
    return names.where(names != "", "no endpoint")


def _series(shown: pd.DataFrame) -> list[tuple[str, str, Any]]:
    """(name, kind, which rows): the endpoints that answered most, the others together, the failures."""
    names, good = endpoint_names(shown).to_numpy(dtype=object), (shown["outcome"] == "ok").to_numpy()
    often = sorted(map(str, pd.Series(names[good]).value_counts().index[:_NAMED]))
    found = [(name, str(index), good & (names == name)) for index, name in enumerate(often)]
    found.append(("other endpoints", "6", good & ~np.isin(names, often)))
    found.append((f"failed ({int((~good).sum()):,})", "failed", ~good))
    return [entry for entry in found if entry[2].any()]


def _marks(name: str, kind: str, mask: Any, x: Any, y: Any, across: Scale, up: Scale) -> Html:
    shape = CROSS if kind == "failed" else SHAPES[int(kind)]
    data = points(((across.at(a), up.at(b)) for a, b in zip(x[mask], y[mask], strict=True)), shape)
    look = "cross" if kind == "failed" else f"mark{kind}"
    return el("path", d=data, class_=f"points {look}", data_name=name)


def _swatch(kind: str) -> Html:
    shape = CROSS if kind == "failed" else SHAPES[int(kind)]
    return sample(shape, "points cross" if kind == "failed" else f"points mark{kind}")


def _mark_lines(marks: Mapping[str, Any], zero: float, across: Scale, box: Box) -> list[Html]:
    """The fault and who learned of it when, each with a label."""
    found = [("fault", 0.0, "fault")]
    found += [
        (name, (float(marks[c]) - zero) / _S, "mark") for c, name in _LINES.items() if pd.notna(marks[c])
    ]
    texts = [f"{name} {seconds(at * _S)}" if kind == "mark" else name for name, at, kind in found]
    crowded = any(
        across.at(at) + 7 * len(words) > WIDTH for words, (_, at, _) in zip(texts, found, strict=True)
    )
    parts = []
    for row, (words, (_, at, kind)) in enumerate(zip(texts, found, strict=True)):
        # No line may cross the words of another mark: at the right of a line the earliest words are the highest, at
        # its left the latest.
        left = crowded and kind == "mark"
        x, y = across.at(at), box.top - 8 - 14 * (row - 1 if left else len(found) - 1 - row)
        parts.append(el("line", x1=x, x2=x, y1=y - 8, y2=box.bottom, class_=kind))
        parts.append(
            el("text", words, x=x - 4 if left else x + 4, y=y, class_=f"{kind} end" if left else kind)
        )
    return parts


def _caption(own: pd.DataFrame, step: int, replication: int) -> str:
    drawn = "" if step == 1 else f"; one success in {step} is drawn, and every failure"
    return f"Replication {replication}, {len(own):,} requests{drawn}. Point at a mark to see which request it is."


def phases_table(requests: pd.DataFrame, failover: Failover, service: str, replication: int) -> Html | None:
    """What the timeline shows, in numbers: requests by endpoint before the fault, until the rules were written, and
    afterwards; None without a fault."""
    marks = first_marks(failover, replication)
    if not marks:
        return None
    own = requests[(requests["service"] == service) & (requests["replication"] == replication)]
    own = own[own["outcome"] != "aborted"]
    fault = int(marks["fault_ns"])
    repaired = int(marks["rules_ns"]) if pd.notna(marks["rules_ns"]) else None
    phase = np.where(own["t_ns"] < fault, 0, np.where(own["t_ns"] < (repaired or 2**62), 1, 2))
    names = ["before the fault", "until the rules were written", "afterwards"][: 3 if repaired else 2]
    rows = []
    for name, part in own.groupby(endpoint_names(own), sort=True):
        where = phase[own.index.get_indexer(part.index)]
        cells = []
        for index in range(len(names)):
            here = part[where == index]
            bad = int((here["outcome"] != "ok").sum())
            cells += [f"{len(here):,}", f"{bad:,}"]
        rows.append((str(name), *cells))
    head = ["endpoint", *(cell for name in names for cell in (name, "of these failed"))]
    caption = f"Requests by endpoint, replication {replication}"
    return table(head, rows, "l" + "rr" * len(names), caption)
