"""`netsim compare A B`: two result folders, or two experiments that are run with the same seeds, metric by metric.

Called by: `main`. The comparison goes to stdout, progress to stderr. Exit code 0, also when they differ; 1 when a check
of either failed; 2 when they cannot be compared.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Output(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def compare(  # noqa: PLR0913, PLR0917 - one argument per option
    a: Annotated[str, typer.Argument(help="Result folder or experiment (FILE#VARIANT).", show_default=False)],
    b: Annotated[str, typer.Argument(help="What to compare with it.", show_default=False)],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Such as outage.mean; may be repeated.", show_default="the usual ones"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of experiments that are run.", min=0)] = None,
    replications: Annotated[int | None, typer.Option(help="Of experiments that are run.", min=2)] = None,
    jobs: Annotated[int, typer.Option(help="Processes; 0: one per processor.", min=0)] = 0,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")] = Output.TEXT,
    out: Annotated[Path | None, typer.Option(help="Also write the table here (.parquet or .csv).")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> int:
    """Compare two experiments: differences, their 95% intervals, and what they mean."""
    from netsim.experiment.compare import CompareError
    from netsim.experiment.compare import compare as compared
    from netsim.experiment.progress import progress_bar

    if out is not None and out.suffix not in (".parquet", ".csv"):
        print(f"netsim compare: {out}: write a name that ends in .parquet or .csv", file=sys.stderr)
        return 2
    try:
        with progress_bar("comparing", quiet) as progress:
            found = compared(
                a, b, seed=seed, replications=replications, jobs=jobs, metrics=metric or (), progress=progress
            )
    except CompareError as error:
        print(f"netsim compare: {error}", file=sys.stderr)
        return 2
    table = found.table
    if output is Output.TEXT:
        print(found.text(), end="")
    elif output is Output.CSV:
        print(table.to_csv(index=False), end="")
    else:
        print(table.to_json(orient="records", indent=2, double_precision=15))
    if out is not None and out.suffix == ".csv":
        table.to_csv(out, index=False)
    elif out is not None:
        table.to_parquet(out, index=False)
    return 0 if found.passed else 1
