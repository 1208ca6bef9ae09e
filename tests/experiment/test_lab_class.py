"""A class graded in one run: right marks, nothing executed, nothing hung, the same CSV twice."""

import csv
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from labclass import KINDS, PWNED, Student, make_class

from netsim.experiment.lab import sandbox
from netsim.experiment.lab.api import Lab
from netsim.experiment.lab.course import Row, grade_class, to_csv
from netsim.experiment.lab.instance import Instance, write
from netsim.experiment.lab.marks import Marks
from netsim.experiment.lab.measure import Limits

# With 200 students: python tests/labclass.py FOLDER 200; netsim lab grade FOLDER
STUDENTS = int(os.environ.get("NETSIM_CLASS", "40"))


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Student], list[Row]]:
    folder = tmp_path_factory.mktemp("class")
    students = make_class(folder, STUDENTS)
    return folder, students, grade_class(folder, jobs=2)


@pytest.mark.parametrize("kind", KINDS)
def test_each_way_of_handing_in_gets_its_points(
    course: tuple[Path, list[Student], list[Row]], kind: str
) -> None:
    _, students, rows = course
    by_name = {row.student: row for row in rows}
    line = {found["student"]: found for found in csv.DictReader(io.StringIO(to_csv(rows)))}
    there = [student for student in students if student.kind == kind]
    assert there
    for student in there:
        marks = by_name[student.name].marks
        share = marks.earned / marks.points if marks else 0
        assert student.least <= share <= student.most, by_name[student.name]
        assert student.remark in line[student.name]["remarks"]


def test_every_student_has_a_row(course: tuple[Path, list[Student], list[Row]]) -> None:
    _, students, rows = course
    assert [row.student for row in rows] == sorted(student.name for student in students)


def test_same_csv_twice(course: tuple[Path, list[Student], list[Row]]) -> None:
    folder, _, rows = course
    assert to_csv(grade_class(folder, jobs=1)) == to_csv(rows)


def test_nothing_was_executed(course: tuple[Path, list[Student], list[Row]]) -> None:
    folder, _, _ = course
    assert not Path(PWNED).exists()
    assert not list(folder.rglob(PWNED))


def test_no_remark_shows_another_file(course: tuple[Path, list[Student], list[Row]]) -> None:
    assert "root:" not in to_csv(course[2])


def _handed_in(folder: Path, name: str = "ada") -> tuple[Lab, Path]:
    lab = Lab("cluster-ip", name)
    write(lab.instance, folder / name)
    return lab, folder / name


def test_too_many_events_of_the_instance_are_said(tmp_path: Path) -> None:
    lab, folder = _handed_in(tmp_path)
    marks = sandbox.grade_all([(lab.instance, folder)], limits=Limits(events=500))[0]
    assert (marks.earned, marks.remark) == (0, "more than 500 events: something here goes on for ever")


def test_events_of_the_students_own_files_are_counted(tmp_path: Path) -> None:
    """The given files pass with so many events; pods that never become ready, and are waited for, need more."""
    lab, folder = _handed_in(tmp_path)
    (folder / "manifests.yaml").write_text(lab.solution()[1]["manifests.yaml"], "utf-8")
    KINDS["never-ready"].spoil(folder, lab)
    marks = sandbox.grade_all([(lab.instance, folder)], limits=Limits(events=15_000))[0]
    assert "more than 15,000 events" in marks.marks[-1].remark


def _spin(*_given: object) -> None:
    while True:
        pass


def _sleep(*_given: object) -> None:
    threading.Event().wait(60)


def _grow(*_given: object) -> None:
    hoard = []
    while True:
        hoard.append(bytearray(64 << 20))


def _die(*_given: object) -> None:
    os._exit(3)


@pytest.mark.parametrize(
    ("explode", "remark"),
    [
        (_spin, "grading took more than 1 s of processor time"),
        (_sleep, "grading took longer than 3 s"),
        (_grow, "grading needs more than 256 MiB of memory"),
        (_die, "grading ended by itself (exit code 3)"),
    ],
)
def test_whatever_explodes_stops_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, explode: Callable[..., None], remark: str
) -> None:
    """The second of three submissions makes the grader misbehave; the others get their marks."""
    handed_in = [_handed_in(tmp_path, name) for name in ("ada", "bob", "eve")]
    mark_folder = sandbox.mark_folder

    def grade(made: Instance, folder: Path, limits: Limits) -> Marks:
        if made.student == "bob":
            explode()
        return mark_folder(made, folder, limits)

    monkeypatch.setattr(sandbox, "mark_folder", grade)
    limits = Limits(
        cpu_s=1 if explode is _spin else 60, wall_s=3 if explode is _sleep else 60, memory_bytes=256 << 20
    )
    found = sandbox.grade_all([(lab.instance, folder) for lab, folder in handed_in], jobs=3, limits=limits)
    assert [marks.student for marks in found] == ["ada", "bob", "eve"]
    assert found[1].remark == remark
    assert found[1].earned == 0


def test_a_formula_in_a_name_is_text(tmp_path: Path) -> None:
    (tmp_path / "=cmd").mkdir()
    assert "'=cmd" in to_csv(grade_class(tmp_path))
