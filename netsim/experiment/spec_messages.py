"""pydantic's complaints -> sentences that say what is wrong and what to write instead, each with its position.

Called by: `loader`, for netsim's own documents and for manifests alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from netsim.cluster.objects import ApiObject
from netsim.cluster.validation.field import invalid, not_supported
from netsim.cluster.validation.names import PORT_NUMBER
from netsim.experiment.errors import PathItem, Problems, path_text
from netsim.experiment.spec_names import did_you_mean, field_names
from netsim.experiment.spec_salvage import real_path
from netsim.experiment.yaml_tree import Node

Path = tuple[PathItem, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from: the file, the position tree, and how paths begin (`Deployment/web: `, `spec.`)."""

    file: str
    node: Node
    prefix: str = ""

    def path(self, path: Path) -> str:
        """The path as messages show it."""
        if not path and self.prefix.endswith("."):
            return self.prefix[:-1]
        return f"{self.prefix}{path_text(path)}"

    def add(self, problems: Problems, path: Path, message: str, *, key: bool = False) -> None:
        """Record a problem at a path of this value (at its key: for fields that should not be there)."""
        problems.add(self.file, self.node.find(path, key=key), self.path(path), message)


# Numbers of ports, about which the API server has words of its own.
_PORTS = ("port", "containerPort", "number")
_BOUNDS = ("greater_than_equal", "less_than_equal")


def report(
    error: ValidationError, model: type[BaseModel], raw: Any, source: Source, problems: Problems
) -> None:
    """Record every problem of a failed validation."""
    for path, details in _merged(error, raw, source.node):
        kind = details[0]["type"]
        if kind == "extra_forbidden":
            names = field_names(model, path[:-1])
            known = did_you_mean(str(path[-1]), names) or _choices(names)
            source.add(problems, path, f'unknown field "{path[-1]}"{known}', key=True)
        elif kind == "missing":
            _report_missing(path, source, problems)
        elif path[-1] in _PORTS and kind in _BOUNDS and issubclass(model, ApiObject):
            source.add(problems, path, invalid((), details[0]["input"], PORT_NUMBER).text)
        elif kind == "literal_error" and len(details) == 1 and issubclass(model, ApiObject):
            source.add(problems, path, _unsupported(details[0]))
        else:
            source.add(problems, path, " or ".join(dict.fromkeys(_sentence(entry) for entry in details)))


def _report_missing(path: Path, source: Source, problems: Problems) -> None:
    name = path[-1]
    if isinstance(name, int):
        source.add(problems, path[:-1], f"item {name + 1} is missing")
        return
    parent = source.node.below(path[:-1])
    if name in parent.parts:
        source.add(problems, path, f'"{name}" is empty: it needs a value', key=True)
    else:
        source.add(problems, path[:-1], f'missing field "{name}"', key=bool(path[:-1]))


def _merged(error: ValidationError, raw: Any, node: Node) -> Iterator[tuple[Path, list[ErrorDetails]]]:
    """The complaints by the place in the file that they are about (a union complains once for each choice)."""
    found: dict[Path, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        path = real_path(details["loc"], details["type"], raw)
        found.setdefault(path, []).append(details)
    yield from sorted(found.items(), key=lambda item: node.find(item[0], key=True))


def _choices(names: list[str]) -> str:
    return f" (known here: {', '.join(sorted(names))})" if 0 < len(names) <= 12 else ""


def _shown(value: Any) -> str:
    """A value as it would stand in the file, shortened."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _whole_number(value: Any) -> str:
    hint = ": remove the quotes" if isinstance(value, str) and value.lstrip("-").isdigit() else ""
    return f"must be a whole number, not {_shown(value)}{hint}"


def _text(value: Any) -> str:
    hint = f': write "{_shown(value)}" in quotes' if isinstance(value, int | float) else ""
    return f"must be text, not {_shown(value)}{hint}"


def _listed(expected: str) -> list[str]:
    """pydantic's `'a', 'b' or 'c'`, taken apart."""
    return [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]


def _expected(context: dict[str, Any], value: Any) -> str:
    choices = _listed(context["expected"])
    shown = [choice or '""' for choice in choices]
    words = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
    return f"{_shown(value)} is not possible here: write {words}{did_you_mean(str(value), choices)}"


def _unsupported(details: ErrorDetails) -> str:
    """A value of an API object that is not one of those that there are, as the API server says it."""
    choices = [choice for choice in _listed(details["ctx"]["expected"]) if choice]
    value = details["input"]
    return not_supported((), value, choices).text + did_you_mean(str(value), choices)


_SENTENCES: dict[str, Callable[[dict[str, Any], Any], str]] = {
    "int_type": lambda _, value: _whole_number(value),
    "int_parsing": lambda _, value: _whole_number(value),
    "int_from_float": lambda _, value: _whole_number(value),
    "int_parsing_size": lambda _, value: f"{_shown(value)} is out of range",
    "float_type": lambda _, value: f"must be a number, not {_shown(value)}",
    "float_parsing": lambda _, value: f"must be a number, not {_shown(value)}",
    "string_type": lambda _, value: _text(value),
    "bool_type": lambda _, value: f"must be true or false, not {_shown(value)}",
    "model_type": lambda _, value: f"must be a mapping, not {_shown(value)}",
    "model_attributes_type": lambda _, value: f"must be a mapping, not {_shown(value)}",
    "dict_type": lambda _, value: f"must be a mapping, not {_shown(value)}",
    "tuple_type": lambda _, value: f'must be a list, not {_shown(value)}: begin each item with "- "',
    "list_type": lambda _, value: f'must be a list, not {_shown(value)}: begin each item with "- "',
    "literal_error": _expected,
    "greater_than_equal": lambda context, value: f"{_shown(value)} is too small: at least {context['ge']:g}",
    "greater_than": lambda context, value: f"{_shown(value)} is too small: more than {context['gt']:g}",
    "less_than_equal": lambda context, value: f"{_shown(value)} is too large: at most {context['le']:g}",
    "less_than": lambda context, value: f"{_shown(value)} is too large: less than {context['lt']:g}",
    "too_short": lambda context, _: f"needs at least {context['min_length']} item(s)",
    "too_long": lambda context, _: f"at most {context['max_length']} item(s) are possible",
    "string_too_short": lambda _, __: "must not be empty",
    "string_too_long": lambda context, _: f"is longer than {context['max_length']} characters",
    "string_pattern_mismatch": lambda _, value: (
        f"{_shown(value)} is no name: use lower-case letters, digits and hyphens, as in web-1"
    ),
    "value_error": lambda context, _: str(context["error"]),
}


def _sentence(details: ErrorDetails) -> str:
    make = _SENTENCES.get(details["type"])
    if make is None:
        return details["msg"][:1].lower() + details["msg"][1:]
    return make(details.get("ctx", {}), details["input"])
