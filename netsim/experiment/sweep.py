"""Running a sweep: what is not there yet, on this machine's processors or on a Dask cluster.

Called by users (`netsim.sweep`) and by `netsim sweep`. The unit of work is one replication; a cell is kept as soon as
all of its own are there. Cells that take long begin first, so that at the end no processor waits for a long one. The
results are put together in the order of the cells: who did what, and when, does not show.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netsim.experiment.loader_sweep import Cell, SweepBundle, load_sweep
from netsim.experiment.sweep_store import Store
from netsim.experiment.sweep_tasks import Executor, InTurn, Outcome, Row, SweepError, Task

if TYPE_CHECKING:
    import pandas as pd

    from netsim.experiment.spec_until import Until
    from netsim.experiment.sweep_results import SweepResults

Progress = Callable[[int, int, float], None]
"""`progress(cells done, cells in all, share of the work done)`."""

# What a replication costs beside its requests, in requests: booting the cluster and evaluating (measured: 0.1 s).
_BOOT: Final = 400


@dataclass(slots=True)
class _Work:
    """A cell on its way: how many replications there shall be, and the rows of those that are there."""

    cell: Cell
    until: "Until | None"
    wanted: int
    rows: dict[int, list[Row]] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)
    error: str = ""

    @property
    def cost(self) -> float:
        """About how long the rest takes, in requests; for the order and the bar only."""
        spec = self.cell.bundle.spec
        rate = sum(load.rate_per_s or 10.0 * max(1, load.connections) for load in spec.load)
        return (_BOOT + rate * spec.duration_ns / 1e9) * max(0, self.wanted - len(self.rows))

    def tasks(self) -> list[Task]:
        """The replications that are wanted and nobody was told of, each given once."""
        fresh = [n for n in range(self.wanted) if n not in self.rows and n not in self.sent]
        self.sent.update(fresh)
        return [Task(self.cell.number, n) for n in fresh]

    def decide(self) -> None:
        """Ask the stop rule, again and again while what it wants is there."""
        while self.until is not None and all(number in self.rows for number in range(self.wanted)):
            from netsim.measure.precision import enough

            wanted = enough([_frame(self.rows[number]) for number in range(self.wanted)], self.until.rule())
            if wanted == self.wanted:
                return
            self.wanted = wanted

    @property
    def done(self) -> bool:
        """Whether all that is wanted is there."""
        return all(number in self.rows for number in range(self.wanted))


def _frame(rows: Sequence[Row]) -> "pd.DataFrame":
    from netsim.measure.frames import typed
    from netsim.measure.observations import OBSERVATION_TYPES

    return typed(list(rows), OBSERVATION_TYPES)


class Sweep:
    """A checked sweep. `cells` are its experiments."""

    def __init__(self, bundle: SweepBundle) -> None:
        self.bundle = bundle
        self.name = bundle.name
        self.cells = bundle.cells

    def run(
        self,
        out: str | Path | None = None,
        jobs: int = 0,
        executor: str = "local",
        scheduler: str = "",
        fresh: bool = False,
        figures: bool = True,
        progress: Progress | None = None,
    ) -> "SweepResults":
        """Run the cells that are not in the folder `out` (default `results/NAME`) and write the tables there.

        `jobs` 0 uses every processor; `executor` is `local` or `dask`; `fresh` runs all cells again. Raises
        SweepError, FileExistsError when something else is there."""
        from netsim.experiment.sweep_results import SweepResults

        if progress is None:
            from netsim.experiment.progress import cells_bar

            with cells_bar(self.name) as bar:
                return self.run(out, jobs, executor, scheduler, fresh, figures, bar)
        folder = Path(out) if out else Path("results") / self.name
        store = Store(folder)
        try:
            works = [_work(cell) for cell in self.cells]
            for work in works if not fresh else []:
                work.rows = store.read(work.cell.key)
                work.decide()
            results = SweepResults.empty(self.bundle)
            store.begin(results.manifest())
            self._run(works, store, _Where(executor, scheduler, jobs), progress)
            failed = {work.cell.number: work.error for work in works if work.error}
            rows = [
                [row for n in range(work.wanted) for row in work.rows[n]] if work.done else []
                for work in works
            ]
            results = SweepResults.of(self.bundle, rows, failed)
            results.write(store, figures)
        finally:
            store.close()
        return results

    def _run(self, works: list[_Work], store: Store, where: "_Where", progress: Progress) -> None:
        rest = sorted((work for work in works if not work.done), key=lambda work: -work.cost)
        meter = _Meter(works, progress)
        if not rest:
            return
        executor = where.executor(self.bundle, sum(work.wanted - len(work.rows) for work in rest), store)
        try:
            _drive(executor, rest, works, store, meter)
        finally:
            executor.close()

    def __repr__(self) -> str:
        return f"<Sweep {self.name}: {len(self.cells)} cells over {', '.join(self.bundle.fields)}>"


def _work(cell: Cell) -> _Work:
    spec = cell.bundle.spec
    return _Work(cell, spec.until, spec.until.min if spec.until else spec.replications)


@dataclass(frozen=True, slots=True)
class _Where:
    """On what the tasks run."""

    name: str
    scheduler: str
    jobs: int

    def executor(self, bundle: SweepBundle, tasks: int, store: Store) -> Executor:
        import os

        bundles = [cell.bundle for cell in bundle.cells]
        jobs = self.jobs or os.cpu_count() or 1
        if self.name == "dask":
            from netsim.experiment.sweep_dask import DaskWorkers

            return DaskWorkers(bundles, bundle.seed, jobs, self.scheduler)
        from netsim.experiment.sweep_workers import Workers, can_fork

        if min(jobs, tasks) <= 1 or not can_fork():
            return InTurn(bundles, bundle.seed)
        return Workers(bundles, bundle.seed, min(jobs, tasks), [store.lock] if store.lock >= 0 else [])


class _Meter:
    """How far it is, by cost."""

    def __init__(self, works: Sequence[_Work], progress: Progress) -> None:
        self._works, self._progress = works, progress
        self._total = sum(work.cost for work in works) or 1.0
        self.update()

    def update(self) -> None:
        rest = sum(work.cost for work in self._works if not work.error)
        done = sum(work.done or bool(work.error) for work in self._works)
        self._progress(done, len(self._works), max(0.0, 1 - rest / self._total))


def _drive(
    executor: Executor, rest: Sequence[_Work], works: Sequence[_Work], store: Store, meter: _Meter
) -> None:
    """Keep the executor busy until every cell has what it wants or failed."""
    queue = deque(task for work in rest for task in work.tasks())
    under_way = 0
    while queue or under_way:
        while queue and under_way < executor.slots:
            task = queue.popleft()
            if not works[task.cell].error:
                executor.submit(task)
                under_way += 1
        if not under_way:
            continue
        work = _take(executor.next(), works)
        under_way -= 1
        queue.extend(work.tasks())
        if work.done and not work.error:
            store.write(work.cell.key, work.rows)
        meter.update()


def _take(outcome: Outcome, works: Sequence[_Work]) -> _Work:
    work = works[outcome.task.cell]
    if outcome.error:
        work.error = work.error or outcome.error
    else:
        work.rows[outcome.task.replication] = list(outcome.rows)
        work.decide()
    return work


def sweep(
    path: str | Path,
    out: str | Path | None = None,
    *,
    jobs: int = 0,
    executor: str = "local",
    scheduler: str = "",
    fresh: bool = False,
) -> "SweepResults":
    """Run a sweep file; see `Sweep.run`. Raises SpecErrors when something is wrong with it."""
    return Sweep(load_sweep(path)).run(out, jobs, executor, scheduler, fresh)


__all__ = ["Sweep", "SweepError", "sweep"]
