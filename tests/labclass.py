"""A class of simulated students: right, partly right, wrong, careless and malicious, with the points each should get.

    python tests/labclass.py FOLDER 200        # writes the folders; then: netsim lab grade FOLDER

Called by tests/experiment/test_lab_class.py.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netsim.experiment.lab.api import Lab
from netsim.experiment.lab.instance import write
from netsim.experiment.lab.spec import ANSWERS, IDENTITY

LABS = ("cluster-ip", "environment", "node-port", "headless", "journey")
PWNED = "netsim-lab-was-here"


@dataclass(frozen=True, slots=True)
class Student:
    """Whose folder it is, and what grading it should say: the points as (least, most) shares, words of a remark."""

    name: str
    kind: str
    lab: str
    least: float
    most: float
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of handing in: what it does to the folder of a student who has everything right."""

    spoil: Callable[[Path, Lab], None]
    least: float
    most: float
    remark: str = ""
    lab: str = ""


def _nothing(folder: Path, lab: Lab) -> None:
    pass


def _write(name: str, text: str) -> Callable[[Path, Lab], None]:
    def spoil(folder: Path, lab: Lab) -> None:
        (folder / name).write_text(text, "utf-8")

    return spoil


def _fewer_answers(folder: Path, lab: Lab) -> None:
    lines = (folder / ANSWERS).read_text("utf-8").splitlines()
    (folder / ANSWERS).write_text("\n".join(lines[:1]) + "\n", "utf-8")


def _as_given(folder: Path, lab: Lab) -> None:
    for name in lab.instance.spec.edit:
        (folder / name).write_text(lab.files[name], "utf-8")


def _wrong(folder: Path, lab: Lab) -> None:
    _as_given(folder, lab)
    answers = "".join(f"{task.id}: 123456\n" for task in lab.instance.predictions())
    (folder / ANSWERS).write_text(answers, "utf-8")


def _replaced(name: str, old: str, new: str) -> Callable[[Path, Lab], None]:
    def spoil(folder: Path, lab: Lab) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")

    return spoil


def _link(name: str, target: str) -> Callable[[Path, Lab], None]:
    def spoil(folder: Path, lab: Lab) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return spoil


def _fifo(folder: Path, lab: Lab) -> None:
    (folder / ANSWERS).unlink()
    os.mkfifo(folder / ANSWERS)


def _many(folder: Path, lab: Lab) -> None:
    name = lab.values["name"]
    text = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 1000000\n"
    (folder / "manifests.yaml").write_text(text, "utf-8")


def _somebody_else(folder: Path, lab: Lab) -> None:
    (folder / IDENTITY).write_text(f"lab: {lab.instance.lab}\nstudent: somebody-else\n", "utf-8")


def _never_ready(folder: Path, lab: Lab) -> None:
    probe = "ports: [{containerPort: 80}]\n        readinessProbe: {tcpSocket: {port: 81}, periodSeconds: 1}"
    _replaced("manifests.yaml", "ports: [{containerPort: 80}]", probe)(folder, lab)


_TAG = f"!!python/object/apply:os.system ['touch {PWNED}']"
_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

KINDS = {
    "right": Kind(_nothing, 1, 1),
    "partly": Kind(_fewer_answers, 0.1, 0.9, "not"),
    "as-given": Kind(_as_given, 0.1, 0.9),
    "wrong": Kind(_wrong, 0, 0),
    "broken": Kind(_write("manifests.yaml", "kind: [Service\n"), 0.1, 0.9, "manifests.yaml:"),
    "broken-answers": Kind(_write(ANSWERS, "a: b: c\n"), 0.1, 0.9, "answers.yaml:1:"),
    "tag": Kind(_write("manifests.yaml", f"a: {_TAG}\n"), 0.1, 0.9, "refused"),
    "tag-answers": Kind(_write(ANSWERS, f"ping: {_TAG}\n"), 0.1, 0.9, "refused"),
    "laughs": Kind(_write("manifests.yaml", _LAUGHS), 0.1, 0.9, "manifests.yaml"),
    "deep": Kind(_write(ANSWERS, "a: " + "[" * 20000), 0.1, 0.9, "nested"),
    "large": Kind(_write("manifests.yaml", "# " + "x" * 200_000), 0.1, 0.9, "200,002 bytes"),
    "binary": Kind(_write(ANSWERS, "\0\1\2"), 0.1, 0.9, "binary"),
    "replicas": Kind(_many, 0.1, 0.9, "replicas: 1,000,000", "cluster-ip"),
    "never-ready": Kind(_never_ready, 0.1, 0.9, "does not come up", "cluster-ip"),
    "passwd": Kind(_link("manifests.yaml", "/etc/passwd"), 0.1, 0.9, "symbolic link"),
    "answers-link": Kind(_link(ANSWERS, "../../../etc/passwd"), 0.1, 0.9, "symbolic link"),
    "fifo": Kind(_fifo, 0.1, 0.9, "not a regular file"),
    "cluster": Kind(
        _write(
            "manifests.yaml",
            "apiVersion: netsim/v1\nkind: Cluster\nspec: {nodes: [{role: worker, count: 99999}]}\n",
        ),
        0.1,
        0.9,
        "Kubernetes manifests only",
    ),
    "topology": Kind(_write("topology.yaml", "manifests: [../../../etc/passwd]\n"), 1, 1),
    "other-lab": Kind(_write(IDENTITY, "lab: ../../etc\nstudent: x\n"), 0, 0, "no lab is called"),
    "no-identity": Kind(lambda folder, lab: (folder / IDENTITY).unlink(), 0, 0, "lab.yaml is missing"),
    "copied": Kind(_somebody_else, 1, 1, 'lab.yaml is of "somebody-else"'),
    "endless-load": Kind(
        _replaced("experiment.yaml", "rate: 10/s", "rate: 1000000/s"),
        0.3,
        0.5,
        "75,000,000 requests",
        "node-dies",
    ),
    "endless-time": Kind(
        _replaced("experiment.yaml", "duration: 75s", "duration: 9000h"),
        0.3,
        0.5,
        "simulated time",
        "node-dies",
    ),
    "many-clients": Kind(
        _replaced("experiment.yaml", "rate: 10/s", "model: closed, connections: 5000, thinkTime: 1s"),
        0.3,
        0.5,
        "requests",
        "node-dies",
    ),
    "path": Kind(
        _replaced("experiment.yaml", "topology: topology.yaml", "topology: ../../../../etc/passwd"),
        0.3,
        0.5,
        "has to be an Experiment with topology: topology.yaml",
        "node-dies",
    ),
}


def make_class(folder: Path, students: int) -> list[Student]:
    """Write the folders of so many students; who they are."""
    kinds = list(KINDS.items())
    made = []
    for number in range(students):
        name, kind = kinds[number % len(kinds)]
        lab_name = kind.lab or LABS[number % len(LABS)]
        student = f"s{number:03}-{name}"
        lab = Lab(lab_name, student)
        mine = folder / student
        write(lab.instance, mine)
        answers, files = lab.solution()
        (mine / ANSWERS).write_text("".join(f"{task}: {value}\n" for task, value in answers.items()), "utf-8")
        for file, text in files.items():
            (mine / file).write_text(text, "utf-8")
        kind.spoil(mine, lab)
        made.append(Student(student, name, lab_name, kind.least, kind.most, kind.remark))
    return made


if __name__ == "__main__":
    for one in make_class(Path(sys.argv[1]), int(sys.argv[2])):
        print(one.name, one.lab)
