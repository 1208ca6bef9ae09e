"""One look for all figures: colour-blind safe, readable on paper and in a notebook, no pyplot and no global state.

Colours are those of Okabe and Ito (2008, "Color universal design"), ordered so that neighbours also differ in
lightness; in the budget, hatching repeats what colour says. A `Plot` is a matplotlib `Figure` that shows itself in any
notebook front end and can be saved as usual.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLACK: Final = "#000000"
GREY: Final = "#666666"
PALE: Final = "#d9d9d9"
ORANGE: Final = "#e69f00"
SKY: Final = "#56b4e9"
GREEN: Final = "#009e73"
YELLOW: Final = "#f0e442"
BLUE: Final = "#0072b2"
VERMILION: Final = "#d55e00"
PURPLE: Final = "#cc79a7"

# For series such as endpoints; vermilion is left out: it always means failure.
SERIES: Final = (BLUE, ORANGE, GREEN, PURPLE, SKY, BLACK, GREY)
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
# The same for lines without marks.
DASHES: Final = (
    "-",
    (0, (5, 2)),
    (0, (1.5, 1.5)),
    (0, (6, 2, 1.5, 2)),
    (0, (8, 3)),
    (0, (3, 1)),
    (0, (1, 3)),
)

STAGE_LOOK: Final[Mapping[str, tuple[str, str]]] = {
    "detect": (BLUE, ""),
    "write": (YELLOW, "..."),
    "endpoints": (GREEN, "///"),
    "watch": (PALE, ""),
    "wait": (ORANGE, "\\\\\\"),
    "sync": (PURPLE, "xxx"),
    "client": (SKY, "---"),
}

_LOOK: Final[dict[str, Any]] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": BLACK,
    "ytick.labelcolor": BLACK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "hatch.linewidth": 0.5,
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # The same SVG bytes for the same figure, with text as text.
    "svg.hashsalt": "netsim",
    "svg.fonttype": "none",
}


class Plot(Figure):
    """A figure that any notebook shows as PNG; text consoles show its title."""

    def _repr_png_(self) -> bytes:
        return self.png()

    def png(self) -> bytes:
        """The figure as PNG; the same bytes for the same figure and version of matplotlib."""
        buffer = BytesIO()
        with look():
            FigureCanvasAgg(self)
            self.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    def svg(self) -> bytes:
        """The figure as SVG without a date in it; its letters are text, in a font that is as wide where ours is not."""
        buffer = BytesIO()
        with look():
            self.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return buffer.getvalue().replace(b"'DejaVu Sans'", b"'DejaVu Sans', Verdana, sans-serif")

    def image(self, alternative: str) -> str:
        """An HTML image that holds the figure; the words are for readers who don't see it."""
        from base64 import b64encode
        from html import escape

        data = b64encode(self.png()).decode()
        width = round(self.get_figwidth() * self.dpi)
        style = "max-width:100%;background:white"
        return f'<img alt="{escape(alternative)}" width="{width}" style="{style}" src="data:image/png;base64,{data}">'

    def __repr__(self) -> str:
        titles = [axes.get_title(loc="left") for axes in self.axes]
        return f"<Plot: {'; '.join(title for title in titles if title)}>"

    __str__ = __repr__


@contextmanager
def look() -> Iterator[None]:
    """Our settings while a figure is made or drawn; the user's own come back afterwards."""
    with mpl.rc_context(_LOOK):  # type: ignore[arg-type]
        yield


def canvas(width: float = 7.2, height: float = 3.6) -> tuple[Plot, Axes]:
    """An empty figure of that many inches and its axes; call inside `look()`."""
    plot = Plot(figsize=(width, height), layout="constrained")
    return plot, plot.add_subplot()


def titled(axes: Axes, title: str, note: str = "", lines: int = 0) -> None:
    """A bold title and, in a line of its own below it, a note in grey; `lines` of space for labels under both."""
    axes.set_title(title, pad=8 + 11 * lines + (13 if note else 0))
    if note:
        axes.annotate(
            note, (0, 1), xycoords="axes fraction", xytext=(0, 6 + 11 * lines), textcoords="offset points",
            fontsize=8.5, color=GREY,
        )  # fmt: skip


def thin(axes: Axes, grid: str) -> None:
    """Grid lines only along one axis (`x` or `y`), the one that is read."""
    axes.grid(visible=False)
    axes.grid(visible=True, axis=grid)  # type: ignore[arg-type]
