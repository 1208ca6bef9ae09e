"""The user's own manifests, read and checked as `netsim validate` does, for apply and delete.

Called by: `verbs_apply`. Unknown kinds and fields are refused with file, line and what to write instead; fields without
effect on packets are said once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from netsim.cluster.objects import ApiObject, Node
from netsim.experiment.errors import Problems
from netsim.experiment.kubectl.context import Context, KubectlError
from netsim.experiment.loader_manifests import ManifestReader, inert_summary
from netsim.experiment.yaml_tree import parse_yaml

_SUFFIXES: Final = (".yaml", ".yml", ".json")


def files_of(names: Sequence[str], recursive: bool = False) -> list[str]:
    """The files that `-f` names: a folder's manifests, or the file itself. Raises KubectlError."""
    found: list[str] = []
    for name in (part for text in names for part in text.split(",")):
        folder = Path(name)
        if name == "-" or not folder.is_dir():
            found.append(name)
            continue
        pattern = "**/*" if recursive else "*"
        inside = sorted(str(path) for path in folder.glob(pattern) if path.suffix in _SUFFIXES)
        if not inside:
            raise KubectlError(
                f"error: error reading [{name}]: recognized file extensions are [.json .yaml .yml]"
            )
        found += inside
    return found


def read(context: Context, name: str) -> list[ApiObject]:
    """The objects of one file. Raises KubectlError with everything that is wrong with it."""
    text = context.read(name)
    shown = "STDIN" if name == "-" else name
    problems = Problems()
    parsed = parse_yaml(text)
    for flaw in parsed.errors:
        problems.add(shown, (flaw.line, flaw.column), "(syntax)", flaw.message)
    reader = ManifestReader(problems, context.cluster.spec.minor)
    for document in parsed.documents:
        reader.read(document, shown)
    if problems.errors:
        lines = "\n".join(str(error) for error in sorted(set(problems.errors)))
        raise KubectlError(f'error: error validating "{shown}": error validating data:\n{lines}')
    if any(isinstance(entry.object, Node) for entry in reader.loaded):
        raise KubectlError(f'error: "{shown}": nodes come from the topology (spec.nodes), not from manifests')
    note = inert_summary(reader.loaded, ())
    if note and note not in context.said:
        context.said.append(note)
        context.err(f"Note: {note}\n")
    return [entry.object for entry in reader.loaded]
