"""YAML text -> parser events, and syntax errors in plain words.

Called by: `yaml_tree`. ruamel.yaml (YAML 1.2, pure Python) is the parser whose errors are shown. Large files take
libyaml's parser instead when PyYAML is installed with it: the same events several times as fast. Both give only
events here (what is where); what a scalar *means* is decided in `yaml_scalars`, so the dialect is the same.
"""

import importlib
import re
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as pure
from ruamel.yaml.error import MarkedYAMLError, YAMLError

# Below this the pure parser takes less than about a third of a second.
FAST_FROM_CHARACTERS = 64 * 1024


class Kind(IntEnum):
    """The events that matter."""

    OTHER = 0
    DOCUMENT = 1
    SCALAR = 2
    ALIAS = 3
    MAPPING = 4
    SEQUENCE = 5
    END = 6


_KINDS = {
    "DocumentStartEvent": Kind.DOCUMENT,
    "ScalarEvent": Kind.SCALAR,
    "AliasEvent": Kind.ALIAS,
    "MappingStartEvent": Kind.MAPPING,
    "SequenceStartEvent": Kind.SEQUENCE,
    "MappingEndEvent": Kind.END,
    "SequenceEndEvent": Kind.END,
}


class YamlSyntaxError(Exception):
    """The text is not YAML; `line` and `column` count from 0."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(line, column, message)
        self.line, self.column, self.message = line, column, message


def _kinds_of(module: Any) -> dict[type, Kind]:
    return {getattr(module, name): kind for name, kind in _KINDS.items()}


_PURE_KINDS = _kinds_of(pure)


def _fast_module() -> Any | None:
    """PyYAML, when it is installed and was built with libyaml."""
    try:
        module = importlib.import_module("yaml")
    except ImportError:
        return None
    return module if getattr(module, "__with_libyaml__", False) else None


def parse_events(text: str, *, fast: bool | None = None) -> Iterator[tuple[Kind, Any]]:
    """All events of the text with their kind. Raises YamlSyntaxError at the first error.

    `fast` chooses the parser; by default the length of the text does. A text with an error is always parsed by the
    pure parser, so that messages do not depend on what is installed.
    """
    module = _fast_module() if (len(text) >= FAST_FROM_CHARACTERS if fast is None else fast) else None
    if module is not None:
        kinds = _kinds_of(module)
        try:
            events = list(module.parse(text, Loader=module.CLoader))
        except module.YAMLError:
            pass
        else:
            yield from ((kinds.get(type(event), Kind.OTHER), event) for event in events)
            return
    yield from _pure_events(text)


def _pure_events(text: str) -> Iterator[tuple[Kind, Any]]:
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            yield _PURE_KINDS.get(type(event), Kind.OTHER), event
    except MarkedYAMLError as error:
        raise _in_plain_words(error, text) from None
    except YAMLError as error:
        raise YamlSyntaxError(0, 0, str(error).splitlines()[0]) from None
    except (ValueError, OverflowError):  # ruamel's chr() of an escape such as "\UFFFFFFFF"
        raise YamlSyntaxError(*_bad_escape(text), "this escape is no character") from None


_COLON = 'a ":" cannot be here: bad indentation, no ":" on the line above, or a value that needs quotes'

# (pattern of ruamel's words, ours, point at the beginning of the construct instead of where parsing stopped)
_WORDS: tuple[tuple[str, str, bool], ...] = (
    (r"mapping values are not allowed", _COLON, False),
    (r"sequence entries are not allowed", '"- " cannot be here: begin the list on a line of its own', False),
    (r"could not find expected ':'", 'expected "key: value": is a ":" missing here?', True),
    (r"found character '\\t'", "a tab cannot indent: use spaces", False),
    (r"found character (.*) that cannot start", "a value cannot begin with {0}: put it in quotes", False),
    (r"found unexpected end of stream", "the quote that begins here is never closed", True),
    (r"expected ',' or '(.)', but got '<[sd]\w+ ", 'the bracket that begins here is never closed: no "{0}"', True),
    (r"expected ',' or '(.)', but got '(.+)'", 'expected "," or "{0}" but found "{1}" (inside brackets)', False),
    (r"expected <block end>, but found", "this does not line up with the lines above: wrong indentation", False),
    (r"expected the node content, but found '<[sd]\w+ ", "the bracket that begins here is never closed", True),
    (r"expected the node content, but found '(.*)'", 'unexpected "{0}"', False),
    (r"found unknown escape character (.*)", "unknown escape \\{0} in double quotes: use single quotes", False),
    (r"found undefined tag handle|found unknown directive", "tags and directives are not used here: remove it", False),
)  # fmt: skip


def _in_plain_words(error: MarkedYAMLError, text: str) -> YamlSyntaxError:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context)
    for pattern, words, at_beginning in _WORDS:
        match = re.search(pattern, problem)
        if match:
            place = (error.context_mark if at_beginning else None) or mark
            problem = words.format(*(group.strip("'") for group in match.groups()))
            break
    else:
        place = mark
    if place is None:
        return YamlSyntaxError(0, 0, problem)
    if _is_indented_by_tab(text, place.line):
        problem = "a tab cannot indent: use spaces"
    return YamlSyntaxError(place.line, place.column, problem)


def _bad_escape(text: str) -> tuple[int, int]:
    """Position of the first \\U escape beyond Unicode."""
    for number, line in enumerate(text.splitlines()):
        match = re.search(r"\\U(?!000|0010)[0-9a-fA-F]{8}", line)
        if match:
            return number, match.start()
    return 0, 0


def _is_indented_by_tab(text: str, line: int) -> bool:
    lines = text.splitlines()
    return line < len(lines) and re.match(r" *\t", lines[line]) is not None
