"""A lab as a notebook for nbgrader or for otter: the same tasks, answers and tests, in the markers of either.

Called by `netsim lab export`. Sources: nbgrader's cell metadata, schema version 3 (nbgrader/nbgraderformat/v3.json) and
its solution markers; otter assign's notebook format v1 (otter-grader.readthedocs.io, otter_assign/v1/notebook_format),
whose blocks begin and end in raw cells. The tests ask `netsim.Lab`, which runs the instance: no answer is written into
what students see (nbgrader and otter cut the solutions out).
"""

import json
from typing import Any, Final, Literal

from netsim.experiment.lab.api import Lab
from netsim.experiment.lab.spec import Task

Format = Literal["nbgrader", "otter"]
FORMATS: Final = ("nbgrader", "otter")
Cell = dict[str, Any]


def export(lab: str, student: str, form: Format) -> str:
    """The text of the .ipynb file. Raises LookupError, ValueError."""
    made = Lab(lab, student)
    answers, files = made.solution()
    cells = [
        _markdown(f"# {made.instance.spec.title}\n\n{made.instance.fill(made.instance.spec.text).strip()}")
    ]
    setup = f'import netsim\n\nlab = netsim.Lab("{lab}", student="{student}")\nlab'
    if form == "nbgrader":
        cells.append(_graded(_code(setup), f"{lab}-setup", locked=True))
    else:
        cells = [
            _raw(f"# ASSIGNMENT CONFIG\nname: {lab}\ninit_cell: true\nexport_cell: true"),
            *cells,
            _code(setup),
        ]
    for task in made.instance.spec.tasks:
        if task.answer is None:
            edited = made.instance.spec.edit[0]
            right, given = _block(files[edited]), _block(made.files[edited])
        else:
            right, given = repr(answers[task.id]), "..."
        parts = (made.instance.fill(task.text).strip(), right, given)
        cells += _nbgrader(lab, task, *parts) if form == "nbgrader" else _otter(task, *parts)
    return notebook(cells)


def _nbgrader(lab: str, task: Task, text: str, right: str, given: str) -> list[Cell]:
    answer = f"### BEGIN SOLUTION\n{task.id} = {right}\n### END SOLUTION"
    if task.answer is None:  # what nbgrader leaves of the cell is the file to edit
        answer = f"{task.id} = {given}\n{answer}"
    test = f'mark = lab.mark("{task.id}", {task.id})\nprint(mark.remark, mark.hint)\nmark.earned  # nbgrader reads it'
    # nbgrader/utils.py, determine_grade: a test whose result is a number earns that number, so points may be partial.
    return [
        _graded(
            _markdown(f"**{task.id}** ({task.points:g} points). {text}"), f"{lab}-{task.id}-text", locked=True
        ),
        _graded(_code(answer), f"{lab}-{task.id}", solution=True),
        _graded(_code(test), f"{lab}-{task.id}-test", locked=True, points=task.points),
    ]


def _otter(task: Task, text: str, right: str, given: str) -> list[Cell]:
    if task.answer is None:
        # Between these comments otter keeps the prompt for the student and cuts the solution.
        prompt = f'""" # BEGIN PROMPT\n{task.id} = {given}\n"""; # END PROMPT'
        solution = f"{prompt}\n# BEGIN SOLUTION NO PROMPT\n{task.id} = {right}\n# END SOLUTION"
    else:
        solution = f"{task.id} = {right} # SOLUTION"
    return [
        _raw(f"# BEGIN QUESTION\nname: {task.id}\npoints: {task.points:g}"),
        _markdown(f"**{task.id}** ({task.points:g} points). {text}"),
        _raw("# BEGIN SOLUTION"),
        _code(solution),
        _raw("# END SOLUTION"),
        _raw("# BEGIN TESTS"),
        _code(f'lab.earns("{task.id}", {task.id}) == {task.points!r}'),
        _raw("# END TESTS"),
        _raw("# END QUESTION"),
    ]


def _block(text: str) -> str:
    """A file's text as a Python literal that is easy to edit."""
    return "'''\\\n" + text.replace("\\", "\\\\").replace("'''", "\\'\\'\\'") + "'''"


def _graded(
    cell: Cell, name: str, *, locked: bool = False, solution: bool = False, points: float | None = None
) -> Cell:
    metadata: dict[str, Any] = {
        "grade": points is not None,
        "grade_id": name,
        "locked": locked,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    if points is not None:
        metadata["points"] = points
    cell["metadata"]["nbgrader"] = metadata
    return cell


def _cell(kind: str, text: str) -> Cell:
    return {"cell_type": kind, "metadata": {}, "source": text}


def _markdown(text: str) -> Cell:
    return _cell("markdown", text)


def _raw(text: str) -> Cell:
    return _cell("raw", text)


def _code(text: str) -> Cell:
    return {**_cell("code", text), "execution_count": None, "outputs": []}


def notebook(cells: list[Cell]) -> str:
    """A notebook of format 4.5, whose cells have ids."""
    numbered = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    data = {
        "cells": numbered,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
