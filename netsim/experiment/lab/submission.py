"""Reading what a student handed in: data of bounded size, from regular files in the folder itself, never executed.

Called by `marks.mark_folder`. Files that students do not edit are not read at all: grading takes the lab's own.
Every refusal is a sentence for the student.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netsim.experiment.errors import Problems, SpecErrors
from netsim.experiment.lab.measure import LimitError, Limits
from netsim.experiment.yaml_read import read_text
from netsim.experiment.yaml_tree import parse_yaml


class SubmissionError(Exception):
    """Why a file cannot be graded."""


def read_member(folder: Path, name: str, limits: Limits) -> str:
    """The text of one file of the folder. Raises SubmissionError, LimitError."""
    path = folder / name
    try:
        # lstat and O_NOFOLLOW: a link may lead to another student's work or to files of the teacher.
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise SubmissionError(f"{name} is a symbolic link: hand in the file itself")
        if not stat.S_ISREG(found.st_mode):
            raise SubmissionError(f"{name} is not a regular file")
        if found.st_size > limits.file_bytes:
            raise LimitError(
                f"{name} has {found.st_size:,} bytes; a lab's file may have {limits.file_bytes:,}"
            )
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        os.close(descriptor)
    except FileNotFoundError:
        raise SubmissionError(f"{name} is missing") from None
    except OSError as error:
        raise SubmissionError(f"{name} cannot be read ({error.strerror})") from None
    problems = Problems()
    text = read_text(path, name, problems)
    if text is None:
        raise SubmissionError(str(SpecErrors(problems.errors)))
    return text


def read_mapping(text: str, name: str) -> dict[str, Any]:
    """One YAML document that is a mapping of plain data. Raises SubmissionError."""
    documents = plain_documents(text, name)
    data = documents[0] if documents else None
    if data is None and len(documents) <= 1:
        return {}
    if len(documents) > 1 or not isinstance(data, dict):
        raise SubmissionError(f"{name} should be one list of `name: value` lines")
    return data


def plain_documents(text: str, name: str) -> list[Any]:
    """All documents, as plain data: tags, endless aliases and too deep nesting are refused. Raises SubmissionError."""
    parsed = parse_yaml(text)
    flaws = [*parsed.errors, *(flaw for document in parsed.documents for flaw in document.flaws)]
    if flaws:
        first = flaws[0]
        raise SubmissionError(f"{name}:{first.line}:{first.column}: {first.message}")
    return [document.data for document in parsed.documents]


def check_edited(text: str, name: str, given: str, limits: Limits) -> None:
    """Is an edited file of the kind it was, and of a size that a lab can run? Raises SubmissionError, LimitError."""
    documents = [data for data in plain_documents(text, name) if data is not None]
    if len(documents) > limits.documents:
        raise LimitError(f"{name} has {len(documents)} documents; a lab's file may have {limits.documents}")
    own = plain_documents(given, name)
    experiment = own[0] if own and _kind(own[0]) == "Experiment" else None
    for data in documents:
        if experiment is not None:
            _same_topology(data, experiment, name)
        elif str(_field(data, "apiVersion")).startswith(("netsim", "kind.x-k8s.io")) or _kind(data) in (
            "Cluster",
            "Experiment",
            "Sweep",
        ):
            raise SubmissionError(f"{name}: Kubernetes manifests only; the cluster is the lab's own")
    total = 0
    for replicas in _values(documents, "replicas"):
        if isinstance(replicas, int):
            total += replicas
            if total > limits.replicas:
                raise LimitError(
                    f"{name}: replicas: {total:,}; a lab's cluster has room for {limits.replicas}"
                )


def _field(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, dict) else None


def _kind(data: Any) -> Any:
    return _field(data, "kind")


def _same_topology(data: Any, given: Any, name: str) -> None:
    """An experiment may not lead to other files than the lab's own."""
    wanted = given["spec"]["topology"]
    if _kind(data) != "Experiment" or _field(_field(data, "spec"), "topology") != wanted:
        raise SubmissionError(f"{name} has to be an Experiment with topology: {wanted}")


def _values(data: Any, key: str) -> Iterator[Any]:
    """All values of a key, at any depth."""
    pending = [data]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if key in item:
                yield item[key]
            pending += item.values()
        elif isinstance(item, list):
            pending += item
