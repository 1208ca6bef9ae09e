"""Rich display for notebooks: small HTML fragments without scripts or outside references.

Everything from a run (pod names, expressions, hints) is escaped. Called by the `_repr_html_` of splits, failovers and
results.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from netsim.measure.text import REQUEST_HEAD, CheckLine, percent, request_rows

if TYPE_CHECKING:
    import pandas as pd

    from netsim.measure.split import LoadSplit
    from netsim.measure.summary import Failover

_CELL: Final = "padding:2px 10px"


def table_html(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> str:
    """A table whose first `texts` columns are left-aligned and whose others are right-aligned."""
    head = "".join(f'<th style="{_style(i, texts)}">{escape(cell)}</th>' for i, cell in enumerate(header))
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{_style(i, texts)}">{escape(cell)}</td>' for i, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _style(column: int, texts: int) -> str:
    return f"{_CELL};text-align:{'left' if column < texts else 'right'}"


def titled(title: str, *fragments: str) -> str:
    """A block with a bold first line."""
    return f"<div><p><b>{escape(title)}</b></p>{''.join(fragments)}</div>"


def paragraph(text: str) -> str:
    """One escaped paragraph."""
    return f"<p>{escape(text)}</p>"


def requests_html(requests: "pd.DataFrame") -> str:
    """Counts and latency percentiles per load."""
    return table_html(REQUEST_HEAD, request_rows(requests), 1)


def split_html(split: "LoadSplit") -> str:
    """A load split: the table per endpoint, the index, the verdict."""
    head = (
        "endpoint",
        "pod",
        "node",
        "connections",
        "share",
        "expected",
        "95% band",
        "requests",
        "share",
        "failed",
    )
    rows = [
        (
            row["endpoint"],
            row["pod"],
            row["node"],
            f"{row['connections']:,}",
            percent(row["connection_share"]),
            percent(row["expected_share"]),
            f"{percent(row['low'])} to {percent(row['high'])}",
            f"{row['requests']:,}",
            percent(row["request_share"]),
            f"{row['failed']:,}",
        )
        for _, row in split.table.iterrows()
    ]
    told = f"Jain's index {split.jain:.4f}. {split.verdict}"
    return titled(f"Load split of {split.service}", table_html(head, rows, 3), paragraph(told))


def failover_html(failover: "Failover") -> str:
    """A failover: per fault the stages over the replications and the sentence."""
    from netsim.measure.summary import seconds

    head = ("stage", "mean", "95% CI from", "to", "p50", "p95", "min", "max")
    columns = ("mean_ns", "mean_low_ns", "mean_high_ns", "p50_ns", "p95_ns", "min_ns", "max_ns")
    blocks = []
    for fault in failover.faults:
        own = failover.summary[failover.summary["fault"] == fault]
        rows = [
            (row["stage"], *(seconds(float(row[column])) for column in columns)) for _, row in own.iterrows()
        ]
        sentence = failover.sentence(fault)
        blocks.append(
            titled(fault, table_html(head, rows, 1), paragraph(f"{sentence[0].upper()}{sentence[1:]}."))
        )
    return titled(f"Failover of {failover.service}", *blocks)


def checks_html(checks: Sequence[CheckLine]) -> str:
    """Checks: passed or not, in words and not in colour only."""
    rows = [
        (
            "pass" if check.passed else "FAIL",
            check.name,
            check.expr,
            check.actual,
            "" if check.passed else check.hint,
        )
        for check in checks
    ]
    return table_html(("", "check", "expression", "found", "hint"), rows, 5) if rows else ""
