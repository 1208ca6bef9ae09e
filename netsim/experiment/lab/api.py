"""`netsim.Lab`: a lab in a notebook or a program.

    lab = netsim.Lab("split", student="ada")
    lab                                    # the tasks
    lab.experiment().run()                 # the instance's own experiment
    lab.check({"share": 33}, {"manifests.yaml": text})

Called by: notebooks, and notebooks exported for nbgrader and otter. The files live in a temporary folder that goes away
with the object.
"""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsim.experiment.lab.instance import instance, readme, write
from netsim.experiment.lab.marks import SCALE, Mark, Marks, mark
from netsim.experiment.lab.measure import Bench, Value, apply_later

if TYPE_CHECKING:
    from netsim.experiment.api import Experiment
    from netsim.experiment.cluster import Cluster


class Lab:
    """One student's instance of a lab."""

    def __init__(self, name: str, student: str = "student") -> None:
        self.instance = instance(name, student)
        temporary = tempfile.mkdtemp(prefix="netsim-lab-")
        weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)
        self.folder = Path(temporary) / name
        write(self.instance, self.folder)

    @property
    def values(self) -> dict[str, int | str]:
        """What was drawn for this student."""
        return dict(self.instance.values)

    @property
    def files(self) -> dict[str, str]:
        """The files as given."""
        return self.instance.files()

    def experiment(self, file: str = "experiment.yaml") -> "Experiment":
        """An experiment of the instance, to run."""
        from netsim.experiment.api import load

        return load(self.folder / file)

    def cluster(self, file: str = "topology.yaml") -> "Cluster":
        """A cluster of the instance, to play with: a new one each time."""
        from netsim.experiment.cluster import Cluster

        return Cluster(self.folder / file, int(self.values["seed"]))

    def apply(self, cluster: "Cluster", file: str) -> "Cluster":
        """Apply a file of the instance to a running cluster, and let 10 s pass."""
        if not cluster.epoch_ns:
            cluster.settle()
        apply_later(cluster, self.files[file])
        return cluster

    def check(
        self, answers: Mapping[str, Any] | None = None, files: Mapping[str, str] | None = None
    ) -> Marks:
        """Points and hints for predictions (`{"task": 12}`) and edited files (`{"manifests.yaml": text}`).
        `...` and None are no answers; a file that is left out stays as it was given."""
        given = {task: answer for task, answer in (answers or {}).items() if answer is not ...}
        edited = dict(files or {})
        missing = [name for name in self.instance.spec.edit if name not in edited]
        kept = {name: self.files[name] for name in missing}
        return mark(self.instance, given, {**edited, **kept})

    def mark(self, task: str, answer: object) -> Mark:
        """One task by itself: an answer, or the text of the edited file (for autograders)."""
        found = next((t for t in self.instance.spec.tasks if t.id == task), None)
        if found is None:
            raise LookupError(
                f"no task {task!r}; there are {', '.join(t.id for t in self.instance.spec.tasks)}"
            )
        if found.answer is not None:
            marks = self.check({task: answer})
        else:
            marks = self.check(files={self.instance.spec.edit[0]: str(answer)})
        return next(m for m in marks.marks if m.task == task)

    def earns(self, task: str, answer: object) -> float:
        """The points of one task."""
        return self.mark(task, answer).earned

    def solution(self) -> "tuple[dict[str, Value], dict[str, str]]":
        """Right answers, found by running the instance, and the files as they should become."""
        bench = Bench(self.folder, int(self.values["seed"]))
        found: dict[str, Value] = {}
        for task in self.instance.predictions():
            assert task.answer is not None
            value = bench.measure(self.instance.measure(task))
            found[task.id] = value if isinstance(value, str) else round(value * SCALE[task.answer.unit], 6)
        return found, self.instance.solution()

    def __repr__(self) -> str:
        return readme(self.instance)

    def _repr_markdown_(self) -> str:
        return readme(self.instance).replace("\n# ", "\n### ").replace("\n## ", "\n#### ")
