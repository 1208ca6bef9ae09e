"""Parser events -> documents: plain data with a parallel tree of positions.

Called by: `loader`. Data are dict, list, str, int, float, bool; an entry without a value is left out of its mapping
(the API machinery of Kubernetes treats null as absent), but its position stays known.

Guards: duplicate keys are flaws with both lines; aliases may not expand to more than a bounded number of nodes (the
"billion laughs"); depth is bounded; tags beyond the core schema are refused and never executed. Merge keys (`<<`) work,
as in kubectl. After a syntax error reading goes on at the next `---`, so that one file reports several.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from netsim.experiment.errors import PathItem
from netsim.experiment.yaml_events import Kind, YamlSyntaxError, parse_events
from netsim.experiment.yaml_scalars import resolve

MAX_DEPTH = 100
MAX_NODES = 5_000_000
MAX_ALIASED_NODES = 100_000

Path = tuple[PathItem, ...]
_RESOLVED_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null"))
_CORE_TAGS = _RESOLVED_TAGS | {f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq")}
_NEXT_DOCUMENT = re.compile(r"^---(?=\s|$)", re.MULTILINE)


@dataclass(slots=True)
class Node:
    """Where a value is (lines and columns from 1) and where its parts are."""

    line: int
    column: int
    # A mapping: key -> (line, column of the key, value). A sequence: index -> (line, column of the item, item).
    parts: dict[PathItem, tuple[int, int, "Node"]]

    def find(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Position of the value at the path, or of its key; of the innermost known part if the path ends early."""
        node, at = self, (self.line, self.column)
        for item in path:
            part = node.parts.get(item)
            if part is None:
                return at
            node = part[2]
            at = part[:2]
        return at if key else (node.line, node.column)

    def below(self, path: Path) -> "Node":
        """The node at an existing path."""
        node = self
        for item in path:
            node = node.parts[item][2]
        return node


# The parts of a scalar: none.
_LEAF: dict[PathItem, tuple[int, int, Node]] = {}


@dataclass(slots=True)
class Flaw:
    """Something wrong that does not keep the rest of the file from being read."""

    path: Path
    line: int
    column: int
    message: str


@dataclass(slots=True)
class Document:
    """One document of a file."""

    data: Any
    node: Node
    flaws: list[Flaw] = field(default_factory=list)


@dataclass(slots=True)
class ParsedFile:
    """The documents of a file and its syntax errors (path empty)."""

    documents: list[Document] = field(default_factory=list)
    errors: list[Flaw] = field(default_factory=list)


class _TooBigError(Exception):
    """A bound was passed; the rest of the file is not read."""


@dataclass(slots=True)
class _Anchored:
    value: Any
    node: Node
    size: int


