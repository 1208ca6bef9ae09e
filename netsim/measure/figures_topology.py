"""The drawing of a cluster: Services with their letters, nodes with their pods, what is outside.

Called by `Cluster.plot` with a `View` of the moment (`experiment.drawing`). A pod carries the letters of the Services
whose endpoint it is, so no lines cross and colour only repeats what a letter says. A pod that is not ready is dashed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Final

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from netsim.measure.style import BLACK, GREY, SERIES, VERMILION, YELLOW, Plot, canvas, look

_IN_A_ROW: Final = 4
_MOST_PODS: Final = 10
_MOST_NODES: Final = 24
_WIDE, _GAP = 1.8, 0.16  # a node's width and the space beside it, inches
_POD, _HEAD, _LINE = 0.36, 0.46, 0.27


@dataclass(frozen=True, slots=True)
class PodBox:
    """A pod: its name without the namespace, address, whether it is ready, the Services that it serves."""

    name: str
    address: str
    is_ready: bool
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeBox:
    """A node and the pods on it."""

    name: str
    address: str
    is_ready: bool
    pods: tuple[PodBox, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """A Service: its name, and what it is reached by (`10.96.0.10:53, NodePort 30080`)."""

    name: str
    reached: str
    endpoints: int


@dataclass(frozen=True, slots=True)
class View:
    """A cluster at one moment. `outside` are (name, address)."""

    title: str
    note: str
    nodes: tuple[NodeBox, ...]
    services: tuple[ServiceLine, ...]
    outside: tuple[tuple[str, str], ...]
    underlay: str


def topology_plot(view: View) -> Plot:
    """The drawing; at most so many nodes, and so many pods of each."""
    nodes = view.nodes[:_MOST_NODES]
    columns = -(-len(nodes) // max(1, -(-len(nodes) // _IN_A_ROW))) or 1
    rows = [nodes[i : i + columns] for i in range(0, len(nodes), columns)]
    letters = {s.name: letter for s, letter in zip(view.services, ascii_uppercase, strict=False)}
    lines = len(letters) + (len(view.services) > len(letters))
    heights = [_HEAD + _POD * max(1, *(min(len(n.pods), _MOST_PODS + 1) for n in row)) + 0.1 for row in rows]
    width = max(
        3.2, max(len(row) for row in rows or [()]) * (_WIDE + _GAP) + _GAP, 7.2 if view.services else 0
    )
    height = 0.5 + _LINE * lines + 0.15 + sum(h + 0.45 for h in heights) + (0.45 if view.outside else 0.05)
    with look():
        plot, axes = canvas(width, height)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.axis("off")
        axes.text(_GAP, 0.16, view.title, fontsize=10, fontweight="bold", va="center")
        axes.text(_GAP, 0.38, view.note, fontsize=8.5, color=GREY, va="center")
        top = 0.62
        for service in view.services[: len(letters)]:
            _service(axes, top, service, letters)
            top += _LINE
        if len(view.services) > len(letters):
            axes.text(
                _GAP,
                top,
                f"... and {len(view.services) - len(letters)} more Services",
                color=GREY,
                fontsize=8,
            )
            top += _LINE
        end = top + sum(h + 0.45 for h in heights)
        for row, tall in zip(rows, heights, strict=True):
            _row(axes, top, row, tall, letters)
            bed = top + tall + 0.17
            _line(axes, (_GAP / 2, width - _GAP), (bed, bed))
            _line(axes, (_GAP / 2, _GAP / 2), (bed, end - 0.28))
            top += tall + 0.45
        _underlay(axes, top - 0.28, width, view, len(nodes))
        return plot


def _service(axes: Axes, top: float, service: ServiceLine, letters: dict[str, str]) -> None:
    _badge(axes, _GAP + 0.12, top, letters[service.name], letters)
    axes.text(_GAP + 0.32, top, service.name, fontsize=8.5, va="center", fontweight="bold")
    count = (
        "no endpoint"
        if not service.endpoints
        else f"{service.endpoints} endpoint{'s' * (service.endpoints != 1)}"
    )
    colour = GREY if service.endpoints else VERMILION
    axes.text(_GAP + 2.75, top, f"{service.reached}; {count}", fontsize=8, va="center", color=colour)


def _badge(axes: Axes, x: float, y: float, letter: str, letters: dict[str, str]) -> None:
    colour = SERIES[list(letters.values()).index(letter) % len(SERIES)]
    dark = colour in {BLACK, SERIES[0], SERIES[2]}
    axes.text(
        x, y, letter, fontsize=7.2, fontweight="bold", ha="center", va="center", color="white" if dark else BLACK,
        bbox={"boxstyle": "circle,pad=0.22", "facecolor": colour, "edgecolor": BLACK, "linewidth": 0.5},
    )  # fmt: skip


def _row(axes: Axes, top: float, row: Sequence[NodeBox], tall: float, letters: dict[str, str]) -> None:
    for column, node in enumerate(row):
        left = _GAP + column * (_WIDE + _GAP)
        _box(axes, (left, top), (_WIDE, tall), "#f6f6f6", node.is_ready)
        axes.text(left + 0.1, top + 0.16, _cut(node.name, 19), fontsize=8.5, fontweight="bold", va="center")
        state = node.address if node.is_ready else f"{node.address}, not ready"
        axes.text(
            left + 0.1,
            top + 0.33,
            state,
            fontsize=7.2,
            va="center",
            color=GREY if node.is_ready else VERMILION,
        )
        shown = node.pods[:_MOST_PODS]
        for index, pod in enumerate(shown):
            _pod(axes, left + 0.08, top + _HEAD + _POD * index, pod, letters)
        if len(node.pods) > len(shown):
            more = f"... and {len(node.pods) - len(shown)} more"
            axes.text(
                left + 0.1,
                top + _HEAD + _POD * len(shown) + 0.16,
                more,
                fontsize=7.2,
                color=GREY,
                va="center",
            )
        axes.plot([left + _WIDE / 2] * 2, [top + tall, top + tall + 0.17], color=GREY, linewidth=1)


def _pod(axes: Axes, left: float, top: float, pod: PodBox, letters: dict[str, str]) -> None:
    _box(axes, (left, top), (_WIDE - 0.16, _POD - 0.06), "white", pod.is_ready)
    served = [letters[name] for name in pod.services if name in letters]
    axes.text(left + 0.07, top + 0.1, _cut(pod.name, 25 - 4 * len(served[:3])), fontsize=7, va="center")
    state = pod.address if pod.is_ready else f"{pod.address or 'no address'}, not ready"
    axes.text(
        left + 0.07, top + 0.22, state, fontsize=6.2, va="center", color=GREY if pod.is_ready else VERMILION
    )
    for index, letter in enumerate(served[:3]):
        _badge(axes, left + _WIDE - 0.32 - 0.24 * index, top + 0.15, letter, letters)


def _box(
    axes: Axes, place: tuple[float, float], size: tuple[float, float], colour: str, is_ready: bool
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            place, *size, boxstyle="round,pad=0,rounding_size=0.06", facecolor=colour,
            edgecolor=GREY if is_ready else VERMILION, linewidth=0.8, linestyle="-" if is_ready else "--",
        )
    )  # fmt: skip


def _line(axes: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    axes.plot(x, y, color=GREY, linewidth=2.2, solid_capstyle="round", zorder=0)


def _underlay(axes: Axes, y: float, width: float, view: View, shown: int) -> None:
    """The network between the nodes, and beyond the router what is outside."""
    hidden = f"; {len(view.nodes) - shown} more nodes" if len(view.nodes) > shown else ""
    axes.text(
        width - _GAP, y + 0.14, f"{view.underlay}{hidden}", fontsize=7.2, color=GREY, ha="right", va="center"
    )
    for index, (name, address) in enumerate(view.outside[:_IN_A_ROW]):
        left = _GAP + index * (_WIDE + _GAP)
        axes.plot([left + _WIDE / 2] * 2, [y, y + 0.3], color=GREY, linewidth=1)
        axes.add_patch(
            FancyBboxPatch((left, y + 0.3), _WIDE, 0.3, boxstyle="round,pad=0,rounding_size=0.06", facecolor=YELLOW,
                           alpha=0.35, edgecolor=GREY, linewidth=0.8)
        )  # fmt: skip
        axes.text(left + 0.1, y + 0.45, f"{_cut(name, 12)}  {address}", fontsize=7, va="center")


def _cut(words: str, most: int) -> str:
    if len(words) <= most:
        return words
    tail = (most - 1) // 2
    return f"{words[: most - 1 - tail]}…{words[-tail:]}"
