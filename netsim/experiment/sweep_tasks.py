"""The unit of a sweep's work: one replication of one cell, and what comes back from it.

Called by: `sweep`, in this process, and by the workers, which may be on other machines. What comes back are the rows of
`measure.observations`, a few numbers instead of all records.
"""

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from netsim.experiment.loader import ExperimentBundle

Row = dict[str, Any]

# A cluster refers to itself all over: without a full collection now and then, dead ones pile up to gigabytes.
_TIDY: Final = 8


class SweepError(RuntimeError):
    """A sweep that cannot go on; what is finished is kept."""


@dataclass(frozen=True, slots=True)
class Task:
    """A replication of a cell."""

    cell: int
    replication: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rows of a task, or what went wrong in it."""

    task: Task
    rows: tuple[Row, ...] = ()
    error: str = ""


class Executor(Protocol):
    """Something that does tasks, `slots` at a time."""

    slots: int

    def submit(self, task: Task) -> None:
        """Begin a task; called while fewer than `slots` are under way."""

    def next(self) -> Outcome:
        """Wait for any of them. Raises SweepError when a worker is lost."""

    def close(self) -> None:
        """Stop, without waiting for what is under way."""


def tidy(number: int) -> None:
    """To be called after each task of a process, with how many it has done."""
    if number % _TIDY == 0:
        gc.collect()


def run_task(bundles: "Sequence[ExperimentBundle]", task: Task, seed: int) -> Outcome:
    """Do a task. `bundles` are those of all cells."""
    return run_cell(bundles[task.cell], task, seed)


def run_cell(bundle: "ExperimentBundle", task: Task, seed: int) -> Outcome:
    """The same, given the cell's experiment. An exception becomes the outcome's error: other cells go on."""
    from netsim.experiment.run import run_replication
    from netsim.experiment.stopping import observed

    try:
        recording = run_replication(bundle, seed, task.replication, lambda _: None)
        return Outcome(task, tuple(_rows(observed(bundle, [recording]))))
    except Exception as error:
        return Outcome(task, error=f"{type(error).__name__}: {error}")


def _rows(table: "pd.DataFrame") -> Iterator[Row]:
    """As plain values, which JSON keeps to the last bit; None for what is missing."""
    for record in table.to_dict("records"):
        yield {
            str(name): None if isinstance(value, float) and isnan(value) else value
            for name, value in record.items()
        }


class InTurn:
    """One task after the other, in this process."""

    slots = 1

    def __init__(self, bundles: "Sequence[ExperimentBundle]", seed: int) -> None:
        self._bundles, self._seed = bundles, seed
        self._task: Task | None = None
        self._number = 0

    def submit(self, task: Task) -> None:
        """Remember it."""
        self._task = task

    def next(self) -> Outcome:
        """Do it."""
        assert self._task is not None
        outcome = run_task(self._bundles, self._task, self._seed)
        self._number += 1
        tidy(self._number)
        return outcome

    def close(self) -> None:
        """Nothing is under way."""
