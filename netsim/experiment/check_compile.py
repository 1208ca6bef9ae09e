"""Compiling checks: from a syntax tree to something that can be evaluated, with every part's kind known.

Called by `checks.compile_check`. Durations, numbers, claims (true or false) and texts do not mix, except that a
literal 0 may be compared with a duration. All values are numpy arrays, so that what has a value per replication and
what has one value combine by numpy's own rules.
"""

import ast
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from netsim.experiment.check_names import AGGREGATES, SUBJECTS, Kind, Measurements, Quantity, Subject, Unit
from netsim.experiment.check_syntax import CheckError, Duration, Parsed, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Found = NDArray[Any] | str
    Evaluate = Callable[[Measurements], Found]


@dataclass(frozen=True, slots=True)
class Term:
    """A compiled part of an expression. `zero` marks a literal 0, which needs no unit."""

    kind: Kind
    evaluate: "Evaluate"
    zero: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """Something measured: shown in the result under its own text."""

    text: str
    unit: Unit
    evaluate: "Evaluate"


_WORDS: Final[dict[Kind, str]] = {
    "duration": "duration",
    "number": "number",
    "truth": "claim",
    "text": "text",
}

_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}

# (left, operator, right) -> kind; what is not here has no meaning.
_KINDS: Final[dict[tuple[Kind, type[ast.operator], Kind], Kind]] = {
    **{("number", op, "number"): "number" for op in _ARITHMETIC},
    ("duration", ast.Add, "duration"): "duration",
    ("duration", ast.Sub, "duration"): "duration",
    ("duration", ast.Mult, "number"): "duration",
    ("number", ast.Mult, "duration"): "duration",
    ("duration", ast.Div, "number"): "duration",
    ("duration", ast.Div, "duration"): "number",
}


