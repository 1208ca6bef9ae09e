"""`netsim describe TOPIC`: what is in the model, as a table.

Called by: `main`. Each topic is a command of its own: add one with `@describe.command("topic")`.
"""

import json
import textwrap
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from netsim.experiment.describe_versions import Row

_WIDTH = 100

describe = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Describe a part of the model.")


class Form(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


@describe.callback()
def _topics() -> None:
    """Describe a part of the model."""


@describe.command("versions")
def versions(
    first: Annotated[
        str, typer.Option("--from", help="Only what changed after this Kubernetes version.")
    ] = "",
    last: Annotated[str, typer.Option("--to", help="Only what changed up to this one.")] = "",
    output: Annotated[Form, typer.Option("-o", "--output", help="Text or JSON.")] = Form.TEXT,
) -> int:
    """What kubernetesVersion, kernel and cni of a Cluster change in the model, with the sources.

    With --from and --to: what an upgrade between the two changes.
    """
    from dataclasses import asdict

    from netsim.cluster.timing import parse_version
    from netsim.experiment.describe_versions import NEWEST, cni_rows, kernel_rows, version_rows

    try:
        begin = parse_version(first) if first else (1, 0)
        end = parse_version(last) if last else NEWEST
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if begin > end:
        raise typer.BadParameter(f"--from {first} is later than --to {last or '.'.join(map(str, end))}")
    rows = version_rows(begin, end)
    if not first and not last:
        rows += [*kernel_rows(), *cni_rows()]
    if output is Form.JSON:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print("\n".join(_lines(rows)) or "nothing that the model knows of")
    return 0


_TITLES = {
    "Kubernetes": "Kubernetes (kubernetesVersion)",
    "Linux": "Linux (kernel)",
    "CNI": "Pod networks (networking.cni)",
}


def _lines(rows: "Sequence[Row]") -> list[str]:
    lines: list[str] = []
    for title, of in ((text, of) for of, text in _TITLES.items()):
        mine = [row for row in rows if row.of == of]
        if mine:
            lines += [*([""] if lines else []), title, *(line for row in mine for line in _row_lines(row))]
    return lines


def _row_lines(row: "Row") -> list[str]:
    """One change: the heading, what it is about, and the source."""
    change = f"{row.before} -> {row.now}" if row.before else row.now
    where = f" ({row.component})" if row.component else ""
    head = (
        f"  {row.since:<5} {row.name}{where}: {change}".rstrip() if row.since else f"  {row.name}: {change}"
    )
    indent = " " * 8
    return [head, *_folded(row.what, indent), *_folded(row.source, indent)]


def _folded(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    )
