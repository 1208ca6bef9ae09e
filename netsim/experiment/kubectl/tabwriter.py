"""Elastic columns: what Go's text/tabwriter makes of lines with tabs in them.

Called by every printer of this package. A cell ends with a tab; consecutive lines that have a cell in a column form a
block of equal width, and the text behind the last tab of a line is not padded.
Source: the documentation of text/tabwriter, and how kubectl configures it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Style:
    """Least width of a cell, its padding included, and the padding."""

    least: int
    padding: int


TABLE: Final = Style(6, 3)  # k8s.io/cli-runtime/pkg/printers/tabwriter.go
DESCRIBE: Final = Style(0, 2)  # tabbedString in k8s.io/kubectl/pkg/describe/describe.go


def align(text: str, style: Style) -> str:
    """The text with spaces instead of tabs."""
    ended = text.endswith("\n")
    lines = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    out: list[str] = []
    _format(lines, 0, len(lines), [], style, out)
    return "\n".join(out) + ("\n" if ended else "")


def _format(
    lines: list[list[str]], begin: int, end: int, widths: list[int], style: Style, out: list[str]
) -> None:
    """Lines from `begin` to `end`, whose first columns have these widths."""
    column, at = len(widths), begin
    while at < end:
        if column >= len(lines[at]) - 1:
            out.append(_line(lines[at], widths))
            at += 1
            continue
        stop = at
        width = style.least
        while stop < end and column < len(lines[stop]) - 1:
            width = max(width, len(lines[stop][column]) + style.padding)
            stop += 1
        _format(lines, at, stop, [*widths, width], style, out)
        at = stop


def _line(cells: list[str], widths: list[int]) -> str:
    return "".join(
        cell.ljust(widths[index]) if index < len(widths) else cell for index, cell in enumerate(cells)
    )


def table(rows: Sequence[tuple[str, ...]], style: Style = TABLE) -> str:
    """Rows of cells as a table; "" without rows."""
    return align("".join("\t".join(row) + "\n" for row in rows), style) if rows else ""
