"""Plain-text tables that fit a terminal: aligned, ASCII, no colour.

Used by `text`. Numbers are right-aligned, texts left-aligned; when a table is too wide its longest text columns are
shortened in the middle, so that the two telling ends of a pod's name stay.
"""

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 100
_GAP: Final = "  "


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str, indent: int = 2) -> list[str]:
    """Lines of a table. `align` has a letter per column: `l` left, `L` left and never shortened, `r` right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    _shrink(widths, align, WIDTH - indent)
    return [_line(row, widths, align, indent) for row in (header, *rows)]


def _shrink(widths: list[int], align: str, limit: int) -> None:
    shortable = [i for i, a in enumerate(align) if a == "l"]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > limit and shortable:
        longest = max(shortable, key=lambda i: widths[i])
        if widths[longest] <= 8:
            return
        widths[longest] -= 1


def _line(row: Sequence[str], widths: Sequence[int], align: str, indent: int) -> str:
    cells = [
        text.rjust(width) if a == "r" else shorten(text, width).ljust(width)
        for text, width, a in zip(row, widths, align, strict=True)
    ]
    return (" " * indent + _GAP.join(cells)).rstrip()


def shorten(text: str, width: int) -> str:
    """At most `width` characters, `..` standing for what is missing in the middle."""
    if len(text) <= width:
        return text
    head = (width - 2 + 1) // 2
    tail = width - 2 - head
    return text[:head] + ".." + (text[-tail:] if tail else "")
