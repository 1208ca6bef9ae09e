"""YAML: what scalars mean, where things are, that nothing is executed, and that both parsers agree."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.experiment import yaml_events
from netsim.experiment.yaml_scalars import resolve
from netsim.experiment.yaml_tree import Node, ParsedFile, parse_yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("Null", None), ("nULL", "nULL"),
        ("true", True), ("False", False), ("yes", "yes"), ("on", "on"), ("y", "y"), ("NO", "NO"),
        ("12", 12), ("-3", -3), ("+4", 4), ("007", 7), ("0o17", 15), ("0x1F", 31), ("22:22", "22:22"),
        ("1_000", "1_000"), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), (".inf", float("inf")),
        ("-.inf", float("-inf")), ("1.2.3", "1.2.3"), ("10.244.0.0/16", "10.244.0.0/16"), ("2026-11-21", "2026-11-21"),
        ("-", "-"), (".", "."), ("..", ".."), ("0b1", "0b1"), ("9" * 101, "9" * 101), ("نعم", "نعم"),
    ],
)  # fmt: skip
def test_core_schema(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def data(text: str) -> list[Any]:
    return [document.data for document in parse_yaml(text).documents]


def flaws(text: str) -> list[tuple[int, int, str]]:
    return [(flaw.line, flaw.column, flaw.message) for d in parse_yaml(text).documents for flaw in d.flaws]


def errors(text: str) -> list[tuple[int, int, str]]:
    return [(flaw.line, flaw.column, flaw.message) for flaw in parse_yaml(text).errors]


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("a: 1\n---\nb: [x, 'y', \"z\"]\n", [{"a": 1}, {"b": ["x", "y", "z"]}]),
        (
            "a: '1'\nb: !!str 1\nc: !!int '1'\n80: x\ntrue: y\n",
            [{"a": "1", "b": "1", "c": 1, "80": "x", "true": "y"}],
        ),
        ("a: ~\nb:\nc: ''\n", [{"c": ""}]),
        (
            "base: &base {p: 1, q: 2}\nuse:\n  <<: *base\n  q: 3\n",
            [{"base": {"p": 1, "q": 2}, "use": {"p": 1, "q": 3}}],
        ),
        ("- &a {x: 1}\n- <<: [*a, {x: 2, y: 3}]\n", [[{"x": 1}, {"x": 1, "y": 3}]]),
        ("'<<': 1\n", [{"<<": 1}]),
        ("a: |\n  two\n  lines\nb: >-\n  one\n  line\n", [{"a": "two\nlines\n", "b": "one line"}]),
        ("%YAML 1.2\n---\na: 1\n...\n", [{"a": 1}]),
    ],
)
def test_data(text: str, documents: list[Any]) -> None:
    assert data(text) == documents
    assert flaws(text) == errors(text) == []


def test_positions_of_keys_and_values() -> None:
    node = parse_yaml("# comment\nspec:\n  ports:\n  - {port: 80}\n  - port:\n")
    root = node.documents[0].node
    assert root.find(("spec", "ports", 0, "port")) == (4, 12)
    assert root.find(("spec", "ports", 0, "port"), key=True) == (4, 6)
    assert root.find(("spec", "ports", 1, "port"), key=True) == (5, 5)  # an empty entry is still known
    assert root.find(("spec", "ports", 1, "name")) == (5, 5)  # the innermost place that is known
    assert root.find(("spec", "missing")) == (2, 1)


def test_reading_goes_on_after_a_syntax_error() -> None:
    text = "a: 1\n---\nb: [1\n---\nc: d: e\n---\nf: 1\n"
    assert data(text) == [{"a": 1}, {"f": 1}]
    assert [(line, column) for line, column, _ in errors(text)] == [(3, 4), (5, 5)]


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\na: 2\n", 2, 1, 'duplicate key "a" (first on line 1)'),
        ("a: &x [*x]\n", 1, 8, "used inside itself"),
        ("a: *x\n", 1, 4, "not defined"),
        ("a: &x 1\n---\nb: *x\n", 3, 4, "not defined"),
        ("a: !!python/object/apply:os.system ['id']\n", 1, 4, "!!python/object/apply:os.system is refused"),
        ("a: !include /etc/passwd\n", 1, 4, "!include is refused"),
        ("a: !!binary aGk=\n", 1, 4, "!!binary is refused"),
        ("? {a: 1}\n: 2\n", 1, 3, "a key must be a plain word"),
        ("<<: 1\n", 1, 5, "<< merges mappings"),
    ],
)
def test_flaws(text: str, line: int, column: int, words: str) -> None:
    ((found_line, found_column, message),) = flaws(text)
    assert (found_line, found_column) == (line, column)
    assert words in message


def same_nodes(one: Node, other: Node) -> bool:
    if (one.line, one.column, one.parts.keys()) != (other.line, other.column, other.parts.keys()):
        return False
    return all(
        part[:2] == other.parts[key][:2] and same_nodes(part[2], other.parts[key][2])
        for key, part in one.parts.items()
    )


def parse_with(text: str, threshold: int, monkeypatch: pytest.MonkeyPatch) -> ParsedFile:
    monkeypatch.setattr(yaml_events, "FAST_FROM_CHARACTERS", threshold)
    return parse_yaml(text)


@pytest.mark.parametrize(
    "folder", ["topologies", "experiments", "tests/broken", "tests/broken/several-files"]
)
def test_the_fast_parser_gives_the_same(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if yaml_events._fast_module() is None:
        pytest.skip("PyYAML with libyaml is not installed")
    for path in sorted((ROOT / folder).glob("**/*.yaml")):
        text = path.read_text(encoding="utf-8")
        slow, fast = parse_with(text, 1 << 62, monkeypatch), parse_with(text, 0, monkeypatch)
        assert [d.data for d in slow.documents] == [d.data for d in fast.documents], path
        assert [d.flaws for d in slow.documents] == [d.flaws for d in fast.documents], path
        assert slow.errors == fast.errors, path
        for one, other in zip(slow.documents, fast.documents, strict=True):
            assert same_nodes(one.node, other.node), path


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@, \n\t0", max_size=60))
def test_any_text_parses_or_has_errors(text: str) -> None:
    parsed = parse_yaml(text)
    for flaw in parsed.errors:
        assert flaw.line >= 1
        assert flaw.column >= 1
        assert flaw.message
