"""Labs: definitions, instances drawn from the id, marks, exported notebooks."""

import json
from pathlib import Path

import pytest

from netsim.experiment.lab.api import Lab
from netsim.experiment.lab.export import FORMATS, export
from netsim.experiment.lab.instance import instance, write
from netsim.experiment.lab.marks import mark_folder, read_number
from netsim.experiment.lab.spec import ANSWERS, lab_names, lab_spec

ROOT = Path(__file__).resolve().parents[2]
LABS = lab_names()


def test_every_notebook_after_the_first_has_a_lab() -> None:
    notebooks = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))[1:]
    assert [lab_spec(name).notebook for name in LABS] == notebooks
    assert len(LABS) >= 10


@pytest.mark.parametrize("name", LABS)
def test_the_solution_earns_all_points_and_nothing_earns_none(name: str) -> None:
    lab = Lab(name, "student-1")
    answers, files = lab.solution()
    marks = lab.check(answers, files)
    assert marks.earned == marks.points == lab.instance.spec.points, marks
    empty = lab.check()
    assert empty.earned == 0, empty
    assert all(mark.hint or mark.remark for mark in empty.marks)


@pytest.mark.parametrize("name", LABS)
def test_the_same_id_gives_the_same_instance(name: str, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        write(instance(name, "ada"), tmp_path / folder)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        for folder in ("first", "second")
    )
    assert first == second
    assert not any(b"<<" in data for data in first.values())
    assert len({json.dumps(instance(name, f"s{n}").values) for n in range(20)}) > 15


def test_a_folder_is_marked_with_partial_credit(tmp_path: Path) -> None:
    lab = Lab("split", "ada")
    write(lab.instance, tmp_path / "mine")
    answers, _ = lab.solution()
    near = float(answers["busiest"]) * 1.1
    (tmp_path / "mine" / ANSWERS).write_text(f"busiest: {near} %\nverdict: maybe\nsurprise: 1\n", "utf-8")
    marks = mark_folder(lab.instance, tmp_path / "mine")
    by_task = {mark.task: mark for mark in marks.marks}
    assert (by_task["busiest"].earned, by_task["busiest"].remark) == (1, "close")
    assert by_task["verdict"].remark == "write one of: chance, cause"
    assert by_task["probability"].remark == "not answered"
    assert "surprise" in marks.remark


@pytest.mark.parametrize(
    ("given", "unit", "number"),
    [
        (12, "", 12),
        ("33 %", "percent", 33),
        ("1.5s", "s", 1.5),
        ("800ms", "s", 0.8),
        ("2 s", "ms", 2000),
        (0.5, "s", 0.5),
    ],
)
def test_numbers_as_students_write_them(given: object, unit: str, number: float) -> None:
    assert read_number(given, unit) == pytest.approx(number)


@pytest.mark.parametrize("given", ["many", [1], {"a": 1}, True, "1 parsec", "1e999s"])
def test_what_is_no_number(given: object) -> None:
    with pytest.raises(ValueError, match="is no number"):
        read_number(given, "s")


@pytest.mark.parametrize("student", ["", "../ada", "a/b", "-x", "a" * 65, "a\nb"])
def test_what_is_no_student_id(student: str) -> None:
    with pytest.raises(ValueError, match="is no student id"):
        instance("split", student)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "work.txt").write_text("mine", "utf-8")
    with pytest.raises(FileExistsError, match="not empty"):
        write(instance("split", "ada"), tmp_path)


# ---------------------------------------------------------------- nbgrader and otter


def _cells(lab: str, form: str) -> list[dict[str, object]]:
    cells: list[dict[str, object]] = json.loads(export(lab, "ada", form))["cells"]  # type: ignore[arg-type]
    return cells


def _source(cells: list[dict[str, object]]) -> str:
    return "\n".join(str(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("form", FORMATS)
def test_an_exported_notebook_is_valid(form: str) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.reads(export("environment", "ada", form), 4))  # type: ignore[arg-type]


def test_nbgrader_cells_have_the_fields_of_its_schema() -> None:
    marked = [cell["metadata"]["nbgrader"] for cell in _cells("environment", "nbgrader") if cell["metadata"]]  # type: ignore[index]
    known = {"schema_version", "grade", "locked", "solution", "task", "grade_id", "points"}
    for fields in marked:
        assert {"schema_version", "grade", "locked", "solution", "grade_id"} <= set(fields) <= known
        assert fields["schema_version"] == 3
        assert ("points" in fields) == fields["grade"]
    assert len({fields["grade_id"] for fields in marked}) == len(marked)
    assert sum(fields.get("points", 0) for fields in marked) == lab_spec("environment").points


def test_otter_blocks_begin_and_end() -> None:
    raw = [
        str(cell["source"]).splitlines()[0]
        for cell in _cells("environment", "otter")
        if cell["cell_type"] == "raw"
    ]
    assert raw[0] == "# ASSIGNMENT CONFIG"
    one = [
        "# BEGIN QUESTION",
        "# BEGIN SOLUTION",
        "# END SOLUTION",
        "# BEGIN TESTS",
        "# END TESTS",
        "# END QUESTION",
    ]
    assert raw[1:] == one * len(lab_spec("environment").tasks)


def test_exported_solutions_pass_their_own_tests() -> None:
    """Run as nbgrader runs the teacher's version: the value of each test cell is the points."""
    space: dict[str, object] = {}
    earned = 0.0
    for cell in _cells("environment", "nbgrader"):
        if cell["cell_type"] != "code":
            continue
        fields = cell["metadata"].get("nbgrader", {})  # type: ignore[attr-defined]
        exec(str(cell["source"]), space)
        if fields.get("grade"):
            earned += space["mark"].earned  # type: ignore[attr-defined]
    assert earned == lab_spec("environment").points


def test_the_two_formats_have_one_source() -> None:
    answers, files = Lab("environment", "ada").solution()
    for form in FORMATS:
        source = _source(_cells("environment", form))
        assert all(f"{task} = {value!r}" in source for task, value in answers.items())
        assert all(text in source for text in files.values())
