"""What `netsim.load` gives: an experiment that can be run, in a program or a notebook.

experiment = netsim.load("experiments/pod-kill.yaml")
result = experiment.run(seed=7)
result.requests, result.load_split("my-nginx"), result.plot.failover("my-nginx")
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.experiment.again import command_line
from netsim.experiment.loader import ExperimentBundle, load_experiment
from netsim.experiment.results import Results
from netsim.experiment.stopping import run_bundles

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.experiment.comparison import Comparison

Progress = Callable[[int, int], None]


class Experiment:
    """A checked experiment and its topology. `spec` is frozen; running it changes nothing here."""

    def __init__(self, bundle: ExperimentBundle) -> None:
        self._bundle = bundle
        self.name = bundle.name
        self.spec = bundle.spec
        self.topology = bundle.topology
        self.notes = bundle.notes

    def run(
        self,
        seed: int | None = None,
        replications: int | None = None,
        jobs: int = 0,
        progress: Progress | None = None,
    ) -> "Results | Comparison":
        """Run all replications, of each variant if there are any. `seed` and `replications` replace the experiment's
        own; `jobs` 0 uses every processor; `progress(done_ns, total_ns)` is told how far it is; without it, terminals
        and notebooks show a bar."""
        from netsim.experiment.progress import progress_bar

        if progress is None:
            with progress_bar(f"running {self.name}") as bar:
                return self.run(seed, replications, jobs, bar)
        bundles = self._bundle.variants or (self._bundle,)
        results = run_bundles(bundles, seed, replications, jobs, progress)
        if not self._bundle.variants:
            return results[0]
        from netsim.experiment.comparison import Comparison, conditions

        named = {bundle.name: found for bundle, found in zip(bundles, results, strict=True)}
        if replications is None and self.spec.until is None:
            replications = self.spec.replications
        again = command_line(self._bundle, self.spec.seed if seed is None else seed, replications)
        return Comparison(self.name, named, conditions(self._bundle), again)

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of the variants, in the order of the file."""
        return tuple(bundle.name for bundle in self._bundle.variants)

    def variant(self, name: str) -> "Experiment":
        """One variant as an experiment of its own. Raises LookupError naming those there are."""
        return Experiment(self._bundle.variant(name))

    def capturing(self, *patterns: str) -> "Experiment":
        """The same experiment with a capture of these interfaces (`Cluster.tcpdump`) in the first replication."""
        return Experiment(_capturing(self._bundle, patterns))

    def cluster(self, seed: int | None = None) -> "Cluster":
        """The experiment's cluster, to look at or to play with by hand."""
        from netsim.experiment.cluster import Cluster

        return Cluster(self.topology, self.spec.seed if seed is None else seed)

    def begin(self, seed: int | None = None) -> "Cluster":
        """The experiment's cluster with loads and faults under way, at zero: step through it with `at("31s")`."""
        from netsim.experiment.play import begin

        cluster = self.cluster(seed)
        begin(cluster, self.spec)
        return cluster

    def __repr__(self) -> str:
        spec = self.spec
        counts = f"{len(spec.load)} loads, {len(spec.faults)} faults, {spec.replications} replications"
        return f"<Experiment {self.name}: {counts}>"


def _capturing(bundle: ExperimentBundle, patterns: tuple[str, ...]) -> ExperimentBundle:
    spec = bundle.spec.model_copy(update={"capture": (*bundle.spec.capture, *patterns)})
    variants = tuple(_capturing(variant, patterns) for variant in bundle.variants)
    return replace(bundle, spec=spec, variants=variants)


def load(path: str | Path) -> Experiment:
    """Read and check an experiment file. Raises SpecErrors, which prints as `file:line:col: path: message` lines."""
    return Experiment(load_experiment(path))
