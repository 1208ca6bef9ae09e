"""`netsim run EXPERIMENT`: run it, print the report, keep the results in a folder.

Called by: `main`. The report goes to stdout, progress and the place of the results to stderr. Exit code 0, or 1 when a
check failed. An interrupted run leaves no results: the folder appears complete or not at all.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer


def run(  # noqa: PLR0913, PLR0917 - one parameter per option
    file: Annotated[Path | None, typer.Argument(help="Experiment file.", show_default=False)] = None,
    example: Annotated[str, typer.Option(help="Run this one of `netsim examples` instead of a file.")] = "",
    seed: Annotated[int | None, typer.Option(help="Instead of the experiment's own.", min=0)] = None,
    replications: Annotated[int | None, typer.Option(help="Instead of the experiment's own.", min=1)] = None,
    jobs: Annotated[int, typer.Option(help="Processes; 0: one per processor.", min=0)] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Where the results go.", show_default="results/NAME")
    ] = None,
    variant: Annotated[str, typer.Option(help="Only this one of the experiment's variants.")] = "",
    capture: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INTERFACES",
            help='Record packets of the first replication: pod/NAME, node/NAME:DEVICE, router, "*"...',
            show_default=False,
        ),
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no remarks.")] = False,
) -> int:
    """Run an experiment and print load split, failover budget and checks."""
    from netsim.experiment.api import load
    from netsim.experiment.data import example as example_file
    from netsim.experiment.progress import progress_bar
    from netsim.experiment.report import REPORT

    if (file is None) == (not example):
        print("netsim run: name a file, or an example with --example", file=sys.stderr)
        return 2
    if file is None:
        try:
            file = example_file(example)
        except LookupError as error:
            print(f"netsim run: {error.args[0]}", file=sys.stderr)
            return 2
    experiment = load(file)
    if variant:
        try:
            experiment = experiment.variant(variant)
        except LookupError as error:
            print(f"netsim run: {error.args[0]}", file=sys.stderr)
            return 2
    if capture:
        experiment = experiment.capturing(*capture)
    try:
        with progress_bar(f"running {experiment.name}", quiet) as progress:
            results = experiment.run(seed=seed, replications=replications, jobs=jobs, progress=progress)
    except LookupError as error:
        if type(error) is not LookupError:  # a KeyError or IndexError is a bug
            raise
        print(f"netsim run: {error.args[0]}", file=sys.stderr)
        return 2
    print(results.text(), end="", flush=True)  # before what stderr says, also when both go into one pipe
    folder = results.write(out or Path("results") / experiment.name, figures=figures)
    if not quiet:
        print(f"results in {folder}/, to look at: {folder / REPORT}", file=sys.stderr)
    return 0 if results.passed else 1
