"""`netsim lab list|new|check|grade|export`: exercises with a student's own numbers, graded by running them.

Called by: `main`. Points and CSV go to stdout (or into a file), remarks and the progress bar to stderr. `check` exits
with 1 while points are missing.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

lab = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Exercises that grade themselves.")

Name = Annotated[str, typer.Argument(metavar="LAB", help="See `netsim lab list`.", show_default=False)]
Student = Annotated[str, typer.Option(help="The student's id: numbers and names are drawn from it.")]


class Form(StrEnum):
    """Whose notebook."""

    NBGRADER = "nbgrader"
    OTTER = "otter"


def _refuse(command: str, error: Exception) -> int:
    print(f"netsim lab {command}: {error.args[0] if error.args else error}", file=sys.stderr)
    return 2


@lab.command("list")
def list_() -> None:
    """List the labs."""
    from netsim.experiment.lab.spec import lab_names, lab_spec

    rows = [(name, lab_spec(name)) for name in lab_names()]
    width = max(len(name) for name, _ in rows)
    for name, spec in rows:
        print(f"{name:<{width}}  {spec.points:>3g} points  {spec.minutes} min  {spec.title}")


@lab.command()
def new(
    name: Name,
    student: Student,
    out: Annotated[Path | None, typer.Option(help="Where to write it.", show_default="LAB-ID")] = None,
) -> int:
    """Write a student's own instance of a lab into a new folder."""
    from netsim.experiment.lab.instance import instance, write

    folder = out or Path(f"{name}-{student}")
    try:
        made = instance(name, student)
        write(made, folder)
    except (LookupError, ValueError) as error:
        return _refuse("new", error)
    except OSError as error:
        return _refuse("new", OSError(str(error)))
    print(
        f"{folder}/ is ready: read {folder / 'README.md'}, then `netsim lab check {folder}`", file=sys.stderr
    )
    return 0


@lab.command()
def check(
    folder: Annotated[Path, typer.Argument(help="The lab's folder.", show_default=False)],
) -> int:
    """Run what is in a lab's folder and say what it earns, with hints."""
    from netsim.experiment.lab.course import identity
    from netsim.experiment.lab.instance import instance
    from netsim.experiment.lab.measure import LimitError
    from netsim.experiment.lab.sandbox import grade_all
    from netsim.experiment.lab.submission import SubmissionError

    try:
        made = instance(*identity(folder))
    except (SubmissionError, LimitError) as error:
        why = f"{error} (a lab's folder is made by `netsim lab new`)"
        return _refuse("check", ValueError(why))
    except (LookupError, ValueError) as error:
        return _refuse("check", error)
    marks = grade_all([(made, folder)])[0]
    print(f"{made.lab} of {made.student}")
    print(marks.text(), end="")
    return 0 if marks.earned == marks.points else 1


@lab.command()
def grade(
    folder: Annotated[
        Path, typer.Argument(help="A folder per student, named by the id.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(help="Write the CSV here instead of to stdout.")] = None,
    name: Annotated[str, typer.Option("--lab", help="Which lab, instead of what lab.yaml says.")] = "",
    jobs: Annotated[int, typer.Option(help="Processes; 0: one per processor.", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no remarks.")] = False,
) -> int:
    """Grade a class into a CSV: a row per student, a column per task."""
    from netsim.experiment.lab.course import grade_class, to_csv
    from netsim.experiment.progress import progress_bar

    try:
        with progress_bar("grading", quiet) as progress:
            rows = grade_class(folder, name, jobs, progress=progress)
        text = to_csv(rows)
        if out is None:
            print(text, end="")
        else:
            out.write_text(text, encoding="utf-8")
    except LookupError as error:
        return _refuse("grade", error)
    except OSError as error:
        return _refuse("grade", OSError(str(error)))
    if not quiet:
        whole = sum(row.marks is not None and row.marks.earned == row.marks.points for row in rows)
        place = f", marks in {out}" if out else ""
        print(f"{len(rows)} submissions graded, {whole} with all points{place}", file=sys.stderr)
    return 0


@lab.command()
def export(
    name: Name,
    form: Annotated[Form, typer.Option("--format", help="Whose markers.")] = Form.NBGRADER,
    student: Student = "student",
    out: Annotated[Path | None, typer.Option(help="The .ipynb file, instead of stdout.")] = None,
) -> int:
    """Write a lab as a notebook for nbgrader or otter."""
    from netsim.experiment.lab.export import export as exported

    try:
        text = exported(name, student, form.value)
        if out is None:
            print(text, end="")
        else:
            out.write_text(text, encoding="utf-8")
    except (LookupError, ValueError) as error:
        return _refuse("export", error)
    except OSError as error:
        return _refuse("export", OSError(str(error)))
    return 0