class Compiler:
    """Turns a syntax tree into terms, noting what is measured."""

    def __init__(self, expr: str, parsed: Parsed) -> None:
        self.expr = expr
        self.parsed = parsed
        self.leaves: list[Leaf] = []
        self.services: list[str] = []
        self.loads: list[str] = []
        self.pods: list[str] = []

    def fail(self, node: ast.expr, problem: str) -> CheckError:
        return CheckError(self.parsed.column(node), problem)

    def term(self, node: ast.expr) -> Term:
        """Compile any node. Raises CheckError."""
        match node:
            case ast.BoolOp():
                return self.logic(node)
            case ast.UnaryOp():
                return self.unary(node)
            case ast.BinOp():
                return self.arithmetic(node)
            case ast.Compare():
                return self.comparison(node)
            case ast.Constant():
                return self.constant(node)
            case ast.Name() if self.parsed.column(node) in self.parsed.literals:
                return self.literal(node)
            case _:
                return self.measured(node)

    def logic(self, node: ast.BoolOp) -> Term:
        import numpy as np

        parts = [self.claim(value) for value in node.values]
        combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or

        def evaluate(m: Measurements) -> "Found":
            result = np.asarray(parts[0].evaluate(m))
            for part in parts[1:]:
                result = np.asarray(combine(result, part.evaluate(m)))
            return result

        return Term("truth", evaluate)

    def claim(self, node: ast.expr) -> Term:
        term = self.term(node)
        if term.kind != "truth":
            raise self.fail(node, "and, or, not combine claims: compare this value with something first")
        return term

    def unary(self, node: ast.UnaryOp) -> Term:
        import numpy as np

        if isinstance(node.op, ast.Not):
            inner = self.claim(node.operand)
            return Term("truth", lambda m: np.logical_not(inner.evaluate(m)))
        inner = self.term(node.operand)
        if inner.kind not in {"duration", "number"}:
            raise self.fail(node, f"minus has no meaning for a {_WORDS[inner.kind]}")
        return Term(inner.kind, lambda m: np.negative(inner.evaluate(m)), inner.zero)

    def arithmetic(self, node: ast.BinOp) -> Term:
        left, right, symbol = self.term(node.left), self.term(node.right), type(node.op)
        kind = _KINDS.get((left.kind, symbol, right.kind))
        if kind is None:
            raise self.fail(
                node, f"a {_WORDS[left.kind]} and a {_WORDS[right.kind]} cannot be combined like this"
            )
        apply = _ARITHMETIC[symbol]
        return Term(kind, lambda m: apply(left.evaluate(m), right.evaluate(m)))

    def comparison(self, node: ast.Compare) -> Term:
        import numpy as np

        terms = [self.term(part) for part in (node.left, *node.comparators)]
        steps = [(left, op, right) for (left, right), op in zip(pairwise(terms), node.ops, strict=True)]
        for part, (left, op, right) in zip(node.comparators, steps, strict=True):
            self.comparable(part, left, right, op)

        def evaluate(m: Measurements) -> "Found":
            found = [_COMPARE[type(op)](left.evaluate(m), right.evaluate(m)) for left, op, right in steps]
            return np.asarray(np.logical_and.reduce(np.broadcast_arrays(*found)))

        return Term("truth", evaluate)

    def comparable(self, node: ast.expr, left: Term, right: Term, symbol: ast.cmpop) -> None:
        kinds = {left.kind, right.kind}
        if kinds == {"duration", "number"} and not (left.zero or right.zero):
            raise self.fail(
                node, "a duration is compared with a plain number: give it a unit, as in 5s or 200ms"
            )
        if len(kinds) > 1 and kinds != {"duration", "number"}:
            raise self.fail(node, f"a {_WORDS[left.kind]} cannot be compared with a {_WORDS[right.kind]}")
        if kinds & {"text", "truth"} and not isinstance(symbol, ast.Eq | ast.NotEq):
            raise self.fail(node, f"a {_WORDS[left.kind]} can only be compared by == and !=")

    def constant(self, node: ast.Constant) -> Term:
        import numpy as np

        if isinstance(node.value, str):
            text = node.value
            return Term("text", lambda _: text)
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.fail(node, f"{node.value!r} has no meaning here")
        value = np.asarray(float(node.value))
        return Term("number", lambda _: value, zero=not node.value)

    def literal(self, node: ast.expr) -> Term:
        import numpy as np

        found = self.parsed.literals[self.parsed.column(node)]
        value = np.asarray(float(found.ns) if isinstance(found, Duration) else found.value)
        kind: Kind = "number" if isinstance(found, Share) else "duration"
        return Term(kind, lambda _: value)

    def measured(self, node: ast.expr) -> Term:
        """A quantity, with `.mean` and the like after it where it has many values."""
        if isinstance(node, ast.Attribute) and node.attr in AGGREGATES and not self.is_subject(node.value):
            inner = self.quantity(node.value)
            if not inner.each:
                raise self.fail(node, f"this is one value already and has no .{node.attr}")
            if inner.unit == "truth":
                raise self.fail(node, f"a claim has no .{node.attr}")
            return self.leaf(node, inner.unit, _aggregate(self.getter(node.value, inner), node.attr))
        quantity = self.quantity(node)
        return self.leaf(node, quantity.unit, self.getter(node, quantity))

    def is_subject(self, node: ast.expr) -> bool:
        head = node.func if isinstance(node, ast.Call) else node
        return isinstance(head, ast.Name)

    def leaf(self, node: ast.expr, unit: Unit, evaluate: "Evaluate") -> Term:
        text = self.expr[node.col_offset : node.end_col_offset]
        self.leaves.append(Leaf(text, unit, evaluate))
        return Term(Quantity(unit, lambda *_: "").kind, evaluate)

    def getter(self, node: ast.expr, quantity: Quantity) -> "Evaluate":
        texts = self.texts(node)
        return lambda m: quantity.get(m, texts)

    def texts(self, node: ast.expr) -> tuple[str, ...]:
        """All texts in parentheses, from the left: those of the subject, then those of the attribute."""
        match node:
            case ast.Call():
                return (
                    *self.texts(node.func),
                    *(str(a.value) for a in node.args if isinstance(a, ast.Constant)),
                )
            case ast.Attribute():
                return self.texts(node.value)
            case _:
                return ()

    def quantity(self, node: ast.expr) -> Quantity:
        """The quantity that a node names. Raises CheckError with the names that there are."""
        call = node if isinstance(node, ast.Call) else None
        target = call.func if call else node
        if isinstance(target, ast.Name):
            return self.bare(node, target, call)
        if not isinstance(target, ast.Attribute):
            raise self.fail(node, f"write one of {_list(SUBJECTS)}")
        word, subject = self.subject(target.value)
        if not subject.attributes:
            raise self.fail(node, f"{word} is a value itself and has nothing after a dot")
        if target.attr not in subject.attributes:
            at = (target.end_col_offset or 0) - len(target.attr) + 1
            raise CheckError(at, _unknown(target.attr, sorted(subject.attributes), f"after {word}"))
        quantity = subject.attributes[target.attr]
        given = self.arguments(call, f".{target.attr}", quantity.texts, quantity.texts)
        self.pods += given
        return quantity

    def bare(self, node: ast.expr, name: ast.Name, call: ast.Call | None) -> Quantity:
        word, subject = self.subject(call or name)
        if subject.quantity is None:
            raise self.fail(node, f"{word} needs a dot and one of {_list(subject.attributes)}")
        return subject.quantity

    def subject(self, node: ast.expr) -> tuple[str, Subject]:
        call = node if isinstance(node, ast.Call) else None
        name = call.func if call else node
        if not isinstance(name, ast.Name) or self.parsed.column(name) in self.parsed.literals:
            raise self.fail(node, f"write one of {_list(SUBJECTS)}")
        if name.id not in SUBJECTS:
            raise self.fail(name, _unknown(name.id, sorted(SUBJECTS), "here"))
        subject = SUBJECTS[name.id]
        texts = self.arguments(call, name.id, subject.least, subject.most, name)
        if subject.about == "service":
            self.services += texts[:1]
        else:
            self.loads += texts[:1]
        return name.id, subject

    def arguments(
        self, call: ast.Call | None, what: str, least: int, most: int, at: ast.expr | None = None
    ) -> tuple[str, ...]:
        """The texts in parentheses, as many as wanted."""
        values = list(call.args) if call else []
        texts = tuple(a.value for a in values if isinstance(a, ast.Constant) and isinstance(a.value, str))
        if len(texts) == len(values) and least <= len(texts) <= most and not (call and call.keywords):
            if call and not most:
                raise self.fail(call, f"{what} takes no parentheses")
            return texts
        example = f"{what}('my-nginx')" if least else what
        where = call or at
        problem = f"write {example}" if least or not most else f"write {what} or {what}('my-nginx')"
        raise self.fail(where, problem) if where else CheckError(1, problem)


def _aggregate(get: "Evaluate", how: str) -> "Evaluate":
    import numpy as np

    quantiles = {"min": 0.0, "p50": 0.5, "p95": 0.95, "max": 1.0}

    def evaluate(m: Measurements) -> "Found":
        values = np.asarray(get(m))
        return np.asarray(values.mean() if how == "mean" else np.quantile(values, quantiles[how]))

    return evaluate


def _unknown(name: str, valid: Sequence[str], where: str) -> str:
    near = get_close_matches(name, valid, 1)
    meant = f": did you mean {near[0]}?" if near else ""
    return f"unknown name {name!r} {where}{meant} (there are {_list(valid)})"


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
