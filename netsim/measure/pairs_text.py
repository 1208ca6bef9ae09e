"""A comparison of two experiments for the terminal and for notebooks.

Called by `experiment.compare`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from netsim.measure.html import paragraph, table_html, titled
from netsim.measure.metrics import value_text
from netsim.measure.pairs import Difference, points
from netsim.measure.table import table
from netsim.measure.text import wrapped

HEAD: Final = ("metric", "A", "B", "B - A", "95% CI of B - A", "")


def pair_rows(found: Iterable[Difference]) -> list[tuple[str, ...]]:
    """One row per metric; a star where chance does not explain the difference."""
    return [
        (
            d.metric.name,
            value_text(d.a, d.metric.unit),
            value_text(d.b, d.metric.unit),
            points(d.value, d.metric.unit),
            _interval(d),
            "*" if d.shown else "",
        )
        for d in found
    ]


def _interval(d: Difference) -> str:
    if not d.interval.known:
        return "-"
    return f"{points(d.interval.low, d.metric.unit)} to {points(d.interval.high, d.metric.unit)}"


def pair_lines(service: str, found: Sequence[Difference]) -> list[str]:
    """The table of one Service and what it means."""
    said = [f"{d.metric.name}: {d.sentence('B')}" for d in found]
    return [
        _title(service),
        *table(HEAD, pair_rows(found), "Lrrrrl"),
        "",
        *(line for text in said for line in wrapped([text], "  ", "    ")),
    ]


def pair_html(service: str, found: Sequence[Difference]) -> str:
    """The same as HTML."""
    rows = [(*row[:-1], d.sentence("B")) for row, d in zip(pair_rows(found), found, strict=True)]
    return titled(_title(service), table_html((*HEAD[:-1], "in words"), rows, 1))


def notes_html(notes: Iterable[str]) -> str:
    """Paragraphs."""
    return "".join(paragraph(note) for note in notes)


def _title(service: str) -> str:
    return service or "Requests to no Service"
