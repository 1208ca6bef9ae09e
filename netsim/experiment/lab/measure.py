"""Running and looking: what a measurement finds in a folder with a topology and, perhaps, an experiment.

Called by `marks`. A bench keeps one cluster and one run per file, and is asked in the order of the tasks: the same
questions have the same answers. What may run is bounded (`Limits`): events, simulated time, requests.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsim.engine import S
from netsim.experiment.lab.spec import Measure

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.experiment.results import Results
    from netsim.experiment.spec_experiment import ExperimentSpec

Value = float | str


class LimitError(Exception):
    """Something handed in is larger than a lab allows."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What grading one submission may cost. The lab's own instances stay far below."""

    events: int = 3_000_000
    simulated_ns: int = 300 * S
    requests: float = 50_000
    replicas: int = 30
    documents: int = 60
    file_bytes: int = 64 * 1024
    cpu_s: int = 60
    wall_s: float = 120.0
    memory_bytes: int = 1 << 30


@dataclass(slots=True)
class Bench:
    """A folder whose files are run."""

    folder: Path
    seed: int
    limits: Limits = field(default_factory=Limits)
    _clusters: "dict[tuple[str, str], Cluster]" = field(default_factory=dict)
    _results: "dict[str, Results]" = field(default_factory=dict)

    def measure(self, what: Measure) -> Value:
        """Do it. Raises SpecErrors for files with mistakes, LookupError and ValueError for what is not there."""
        found = self._evaluate(what) if what.value else self._found(what)
        if not what.words:
            return found
        return next(
            (word for word, pattern in what.words.items() if re.search(pattern, str(found))), str(found)
        )

    def _found(self, what: Measure) -> Value:
        text = self._look(what)
        if not what.find:
            return text.partition(" after ")[0].partition(": ")[0] if what.ask else text.strip()
        pattern = re.compile(what.find, re.MULTILINE)
        if what.count:
            return float(sum(1 for _ in pattern.finditer(text)))
        found = pattern.search(text)
        if found is None:
            return "nothing"
        return as_value(found[1] if pattern.groups else found[0])

    def _look(self, what: Measure) -> str:
        cluster = self.cluster(what.topology, what.later)
        if what.exec:
            return str(cluster.exec(what.where, what.exec))
        if what.view:
            return cluster.view(what.view, what.where)
        explained = cluster.explain(what.where, what.ask)
        return explained.text().partition("\n")[2] if what.find else explained.outcome

    def cluster(self, topology: str, later: str = "") -> "Cluster":
        """The topology, booted; with a file that was applied later."""
        if (topology, later) not in self._clusters:
            from netsim.experiment.cluster import Cluster

            made = Cluster(self.folder / topology, self.seed)
            made.engine.limit_events(self.limits.events)
            made.settle()
            if later:
                apply_later(made, (self.folder / later).read_text("utf-8"))
            self._clusters[topology, later] = made
        return self._clusters[topology, later]

    def _evaluate(self, what: Measure) -> Value:
        from netsim.experiment.check_compile import Compiler
        from netsim.experiment.check_syntax import parse

        parsed = parse(what.value)
        term = Compiler(what.value, parsed).term(parsed.root)
        try:
            found = term.evaluate(self.results(what.experiment).analysis)
        except KeyError as error:
            raise LookupError(error.args[0]) from None
        if isinstance(found, str):
            return found
        return _number(found, term.kind)

    def results(self, experiment: str) -> "Results":
        """The experiment's results, of one replication."""
        if experiment not in self._results:
            from netsim.experiment.cluster import Cluster
            from netsim.experiment.loader import load_experiment
            from netsim.experiment.play import play
            from netsim.experiment.stopping import results_of

            bundle = load_experiment(self.folder / experiment)
            check_cost(bundle.spec, self.limits)
            cluster = Cluster(bundle.topology, bundle.spec.seed)
            cluster.engine.limit_events(self.limits.events)
            recording = play(cluster, bundle.spec, 0, lambda _done: None, 20)
            self._results[experiment] = results_of(bundle, bundle.spec.seed, [recording])
        return self._results[experiment]


def _number(found: Any, kind: str) -> float:
    """One number of what may be one per fault: their mean; a truth is 1 when it holds everywhere. Durations in s."""
    import numpy as np

    if kind == "truth":
        return float(bool(np.all(found)))
    mean = float(np.mean(found))
    return mean / S if kind == "duration" else mean


def as_value(text: str) -> Value:
    """A number if it reads as one."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return text.strip()


def apply_later(cluster: "Cluster", text: str) -> None:
    """Apply manifests to a running cluster, and let 10 s pass."""
    from netsim.experiment.loader_manifests import manifest_object
    from netsim.experiment.yaml_tree import parse_yaml

    cluster.control_plane.apply([manifest_object(document.data) for document in parse_yaml(text).documents])
    cluster.run("10s")


def check_cost(spec: "ExperimentSpec", limits: Limits) -> None:
    """Refuse an experiment that would go on for ever. Raises LimitError."""
    if spec.duration_ns > limits.simulated_ns:
        raise LimitError(
            f"duration: {spec.duration_ns / S:g} s of simulated time; a lab may take {limits.simulated_ns // S} s"
        )
    if spec.replications > 10 or spec.variants or spec.capture:
        raise LimitError("a lab's experiment has at most 10 replications, no variants and no captures")
    seconds = spec.duration_ns / S
    asked = sum(
        (load.rate_per_s or 0) * seconds
        if load.model == "open"
        else load.connections * seconds / max(load.think_time_ns / S, 0.01)
        for load in spec.load
    )
    if asked > limits.requests:
        raise LimitError(f"load: about {asked:,.0f} requests; a lab may make {limits.requests:,.0f}")
