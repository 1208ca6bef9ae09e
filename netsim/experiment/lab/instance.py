"""A student's own instance of a lab: numbers and names drawn from the student's id, and the folder with the files.

Called by: `netsim lab new`, the graders, `netsim.Lab`. The same lab and id give the same instance on any machine, so
nothing has to be stored about a class: grading draws it again.
"""

import hashlib
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netsim.experiment.lab.spec import ANSWERS, IDENTITY, README, LabSpec, Measure, Span, Task, lab_spec

_STUDENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_PLACE: Final = re.compile(r"<<([a-z_]+)>>")


@dataclass(frozen=True, slots=True)
class Instance:
    """A lab for one student: the drawn values filled in everywhere."""

    lab: str
    student: str
    spec: LabSpec
    values: dict[str, int | str]

    def fill(self, text: str) -> str:
        """A text with the drawn values. Raises KeyError for a value that is not drawn."""
        return _PLACE.sub(lambda found: str(self.values[found[1]]), text)

    def files(self) -> dict[str, str]:
        """The files as given."""
        return {name: self.fill(text) for name, text in self.spec.files.items()}

    def solution(self) -> dict[str, str]:
        """The files that students edit, as they should become."""
        return {name: self.fill(text) for name, text in self.spec.solution.items()}

    def measure(self, task: Task) -> Measure:
        """What a task measures."""
        given = task.measure.model_dump(by_alias=True)
        filled = {key: self.fill(value) if isinstance(value, str) else value for key, value in given.items()}
        words = {word: self.fill(pattern) for word, pattern in task.measure.words.items()}
        return Measure.model_validate({**filled, "words": words})

    def predictions(self) -> list[Task]:
        """The tasks that ask for a number or a word."""
        return [task for task in self.spec.tasks if task.answer is not None]


def instance(lab: str, student: str) -> Instance:
    """Draw it. Raises LookupError for an unknown lab, ValueError for an id that is none."""
    spec = lab_spec(lab)
    if not _STUDENT.fullmatch(student):
        raise ValueError(
            f'"{student[:70]}" is no student id: 1 to 64 letters, digits and . _ @ + -, a letter or digit first'
        )
    values: dict[str, int | str] = {}
    for name, given in {**spec.draw, "seed": Span.model_validate({"from": 1, "to": 9999})}.items():
        choices = given.choices() if isinstance(given, Span) else given
        values[name] = _drawer(lab, student, name).choice(choices)
    return Instance(lab, student, spec, values)


def _drawer(lab: str, student: str, name: str) -> random.Random:
    """A random stream of its own for each value: a new one does not change the others."""
    return random.Random(hashlib.sha256(f"{lab}/{student}/{name}".encode()).digest())


def write(made: Instance, folder: Path) -> None:
    """Write the folder that a student gets. Raises FileExistsError when something is in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there and not empty: choose another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        IDENTITY: f"lab: {made.lab}\nstudent: {made.student}\n",
        README: readme(made),
        **made.files(),
    }
    if made.predictions():
        texts[ANSWERS] = answers_file(made)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def answers_file(made: Instance) -> str:
    """The file in which predictions are written down."""
    lines = ["# Your predictions. Write a number or a word behind each colon; the tasks are in README.md."]
    for task in made.predictions():
        assert task.answer is not None
        asked = " or ".join(task.answer.choices) or f"a number{_IN[task.answer.unit]}"
        lines += [f"{task.id}:  # {asked}"]
    return "\n".join(lines) + "\n"


_IN: Final = {"": "", "s": " of seconds", "ms": " of milliseconds", "percent": ", percent"}


def readme(made: Instance) -> str:
    """The tasks, for a student who has nothing but this folder."""
    spec = made.spec
    lines = [f"# {spec.title}", "", made.fill(spec.text).strip(), "", "## Tasks", ""]
    for number, task in enumerate(spec.tasks, 1):
        worth = f"{task.points:g} point{'' if task.points == 1 else 's'}"
        place = f"answer `{task.id}` in `{ANSWERS}`" if task.answer else f"edit `{'`, `'.join(spec.edit)}`"
        lines += [f"{number}. **{task.id}** ({worth}; {place}). {made.fill(task.text).strip()}"]
    lines += ["", "## How", ""]
    if "experiment.yaml" in spec.files:
        lines += ["- `netsim run experiment.yaml` runs the experiment. Write your predictions down first."]
    lines += [
        "- `netsim explain topology.yaml --from pod/NAME --to URL` follows one request.",
        "- `netsim exec NAME -f topology.yaml -- COMMAND` runs a command in a pod.",
        "- `netsim lab check .` gives points and hints, as often as you like.",
        "",
        f"Hand in the whole folder. The notebook that goes with it is `notebooks/{spec.notebook}.ipynb`.",
    ]
    return "\n".join(lines) + "\n"
