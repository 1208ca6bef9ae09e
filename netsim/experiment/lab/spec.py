"""The definition of a lab: what is drawn for a student, the files, the tasks. One YAML file per lab.

Called by: everything in this package. `<<name>>` in a file, a text or a measurement stands for a drawn value, so that
no two students have the same numbers; what is right is never written down but measured in the student's own instance.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from netsim.experiment.data import data_root
from netsim.experiment.errors import Problems, shown
from netsim.experiment.loader_files import read_file, validate
from netsim.experiment.spec_fields import SpecModel
from netsim.experiment.spec_messages import Source
from netsim.experiment.spec_names import did_you_mean

ANSWERS: Final = "answers.yaml"
IDENTITY: Final = "lab.yaml"
README: Final = "README.md"


class Span(SpecModel):
    """Whole numbers to draw from, both ends included."""

    lowest: Annotated[int, Field(alias="from")]
    highest: Annotated[int, Field(alias="to")]
    step: Annotated[int, Field(ge=1)] = 1

    def choices(self) -> list[int]:
        """All of them."""
        return list(range(self.lowest, self.highest + 1, self.step))


class Measure(SpecModel):
    """What is run and looked at. Exactly one of `value`, `exec`, `ask`, `view`.

    `value`: an expression of the check language, on the results of `experiment`. `exec`: what a command prints in the
    pod `where`. `ask`: how a request, ping or look-up from there ends; `view`: what a tool prints on the node there.
    `find` takes the first group of a pattern out of a text, `count` the number of its matches. `later` is a file that
    is applied 10 s before the look; `words` are what to call the finding: the first word whose pattern is in it.
    """

    value: str = ""
    exec: str = ""
    ask: str = ""
    view: str = ""
    experiment: str = "experiment.yaml"
    topology: str = "topology.yaml"
    where: Annotated[str, Field(alias="from")] = ""
    find: str = ""
    count: bool = False
    words: Annotated[dict[str, str], Field(default_factory=dict)]
    later: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> "Measure":
        given = [name for name in ("value", "exec", "ask", "view") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("a measure has exactly one of value, exec, ask and view")
        if given != ["value"] and not self.where:
            raise ValueError(f"{given[0]} needs `from`: the pod or node")
        return self


class Answer(SpecModel):
    """What is asked for: a number in a unit, or one of some words."""

    unit: Literal["", "s", "ms", "percent"] = ""
    within: str = "0"
    half: str = ""
    choices: tuple[str, ...] = ()


class Want(SpecModel):
    """What a measurement of the student's own files has to be."""

    equal: float | str | None = None
    min: float | str | None = None
    max: float | str | None = None


class Task(SpecModel):
    """One task: a prediction (`answer`) about the instance as given, or something to achieve (`want`) by editing."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    points: Annotated[float, Field(gt=0)]
    text: str
    hint: str
    measure: Measure
    after: str = ""  # counts only when this one is earned: what would hold without any work
    answer: Answer | None = None
    want: Want | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Task":
        if (self.answer is None) == (self.want is None):
            raise ValueError("a task has either an answer or a want")
        return self


class LabSpec(SpecModel):
    """The `spec` of a Lab. `edit` names the files that students change, `solution` holds what they should become."""

    title: str
    notebook: str
    minutes: Annotated[int, Field(ge=5, le=60)]
    text: str
    draw: Annotated[dict[str, list[int | str] | Span], Field(default_factory=dict)]
    files: dict[str, str]
    edit: tuple[str, ...] = ()
    solution: Annotated[dict[str, str], Field(default_factory=dict)]
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]

    @property
    def points(self) -> float:
        """What can be earned."""
        return sum(task.points for task in self.tasks)


class Name(SpecModel):
    """The `metadata`."""

    name: str


class LabDocument(SpecModel):
    """The whole document."""

    apiVersion: Literal["netsim/v1"]
    kind: Literal["Lab"]
    metadata: Name
    spec: LabSpec


def labs_folder() -> Path:
    """Where the definitions are."""
    return data_root() / "notebooks" / "labs"


def lab_names() -> list[str]:
    """All labs, in the order of their notebooks."""
    names = [path.stem for path in labs_folder().glob("*.yaml")]
    return sorted(names, key=lambda name: (lab_spec(name).notebook, name))


@cache
def lab_spec(name: str) -> LabSpec:
    """A lab's definition (read once; it does not change). Raises LookupError for an unknown name, SpecErrors."""
    folder = labs_folder()
    there = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in there:
        nearest = did_you_mean(name, there) or f" (there: {', '.join(there)})"
        raise LookupError(f'no lab is called "{name}"{nearest}')
    return read_lab(folder / f"{name}.yaml")


def read_lab(path: Path) -> LabSpec:
    """Read and check a definition. Raises SpecErrors."""
    problems = Problems()
    file = read_file(path, shown(path), problems)
    problems.raise_if_any()
    document = file.documents[0]
    data: Any = document.data
    for flaw in document.flaws:
        problems.add(file.name, (flaw.line, flaw.column), "(document)", flaw.message)
    found = validate(data, LabDocument, Source(file.name, document.node), problems)
    problems.raise_if_any()
    assert found is not None
    return found.spec
