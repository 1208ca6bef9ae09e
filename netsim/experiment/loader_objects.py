"""Fields of manifests set otherwise: `manifests[Deployment/web].spec.replicas: 5`.

Called by: `loader`, for variants and sweeps. An object goes by its kind and name, `[KIND/NAMESPACE/NAME]` where several
namespaces have one. The change is made to what the file says, before the object is read and checked.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from netsim.experiment.errors import PathItem
from netsim.experiment.loader_variants import FieldPathError, field_path, with_field
from netsim.experiment.spec_names import did_you_mean
from netsim.experiment.yaml_tree import Document

Manifests = list[tuple[Document, str]]
"""Documents, each with the name of its file."""


def changed_objects(
    manifests: Manifests, settings: Mapping[str, Any], failed: Callable[[str, str], None]
) -> Manifests:
    """The documents with fields set; `failed(path, why)` for what cannot be set."""
    changed = list(manifests)
    for text, value in settings.items():
        try:
            _, named, *rest = field_path(text)
            index, prefix = _place(str(named)[1:-1], changed)
            document, file = changed[index]
            data = with_field(document.data, [*prefix, *rest], value)
            changed[index] = Document(data, document.node, document.flaws), file
        except FieldPathError as error:
            failed(text, str(error))
    return changed


def _place(wanted: str, manifests: Manifests) -> tuple[int, list[PathItem]]:
    """The document with an object, and the object's path in it. Raises FieldPathError."""
    found = [
        (index, path)
        for index, (document, _) in enumerate(manifests)
        for names, path in _objects(document.data, [])
        if wanted in names
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise FieldPathError(f"several namespaces have {wanted}: write [KIND/NAMESPACE/NAME]")
    known = [names[0] for document, _ in manifests for names, _ in _objects(document.data, [])]
    near = did_you_mean(wanted, known) or f" (there: {', '.join(known[:12]) or 'none'})"
    raise FieldPathError(f'no object of the topology is called "{wanted}"{near}')


def _objects(data: Any, path: list[PathItem]) -> Iterator[tuple[tuple[str, str], list[PathItem]]]:
    """The names of each object in a document, with its path."""
    if not isinstance(data, dict):
        return
    items, kind = data.get("items"), data.get("kind")
    if isinstance(items, list) and isinstance(kind, str) and kind.endswith("List"):
        for index, item in enumerate(items):
            yield from _objects(item, [*path, "items", index])
        return
    metadata = data.get("metadata")
    if isinstance(metadata, dict):
        namespace, name = metadata.get("namespace") or "default", metadata.get("name")
        yield (f"{kind}/{name}", f"{kind}/{namespace}/{name}"), path
