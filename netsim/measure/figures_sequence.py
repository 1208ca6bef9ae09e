"""The sequence diagram of a journey: hosts as lifelines, packets as arrows, rewrites as marked boxes.

Called by `Journey.plot`. Time goes down, one row per event and not to scale; it is written at the left. What colour
says of a rewrite the word in its box says too.
"""

from typing import TYPE_CHECKING, Final

from matplotlib.axes import Axes

from netsim.measure.sequence import Arrow, Mark, hosts, sequence
from netsim.measure.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILION,
    Plot,
    canvas,
    look,
)

if TYPE_CHECKING:
    from netsim.measure.journey import Journey

_MOST_ROWS: Final = 70
_ROW_INCHES: Final = 0.25
_LANE_INCHES: Final = 1.6
_MARGIN: Final = 0.72  # lanes left of the first lifeline, where the times are
_LETTERS: Final = 25  # that fit between two lifelines
_ARROWS: Final = {"dns": BLUE, "tcp": BLACK, "udp": GREEN, "icmp": PURPLE, "sctp": PURPLE}
_BOXES: Final = {
    "DNAT": ORANGE,
    "SNAT": SKY,
    "un-DNAT": "#f8e3b4",
    "un-SNAT": "#d6ecfa",
    "IPVS": ORANGE,
    "ENCAPSULATE": PALE,
    "DECAPSULATE": PALE,
    "DROP": "#f4c7b0",
}


def sequence_plot(journey: "Journey", title: str = "") -> Plot:
    """The whole journey, at most so many rows of it."""
    events = sequence(journey)
    shown = events[:_MOST_ROWS]
    lanes = {name: lane for lane, name in enumerate(hosts(shown))}
    rows = len(shown) + (2.2 if len(events) > len(shown) else 1.2)
    with look():
        plot, axes = canvas(
            max(4.5, _LANE_INCHES * (len(lanes) + _MARGIN - 0.2)), _ROW_INCHES * (rows + 3.4) + 0.3
        )
        axes.set_xlim(-_MARGIN, max(len(lanes), 1) - 0.4)
        axes.set_ylim(rows, -2.4)
        axes.axis("off")
        _lifelines(axes, lanes, rows)
        for row, event in enumerate(shown):
            _time(axes, row, event.at_ns - journey.epoch_ns)
            if isinstance(event, Arrow):
                _arrow(axes, row, event, lanes)
            else:
                _box(axes, row, event, lanes)
        if len(events) > len(shown):
            axes.text(0, rows - 0.9, f"... and {len(events) - len(shown)} more", color=GREY, fontsize=8.5)
        axes.set_title(title or _title(journey))
        return plot


def _title(journey: "Journey") -> str:
    return (
        f"{len(journey.packets)} packets, from {journey.packets[0].first.namespace}"
        if journey.packets
        else "no packet"
    )


def _lifelines(axes: Axes, lanes: dict[str, int], rows: float) -> None:
    for name, lane in lanes.items():
        axes.plot([lane, lane], [-1, rows - 0.6], color=GREY, linewidth=0.9, zorder=1)
        axes.text(
            lane, -1.55, _folded(name), ha="center", va="center", fontsize=8, fontweight="bold", zorder=4,
            bbox={"boxstyle": "round,pad=0.35", "facecolor": "#f3f3f3", "edgecolor": GREY, "linewidth": 0.8},
        )  # fmt: skip


def _folded(name: str) -> str:
    """`namespace/pod` on two lines, long names of pods with their middle left out."""
    namespace, slash, pod = name.rpartition("/")
    return f"{namespace}{slash}\n{_cut(pod, 19)}" if slash else _cut(name, 19)


def _cut(words: str, most: int) -> str:
    if len(words) <= most:
        return words
    tail = (most - 1) // 2
    return f"{words[: most - 1 - tail]}…{words[-tail:]}"


def _time(axes: Axes, row: int, ns: int) -> None:
    axes.text(-_MARGIN, row, f"{ns / 1e6:.3f} ms", va="center", fontsize=7, color=GREY)


def _arrow(axes: Axes, row: int, event: Arrow, lanes: dict[str, int]) -> None:
    begin, end = lanes[event.source], lanes[event.destination]
    colour = _ARROWS.get(event.protocol.rstrip("6"), GREY)
    axes.annotate(
        "", (end, row + 0.22), (begin, row + 0.22), zorder=3,
        arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    room = max(1, abs(end - begin)) * _LETTERS
    axes.text(
        (begin + end) / 2, row + 0.13, _cut(event.words, room), ha="center", va="bottom", fontsize=7.2, zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85},
    )  # fmt: skip


def _box(axes: Axes, row: int, event: Mark, lanes: dict[str, int]) -> None:
    lane = lanes[event.host]
    words = f"{event.kind} {event.short}"
    edge = VERMILION if event.kind == "DROP" else BLACK
    axes.text(
        lane, row, _cut(words, 44), ha="center", va="center", fontsize=7.2, zorder=6,
        fontweight="bold" if event.kind == "DROP" else "normal",
        bbox={"boxstyle": "square,pad=0.22", "facecolor": _BOXES[event.kind], "edgecolor": edge, "linewidth": 0.7,
              "linestyle": "--" if event.kind.startswith("un-") else "-"},
    )  # fmt: skip
