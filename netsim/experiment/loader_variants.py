"""Variants: the same experiment with some fields set otherwise, each checked as if it had been written out.

Called by: `loader`. A variant's `set` maps field paths to values: `load[shop].rate: 100/s`, `duration: 10s`, with
`cluster.` in front fields of the topology's Cluster, `cluster.networking.kubeProxyMode: ipvs`, and with an object in
front fields of its manifest, `manifests[Deployment/web].spec.replicas: 5` (`loader_objects`). Entries of lists go by
their number or by their name, keys with dots in them stand in brackets, too. The changes are made to what the files
say, before anything is checked; whatever is wrong then is reported where the variant sets the field.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from netsim.experiment.errors import PathItem, SpecError
from netsim.experiment.loader_files import File
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.spec_experiment import Variant
from netsim.experiment.yaml_tree import Document

CLUSTER: Final = "cluster."
MANIFESTS: Final = "manifests["
_TOKEN: Final = re.compile(r"(?:^|\.)([^.\[\]]+)|\[([^\[\]]+)\]")
# Fields that say what the experiment is; another value would make it another experiment.
FIXED: Final = ("topology", "variants")


class FieldPathError(ValueError):
    """A field path that leads nowhere; the message says why."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a variant sets, by field path: of the Cluster's spec, of manifests, and of the experiment's spec."""

    cluster: Mapping[str, Any]
    objects: Mapping[str, Any]
    experiment: Mapping[str, Any]

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Changes":
        """Sort the entries of `set` by what they are about."""
        return cls(
            {key.removeprefix(CLUSTER): value for key, value in settings.items() if key.startswith(CLUSTER)},
            {key: value for key, value in settings.items() if key.startswith(MANIFESTS)},
            {key: value for key, value in settings.items() if not key.startswith((CLUSTER, MANIFESTS))},
        )


def field_path(text: str) -> Iterator[PathItem]:
    """The keys and list entries of `load[shop].rate`: "load", then 0 or the entry's name in brackets, "rate".

    Raises FieldPathError."""
    end = 0
    for token in _TOKEN.finditer(text):
        if token.start() != end:
            break
        end = token.end()
        entry = token[2]
        yield token[1] or (int(entry) if entry.isdigit() else f"[{entry}]")
    if end != len(text) or not text:
        raise FieldPathError(f'"{text}" is no field path: write for example load[0].rate')


def with_field(spec: Any, path: list[PathItem], value: Any) -> Any:
    """A copy of plain data with the value at a path; what is not on the path is shared. Raises FieldPathError."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(head, str) and head.startswith("[") and isinstance(spec, dict):
        head = head[1:-1]
    if isinstance(head, str) and not head.startswith("["):
        if not isinstance(spec, dict):
            raise FieldPathError(f'there is no field "{head}": the value before it is no mapping')
        return {**spec, head: with_field(spec.get(head, {}), rest, value)}
    if not isinstance(spec, list):
        raise FieldPathError(f"there is no entry {head}: the value before it is no list")
    index = _entry(spec, head)
    return [with_field(item, rest, value) if at == index else item for at, item in enumerate(spec)]


def _entry(items: list[Any], wanted: PathItem) -> int:
    """The number of a list's entry that is given by number or as `[name]`."""
    if isinstance(wanted, int):
        if wanted < len(items):
            return wanted
        raise FieldPathError(f"there is no entry [{wanted}]: the list has {len(items)}")
    names = [str(item.get("name", "")) if isinstance(item, dict) else "" for item in items]
    if wanted[1:-1] in names:
        return names.index(wanted[1:-1])
    known = ", ".join(name for name in names if name) or "none have names"
    raise FieldPathError(f'no entry is called "{wanted[1:-1]}" (there: {known})')


def changed(file: File, settings: Mapping[str, Any], failed: Callable[[str, str], None]) -> File:
    """The file with fields set in the `spec` of its first document; `failed(path, why)` for what cannot be set."""
    if not settings or not file.documents:
        return file
    first = file.documents[0]
    spec = first.data.get("spec", {})
    for text, value in settings.items():
        try:
            spec = with_field(spec, list(field_path(text)), value)
        except FieldPathError as error:
            failed(text, str(error))
    document = Document({**first.data, "spec": spec}, first.node, first.flaws)
    return File(file.path, file.name, [document, *file.documents[1:]], file.whole)


def without(file: File, fields: Collection[str]) -> File:
    """The experiment file as if it had no variants, so that one of them can be checked by itself; or without other
    fields of its spec."""
    first = file.documents[0]
    spec = {key: value for key, value in first.data["spec"].items() if key not in fields}
    document = Document({**first.data, "spec": spec}, first.node, first.flaws)
    return File(file.path, file.name, [document], file.whole)


def sound_variants(variants: tuple[Variant, ...], place: Place) -> Iterator[tuple[int, Variant]]:
    """The variants with their numbers, but for those that set what none may set; names are unique."""
    seen: dict[str, int] = {}
    for index, variant in enumerate(variants):
        path: Path = ("variants", index)
        first = seen.setdefault(variant.name, index)
        if first != index:
            place.error(
                (*path, "name"), f'"{variant.name}" is also the name of variants[{first}]: choose another'
            )
        fixed = [key for key in variant.set if key.split(".")[0].split("[")[0] in FIXED]
        for key in fixed:
            place.error((*path, "set", key), f"a variant cannot set {key}", key=True)
        if not fixed:
            yield index, variant


def relocate(errors: list[SpecError], variant: Variant, index: int, place: Place) -> None:
    """Report what is wrong with a variant where it sets the field that is complained about, or at its beginning."""
    problems: dict[tuple[Path, str], None] = {}
    for error in errors:
        key = _setting(error, variant)
        where: Path = ("variants", index, "set", key) if key else ("variants", index)
        about = (
            ""
            if key and anonymous(plain_path(key)) == anonymous(plain_path(error.path))
            else f"{error.path}: "
        )
        problems[where, f"{about}{error.message}"] = None
    for where, message in problems:
        place.error(where, message)


def _setting(error: SpecError, variant: Variant) -> str:
    """The entry of `set` that an error is about: the longest path that begins the error's, or is begun by it; failing
    that, one that differs in the names of list entries only."""
    about = plain_path(error.path)
    found = [key for key in variant.set if related(plain_path(key), about)] or [
        key for key in variant.set if related(anonymous(plain_path(key)), anonymous(about))
    ]
    return max(found, key=len, default=next(iter(variant.set)) if len(variant.set) == 1 else "")


def related(one: str, other: str) -> bool:
    return (
        one == other or one.startswith((f"{other}.", f"{other}[")) or other.startswith((f"{one}.", f"{one}["))
    )


def anonymous(path: str) -> str:
    return re.sub(r"\[[^]]*\]", "[]", path)


def plain_path(path: str) -> str:
    """A field path, or the path of a complaint, without what comes before the document's own fields."""
    of_object = re.fullmatch(r"manifests\[(?:(\w+)/)(?:[^/\]]+/)?([^/\]]+)\]\.?(.*)", path)
    if of_object:
        return f"{of_object[1]}/{of_object[2]}: {of_object[3]}"
    return path.removeprefix("spec.").removeprefix(CLUSTER)
