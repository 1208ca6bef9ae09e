"""A sweep for the terminal and for notebooks: its cells where they are few, else what each parameter does on average.

Called by `experiment.sweep_results`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import pandas as pd

from netsim.measure.html import paragraph, table_html, titled
from netsim.measure.metrics import METRICS, Metric, range_text, value_text
from netsim.measure.sweep_summary import interval, marginal
from netsim.measure.table import table
from netsim.measure.text import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_ROWS: Final = 24
_MOST_VALUES: Final = 12


class Swept(Protocol):
    """What is needed of the results."""

    name: str
    table: pd.DataFrame
    columns: dict[str, str]
    failed: dict[int, str]

    @property
    def metrics(self) -> tuple[str, ...]: ...


def sweep_text(swept: Swept, manifest: Mapping[str, Any]) -> str:
    """The whole summary, ending with a newline."""
    sections = [wrapped([_head(swept, manifest)], "")]
    sections += [[title, *table(head, rows, align)] for title, head, rows, align in _tables(swept)]
    sections.append(wrapped([*_failures(swept), *(f"note: {note}" for note in manifest["notes"])], ""))
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def sweep_html(swept: Swept, manifest: Mapping[str, Any]) -> str:
    """The same as HTML."""
    parts = [
        titled(title, table_html(head, rows, align.count("L"))) for title, head, rows, align in _tables(swept)
    ]
    return titled(_head(swept, manifest), *parts, *map(paragraph, _failures(swept)))


def _head(swept: Swept, manifest: Mapping[str, Any]) -> str:
    runs = len(swept.table[["cell", "replication"]].drop_duplicates())
    return (
        f"{swept.name}: {manifest['cells']} cells over {', '.join(swept.columns)}, {runs:,} replications in all, "
        f"seed {manifest['seed']}, fingerprint {manifest['fingerprint'][:12]}"
    )


def _failures(swept: Swept) -> list[str]:
    shown = [f"cell {number} failed: {why}" for number, why in list(swept.failed.items())[:5]]
    more = len(swept.failed) - len(shown)
    return [*shown, *([f"and {more} cells more"] if more else [])]


def _tables(swept: Swept) -> "Iterator[tuple[str, Sequence[str], list[tuple[str, ...]], str]]":
    for service in sorted(swept.table["service"].unique()):
        part = swept.table[swept.table["service"] == service]
        metrics = [METRICS[name] for name in swept.metrics]
        if part["cell"].nunique() <= _MOST_ROWS:
            yield _cells(swept, service, part, metrics)
        else:
            yield _effects(swept, service, part, metrics)


def _cells(
    swept: Swept, service: str, part: pd.DataFrame, metrics: Sequence[Metric]
) -> "tuple[str, Sequence[str], list[tuple[str, ...]], str]":
    columns = list(swept.columns.items())
    rows = []
    for _, cell in part.groupby("cell", sort=True):
        settings = (shown(cell[column].iloc[0], column) for _, column in columns)
        rows.append((*settings, *(text for metric in metrics for text in _pair(cell, metric))))
    head = (*(name for name, _ in columns), *(text for m in metrics for text in (m.name, "95% CI")))
    return f"Cells: {service}", head, rows, "l" * len(columns) + "r" * 2 * len(metrics)


def _pair(cell: pd.DataFrame, metric: Metric) -> tuple[str, str]:
    values = cell[metric.column].dropna().to_numpy(dtype=float)
    return value_text(metric.estimate(values), metric.unit), range_text(interval(values, metric), metric.unit)


def _effects(
    swept: Swept, service: str, part: pd.DataFrame, metrics: Sequence[Metric]
) -> "tuple[str, Sequence[str], list[tuple[str, ...]], str]":
    rows: list[tuple[str, ...]] = []
    for name, column in swept.columns.items():
        found = [marginal(part, column, metric) for metric in metrics]
        if len(found[0]) > _MOST_VALUES:
            rows.append((name, f"{len(found[0])} values", "", *("" for _ in range(2 * len(metrics)))))
            continue
        for position, (value, cells, _, _) in enumerate(found[0]):
            texts = [
                text
                for metric, line in zip(metrics, found, strict=True)
                for text in (
                    value_text(line[position][2], metric.unit),
                    range_text(line[position][3], metric.unit),
                )
            ]
            rows.append((name if not position else "", shown(value, column), str(cells), *texts))
    means = (f"{m.name.partition('.')[0]}, mean" for m in metrics)
    head = ("parameter", "value", "cells", *(text for mean in means for text in (mean, "95% CI")))
    title = f"What each parameter does, averaged over the others: {service}"
    return title, head, rows, "lLr" + "r" * 2 * len(metrics)


def shown(value: Any, column: str) -> str:
    """A parameter's value for reading: with its unit again."""
    from netsim.measure.summary import seconds

    if column.endswith("_ns"):
        return seconds(float(value))
    if column.endswith("_share"):
        return f"{100 * value:.6g}%"
    if column.endswith("_per_s"):
        return f"{value:.6g}/s"
    return f"{value:.6g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
