"""Load split: a bar per endpoint, the expected share as a line and what chance does to it as a band.

Called by `run_sections`.
"""

from typing import Any, Final

import pandas as pd

from netsim.measure.page.markup import Html, el
from netsim.measure.page.svg import WIDTH, Box, Scale, chart, figure, fitted, legend, swatch, titled, x_axis
from netsim.measure.split import LoadSplit
from netsim.measure.text import percent

_MOST_ROWS: Final = 30
_LEFT: Final = 236


def split_chart(split: LoadSplit) -> Html:
    """Share of connections (and, under keep-alive, of requests) per endpoint."""
    table, kept = split.table.head(_MOST_ROWS), split.requests != split.connections
    row = 40.0 if kept else 30.0
    height = 10 + row * len(table) + 42
    box = Box(_LEFT, 6, WIDTH - 130, height - 40)
    columns = ["high", "connection_share", "request_share"]
    most = float(table[columns].to_numpy(dtype=float).max()) if len(table) else 1.0
    scale = Scale(0, max(most, 1e-6) * 1.02, box.left, box.right)
    drawn = [x_axis(box, scale, f"share of connections{' and of requests' if kept else ''}", _share_tick)]
    for index, (_, endpoint) in enumerate(table.iterrows()):
        drawn += _row(endpoint, box.top + 4 + row * index, row - 8, scale, kept)
    rest = (
        f" {len(split.table) - len(table)} more endpoints are in the table."
        if len(split.table) > len(table)
        else ""
    )
    caption = "A bar that ends within its band is no farther off than chance puts it in 95 cases of 100."
    return figure(caption + rest, _legend(kept), chart(height, _label(split), drawn))


def _share_tick(value: float) -> str:
    return f"{100 * value:g}%"


def _row(endpoint: "pd.Series[Any]", top: float, height: float, scale: Scale, kept: bool) -> list[Html]:
    name = _name(endpoint)
    middle = top + height / 2
    parts = [
        el("text", fitted(name, _LEFT - 20), x=scale.start - 8, y=middle - 1, class_="end"),
        el("text", fitted(_where(endpoint), _LEFT - 20), x=scale.start - 8, y=middle + 11, class_="tick end"),
    ]
    low, high, share = (float(endpoint[c]) for c in ("low", "high", "expected_share"))
    thick = height / 2 - 2 if kept else height - 8
    bars = [("connection", "series0", top + (1 if kept else 4))]
    bars += [("request", "series1", middle + 1)] if kept else []
    for kind, colour, y in bars:
        value = float(endpoint[f"{kind}_share"])
        tip = f"{name}: {endpoint[f'{kind}s']:,} {kind}s, {percent(value)}; expected {percent(share)}"
        width = scale.at(value) - scale.start
        parts.append(
            titled("rect", tip, x=scale.start, y=y, width=width, height=thick, class_=f"bar {colour}")
        )
    band = f"{name}: by chance {percent(low)} to {percent(high)}"
    x = scale.at(low)
    parts.append(
        titled("rect", band, x=x, y=top, width=max(1.0, scale.at(high) - x), height=height, class_="band")
    )
    parts.append(
        el("line", x1=scale.at(share), x2=scale.at(share), y1=top, y2=top + height, class_="expected")
    )
    end = scale.at(max(high, float(endpoint["connection_share"]), float(endpoint["request_share"]))) + 8
    parts.append(el("text", percent(float(endpoint["connection_share"])), x=end, y=middle + 4))
    if endpoint["failed"]:
        parts.append(el("text", f"{endpoint['failed']:,} failed", x=end + 48, y=middle + 4, class_="bad"))
    return parts


def _name(endpoint: "pd.Series[Any]") -> str:
    return str(endpoint["pod"]).rsplit("/", 1)[-1] or str(endpoint["endpoint"])


def _where(endpoint: "pd.Series[Any]") -> str:
    node = f" on {endpoint['node']}" if endpoint["node"] else ""
    return f"{endpoint['endpoint']}{node}"


def _label(split: LoadSplit) -> str:
    told = ", ".join(
        f"{_name(row)} {percent(float(row['connection_share']))}" for _, row in split.table.head(8).iterrows()
    )
    return f"Share of connections of {split.service}: {told}"


def _legend(kept: bool) -> Html:
    entries = [(swatch(el("rect", y=2, width=22, height=10, class_="bar series0")), "connections")]
    if kept:
        entries.append((swatch(el("rect", y=2, width=22, height=10, class_="bar series1")), "requests"))
    return legend(
        [
            *entries,
            (swatch(el("line", x1=11, x2=11, y1=0, y2=14, class_="expected")), "expected share"),
            (
                swatch(el("rect", x=1, y=1, width=20, height=12, class_="band")),
                "where chance puts 95% of the shares",
            ),
        ]
    )
