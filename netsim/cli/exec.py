"""`netsim exec POD -f FILE -- COMMAND...`: run a command in a pod, with real simulated traffic.

Called by: `main`. What the command writes goes to stdout and stderr, and its exit code is ours, as with kubectl exec.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from netsim.cli.capturing import FILE, Patterns, Written, capturing


def exec_(  # noqa: PLR0913, PLR0917 - one parameter per option
    where: Annotated[
        str, typer.Argument(metavar="POD", help="A pod, node/NAME or external/NAME.", show_default=False)
    ],
    command: Annotated[list[str], typer.Argument(help="The command, behind --.", show_default=False)],
    file: Annotated[Path, typer.Option("--file", "-f", help="Topology or experiment.", show_default=False)],
    at: Annotated[str, typer.Option(help="When, counted from the experiment's beginning.")] = "0s",
    limit: Annotated[str, typer.Option(help="Interrupt the command after this (simulated) time.")] = "60s",
    variant: Annotated[str, typer.Option(help="Which of the experiment's variants.")] = "",
    seed: Annotated[int | None, typer.Option(help="Which of the possible runs.", min=0)] = None,
    capture: Patterns = None,
    write: Written = FILE,
) -> int:
    """Run nslookup, dig, curl, ping, env... in a pod and print what the tool prints."""
    from netsim.cli.begun import begun
    from netsim.experiment.progress import progress_bar

    try:
        with progress_bar(f"running to {at}") as progress:
            cluster = begun(file, variant, seed, at, progress)
        with capturing(cluster, capture, write):
            result = cluster.exec(where, command, limit)
    except (LookupError, ValueError) as error:
        print(f"netsim exec: {error.args[0]}", file=sys.stderr)
        return 2
    print(result.stdout, end="", flush=True)
    print(result.stderr, end="", file=sys.stderr)
    if result.code:
        print(f"command terminated with exit code {result.code}", file=sys.stderr)
    return result.code
