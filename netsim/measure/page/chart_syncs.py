"""kube-proxy's synchronisations over the run, a lane per node. Called by `run_sections`."""

from typing import Final

import pandas as pd

from netsim.measure.page.markup import Html, el
from netsim.measure.page.svg import WIDTH, Box, Scale, chart, figure, fitted, titled, x_axis
from netsim.measure.summary import seconds

_S: Final = 1e9
_MOST_NODES: Final = 16
_MOST_SYNCS: Final = 1500


def syncs_chart(syncs: pd.DataFrame, duration_ns: int, faults_ns: "list[int]") -> Html | None:
    """Those of one replication after the boot; None if there was none."""
    later = syncs[syncs["t_ns"] >= 0].head(_MOST_SYNCS)
    if later.empty:
        return None
    nodes = sorted(set(later["node"]))[:_MOST_NODES]
    height = 14 + 20 * len(nodes) + 40
    box = Box(170, 8, WIDTH - 24, height - 40)
    across = Scale(0, duration_ns / _S, box.left, box.right)
    drawn = [x_axis(box, across, "time [s]", lambda v: f"{v:g}", 10)]
    drawn += [titled("line", f"fault at {seconds(at)}", x1=across.at(at / _S), x2=across.at(at / _S), y1=box.top,
                     y2=box.bottom, class_="fault") for at in faults_ns]  # fmt: skip
    for row, node in enumerate(nodes):
        top = box.top + 3 + 20 * row
        drawn.append(el("text", fitted(node, 156), x=box.left - 8, y=top + 11, class_="end"))
        mine = later[later["node"] == node]
        columns = (mine[name].tolist() for name in ("t_ns", "cost_ns", "full", "services"))
        drawn += [_sync(node, *values, top=top, across=across) for values in zip(*columns, strict=True)]
    return figure(
        "When kube-proxy wrote its rules on each node, first replication. A bar is as long as writing took, at least a "
        "hair's breadth.",
        chart(height, f"{len(later)} synchronisations on {len(nodes)} nodes", drawn),
    )


def _sync(node: str, end: int, cost: int, full: bool, services: str, *, top: float, across: Scale) -> Html:
    what = "all rules" if full else f"rules of {services}" if services else "nothing changed"
    x = across.at((end - cost) / _S)
    tip = f"{node} at {seconds(end)}: {what}, written in {seconds(cost)}"
    return titled(
        "rect", tip, x=x, y=top, width=max(2.0, across.at(end / _S) - x), height=14, class_="bar series3"
    )