class _Builder:
    """Builds one document after the other from the events."""

    def __init__(self, events: Iterator[tuple[Kind, Any]], first_line: int) -> None:
        self._events = events
        self._first_line = first_line + 1
        self._anchors: dict[str, _Anchored | None] = {}
        self._flaws: list[Flaw] = []
        self._nodes = 0
        self._aliased = 0

    def documents(self) -> Iterator[Document]:
        for kind, _ in self._events:
            if kind is Kind.DOCUMENT:
                self._anchors, self._flaws = {}, []
                value, node = self._value(*next(self._events), ())
                next(self._events)  # the document's end: a syntax error may be just before it
                yield Document(value, node, self._flaws)

    def _at(self, event: Any) -> tuple[int, int]:
        mark = event.start_mark
        return mark.line + self._first_line, mark.column + 1

    def _flaw(self, event: Any, path: Path, message: str) -> None:
        self._flaws.append(Flaw(path, *self._at(event), message))

    def _value(self, kind: Kind, event: Any, path: Path) -> tuple[Any, Node]:
        if kind is Kind.ALIAS:
            return self._alias(event, path)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _TooBigError(*self._at(event), f"more than {MAX_NODES:,} values")
        if len(path) > MAX_DEPTH:
            raise _TooBigError(*self._at(event), f"nested deeper than {MAX_DEPTH} levels")
        if event.tag is not None and str(event.tag) != "!" and str(event.tag) not in _CORE_TAGS:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self._flaw(event, path, f"the tag {tag} is refused: netsim reads plain data only")
        if event.anchor is None:
            return self._content(kind, event, path)
        return self._anchored(kind, event, path)

    def _anchored(self, kind: Kind, event: Any, path: Path) -> tuple[Any, Node]:
        self._anchors[event.anchor] = None  # not finished: an alias to it from inside would be endless
        before = self._nodes + self._aliased
        value, node = self._content(kind, event, path)
        self._anchors[event.anchor] = _Anchored(value, node, self._nodes + self._aliased - before + 1)
        return value, node

    def _alias(self, event: Any, path: Path) -> tuple[Any, Node]:
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            inside = event.anchor in self._anchors
            problem = "is used inside itself" if inside else "is not defined above"
            self._flaw(event, path, f"the anchor &{event.anchor} {problem}")
            return None, Node(*self._at(event), _LEAF)
        self._aliased += anchored.size
        if self._aliased > MAX_ALIASED_NODES:
            message = f"aliases expand to more than {MAX_ALIASED_NODES:,} values (an alias bomb?)"
            raise _TooBigError(*self._at(event), message)
        return anchored.value, anchored.node

    def _content(self, kind: Kind, event: Any, path: Path) -> tuple[Any, Node]:
        if kind is Kind.SCALAR:
            return self._scalar(event, path), Node(*self._at(event), _LEAF)
        node = Node(*self._at(event), {})
        if kind is Kind.SEQUENCE:
            return self._sequence(node, path), node
        return self._mapping(node, path), node

    def _scalar(self, event: Any, path: Path) -> Any:
        text = event.value
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            self._flaw(event, path, "half of a surrogate pair is no character: write \\U and eight digits")
            text = text.encode("ascii", "backslashreplace").decode()
        if event.implicit[0] or (event.tag is not None and str(event.tag) in _RESOLVED_TAGS):
            return resolve(text)
        return text

    def _sequence(self, node: Node, path: Path) -> list[Any]:
        items: list[Any] = []
        for kind, event in self._events:
            if kind is Kind.END:
                break
            value, part = self._value(kind, event, (*path, len(items)))
            node.parts[len(items)] = (*self._at(event), part)
            items.append(value)
        return items

    def _mapping(self, node: Node, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        merges: list[tuple[Any, Node]] = []
        for kind, event in self._events:
            if kind is Kind.END:
                break
            key = self._key(kind, event, path)
            value, part = self._value(*next(self._events), (*path, key or "?"))
            if key is None:
                continue
            if value is None:
                part = Node(*self._at(event), _LEAF)  # nothing there to point at
            if key == "<<" and event.implicit[0]:
                merges.append((value, part))
            elif key in node.parts:
                first = node.parts[key][0]
                self._flaw(
                    event, (*path, key), f'duplicate key "{key}" (first on line {first}): remove one of them'
                )
            else:
                node.parts[key] = (*self._at(event), part)
                if value is not None:
                    entries[key] = value
        for value, part in merges:
            self._merge(entries, node, value, part, path)
        return entries

    def _key(self, kind: Kind, event: Any, path: Path) -> str | None:
        if kind is Kind.SCALAR:
            self._nodes += 1
            return str(event.value)
        self._value(kind, event, path)
        self._flaw(event, path, "a key must be a plain word, not a list, a mapping or an alias")
        return None

    def _merge(self, entries: dict[str, Any], node: Node, value: Any, part: Node, path: Path) -> None:
        sources = (
            [(item, part.parts[i][2]) for i, item in enumerate(value)]
            if isinstance(value, list)
            else [(value, part)]
        )
        for source, places in sources:
            if not isinstance(source, dict):
                message = "<< merges mappings: write an alias to one, such as *defaults"
                self._flaws.append(Flaw((*path, "<<"), part.line, part.column, message))
                continue
            for key, place in places.parts.items():
                if key not in node.parts:
                    node.parts[key] = place
                    if key in source:
                        entries[str(key)] = source[key]


def parse_yaml(text: str) -> ParsedFile:
    """All documents of a text; after a syntax error, those that follow the next `---`."""
    parsed = ParsedFile()
    start, first_line = 0, 0
    while True:
        rest = text[start:]
        try:
            parsed.documents.extend(_Builder(parse_events(rest), first_line).documents())
            return parsed
        except YamlSyntaxError as error:
            flaw = Flaw((), error.line + first_line + 1, error.column + 1, error.message)
        except _TooBigError as error:
            parsed.errors.append(Flaw((), *error.args))
            return parsed
        parsed.errors.append(flaw)
        following = _NEXT_DOCUMENT.search(rest, _offset_of_line(rest, flaw.line - first_line))
        if following is None:
            return parsed
        start += following.start()
        first_line = text.count("\n", 0, start)


def _offset_of_line(text: str, line: int) -> int:
    """Where the line after this many lines begins."""
    offset = 0
    for _ in range(line):
        offset = text.find("\n", offset) + 1
        if offset == 0:
            return len(text)
    return offset
