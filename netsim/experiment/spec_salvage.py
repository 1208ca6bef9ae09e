"""What is usable of data with errors: the model without the wrong fields, so that the rest can still be checked.

Called by: the `loader_*` modules. A wrong or unknown field is left out; a mapping that lacks a required field is left
out as a whole; an item of a list takes its list with it, because indexes must keep their meaning. What was left out
decides which follow-up errors to keep quiet about (`is_follow_up`).
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from netsim.experiment.errors import PathItem

Path = tuple[PathItem, ...]
M = TypeVar("M", bound=BaseModel)
_ROUNDS = 50


def salvage(raw: Any, model: type[M]) -> tuple[M | None, list[Path]]:
    """The model of whatever is sound, or None when nothing is; and the paths that were left out."""
    removed: list[Path] = []
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(raw), removed
        except ValidationError as error:
            paths = {_culprit(entry["loc"], entry["type"], raw) for entry in error.errors(include_url=False)}
        if () in paths:
            break
        for path in sorted(paths, key=lambda path: (len(path), [str(item) for item in path])):
            raw = without(raw, path)
            removed.append(path)
    return None, removed


def real_path(location: Path, kind: str, raw: Any) -> Path:
    """The location of a complaint without the names of types that pydantic adds for unions."""
    path: list[PathItem] = []
    value = raw
    for index, item in enumerate(location):
        if kind == "missing" and index == len(location) - 1:
            path.append(item)
        elif isinstance(value, dict) and item in value:
            value = value[str(item)]
            path.append(item)
        elif isinstance(value, list) and isinstance(item, int) and item < len(value):
            value = value[item]
            path.append(item)
    return tuple(path)


def _culprit(location: Path, kind: str, raw: Any) -> Path:
    """The key to leave out because of a complaint; () when that would be everything."""
    path = real_path(location, kind, raw)
    if kind == "missing":
        path = path[:-1]
    while path and isinstance(path[-1], int):
        path = path[:-1]
    return path


def without(value: Any, path: Path) -> Any:
    """A copy of plain data without the key at a path (what is not on the path is shared)."""
    if not path or not isinstance(value, dict | list):
        return value
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        return [without(item, rest) if index == head else item for index, item in enumerate(value)]
    if rest:
        return {key: without(item, rest) if key == head else item for key, item in value.items()}
    return {key: item for key, item in value.items() if key != head}


def is_follow_up(path: Path, removed: list[Path], raw: Any) -> bool:
    """May an error at this path only be there because something was left out?

    It may if it is about the same mapping (a missing field, a contradiction between neighbours) or about something
    around it; and anywhere beside a list or mapping that is gone (a probe names a port of a list that is gone).
    """
    for gone in removed:
        parent = gone[:-1]
        if path[: len(gone)] == gone or path[:-1] == parent or gone[: len(path)] == path:
            return True
        if path[: len(parent)] == parent and isinstance(_dig(raw, gone), dict | list):
            return True
    return False


def _dig(value: Any, path: Path) -> Any:
    for item in path:
        if isinstance(value, dict):
            value = value.get(item)
        elif isinstance(value, list) and isinstance(item, int) and item < len(value):
            value = value[item]
        else:
            return None
    return value
