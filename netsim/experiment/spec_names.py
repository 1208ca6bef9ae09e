"""Which names a place in a model knows, and which of them a misspelt one is nearest to.

Called by: `spec_messages` ("did you mean ...?") and the rules (names of nodes, Services, pods).
"""

from collections.abc import Iterable
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from netsim.cluster.objects.inert import Inert, known_names
from netsim.experiment.errors import PathItem


def nearest(wrong: str, known: Iterable[str]) -> str:
    """The known name that looks most like this one, or ""."""
    by_lower = {name.lower(): name for name in sorted(known)}
    text = wrong.lower()
    found = get_close_matches(text, list(by_lower), n=5, cutoff=0.6)
    best = min(found, key=lambda name: (_edits(text, name), abs(len(text) - len(name))), default="")
    return by_lower.get(best, "")


def _edits(one: str, other: str) -> int:
    """How many letters were added, left out, replaced or swapped (optimal string alignment distance)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        following = [i]
        for j, wanted in enumerate(other, 1):
            cost = min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            following.append(cost)
        before, row = row, following
    return row[-1]


def did_you_mean(wrong: str, known: Iterable[str], unless: str = "") -> str:
    """` (did you mean "replicas"?)`, or "" when nothing is near or it is what the message says anyway."""
    name = nearest(wrong, known)
    return f' (did you mean "{name}"?)' if name not in ("", unless) else ""


def a(noun: str) -> str:
    """`a Service`, `an Ingress`."""
    return f"{'an' if noun[:1] in 'AEIOU' else 'a'} {noun}"


def field_names(model: type[BaseModel], path: Iterable[PathItem]) -> list[str]:
    """The keys that are allowed in the mapping at this path of the model (empty when anything goes)."""
    places: list[Any] = [model]
    for item in path:
        places = [inner for place in places for inner in _step(place, item)]
    return [name for place in places for name in _keys(place)]


def _keys(place: Any) -> list[str]:
    if isinstance(place, Inert):
        return known_names(place.shape)
    if isinstance(place, type) and issubclass(place, BaseModel):
        return [field.alias or name for name, field in place.model_fields.items()]
    return []


def _step(place: Any, item: PathItem) -> list[Any]:
    if isinstance(place, Inert):
        inner = place.step(item)
        return [inner] if inner else []
    if isinstance(place, type) and issubclass(place, BaseModel):
        for name, field in place.model_fields.items():
            if item == (field.alias or name):
                return _unwrap(field.annotation, field.metadata)
        return []
    # A tuple[X, ...] or dict[str, X]: what its items are.
    arguments = get_args(place)
    return _unwrap(arguments[1] if get_origin(place) is dict else arguments[0], []) if arguments else []


def _unwrap(annotation: Any, metadata: Iterable[Any]) -> list[Any]:
    """The models and containers inside Annotated, Optional and unions."""
    inert = [entry for entry in metadata if isinstance(entry, Inert)]
    if inert:
        return list(inert)
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extra = get_args(annotation)
        return _unwrap(inner, extra)
    if origin in (Union, UnionType):
        return [place for choice in get_args(annotation) for place in _unwrap(choice, [])]
    return [annotation]
