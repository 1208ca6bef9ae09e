"""A cluster at a moment of an experiment, for the commands that look at it: `get`, `exec`.

With an experiment, its load and its faults have happened up to that moment; with a topology, the cluster has booted and
nobody does anything.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.experiment.loader import ExperimentBundle, Topology

_STEPS = 100


def begun(
    file: Path,
    variant: str,
    seed: int | None,
    at: str,
    progress: Callable[[int, int], None],
    at_zero: "Callable[[Cluster], object] | None" = None,
) -> "Cluster":
    """The cluster at that moment; `at_zero` is called with it before anything has happened. Raises SpecErrors for
    a file with mistakes, LookupError for an unknown variant, ValueError for a moment that is none or not in the
    experiment."""
    from netsim.engine import parse_duration
    from netsim.experiment.loader import ExperimentBundle, load

    loaded = load(file)
    at_ns = parse_duration(at)
    if variant:
        if not isinstance(loaded, ExperimentBundle):
            raise LookupError(f"{file} is a topology: it has no variants")
        loaded = loaded.variant(variant)
    cluster = _at_zero(loaded, seed, at_ns)
    if at_zero is not None:
        at_zero(cluster)
    for step in range(1, _STEPS + 1):
        cluster.at(at_ns * step // _STEPS)
        progress(step, _STEPS)
    return cluster


def _at_zero(loaded: "Topology | ExperimentBundle", seed: int | None, at_ns: int) -> "Cluster":
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
