"""Kubernetes manifests -> objects, with their places, and what of them has no effect.

Called by: `loader`. Lists (`kind: List`, `kind: PodList`) are taken apart. An object with errors is still checked,
without its wrong fields; if it cannot be used at all, its labels and name are, so that the Service that selects it is
not blamed too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from netsim.cluster.objects import ApiObject, OtherObject, Service
from netsim.cluster.objects.registry import KINDS, inert_paths
from netsim.experiment.errors import Problems
from netsim.experiment.rules_objects import check_object
from netsim.experiment.rules_place import Loaded, Path, Place, Template
from netsim.experiment.spec_kinds import canonical, problem_with_kind
from netsim.experiment.spec_messages import Source, report
from netsim.experiment.spec_salvage import is_follow_up, salvage
from netsim.experiment.yaml_tree import Document, Node

_WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")


@dataclass(slots=True)
class ManifestReader:
    """Collects the objects of all documents. `minor`: the cluster is Kubernetes 1.`minor`."""

    problems: Problems
    minor: int
    loaded: list[Loaded] = field(default_factory=list)
    # What is known of objects that could not be read: pods that exist somehow, Services by (namespace, name).
    broken_templates: list[Template] = field(default_factory=list)
    broken_services: list[tuple[str, str]] = field(default_factory=list)

    def read(self, document: Document, file: str) -> None:
        """Take in one document of a file."""
        source = Source(file, document.node, _prefix(document.data))
        for flaw in document.flaws:
            self.problems.add(file, (flaw.line, flaw.column), source.path(flaw.path), flaw.message)
        if document.data is not None:
            for data, node in _items(document.data, document.node):
                self._object(data, Source(file, node, _prefix(data)))

    def read_one(self, data: Any, node: Node, file: str) -> None:
        """Take in one manifest that stands inside another document."""
        self._object(data, Source(file, node, _prefix(data)))

    def _object(self, data: Any, source: Source) -> None:
        place = Place(source, self.problems)
        if not isinstance(data, dict):
            place.error((), "a manifest is a mapping that begins with apiVersion and kind")
            return
        if not self._known_kind(data, place):
            return
        raw = _with_namespace(canonical(data))
        model = KINDS.get(data["kind"], OtherObject)
        thing, removed = self._validate(raw, model, source)
        if thing is None:
            self._remember(raw)
            return
        if removed:
            place = Place(source, self.problems, lambda path: is_follow_up(path, removed, raw))
        loaded = Loaded(thing, place)
        self.loaded.append(loaded)
        check_object(loaded)

    def _known_kind(self, data: Mapping[str, Any], place: Place) -> bool:
        for name in ("apiVersion", "kind"):
            if not isinstance(data.get(name), str):
                message = "must be text" if name in data else f'missing field "{name}"'
                place.error((name,) if name in data else (), message)
                return False
        name, message = problem_with_kind(data["apiVersion"], data["kind"], self.minor)
        if message:
            place.error((name,), message)
        return not message

    def _validate(
        self, raw: dict[str, Any], model: type[ApiObject], source: Source
    ) -> tuple[ApiObject | None, list[Path]]:
        """The object and what had to be left out of it; a Service without its kind or selector is no use."""
        try:
            return model.model_validate(raw), []
        except ValidationError as error:
            report(error, model, raw, source, self.problems)
        thing, removed = salvage(raw, model)
        if model is Service and any(len(path) < 3 for path in removed):
            return None, removed
        return thing, removed

    def _remember(self, raw: Mapping[str, Any]) -> None:
        namespace, name = (str(_dig(raw, ("metadata", word)) or "") for word in ("namespace", "name"))
        kind = raw["kind"]
        if kind == "Service":
            self.broken_services.append((namespace, name))
        elif kind in (*_WORKLOADS, "Pod"):
            path = ("metadata", "labels") if kind == "Pod" else ("spec", "template", "metadata", "labels")
            labels = _dig(raw, path)
            pairs = {key: str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
            names = (name,) if kind == "Pod" else ()
            self.broken_templates.append(Template(namespace, f"{kind}/{name}", pairs, None, 1, names))


def manifest_object(data: Mapping[str, Any]) -> ApiObject:
    """The object of a manifest that has been checked."""
    raw = _with_namespace(canonical(data))
    return KINDS.get(raw["kind"], OtherObject).model_validate(raw)


def _prefix(data: Any) -> str:
    """`Deployment/web: `, how messages about this object begin."""
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        return ""
    name = _dig(data, ("metadata", "name"))
    return f"{data['kind']}/{name}: " if isinstance(name, str) else f"{data['kind']}: "


def _dig(data: Any, path: Iterable[str]) -> Any:
    for item in path:
        data = data.get(item) if isinstance(data, dict) else None
    return data


def _items(data: Any, node: Node) -> Iterator[tuple[Any, Node]]:
    """The object itself, or the items of a list of objects."""
    kind = data.get("kind") if isinstance(data, dict) else None
    items = data.get("items") if isinstance(kind, str) and kind.endswith("List") else None
    if isinstance(items, list):
        for index, item in enumerate(items):
            yield from _items(item, node.below(("items", index)))
    else:
        yield data, node


def _with_namespace(data: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the namespace that kubectl would put it into."""
    metadata = data.get("metadata", {})
    model = KINDS.get(data["kind"], OtherObject)
    if not isinstance(metadata, dict):
        return dict(data)
    if not model.NAMESPACED or metadata.get("namespace") or model is OtherObject:
        return {**data, "metadata": metadata}
    return {**data, "metadata": {**metadata, "namespace": "default"}}


def inert_summary(loaded: Iterable[Loaded], documents: Iterable[BaseModel]) -> str:
    """One sentence about everything that is accepted without effect, "" if there is nothing."""
    kinds: Counter[str] = Counter()
    fields: dict[str, dict[str, None]] = {}
    for entry in loaded:
        thing = entry.object
        if isinstance(thing, OtherObject):
            kinds[thing.kind] += 1
        else:
            fields.setdefault(thing.kind, {}).update(dict.fromkeys(inert_paths(thing)))
    for document in documents:
        fields.setdefault("Cluster", {}).update(dict.fromkeys(inert_paths(document)))
    parts = [f"{kind} ({number})" for kind, number in sorted(kinds.items())]
    parts += [f"{kind} {', '.join(sorted(paths))}" for kind, paths in sorted(fields.items()) if paths]
    return f"accepted, no effect on packets: {'; '.join(parts)}" if parts else ""
