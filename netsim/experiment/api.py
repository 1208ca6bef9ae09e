"""What `netsim.load` gives: an experiment that can be run, in a program or a notebook.

experiment = netsim.load("experiments/pod-kill.yaml")
result = experiment.run(seed=7)
result.requests, result.load_split("my-nginx"), result.plot.failover("my-nginx")
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.experiment.checks import compile_check
from netsim.experiment.loader import ExperimentBundle, load_experiment
from netsim.experiment.results import Results

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster

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
    ) -> Results:
        """Run all replications. `seed` and `replications` replace the experiment's own; `jobs` 0 uses every processor;
        `progress(done_ns, total_ns)` is told how far it is; without it, terminals and notebooks show a bar."""
        from netsim.experiment.progress import progress_bar
        from netsim.experiment.run import run_replications

        if progress is None:
            with progress_bar(f"running {self.name}") as bar:
                return self.run(seed, replications, jobs, bar)
        spec = self.spec
        chosen = spec.seed if seed is None else seed
        number = spec.replications if replications is None else replications
        recordings = run_replications(self._bundle, chosen, number, jobs, progress)
        checks = [
            compile_check(c.expr, name=c.name, points=c.points, hint=c.hint, during=c.during)
            for c in spec.checks
        ]
        return Results.from_recordings(
            recordings,
            name=self.name,
            spec=spec.model_dump(mode="json", by_alias=True),
            seed=chosen,
            duration_ns=spec.duration_ns,
            warmup_ns=spec.warmup_ns,
            checks=checks,
            warnings=self.notes,
        )

    def cluster(self, seed: int | None = None) -> "Cluster":
        """The experiment's cluster, to look at or to play with by hand."""
        from netsim.experiment.cluster import Cluster

        return Cluster(self.topology, self.spec.seed if seed is None else seed)

    def __repr__(self) -> str:
        spec = self.spec
        counts = f"{len(spec.load)} loads, {len(spec.faults)} faults, {spec.replications} replications"
        return f"<Experiment {self.name}: {counts}>"


def load(path: str | Path) -> Experiment:
    """Read and check an experiment file. Raises SpecErrors, which prints as `file:line:col: path: message` lines."""
    return Experiment(load_experiment(path))
