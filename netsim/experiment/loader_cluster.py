"""The Cluster document of a topology file (netsim's or kind's), as far as it can be used.

Called by: `loader`. Sections that have errors are left out, and named in `unsure`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netsim.cluster.objects.registry import inert_paths
from netsim.experiment.errors import PathItem, Problems
from netsim.experiment.loader_files import (
    VERSION,
    File,
    add_flaws,
    beside,
    check_head,
    part,
    validate,
    without_extensions,
)
from netsim.experiment.rules_place import Place
from netsim.experiment.spec_cluster import ClusterDocument, ClusterSpec
from netsim.experiment.spec_kind import KindCluster, from_kind, is_kind
from netsim.experiment.spec_messages import Source
from netsim.experiment.spec_salvage import Path as DataPath
from netsim.experiment.spec_salvage import is_follow_up, salvage
from netsim.experiment.yaml_tree import Document


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Cluster document that was read, perhaps without its unsure sections."""

    name: str
    spec: ClusterSpec
    place: Place
    document: Place
    manifests: tuple[str, ...]
    unsure: frozenset[str]

    def manifest_files(self, problems: Problems) -> Iterator[tuple[Path, str]]:
        """(path, name) of each manifest file that is there; the others are recorded."""
        seen: dict[str, None] = {}
        for index, text in enumerate(self.manifests):
            path: tuple[PathItem, ...] = ("manifests", index)
            found = beside(text, self.document, path)
            if found is not None and found[1] in seen:
                self.document.error(path, f"{found[1]} is listed twice")
            elif found is not None:
                seen[found[1]] = None
                yield found


def cluster_of(file: File, documents: list[Document], problems: Problems) -> Cluster | None:
    """The topology's Cluster; None (recorded) if there is none or nothing of it is usable."""
    for document in documents:
        add_flaws(document, file, problems)
    if not documents:
        mappings = [isinstance(document.data, dict) for document in file.documents]
        if file.whole and mappings and all(mappings):
            message = f"no Cluster in this file: begin with a document apiVersion: {VERSION}, kind: Cluster"
            problems.add(file.name, (1, 1), "(file)", message)
        return None
    for document in documents[1:]:
        first = documents[0].node.line
        message = f"a second {document.data.get('kind')} (the first is on line {first}): keep one"
        Place(Source(file.name, document.node), problems).error((), message)
    document = documents[0]
    if is_kind(document.data):
        return _from_kind(document, file, problems)
    place = Place(Source(file.name, document.node), problems)
    if not check_head(document.data, "Cluster", place):
        return None
    return _cluster(without_extensions(document.data), place, problems)


def _cluster(raw: dict[str, Any], place: Place, problems: Problems) -> Cluster | None:
    spec_place = Place(part(place.source, "spec"), problems)
    whole = validate(raw, ClusterDocument, place.source, problems)
    if whole is not None:
        return Cluster(whole.metadata.name, whole.spec, spec_place, place, whole.manifests, frozenset())
    spec_raw = raw.get("spec", {})
    spec, removed = salvage(spec_raw, ClusterSpec)
    if spec is None:
        return None

    def muted(path: DataPath) -> bool:
        return is_follow_up(path, removed, spec_raw)

    manifests = raw.get("manifests", [])
    names = tuple(name for name in manifests if isinstance(name, str)) if isinstance(manifests, list) else ()
    spec_place = Place(spec_place.source, problems, muted)
    return Cluster("", spec, spec_place, place, names, frozenset(_unsure(path) for path in removed))


def _unsure(path: DataPath) -> str:
    """The section in which something was left out; "" if the names of nodes do not depend on it."""
    harmless = len(path) == 3 and path[0] == "nodes" and path[2] in ("address", "taints")
    return "" if harmless else str(path[0])


def _from_kind(document: Document, file: File, problems: Problems) -> Cluster | None:
    source = Source(file.name, document.node)
    kind = validate(without_extensions(document.data), KindCluster, source, problems)
    if kind is None:
        return None
    place = Place(source, problems)
    ignored = sorted(set(inert_paths(kind)))
    if ignored:
        problems.note(f"accepted from the kind configuration, no effect on packets: {', '.join(ignored)}")
    # kind has no `spec`: the positions of `networking` and `nodes` are those of the document itself.
    spec = ClusterDocument.model_validate(from_kind(kind)).spec
    return Cluster(kind.name, spec, place, place, (), frozenset())
