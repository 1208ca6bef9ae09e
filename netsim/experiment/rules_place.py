"""What the rules work on: loaded objects, pod templates, and where to say that something is wrong.

Called by: `rules_objects`, `rules_services`, `rules_cluster`, `rules_experiment`, `loader`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from netsim.cluster.objects import (
    ApiObject,
    DaemonSet,
    Deployment,
    Pod,
    PodSpec,
    ReplicaSet,
    StatefulSet,
    matches_labels,
)
from netsim.experiment.errors import PathItem, Problems
from netsim.experiment.spec_messages import Source

Path = tuple[PathItem, ...]
TEMPLATE: Path = ("spec", "template")


@dataclass(frozen=True, slots=True)
class Place:
    """A source together with the list of problems: `place.error(("spec", "ports", 0), "...")`.

    `muted` says which paths not to complain about (something beside them was wrong already).
    """

    source: Source
    problems: Problems
    muted: Callable[[Path], bool] | None = None

    def error(self, path: Path, message: str, *, key: bool = False) -> None:
        """Record an error at a path (at the path's key instead of its value with `key`)."""
        if self.muted is None or not self.muted(path):
            self.source.add(self.problems, path, message, key=key)

    def note(self, path: Path, message: str) -> None:
        """Record something that stops nothing, with the place where it stands."""
        line, column = self.source.node.find(path)
        self.problems.note(f"{self.source.file}:{line}:{column}: {self.source.path(path)}: {message}")

    def line(self) -> str:
        """`file:line` of the whole thing, to refer to it from elsewhere."""
        return f"{self.source.file}:{self.source.node.line}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """An object and where it stands."""

    object: ApiObject
    place: Place


@dataclass(frozen=True, slots=True)
class Template:
    """What pods are made from: a bare Pod or a workload's template. `name` is set where pods' names are known."""

    namespace: str
    owner: str
    labels: Mapping[str, str]
    spec: PodSpec | None
    replicas: int
    names: tuple[str, ...] = ()
    loaded: Loaded | None = None
    path: Path = ()


@dataclass(slots=True)
class Templates:
    """All templates of a topology, with an index by label."""

    items: list[Template] = field(default_factory=list)
    _by_label: dict[tuple[str, str], list[Template]] = field(default_factory=dict)

    def add(self, template: Template) -> None:
        """Add one."""
        self.items.append(template)
        for pair in template.labels.items():
            self._by_label.setdefault(pair, []).append(template)

    def matching(self, selector: Mapping[str, str], namespace: str = "") -> list[Template]:
        """Those whose pods have all these labels (none for an empty selector), in a namespace unless it is ""."""
        lists = [self._by_label.get(pair, []) for pair in selector.items()]
        shortest = min(lists, key=len) if lists else []
        return [
            template
            for template in shortest
            if namespace in ("", template.namespace) and matches_labels(selector, template.labels)
        ]

    def pod_names(self) -> dict[str, Template]:
        """The pods whose names are known in advance, as `namespace/name`."""
        return {
            f"{template.namespace}/{name}": template for template in self.items for name in template.names
        }

    def label_pairs(self) -> Iterator[str]:
        """Every `key=value` that some pod has."""
        return (f"{key}={value}" for key, value in self._by_label)


def template_of(loaded: Loaded, nodes: int) -> Template | None:
    """The template of a Pod or workload, None for anything else. `nodes`: how many a DaemonSet runs on."""
    thing = loaded.object
    namespace, name = thing.key
    owner = f"{thing.kind}/{name}"
    if isinstance(thing, Pod):
        return Template(namespace, owner, thing.metadata.labels, thing.spec, 1, (name,), loaded, ())
    if isinstance(thing, Deployment | ReplicaSet | StatefulSet | DaemonSet):
        replicas = nodes if isinstance(thing, DaemonSet) else thing.spec.replicas
        names: tuple[str, ...] = ()
        if isinstance(thing, StatefulSet):
            first = thing.spec.ordinals.start
            names = tuple(f"{name}-{number}" for number in range(first, first + min(replicas, 1000)))
        template = thing.spec.template
        labels = template.metadata.labels
        return Template(namespace, owner, labels, template.spec, replicas, names, loaded, TEMPLATE)
    return None
