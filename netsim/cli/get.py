"""`netsim get WHAT HOST -f FILE --at 31s`: what a node's own tools would print at that moment.

Called by: `main`. The text goes to stdout exactly as the tool prints it, remarks to stderr. With an experiment, its
load and its faults have happened up to that moment; with a topology, the cluster has booted and nobody does anything.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.experiment.loader import ExperimentBundle, Topology


class What(StrEnum):
    """The views; `netsim.experiment.views` has the same names."""

    IPTABLES = "iptables"
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
    """Print what iptables-save -c, conntrack -L, ip route... would print on a node at a moment."""
    from netsim.engine import parse_duration
    from netsim.experiment.loader import ExperimentBundle, load
    from netsim.experiment.progress import progress_bar

    loaded = load(file)
    try:
        if variant:
            if not isinstance(loaded, ExperimentBundle):
                raise LookupError(f"{file} is a topology: it has no variants")
            loaded = loaded.variant(variant)
        at_ns = parse_duration(at)
        cluster = _begun(loaded, seed, at_ns)
        name = host if "/" in host else f"node/{host}"
        cluster.host(name)
        with progress_bar(f"running to {at}", quiet) as progress:
            for step in range(1, 101):
                cluster.at(at_ns * step // 100)
                progress(step, 100)
        text = cluster.view(what, name)
    except (LookupError, ValueError) as error:
        print(f"netsim get: {error.args[0]}", file=sys.stderr)
        return 2
    print(text, end="")
    if not text and not quiet:
        print(f"netsim get: {host} has no {what}", file=sys.stderr)
    return 0


def _begun(loaded: "Topology | ExperimentBundle", seed: int | None, at_ns: int) -> "Cluster":
    """The cluster at the experiment's zero."""
    from netsim.experiment.cluster import Cluster
    from netsim.experiment.loader import ExperimentBundle
    from netsim.experiment.play import begin

    if not isinstance(loaded, ExperimentBundle):
        cluster = Cluster(loaded, 1 if seed is None else seed)
        cluster.settle()
        return cluster
    if at_ns > loaded.spec.duration_ns:
        raise ValueError(f"the experiment {loaded.name} ends before that")
    cluster = Cluster(loaded.topology, loaded.spec.seed if seed is None else seed)
    begin(cluster, loaded.spec)
    return cluster
