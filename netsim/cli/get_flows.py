"""`netsim get flows`: what `hubble observe` would print of the cluster's packets.

Called by: `get`. Flows go to stdout, oldest first, remarks to stderr. The cluster runs from zero to the moment asked
for, with every node listening.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.experiment.flows import Observed

_TOPOLOGY_LASTS: Final = "10s"


class Form(StrEnum):
    """As hubble's `-o`; `text` is another word for `compact`. `netsim.measure.flows_text` has the same names."""

    COMPACT = "compact"
    TEXT = "text"
    DICT = "dict"
    TABLE = "table"
    JSON = "json"


class Wanted(NamedTuple):
    """Which flows, and how to print them."""

    host: str
    form: Form
    last: int
    verdict: str


def print_flows(file: Path, at: str, variant: str, seed: int | None, quiet: bool, wanted: Wanted) -> int:
    """Run, and print what was observed. Exit code 0, or 2 for what cannot be asked."""
    from netsim.cli.begun import begun
    from netsim.experiment.flows import observe
    from netsim.experiment.progress import progress_bar
    from netsim.measure.flows_text import FORMS

    observed: list[Observed] = []

    def watch(cluster: "Cluster") -> None:
        observed.append(observe(cluster, wanted.host))

    try:
        if wanted.verdict not in ("", "FORWARDED", "DROPPED"):
            raise ValueError(f'"{wanted.verdict}" is no verdict: write FORWARDED or DROPPED')
        until = at if at != "0s" else _lasts(file)
        with progress_bar(f"running to {until}", quiet) as progress:
            begun(file, variant, seed, until, progress, watch)
        flows = observed[0].flows(wanted.verdict)
    except (LookupError, ValueError) as error:
        print(f"netsim get: {error.args[0]}", file=sys.stderr)
        return 2
    shown = flows[-wanted.last :] if wanted.last else flows
    print(FORMS[wanted.form](shown), end="")
    if not flows and not quiet:
        print("no flows were observed", file=sys.stderr)
    if len(shown) < len(flows) and not quiet:
        print(f"the last {len(shown)} of {len(flows):,} flows; --last 0 prints all", file=sys.stderr)
    return 0


def _lasts(file: Path) -> str:
    from netsim.experiment.loader import ExperimentBundle, load

    loaded = load(file)
    return f"{loaded.spec.duration_ns}ns" if isinstance(loaded, ExperimentBundle) else _TOPOLOGY_LASTS
