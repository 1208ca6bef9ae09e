"""Is there such a field? The nearest path that exists, for whoever misspells one.

Called by: `rules_sweep`. Paths are those of `loader_variants`: of the experiment's spec, `cluster.` of the topology's,
`manifests[KIND/NAME].` of an object.
"""

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from netsim.cluster.objects.registry import KINDS
from netsim.experiment.errors import PathItem
from netsim.experiment.loader_variants import CLUSTER, MANIFESTS, FieldPathError, field_path
from netsim.experiment.spec_cluster import ClusterSpec
from netsim.experiment.spec_experiment import ExperimentSpec
from netsim.experiment.spec_names import field_names, nearest

_DEPTH: Final = 4


def unknown_field(text: str) -> str:
    """What is wrong with a field path and which one is meant, "" when there is such a field."""
    try:
        items = list(field_path(text))
    except FieldPathError as error:
        return str(error)
    found = _root(text, items)
    if found is None:
        return (
            ""
            if text.startswith(MANIFESTS) and len(items) > 2
            else f'"{text}" names an object and no field of it'
        )
    model, prefix, rest = found
    path: list[PathItem] = []
    for position, item in enumerate(rest):
        if isinstance(item, int) or item.startswith("["):
            path.append(0)
            continue
        names = field_names(model, path)
        if names and item not in names:
            return _message(text, item, names, (prefix, rest[:position]))
        path.append(item)
    return "" if rest else f'"{text}" is no field: write for example {prefix}{field_names(model, ())[0]}'


def _root(text: str, items: list[PathItem]) -> tuple[type[BaseModel], str, list[PathItem]] | None:
    """The model that a path is about, how the path begins, and the rest of it."""
    if text.startswith(MANIFESTS):
        kind = str(items[1])[1:].partition("/")[0] if len(items) > 2 else ""
        model = KINDS.get(kind)
        return (model, f"{MANIFESTS}{str(items[1])[1:]}.", items[2:]) if model else None
    if text.startswith(CLUSTER):
        return ClusterSpec, CLUSTER, items[1:]
    return ExperimentSpec, "", items


def _message(text: str, wrong: str, names: list[str], begun: tuple[str, list[PathItem]]) -> str:
    prefix, before = begun
    near = nearest(wrong, names)
    if near:
        meant = f"{prefix}{joined([*before, near])}"
        tail = text.split(wrong, 1)[1]
        whole = f"{meant}{tail}"
        return f'there is no field "{text}" (did you mean "{whole if not unknown_field(whole) else meant}"?)'
    elsewhere = _elsewhere(text.rpartition(".")[2])
    if elsewhere:
        return f'there is no field "{text}" (did you mean "{elsewhere}"?)'
    there = ", ".join(sorted(names)[:12])
    return f'there is no field "{text}": "{wrong}" is not among {there}'


def _elsewhere(last: str) -> str:
    """A path that ends like this, in the experiment or the cluster: somebody forgot how it begins."""
    paths = [*_paths(ExperimentSpec, (), ""), *_paths(ClusterSpec, (), CLUSTER)]
    ending = {path.rpartition(".")[2]: path for path in reversed(paths)}
    return ending.get(last) or ending.get(nearest(last, ending), "")


def _paths(model: type[BaseModel], path: tuple[PathItem, ...], prefix: str) -> Iterator[str]:
    """Every field, breadth first; entries of lists by their number 0."""
    level = [path]
    for _ in range(_DEPTH):
        following: list[tuple[PathItem, ...]] = []
        for at in level:
            for name in field_names(model, at):
                yield f"{prefix}{joined([*at, name])}"
                following += [(*at, name), (*at, name, 0)]
        level = following


def joined(items: list[PathItem]) -> str:
    """The text of a path: `load[0].rate`."""
    text = ""
    for item in items:
        if isinstance(item, int):
            text += f"[{item}]"
        elif item.startswith("["):
            text += item
        else:
            text += f".{item}" if text else item
    return text
