"""Drawing: scales, ticks, axes and the frame of a chart as inline SVG that takes its colours from page.css.

Called by the `chart_*` modules. A mark that has something to say carries a `<title>`, which browsers show as a tooltip
and page.js shows at once; what a chart shows as a whole is said in its label, for readers who don't see it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from netsim.measure.page.markup import Html, el, join, number

WIDTH: Final = 860
# What `page.css` sets: 12 px text; a character of it is about this wide on average.
CHARACTER: Final = 6.3
_STEPS: Final = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values -> pixels, straight or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; values outside end up at the border."""
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        here = math.log10(max(value, self.low)) if self.log else value
        share = (here - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))

    def ticks(self, about: int = 6) -> list[float]:
        """Round values within, about so many."""
        return _decades(self.low, self.high) if self.log else _linear(self.low, self.high, about)


def _linear(low: float, high: float, about: int) -> list[float]:
    if high <= low:
        return [low]
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in _STEPS if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten; within fewer than two decades also 2 and 5 of each, within less than a factor of four round
    values."""
    if high / low < 4:
        return _linear(low, high, 5)
    begin, end = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1.0,) if math.log10(high / low) >= 2 else (1.0, 2.0, 5.0)
    found = [s * 10.0**p for p in range(begin, end + 1) for s in steps]
    return [v for v in found if low * 0.9999 <= v <= high * 1.0001]


@dataclass(frozen=True, slots=True)
class Box:
    """The plot's area within the chart."""

    left: float
    top: float
    right: float
    bottom: float


def x_axis(box: Box, scale: Scale, label: str, form: Callable[[float], str], about: int = 6) -> Html:
    """Grid lines, ticks and a label below."""
    parts = []
    for tick in scale.ticks(about):
        x = scale.at(tick)
        parts.append(el("line", x1=x, x2=x, y1=box.top, y2=box.bottom, class_="grid"))
        parts.append(el("text", form(tick), x=x, y=box.bottom + 16, class_="tick mid"))
    parts.append(el("line", x1=box.left, x2=box.right, y1=box.bottom, y2=box.bottom, class_="axis"))
    parts.append(el("text", label, x=box.right, y=box.bottom + 33, class_="label end"))
    return el("g", *parts)


def y_axis(box: Box, scale: Scale, label: str, form: Callable[[float], str], about: int = 5) -> Html:
    """Grid lines and ticks at the left, the label above them."""
    parts = []
    for tick in scale.ticks(about):
        y = scale.at(tick)
        parts.append(el("line", x1=box.left, x2=box.right, y1=y, y2=y, class_="grid"))
        parts.append(el("text", form(tick), x=box.left - 7, y=y + 4, class_="tick end"))
    parts.append(el("text", label, x=4.0, y=box.top - 10, class_="label"))
    return el("g", *parts)


def titled(tag: str, tip: str, **attributes: "str | float | None") -> Html:
    """A mark with a tooltip."""
    return el(tag, el("title", tip), **attributes)


def chart(height: float, label: str, parts: Iterable[str], name: str = "") -> Html:
    """The whole drawing; `label` is read out in its place."""
    box = f"0 0 {WIDTH} {number(height)}"
    drawing = el("svg", *parts, viewBox=box, role="img", aria_label=label, class_=f"chart {name}".strip())
    return el("div", drawing, class_="scroll", tabindex="0", role="region", aria_label="figure")


def figure(caption: str, *parts: str) -> Html:
    """A chart with its legend and a line below that says how to read it."""
    return el("figure", *parts, el("figcaption", caption))


def legend(entries: Sequence[tuple[Html, str]]) -> Html:
    """(swatch, words) in a row."""
    return el("ul", *(el("li", swatch, words) for swatch, words in entries), class_="legend")


def swatch(*marks: str) -> Html:
    """A small picture for a legend."""
    return el("svg", *marks, viewBox="0 0 22 14", class_="swatch", aria_hidden="true")


def sample(shape: str, look: str) -> Html:
    """One mark of a series, large."""
    return swatch(el("path", d=f"M0 0{shape}", class_=look, transform="translate(11 7) scale(1.8)"))


def fitted(words: str, room: float) -> str:
    """A text shortened in its middle to fit into so many pixels."""
    most = max(4, int(room / CHARACTER))
    if len(words) <= most:
        return words
    tail = most // 2
    return f"{words[: most - tail - 1]}…{words[len(words) - tail :]}"


# ---------------------------------------------------------------- series
# Shapes around a point, as the end of a path command `M x y`: series can be told apart without colour.
SHAPES: Final = (
    "m-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0",  # circle
    "m-2.3-2.3h4.6v4.6h-4.6z",  # square
    "m0-3.2l3 5.2h-6z",  # triangle
    "m0-3.5l3.5 3.5l-3.5 3.5l-3.5-3.5z",  # diamond
    "m0 3.2l3-5.2h-6z",  # triangle, point down
    "m-1-3h2v2h2v2h-2v2h-2v-2h-2v-2h2z",  # plus
    "m-3-1h6v2h-6z",  # bar
)
CROSS: Final = "m-2.6-2.6l5.2 5.2m0-5.2l-5.2 5.2"


def points(places: Iterable[tuple[float, float]], shape: str) -> str:
    """Path data of many marks."""
    return "".join(f"M{number(x)} {number(y)}{shape}" for x, y in places)


def patterns() -> Html:
    """Hatches of the budget's stages, once per page: what colour says, texture repeats."""
    drawn = {
        "write": el("circle", cx=3.0, cy=3.0, r=1.0, class_="dot"),
        "endpoints": el("path", d="M-1 7L7-1M-4 4L4-4M2 10L10 2", class_="hatch"),
        "wait": el("path", d="M-1-1L7 7M-4 2L4 10M2-4L10 4", class_="hatch"),
        "sync": el("path", d="M-1 7L7-1M-1-1L7 7", class_="hatch"),
        "client": el("path", d="M0 3H6", class_="hatch"),
    }
    made = [
        el("pattern", el("rect", width=6, height=6, class_=f"fill-{name}"), mark,
           id=f"hatch-{name}", width=6, height=6, patternUnits="userSpaceOnUse")
        for name, mark in drawn.items()
    ]  # fmt: skip
    return el("svg", el("defs", join(made)), width=0, height=0, class_="defs", aria_hidden="true")
