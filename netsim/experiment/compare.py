"""`netsim.compare(a, b)`: two experiments side by side, with the difference, its interval and a sentence per metric.

Called by users and by `netsim compare`. Each of the two is a result folder, an experiment file (which is run;
`FILE#NAME` is one of its variants), or `Results`. Experiments that are run get the same seed and number of
replications, so that their replications pair: the same requests at the same times, the same victims.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netsim.experiment.folder import MANIFEST
from netsim.experiment.results import Results

if TYPE_CHECKING:
    import pandas as pd

    from netsim.experiment.loader import ExperimentBundle
    from netsim.measure.pairs import Difference

Progress = Callable[[int, int], None]

# Of experiments that say nothing about it: one replication cannot be compared.
_REPLICATIONS: Final = 20


class CompareError(ValueError):
    """Something that cannot be compared; the message says why."""


class PairComparison:
    """A and B. `differences` has an entry per Service and metric, `table` the same as a table."""

    def __init__(self, a: Results, b: Results, names: tuple[str, str], metrics: Sequence[str] = ()) -> None:
        from netsim.measure.metrics import METRICS, USUAL

        unknown = [name for name in metrics if name not in METRICS]
        if unknown:
            from netsim.experiment.spec_names import did_you_mean

            known = did_you_mean(unknown[0], METRICS) or f" (there are {', '.join(METRICS)})"
            raise CompareError(f'unknown metric "{unknown[0]}"{known}')
        self.a, self.b, self.names = a, b, names
        self.metrics = tuple(metrics) or USUAL

    @property
    def paired(self) -> bool:
        """Whether replications pair: both ran with the same seed."""
        return self.a.info.seed == self.b.info.seed

    @cached_property
    def differences(self) -> "list[Difference]":
        """Every metric of every Service that both were asked for."""
        from netsim.measure.pairs import differences

        return differences(self.a.observations, self.b.observations, self.paired, self.metrics)

    @property
    def table(self) -> "pd.DataFrame":
        """One row per Service and metric: values, difference, interval, sentence; see `measure.pairs`."""
        from netsim.measure.pairs import differences_frame

        return differences_frame(self.differences, "B")

    @property
    def passed(self) -> bool:
        """Whether the checks of both hold."""
        return self.a.passed and self.b.passed

    def notes(self) -> list[str]:
        """What to keep in mind."""
        return [
            note for note in (self._pairing(), *self._open_ended(), self._others(), self._chance()) if note
        ]

    def _pairing(self) -> str:
        if self.a.fingerprint == self.b.fingerprint:
            return "both have the same fingerprint: they are one and the same run"
        if not self.paired:
            return "the seeds differ, so replications do not pair: give both the same seed for narrower intervals"
        numbers = [set(r.observations["replication"]) for r in (self.a, self.b)]
        pairs = f"replications pair by their seed ({len(numbers[0] & numbers[1])} pairs)"
        return pairs + ("; those without a partner are left out" if numbers[0] != numbers[1] else "")

    def _open_ended(self) -> list[str]:
        found = []
        for name, results in (("A", self.a), ("B", self.b)):
            seen = results.observations
            late, total = int((~seen["recovered"]).sum()), int((seen["faults"] > 0).sum())
            if late:
                found.append(
                    f"in {late} of {total} replications {name} had not recovered at the end: it takes longer"
                )
        return found

    def _others(self) -> str:
        only = sorted(set(self.a.services) ^ set(self.b.services))
        return f"in one of the two only: {', '.join(only)}" if only else ""

    def _chance(self) -> str:
        count = sum(d.interval.known for d in self.differences)
        return (
            f"if none of these {count} figures differed, one in 20 would still get a *" if count > 1 else ""
        )

    # ------------------------------------------------------------------ showing
    def text(self) -> str:
        """The report for a terminal."""
        from netsim.measure.pairs_text import pair_lines
        from netsim.measure.text import wrapped

        sections = ["\n".join(self._heads())]
        sections += ["\n".join(pair_lines(service, part)) for service, part in self._by_service()]
        sections.append("\n".join(wrapped(self.notes(), "note: ")))
        return "\n\n".join(section for section in sections if section) + "\n"

    def _heads(self) -> list[str]:
        from netsim.measure.text import header_lines

        return [
            f"{letter}: {header_lines(results.header(name))[0]}"
            for letter, name, results in zip("AB", self.names, (self.a, self.b), strict=True)
        ]

    def _by_service(self) -> "list[tuple[str, list[Difference]]]":
        services = dict.fromkeys(d.service for d in self.differences)
        return [(name, [d for d in self.differences if d.service == name]) for name in services]

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from netsim.measure.pairs_text import notes_html, pair_html

        parts = [pair_html(service, part) for service, part in self._by_service()]
        return f"<div>{notes_html(self._heads())}{''.join(parts)}{notes_html(self.notes())}</div>"


def compare(
    a: "str | Path | Results",
    b: "str | Path | Results",
    *,
    seed: int | None = None,
    replications: int | None = None,
    jobs: int = 0,
    metrics: Sequence[str] = (),
    progress: Progress | None = None,
) -> PairComparison:
    """Compare B with A. `seed` and `replications` are for experiments that are run; `metrics` are names such as
    `outage.mean` (default: the usual ones).

    Raises CompareError for what cannot be compared, SpecErrors for experiments with errors."""
    from netsim.experiment.progress import progress_bar

    if progress is None:
        with progress_bar("comparing") as bar:
            return compare(
                a, b, seed=seed, replications=replications, jobs=jobs, metrics=metrics, progress=bar
            )
    sources = [_source(one) for one in (a, b)]
    done = _run(
        [one for one in sources if not isinstance(one, Results)], sources, seed, replications, jobs, progress
    )
    found = [one if isinstance(one, Results) else done.pop(0) for one in sources]
    return PairComparison(found[0], found[1], _names((a, b), found), metrics)


def _names(given: "tuple[str | Path | Results, ...]", found: Sequence[Results]) -> tuple[str, str]:
    one, other = (
        results.info.name if isinstance(source, Results) else str(source)
        for source, results in zip(given, found, strict=True)
    )
    return one, other


def _source(source: "str | Path | Results") -> "Results | ExperimentBundle":
    """Results to compare, or the experiment to run for them."""
    if isinstance(source, Results):
        return source
    path = Path(source)
    if path.is_dir():
        return _read(path)
    from netsim.experiment.loader import load_experiment

    file, _, variant = str(source).partition("#")
    bundle = load_experiment(file)
    if variant:
        try:
            return bundle.variant(variant)
        except LookupError as error:
            raise CompareError(str(error.args[0])) from None
    if bundle.variants:
        names = ", ".join(one.name for one in bundle.variants)
        raise CompareError(
            f"{file} has variants: choose one, as in {file}#{bundle.variants[0].name} (there: {names})"
        )
    return bundle


def _read(folder: Path) -> Results:
    inner = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    if inner:
        raise CompareError(f"{folder} holds several results: choose one, as in {folder}/{inner[0]}")
    try:
        return Results.read(folder)
    except (FileNotFoundError, ValueError) as error:
        raise CompareError(str(error)) from None


def _run(
    bundles: "list[ExperimentBundle]",
    sources: "Sequence[Results | ExperimentBundle]",
    seed: int | None,
    replications: int | None,
    jobs: int,
    progress: Progress,
) -> list[Results]:
    """The experiments, with one seed and number of replications: those of the results that they are compared with, or
    else A's seed and the larger number."""
    from netsim.experiment.stopping import run_bundles

    if not bundles:
        return []
    ready = [one.info for one in sources if isinstance(one, Results)]
    if seed is None:
        seed = ready[0].seed if ready else bundles[0].spec.seed
    if replications is None and not any(bundle.spec.until for bundle in bundles):
        most = max(bundle.spec.replications for bundle in bundles)
        replications = ready[0].replications if ready else most if most > 1 else _REPLICATIONS
    return run_bundles(bundles, seed, replications, jobs, progress)
