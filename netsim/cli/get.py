"""`netsim get WHAT HOST -f FILE --at 31s`: what a node's own tools would print at that moment.

Called by: `main`. The text goes to stdout exactly as the tool prints it, remarks to stderr. With an experiment, its
load and its faults have happened up to that moment; with a topology, the cluster has booted and nobody does anything.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class What(StrEnum):
    """The views; `netsim.experiment.views` has the same names."""

    IPTABLES = "iptables"
    NFTABLES = "nftables"
    IPVS = "ipvs"
    IPSET = "ipset"
    CONNTRACK = "conntrack"
    ROUTES = "routes"


def get(
    what: Annotated[What, typer.Argument(help="Which tool's output.", show_default=False)],
    host: Annotated[str, typer.Argument(help="A node, pod/NAME or external/NAME.", show_default=False)],
    file: Annotated[Path, typer.Option("--file", "-f", help="Topology or experiment.", show_default=False)],
    at: Annotated[str, typer.Option(help="When, counted from the experiment's beginning.")] = "0s",
    variant: Annotated[str, typer.Option(help="Which of the experiment's variants.")] = "",
    seed: Annotated[int | None, typer.Option(help="Which of the possible runs.", min=0)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no remarks.")] = False,
) -> int:
    """Print what iptables-save -c, nft list ruleset, ipvsadm -Ln --stats, ipset list, conntrack -L or ip route would
    print on a node at a moment."""
    from netsim.cli.begun import begun
    from netsim.experiment.progress import progress_bar

    try:
        with progress_bar(f"running to {at}", quiet) as progress:
            cluster = begun(file, variant, seed, at, progress)
        text = cluster.view(what, host if "/" in host else f"node/{host}")
    except (LookupError, ValueError) as error:
        print(f"netsim get: {error.args[0]}", file=sys.stderr)
        return 2
    print(text, end="")
    if not text and not quiet:
        print(f"netsim get: {host} has no {what}", file=sys.stderr)
    return 0
