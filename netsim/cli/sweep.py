"""`netsim sweep FILE`: run the cells of a sweep that are not there yet, and print what the parameters do.

Called by: `main`. The summary goes to stdout, progress and the place of the results to stderr. Exit code 0; 1 when
cells failed; 2 for a file with errors, or when the sweep cannot run at all. After an interruption the same command
goes on.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Where(StrEnum):
    """What runs the cells."""

    LOCAL = "local"
    DASK = "dask"


def sweep(  # noqa: PLR0913, PLR0917 - one argument per option
    file: Annotated[Path, typer.Argument(help="Sweep file.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Where the results go.", show_default="results/NAME")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; 0: one per processor.", min=0)] = 0,
    executor: Annotated[Where, typer.Option(help="Local processes, or a Dask cluster.")] = Where.LOCAL,
    scheduler: Annotated[str, typer.Option(help="Of the Dask cluster, such as tcp://10.0.0.1:8786.")] = "",
    xarray: Annotated[bool, typer.Option("--xarray", help="Also write cells.nc (netCDF).")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run cells again that are there.")] = False,
    figures: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no remarks.")] = False,
) -> int:
    """Run an experiment over many settings; goes on where it was interrupted."""
    from netsim.experiment.loader_sweep import load_sweep
    from netsim.experiment.progress import cells_bar
    from netsim.experiment.sweep import Sweep, SweepError

    if scheduler and executor is not Where.DASK:
        print("netsim sweep: --scheduler goes with --executor dask", file=sys.stderr)
        return 2
    loaded = Sweep(load_sweep(file))
    folder = out or Path("results") / loaded.name
    try:
        if xarray:
            _need_xarray()
        with cells_bar(loaded.name, quiet) as progress:
            results = loaded.run(folder, jobs, executor.value, scheduler, fresh, figures, progress)
        if xarray:
            from netsim.experiment.sweep_array import write_netcdf
            from netsim.experiment.sweep_store import ARRAY

            write_netcdf(results, folder / ARRAY)
    except (SweepError, FileExistsError) as error:
        print(f"netsim sweep: {error}", file=sys.stderr)
        return 2
    print(results.text(), end="", flush=True)
    if not quiet:
        print(f"results in {folder}/", file=sys.stderr)
    return 1 if results.failed else 0


def _need_xarray() -> None:
    """Before hours of work, not after."""
    from importlib.util import find_spec

    from netsim.experiment.sweep import SweepError

    if find_spec("xarray") is None:
        raise SweepError("xarray is not installed: pip install 'k8s-netsim[xarray]'")
