"""Points: answers against what the student's instance shows when it runs, edited files by running them.

Called by `netsim lab check`, `course` and `netsim.Lab`. Predictions are compared with the instance as given; what is to
be achieved is measured with the student's files in place of the given ones. Nothing is compared as text.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from html import escape
from math import isclose, isfinite
from pathlib import Path
from typing import Any

from netsim.engine import S, parse_duration
from netsim.engine.engine import EventLimitError
from netsim.experiment.errors import SpecErrors
from netsim.experiment.lab.instance import Instance
from netsim.experiment.lab.measure import Bench, LimitError, Limits, Value, as_value
from netsim.experiment.lab.spec import ANSWERS, Answer, Task, Want
from netsim.experiment.lab.submission import SubmissionError, check_edited, read_mapping, read_member

# What a student's files may cause: each becomes a remark.
_STUDENTS = (SpecErrors, SubmissionError, LimitError, EventLimitError, LookupError, ValueError)


@dataclass(frozen=True, slots=True)
class Mark:
    """What one task earned; `remark` says why it is not all, `hint` where to look."""

    task: str
    points: float
    earned: float
    remark: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Marks:
    """All tasks of one submission."""

    lab: str
    student: str
    marks: tuple[Mark, ...]
    remark: str = ""

    @property
    def earned(self) -> float:
        """The sum."""
        return sum(mark.earned for mark in self.marks)

    @property
    def points(self) -> float:
        """What there was to earn."""
        return sum(mark.points for mark in self.marks)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for another process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Marks":
        """And back."""
        return cls(data["lab"], data["student"], tuple(Mark(**m) for m in data["marks"]), data["remark"])

    def text(self) -> str:
        """For a terminal."""
        lines = [self.remark] if self.remark else []
        width = max((len(mark.task) for mark in self.marks), default=0)
        for mark in self.marks:
            lines.append(
                f"  {_word(mark):<9}{mark.task:<{width}}  {mark.earned:g} of {mark.points:g}"
                f"{f'  {mark.remark}' if mark.remark else ''}"
            )
            if mark.hint:
                lines.append(f"  {'':<9}{'':<{width}}  hint: {mark.hint}")
        lines.append(f"  {self.earned:g} of {self.points:g} points")
        return "\n".join(lines) + "\n"

    __str__ = text
    __repr__ = text

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{_word(m)}</td><td>{escape(m.task)}</td><td>{m.earned:g} of {m.points:g}</td>"
            f"<td style='text-align:left'>{escape(m.remark)}{'<br><i>' if m.hint else ''}{escape(m.hint)}"
            f"{'</i>' if m.hint else ''}</td></tr>"
            for m in self.marks
        )
        total = f"<tr><th></th><th>total</th><th>{self.earned:g} of {self.points:g}</th><th></th></tr>"
        return f"<table>{rows}{total}</table>{escape(self.remark)}"


def _word(mark: Mark) -> str:
    return "right" if mark.earned == mark.points else "partly" if mark.earned else "not yet"


def mark_folder(made: Instance, folder: Path, limits: Limits | None = None) -> Marks:
    """Grade a folder. What cannot be read costs only the tasks that need it."""
    limits = limits or Limits()
    answers: Mapping[str, Any] | str = {}
    files: dict[str, str] | str = {}
    if made.predictions():
        try:
            answers = read_mapping(read_member(folder, ANSWERS, limits), ANSWERS)
        except (SubmissionError, LimitError) as error:
            answers = str(error)
    try:
        files = {name: read_member(folder, name, limits) for name in made.spec.edit}
    except (SubmissionError, LimitError) as error:
        files = str(error)
    return mark(made, answers, files, limits)


def mark(
    made: Instance,
    answers: Mapping[str, Any] | str,
    files: Mapping[str, str] | str,
    limits: Limits | None = None,
) -> Marks:
    """Grade answers and edited files; a text instead of either is the reason why there are none."""
    limits = limits or Limits()
    given, found = made.files(), []
    with _bench(made, given, limits) as reference:
        for task in made.predictions():
            found.append(_predicted(task, answers, reference.measure(made.measure(task))))
    if len(found) < len(made.spec.tasks):
        found += _achieved(made, given, files, limits)
    order = {task.id: place for place, task in enumerate(made.spec.tasks)}
    extra = sorted(set(answers) - set(order)) if isinstance(answers, Mapping) else []
    remark = f"{ANSWERS} has names that are no tasks: {', '.join(map(str, extra))[:200]}" if extra else ""
    return Marks(made.lab, made.student, tuple(sorted(found, key=lambda m: order[m.task])), remark)


@contextmanager
def _bench(made: Instance, files: Mapping[str, str], limits: Limits) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="netsim-lab-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        yield Bench(Path(folder), int(made.values["seed"]), limits)


# ---------------------------------------------------------------- predictions


def _predicted(task: Task, answers: Mapping[str, Any] | str, expected: Value) -> Mark:
    assert task.answer is not None
    if isinstance(answers, str):
        return Mark(task.id, task.points, 0, answers)
    given = answers.get(task.id)
    if given is None:
        return Mark(task.id, task.points, 0, "not answered")
    try:
        share = _share(task.answer, given, expected)
    except ValueError as error:
        return Mark(task.id, task.points, 0, str(error), task.hint)
    remark = "" if share == 1 else "close" if share else "not what happens"
    return Mark(task.id, task.points, share * task.points, remark, "" if share == 1 else task.hint)


def _share(asked: Answer, given: Any, expected: Value) -> float:
    """How much of the points an answer earns. Raises ValueError for one of the wrong kind."""
    if isinstance(given, bool):  # what some YAML tools make of yes and no
        given = "yes" if given else "no"
    if isinstance(expected, str):
        if asked.choices and str(given).strip().casefold() not in {c.casefold() for c in asked.choices}:
            raise ValueError(f"write one of: {', '.join(asked.choices)}")
        return float(str(given).strip().casefold() == expected.casefold())
    number, right = read_number(given, asked.unit), expected * SCALE[asked.unit]
    if _near(number, right, asked.within):
        return 1.0
    return 0.5 if asked.half and _near(number, right, asked.half) else 0.0


SCALE = {"": 1.0, "s": 1.0, "ms": 1000.0, "percent": 100.0}


def read_number(given: Any, unit: str) -> float:
    """A number as students write it: 12, "12 %", 1.5s. Raises ValueError."""
    if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < 1e15:
        return float(given)
    text = str(given).strip()[:40]
    try:
        if unit in ("s", "ms") and text[-1:].isalpha():
            return parse_duration(text.replace(" ", "")) / S * SCALE[unit]
        return float(text.removesuffix("%"))
    except (ValueError, OverflowError):
        raise ValueError(f'"{text}" is no number') from None


def _near(number: float, right: float, within: str) -> bool:
    if not isfinite(number):
        return False
    bound = abs(right) * float(within[:-1]) / 100 if within.endswith("%") else float(within)
    return abs(number - right) <= bound or isclose(number, right, rel_tol=1e-9)


# ---------------------------------------------------------------- edited files


def _achieved(
    made: Instance, given: Mapping[str, str], files: Mapping[str, str] | str, limits: Limits
) -> Iterator[Mark]:
    tasks = [task for task in made.spec.tasks if task.want is not None]
    problem = files if isinstance(files, str) else ""
    try:
        for name, text in files.items() if not isinstance(files, str) else ():
            if name not in made.spec.edit:
                raise SubmissionError(f"{name} is not to be edited in this lab")
            check_edited(text, name, given[name], limits)
    except _STUDENTS as error:
        problem = str(error)
    if problem or isinstance(files, str):
        yield from (Mark(task.id, task.points, 0, problem) for task in tasks)
        return
    earned: set[str] = set()
    with _bench(made, {**given, **files}, limits) as bench:
        for task in tasks:
            assert task.want is not None
            if task.after and task.after not in earned:
                yield Mark(task.id, task.points, 0, f"counts after {task.after}")
                continue
            try:
                value = bench.measure(made.measure(task))
            except _STUDENTS as error:
                yield Mark(task.id, task.points, 0, _sentence(error, bench.folder), task.hint)
                continue
            fits = _fits(value, task.want, made)
            earned |= {task.id} if fits else set()
            remark = "" if fits else f"found {value if isinstance(value, str) else f'{value:.4g}'}"[:200]
            yield Mark(task.id, task.points, task.points * fits, remark, "" if fits else task.hint)


def _sentence(error: Exception, folder: Path) -> str:
    """An error in one line, without the temporary folder's name: marks do not depend on it."""
    text = str(error.args[0]) if isinstance(error, KeyError | LookupError) and error.args else str(error)
    lines = text.replace(f"{folder.as_posix()}/", "").splitlines() or [type(error).__name__]
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"{lines[0][:300]}{more}"


def _fits(value: Value, want: Want, made: Instance) -> bool:
    def filled(bound: float | str) -> Value:
        return as_value(made.fill(bound)) if isinstance(bound, str) else bound

    if want.equal is not None:
        return value == filled(want.equal)
    if isinstance(value, str):
        return False
    low = float("-inf") if want.min is None else float(filled(want.min))
    high = float("inf") if want.max is None else float(filled(want.max))
    return low <= value <= high
