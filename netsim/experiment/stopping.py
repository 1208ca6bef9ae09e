"""Experiments as they stand, without variants, each with as many replications as it asks for.

Called by `api`. A fixed number is run at once. A stop rule (`until`) adds batches until its metric is precise enough;
all experiments that still want more share the processes of a round. What is decided depends on the recordings alone, so
the number of processes changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netsim.experiment.again import command_line
from netsim.experiment.results import Results
from netsim.experiment.run import Run, run_all

if TYPE_CHECKING:
    import pandas as pd

    from netsim.experiment.loader import ExperimentBundle
    from netsim.experiment.spec_until import Until
    from netsim.measure.collect import Recording

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class _Study:
    """An experiment on its way: what was recorded, and how many replications there shall be."""

    bundle: "ExperimentBundle"
    seed: int
    wanted: int
    until: "Until | None" = None
    recordings: "list[Recording]" = field(default_factory=list)
    observed: "list[pd.DataFrame]" = field(default_factory=list)

    def missing(self) -> list[Run]:
        return [Run(self.bundle, self.seed, number) for number in range(len(self.recordings), self.wanted)]

    def take(self, recordings: "list[Recording]") -> None:
        """Take in the runs that were missing, and decide whether there shall be more."""
        self.recordings += recordings
        if self.until is not None and recordings:
            from netsim.measure.precision import enough

            self.observed.append(observed(self.bundle, recordings))
            self.wanted = enough(self.observed, self.until.rule())


def observed(bundle: "ExperimentBundle", recordings: "Sequence[Recording]") -> "pd.DataFrame":
    """What statistics over replications are made of (see `measure.observations`)."""
    from netsim.experiment.analysis import Analysis
    from netsim.measure.frames import events_frame, requests_frame
    from netsim.measure.observations import observations

    requests = requests_frame(recordings)
    return observations(
        Analysis(requests[requests["t_ns"] >= bundle.spec.warmup_ns], events_frame(recordings))
    )


def run_bundles(
    bundles: "Sequence[ExperimentBundle]",
    seed: int | None,
    replications: int | None,
    jobs: int,
    progress: Progress,
) -> list[Results]:
    """Results in the order of the experiments. `seed` and `replications` replace the experiments' own and their stop
    rules."""
    studies = [_study(bundle, seed, replications) for bundle in bundles]
    before = 0
    while any(batch := [study.missing() for study in studies]):
        runs = [run for part in batch for run in part]
        total = before + sum(run.bundle.spec.duration_ns for run in runs)

        def tell(done: int, _: int, before: int = before, total: int = total) -> None:
            progress(before + done, total)

        recordings = iter(run_all(runs, jobs, tell))
        for study, part in zip(studies, batch, strict=True):
            study.take([next(recordings) for _ in part])
        before = total
    return [results_of(study.bundle, study.seed, study.recordings) for study in studies]


def _study(bundle: "ExperimentBundle", seed: int | None, replications: int | None) -> _Study:
    spec = bundle.spec
    chosen = spec.seed if seed is None else seed
    if replications is not None or spec.until is None:
        return _Study(bundle, chosen, spec.replications if replications is None else replications)
    return _Study(bundle, chosen, spec.until.min, spec.until)


def results_of(bundle: "ExperimentBundle", seed: int, recordings: "Sequence[Recording]") -> Results:
    """What an experiment's recordings amount to."""
    from netsim.experiment.assumptions import assumptions
    from netsim.experiment.checks import compile_check

    spec = bundle.spec
    results = Results.from_recordings(
        recordings,
        name=bundle.name,
        spec=spec.model_dump(mode="json", by_alias=True),
        seed=seed,
        duration_ns=spec.duration_ns,
        warmup_ns=spec.warmup_ns,
        checks=[
            compile_check(c.expr, name=c.name, points=c.points, hint=c.hint, during=c.during)
            for c in spec.checks
        ],
        warnings=bundle.notes,
    )
    results.played = (bundle, seed)
    return results.came_from(command_line(bundle, seed, len(recordings)), assumptions(bundle.topology))
