"""A whole class: a folder with a folder per student, graded into a CSV.

Called by `netsim lab grade`. A student's id is the name of the folder, so an instance that belongs to somebody else is
graded against one's own numbers. The order is that of the names, whatever finishes first: the same CSV each time.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netsim.experiment.lab.instance import Instance, instance
from netsim.experiment.lab.marks import Marks
from netsim.experiment.lab.measure import LimitError, Limits
from netsim.experiment.lab.sandbox import grade_all
from netsim.experiment.lab.spec import IDENTITY, lab_spec
from netsim.experiment.lab.submission import SubmissionError, read_mapping, read_member


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the CSV. Without `marks` the folder could not be graded at all."""

    student: str
    lab: str
    marks: Marks | None
    remark: str = ""


def identity(folder: Path, limits: Limits | None = None) -> tuple[str, str]:
    """The lab and the student that a folder was made for. Raises SubmissionError, LimitError."""
    data = read_mapping(read_member(folder, IDENTITY, limits or Limits()), IDENTITY)
    return str(data.get("lab", ""))[:80], str(data.get("student", ""))[:80]


def grade_class(
    folder: Path,
    lab: str = "",
    jobs: int = 0,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Grade every folder in it. `lab` says which lab it is, instead of what the folders say. Raises OSError,
    LookupError for an unknown lab."""
    if lab:
        lab_spec(lab)
    there = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    rows: dict[str, Row] = {}
    work: list[tuple[Instance, Path]] = []
    for path in there:
        if not path.is_symlink() and not path.is_dir():
            continue
        found = _instance(path, lab, limits)
        if isinstance(found, Row):
            rows[path.name] = found
        else:
            drawn, remark = found
            rows[path.name] = Row(path.name, drawn.lab, None, remark)
            work.append((drawn, path))
    for (made, path), marks in zip(work, grade_all(work, jobs, limits, progress), strict=True):
        before = rows[path.name].remark
        remark = "; ".join(text for text in (before, marks.remark) if text)
        rows[path.name] = Row(path.name, made.lab, marks, remark)
    return [rows[name] for name in sorted(rows)]


def _instance(path: Path, lab: str, limits: Limits | None) -> tuple[Instance, str] | Row:
    """The instance of the student that the folder is called after, with a remark; or a row of nothing."""
    if path.is_symlink():
        return Row(path.name, lab, None, "a symbolic link is not graded")
    remark = ""
    try:
        said, owner = identity(path, limits)
        if owner != path.name:
            remark = f'{IDENTITY} is of "{owner}": graded as {path.name}'
    except (SubmissionError, LimitError) as error:
        if not lab:
            return Row(path.name, lab, None, str(error))
        said, remark = lab, str(error)
    try:
        return instance(lab or said, path.name), remark
    except (LookupError, ValueError) as error:
        return Row(path.name, lab or said, None, str(error.args[0]))


def to_csv(rows: Sequence[Row]) -> str:
    """Student, lab, points of each task, total, remarks. A task's column has the lab's name in front if there are
    several labs."""
    labs = sorted({row.lab for row in rows if row.marks is not None})
    columns = [(lab, task.id) for lab in labs for task in lab_spec(lab).tasks]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [task if len(labs) == 1 else f"{lab}.{task}" for lab, task in columns]
    writer.writerow(["student", "lab", *names, "points", "of", "remarks"])
    for row in rows:
        earned = {(row.lab, mark.task): mark.earned for mark in row.marks.marks} if row.marks else {}
        points = [f"{earned[column]:g}" if column in earned else "" for column in columns]
        total = [f"{row.marks.earned:g}", f"{row.marks.points:g}"] if row.marks else ["0", ""]
        writer.writerow([_plain(row.student), row.lab, *points, *total, _plain(_remarks(row))])
    return out.getvalue()


def _remarks(row: Row) -> str:
    """The remark on the whole, then those on tasks, each said once with the tasks that it is about."""
    by_remark: dict[str, list[str]] = {}
    for mark in row.marks.marks if row.marks else ():
        if mark.remark:
            by_remark.setdefault(mark.remark, []).append(mark.task)
    parts = [f"{', '.join(tasks)}: {remark}" for remark, tasks in by_remark.items()]
    return "; ".join([*([row.remark] if row.remark else []), *parts])


def _plain(text: str) -> str:
    """One line, and nothing that a spreadsheet would take for a formula."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"'{line}" if line[:1] in ("=", "+", "-", "@") else line
