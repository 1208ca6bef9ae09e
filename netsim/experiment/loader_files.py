"""Files of YAML documents, and what netsim's own kinds of documents have in common.

Called by: `loader_cluster`, `loader_experiment`, `loader`. When a document has errors, its sound sections (a cluster's
`external`, an experiment's second fault) are still checked, so that one run shows all problems.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from netsim.experiment.errors import PathItem, Problems, shown
from netsim.experiment.rules_place import Place
from netsim.experiment.spec_kind import is_kind
from netsim.experiment.spec_kinds import KNOWN
from netsim.experiment.spec_messages import Source, report
from netsim.experiment.spec_names import a, did_you_mean
from netsim.experiment.yaml_read import read_text
from netsim.experiment.yaml_tree import Document, parse_yaml

VERSION = "netsim/v1"
KINDS = ("Cluster", "Experiment", "Sweep")
M = TypeVar("M", bound=BaseModel)


@dataclass(slots=True)
class File:
    """A file that was read: its documents, and whether nothing was lost to syntax errors."""

    path: Path
    name: str
    documents: list[Document] = field(default_factory=list)
    whole: bool = False

    def is_experiment(self) -> bool:
        """Does the first document say so?"""
        return self.is_a("Experiment")

    def is_a(self, kind: str) -> bool:
        """Is the first document of this kind?"""
        data = self.documents[0].data if self.documents else None
        return isinstance(data, dict) and data.get("kind") == kind


def read_file(path: Path, name: str, problems: Problems) -> File:
    """A file's documents; whatever keeps it from being read is recorded."""
    file = File(path, name)
    text = read_text(path, name, problems)
    if text is None:
        return file
    parsed = parse_yaml(text)
    for flaw in parsed.errors:
        problems.add(name, (flaw.line, flaw.column), "(syntax)", flaw.message)
    file.documents = [
        document for document in parsed.documents if document.data is not None or document.flaws
    ]
    file.whole = not parsed.errors
    if file.whole and not file.documents:
        problems.add(name, (1, 1), "(file)", "the file is empty: no YAML document in it")
    return file


def split_documents(file: File, problems: Problems) -> tuple[list[Document], list[Document]]:
    """The netsim (or kind) documents of a topology file, and the manifests."""
    own, manifests = [], []
    for document in file.documents:
        if not isinstance(document.data, dict):
            not_a_mapping(document, file, problems)
        elif _is_own(document.data):
            own.append(document)
        else:
            manifests.append(document)
    return own, manifests


def _is_own(data: Mapping[str, Any]) -> bool:
    version, kind = str(data.get("apiVersion", "")), data.get("kind")
    if version.partition("/")[0].partition(".")[0] == "netsim" or is_kind(data):
        return True
    return kind in KINDS and ("." not in version or version in KNOWN)


def not_a_mapping(document: Document, file: File, problems: Problems) -> None:
    """Record a document that is a list or a text."""
    found = "a list" if isinstance(document.data, list) else "text"
    place = (document.node.line, document.node.column)
    message = f"expected a mapping with apiVersion and kind, found {found}"
    problems.add(file.name, place, "(document)", message)


def check_head(data: Mapping[str, Any], kind: str, place: Place) -> bool:
    """Is this netsim/v1 and of this kind? Records it if not."""
    version = data.get("apiVersion")
    if version is None:
        place.error((), f'missing field "apiVersion": write apiVersion: {VERSION}')
        return False
    if version != VERSION:
        place.error(("apiVersion",), f'unknown apiVersion "{version}": write {VERSION}')
    found = data.get("kind")
    if found is None:
        place.error((), f'missing field "kind": write kind: {kind}')
    elif found not in KINDS:
        place.error(("kind",), f'unknown kind "{found}": write {kind}{did_you_mean(str(found), KINDS)}')
    elif found != kind:
        instead = "run it with `netsim sweep`" if found == "Sweep" else f"write kind: {kind}"
        place.error(("kind",), f"{a(found)} cannot be here: {instead}")
    return version == VERSION and found == kind


def add_flaws(document: Document, file: File, problems: Problems) -> None:
    """Record what is wrong with a document as YAML (duplicate keys and the like)."""
    source = Source(file.name, document.node)
    for flaw in document.flaws:
        problems.add(file.name, (flaw.line, flaw.column), source.path(flaw.path), flaw.message)


def without_extensions(data: Mapping[str, Any]) -> dict[str, Any]:
    """`x-` keys are the user's own, at the top and in the spec: a place for anchors."""
    kept = {key: value for key, value in data.items() if not key.startswith("x-")}
    if isinstance(kept.get("spec"), dict):
        kept["spec"] = {key: value for key, value in kept["spec"].items() if not key.startswith("x-")}
    return kept


def validate(raw: dict[str, Any], model: type[M], source: Source, problems: Problems) -> M | None:
    """The model, or None after recording every problem."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        report(error, model, raw, source, problems)
        return None


def beside(text: str, place: Place, path: tuple[PathItem, ...]) -> tuple[Path, str] | None:
    """A file named in another one: its path and how messages call it; None (recorded) when it is not there."""
    name = shown(text, beside=place.source.file)
    try:
        if Path(name).exists():
            return Path(name), name
        place.error(path, f"no such file: {name} (paths begin at the file that names them)")
    except (OSError, ValueError) as error:
        place.error(path, f"no file name: {getattr(error, 'strerror', None) or error}")
    return None


def part(source: Source, name: str) -> Source:
    """The source of a section, with paths that begin with its name."""
    found = source.node.parts.get(name)
    return Source(source.file, found[2] if found else source.node, f"{source.prefix}{name}.")
