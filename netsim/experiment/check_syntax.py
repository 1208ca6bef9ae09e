"""The check language, from text to a syntax tree with positions: Python's grammar, cut down, plus `5s` and `1%`.

Called by `checks`. Python's own parser does the work, and a whitelist decides what may come out of it; nothing is
ever executed. Quantities that Python does not know (`200ms`, `1m30s`, `1%`) are replaced by a name of underscores of
the same width before parsing, so that every column stays the user's own, and are found again by that column.
"""

import ast
import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netsim.engine import parse_duration

MAX_LENGTH: Final = 1000
MAX_NODES: Final = 200

_TOKEN: Final = re.compile(
    r"""
      (?P<text>'[ -&(-~]*' | "[ !#-~]*")
    | (?P<duration>(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+(?![A-Za-z0-9_.]))
    | (?P<percent>[0-9]+(?:\.[0-9]+)?%)
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<space>\s+)
    | (?P<foreign>\*\*|//)
    | (?P<operator><=|>=|==|!=|[-+*/().,<>])
    """,
    re.VERBOSE,
)

_KEYWORDS: Final = frozenset({"and", "or", "not"})
_UNITS: Final = frozenset({"ns", "us", "ms", "s", "m", "h"})

_ALLOWED: Final = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.Div, ast.Compare, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq, ast.Call, ast.Attribute, ast.Name,
    ast.Constant, ast.Load,
)  # fmt: skip


class CheckError(ValueError):
    """A check that cannot be understood: `column` (from 1) and what is wrong there."""

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(column, problem)
        self.column = column
        self.problem = problem

    def __str__(self) -> str:
        return f"column {self.column}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Duration:
    """A literal such as `200ms`."""

    ns: int


@dataclass(frozen=True, slots=True)
class Share:
    """A literal such as `1%`, as a fraction of 1."""

    value: float


@dataclass(frozen=True, slots=True)
class Parsed:
    """The tree of an expression; `literals` holds the quantities by the column (from 1) of their stand-ins."""

    root: ast.expr
    literals: dict[int, Duration | Share]

    @staticmethod
    def column(node: ast.expr) -> int:
        """Where a node begins, from 1."""
        return node.col_offset + 1


def parse(expression: str) -> Parsed:
    """The tree of an expression. Raises CheckError with the column and what to write instead."""
    if len(expression) > MAX_LENGTH:
        raise CheckError(MAX_LENGTH + 1, f"an expression may have {MAX_LENGTH} characters")
    if not expression.strip():
        raise CheckError(1, "the expression is empty: write for example failover('web').outage < 5s")
    literals: dict[int, Duration | Share] = {}
    source = "".join(_python(token, literals) for token in _tokens(expression))
    # The parser takes leading blanks for indentation; a newline cannot be in there any more.
    blanks = len(source) - len(source.lstrip())
    tree = _tree(source[blanks:], blanks)
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):
            node.col_offset += blanks
            node.end_col_offset = (node.end_col_offset or 0) + blanks
    _only_allowed(tree)
    return Parsed(tree.body, literals)


def _tokens(expression: str) -> Iterator["re.Match[str]"]:
    at = 0
    before = apart = ""
    while at < len(expression):
        token = _TOKEN.match(expression, at)
        if token is None:
            raise CheckError(at + 1, _unexpected(expression, at))
        if before in {"number", "percent"} and token.lastgroup in {"name", "number"}:
            raise CheckError(at + 1, f"{token[0]!r} is no unit: write ns, us, ms, s, m or h, as in 200ms")
        if apart == "number" and token[0] in _UNITS:
            raise CheckError(at + 1, f"write the unit right behind the number, as in 5{token[0]}")
        before = token.lastgroup or ""
        apart = apart if before == "space" else before
        at = token.end()
        yield token


def _unexpected(expression: str, at: int) -> str:
    character = expression[at]
    if character == "=":
        return "to compare write =="
    if character in "'\"":
        return "this text is not closed, or holds characters other than plain ASCII"
    if character in "&|!":
        return "write and, or, not"
    return f"{character!r} has no meaning here"


def _python(token: "re.Match[str]", literals: dict[int, Duration | Share]) -> str:
    """The token as Python may read it, of the same width."""
    kind, text, column = token.lastgroup, token[0], token.start() + 1
    if kind == "duration":
        literals[column] = Duration(parse_duration(text))
    elif kind == "percent":
        literals[column] = Share(float(text[:-1]) / 100)
    elif kind == "space":
        return " " * len(text)
    elif kind == "foreign" or (keyword.iskeyword(text) and text not in _KEYWORDS):
        raise CheckError(column, f"{text} is not part of the check language")
    elif kind == "name" and not text.strip("_"):
        raise CheckError(column, f"{text!r} is no name")
    else:
        return text
    return "_" * len(text)


def _tree(source: str, blanks: int) -> ast.Expression:
    try:
        return ast.parse(source, mode="eval")
    except SyntaxError as error:
        # At the end of the text the parser names column 0 of the next line.
        column = error.offset if error.offset and error.lineno == 1 else len(source.rstrip()) + 1
        raise CheckError(column + blanks, f"not an expression ({error.msg})") from None
    except (ValueError, RecursionError, MemoryError):
        raise CheckError(1, "too deeply nested") from None


def _only_allowed(tree: ast.Expression) -> None:
    nodes = list(ast.walk(tree))
    if len(nodes) > MAX_NODES:
        raise CheckError(1, f"too long: {len(nodes)} parts where {MAX_NODES} are allowed")
    for node in nodes:
        if not isinstance(node, _ALLOWED):
            column = getattr(node, "col_offset", 0) + 1
            raise CheckError(column, f"{_name_of(node)} is not part of the check language")


def _name_of(node: ast.AST) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(node).__name__).lower()
    return f"Python's {words}"
