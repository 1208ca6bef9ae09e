"""The simple part of kubectl's JSONPath templates: `{.items[*].metadata.name}`, text, `\\n`, ranges and filters.

Called by: `output` (`-o jsonpath=`, `-o custom-columns=`, `--sort-by`). Source: k8s.io/client-go/util/jsonpath.

Known: fields (also `['a.b']` and `a\\.b`), `[n]`, `[a:b]`, `[*]`, `..name`, `[?(@.x=="y")]`, `{range X}...{end}`,
quoted text. Left out: unions, functions, steps in slices.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from netsim.experiment.kubectl.context import KubectlError

_STEP: Final = re.compile(
    r"""\.\.(?P<deep>[\w-]+)
      | \.?\[\?\(@(?P<path>(?:\.[\w\\./-]+)?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>"[^"]*"|'[^']*'|[\w.-]+))?\s*\)\]
      | \.?\[(?P<index>-?\d+)\]
      | \.?\[(?P<low>-?\d*):(?P<high>-?\d*)\]
      | \.?\[\*\] | \.\*(?P<star>)
      | \.?\[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]
      | \.(?P<name>(?:\\.|[\w/-])+)""",
    re.VERBOSE,
)
_COMPARE: Final = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True)
class Missing(Exception):
    """A field that the object does not have."""

    name: str


def select(data: Any, path: str, *, strict: bool = False) -> list[Any]:
    """What a path finds. Raises KubectlError for a path that is none, Missing for an absent field if `strict`."""
    found, at = [data], 0
    path = path.removeprefix("$").removeprefix("@")
    if path and path[0] not in ".[":
        path = f".{path}"
    if path == ".":
        return found
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise KubectlError(f"error: error parsing jsonpath {{{path}}}, unrecognized: {path[at:]!r}")
        found = [part for item in found for part in _step(item, step, strict)]
        at = step.end()
    return found


def _step(item: Any, step: re.Match[str], strict: bool) -> Iterator[Any]:
    groups = step.groupdict()
    if groups["deep"]:
        yield from _deep(item, groups["deep"])
    elif groups["path"] is not None:
        yield from (part for part in _parts(item) if _kept(part, groups))
    elif groups["index"]:
        index = int(groups["index"])
        if isinstance(item, list) and -len(item) <= index < len(item):
            yield item[index]
        elif strict:
            raise KubectlError(f"error: array index out of bounds: index {index}, length {len(_parts(item))}")
    elif groups["low"] is not None:
        low, high = (int(groups[end]) if groups[end] else None for end in ("low", "high"))
        yield from _parts(item)[low:high]
    elif groups["key"] is not None or groups["name"] is not None:
        name = groups["key"] if groups["key"] is not None else groups["name"].replace("\\", "")
        if isinstance(item, dict) and name in item:
            yield item[name]
        elif strict:
            raise Missing(name)
    else:
        yield from _parts(item)


def _parts(item: Any) -> list[Any]:
    return item if isinstance(item, list) else list(item.values()) if isinstance(item, dict) else []


def _deep(item: Any, name: str) -> Iterator[Any]:
    if isinstance(item, dict) and name in item:
        yield item[name]
    for part in _parts(item):
        yield from _deep(part, name)


def _kept(part: Any, groups: dict[str, Any]) -> bool:
    values = select(part, groups["path"] or ".")
    if groups["op"] is None:
        return bool(values)
    wanted = groups["value"]
    if wanted[0] in "'\"":
        wanted = wanted[1:-1]
    else:
        wanted = {"true": True, "false": False}.get(
            wanted, int(wanted) if wanted.lstrip("-").isdigit() else wanted
        )
    try:
        return any(_COMPARE[groups["op"]](value, wanted) for value in values)
    except TypeError:
        return False


# ---------------------------------------------------------------------- templates
_PIECE: Final = re.compile(r"\{((?:\"(?:\\.|[^\"])*\"|'(?:\\.|[^'])*'|[^{}])*)\}|([^{}]+)")


def render(template: str, data: Any) -> str:
    """A template over an object. Raises KubectlError."""
    if "{" not in template:
        template = f"{{{template}}}"
    pieces = _PIECE.findall(template)
    if "".join(f"{{{inner}}}" if inner or not text else text for inner, text in pieces) != template:
        raise KubectlError(f"error: error parsing jsonpath {template}, unclosed action")
    text, rest = _block([(inner.strip(), outer) for inner, outer in pieces], data, data)
    if rest:
        raise KubectlError(f"error: error parsing jsonpath {template}, unexpected end")
    return text


def _block(pieces: list[tuple[str, str]], data: Any, root: Any) -> tuple[str, list[tuple[str, str]]]:
    """Pieces up to the `end` of their range: the text, and what follows."""
    out = ""
    while pieces:
        (inner, outer), pieces = pieces[0], pieces[1:]
        if outer:
            out += outer
        elif inner == "end":
            return out, [("", ""), *pieces]
        elif inner.startswith("range "):
            items = select(root if inner[6:].strip().startswith("$") else data, inner[6:].strip())
            rest: list[tuple[str, str]] = []
            for item in items or [None]:
                text, rest = _block(pieces, item, root)
                out += text if items else ""
            if not rest:
                raise KubectlError("error: error parsing jsonpath, range without end")
            pieces = rest[1:]
        elif inner[:1] in "\"'" and inner:
            out += inner[1:-1].encode().decode("unicode_escape")
        elif inner:
            out += _shown(inner, root if inner.startswith("$") else data)
    return out, []


def _shown(path: str, data: Any) -> str:
    try:
        return " ".join(plain(value) for value in select(data, path, strict=True))
    except Missing:
        return ""


def plain(value: Any) -> str:
    """A value as JSONPath prints it: text bare, the rest as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
