"""`netsim get WHAT HOST -f FILE --at 31s`: what a node's own tools would print at that moment.

Called by: `main`. The text goes to stdout exactly as the tool prints it, remarks to stderr. With an experiment, its
load and its faults have happened up to that moment; with a topology, the cluster has booted and nobody does anything.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from netsim.cli.get_flows import Form, Wanted, print_flows


class What(StrEnum):
    """The views; `netsim.experiment.views` has the same names."""

    IPTABLES = "iptables"
    NFTABLES = "nftables"
    IPVS = "ipvs"
    IPSET = "ipset"
    CONNTRACK = "conntrack"
    ROUTES = "routes"
    FLOWS = "flows"


def get(  # noqa: PLR0913, PLR0917 - one parameter per option
    what: Annotated[What, typer.Argument(help="Which tool's output.", show_default=False)],
    file: Annotated[Path, typer.Option("--file", "-f", help="Topology or experiment.", show_default=False)],
    host: Annotated[
        str, typer.Argument(help="A node, pod/NAME or external/NAME; of flows: only its own.")
    ] = "",
    at: Annotated[str, typer.Option(help="When, counted from the experiment's beginning.")] = "0s",
    variant: Annotated[str, typer.Option(help="Which of the experiment's variants.")] = "",
    seed: Annotated[int | None, typer.Option(help="Which of the possible runs.", min=0)] = None,
    output: Annotated[
        Form, typer.Option("--output", "-o", help="Of flows: how to print them.")
    ] = Form.COMPACT,
    last: Annotated[int, typer.Option(help="Of flows: only the last ones; 0: all.", min=0)] = 20,
    verdict: Annotated[str, typer.Option(help="Of flows: only FORWARDED or DROPPED ones.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no remarks.")] = False,
) -> int:
    """Print what iptables-save -c, nft list ruleset, ipvsadm -Ln --stats, ipset list, conntrack -L or ip route would
    print on a node at a moment; or what `hubble observe` would have printed until then (without --at: until the
    experiment's end, for a topology 10s)."""
    from netsim.cli.begun import begun
    from netsim.experiment.progress import progress_bar

    if what is What.FLOWS:
        return print_flows(file, at, variant, seed, quiet, Wanted(host, output, last, verdict))
    if not host:
        print(f"netsim get: whose {what}? Name a node, pod/NAME or external/NAME", file=sys.stderr)
        return 2
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
