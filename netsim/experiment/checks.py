"""Checks: expectations about a run, such as `failover('my-nginx').outage < 5s and errors < 1%`.

`compile_check` is called when an experiment is loaded: it finds every mistake in the expression (syntax, unknown names,
a duration compared with a bare number) before anything runs. `Check.evaluate` is called on the results. Names are in
`check_names`, the grammar in `check_syntax`. What has a value per replication must hold for each of them; what never
happened (a fault that nobody detected) holds for no comparison.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netsim.experiment.check_compile import Compiler, Leaf, Term
from netsim.experiment.check_names import Measurements, Unit
from netsim.experiment.check_syntax import CheckError, parse

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Check", "CheckError", "CheckResult", "compile_check"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of a check. `actual` shows the values found; `points` are what it is worth, `earned` what it got."""

    name: str
    expr: str
    passed: bool
    actual: str
    points: float = 0
    hint: str = ""

    @property
    def earned(self) -> float:
        """The points, or none."""
        return self.points if self.passed else 0


@dataclass(frozen=True, slots=True)
class Check:
    """A compiled check. `services`, `pods` and `loads` are the names that it asks about, for whoever validates them."""

    name: str
    expr: str
    points: float
    hint: str
    services: tuple[str, ...]
    pods: tuple[str, ...]
    during: tuple[int, int] | None
    _term: Term
    _leaves: tuple[Leaf, ...]
    loads: tuple[str, ...] = ()

    def evaluate(self, measurements: Measurements) -> CheckResult:
        """Whether it holds, with the values found. A Service, pod or fault that is not in the results fails it."""
        import numpy as np

        if self.during is not None:
            measurements = measurements.window(*self.during)
        try:
            with np.errstate(all="ignore"):
                passed = bool(np.all(self._term.evaluate(measurements)))
            actual = "; ".join(_shown(leaf, measurements, len(self._leaves) > 1) for leaf in self._leaves)
        except KeyError as error:
            passed, actual = False, str(error.args[0])
        except ValueError:
            passed, actual = False, "values of different numbers of faults cannot be combined"
        return CheckResult(self.name, self.expr, passed, actual, self.points, self.hint)


def compile_check(
    expr: str, *, name: str = "", points: float = 0, hint: str = "", during: tuple[int, int] | None = None
) -> Check:
    """Compile an expression. Raises CheckError (a ValueError) with the column, the problem and the valid names.

    `during` (start and end in nanoseconds of the experiment) limits it to the requests and faults that began then.
    """
    parsed = parse(expr)
    compiler = Compiler(expr, parsed)
    term = compiler.term(parsed.root)
    if term.kind != "truth":
        raise CheckError(1, "this is a value and no claim: compare it with something, as in errors < 1%")
    if not compiler.leaves:
        raise CheckError(
            1, "this asks nothing of the run: begin with errors, failover, latency, requests, split or client"
        )
    services, pods = dict.fromkeys(compiler.services), dict.fromkeys(compiler.pods)
    loads = tuple(dict.fromkeys(compiler.loads))
    return Check(
        name or expr,
        expr,
        points,
        hint,
        tuple(services),
        tuple(pods),
        during,
        term,
        tuple(compiler.leaves),
        loads,
    )


def _shown(leaf: Leaf, m: Measurements, named: bool) -> str:
    """The value of a leaf for people: one value, or the range over replications and faults."""
    import numpy as np

    found = leaf.evaluate(m)
    if isinstance(found, str):
        text = found
    elif np.size(found) == 1:
        text = _format(float(np.ravel(found)[0]), leaf.unit)
    else:
        text = _range(found, leaf.unit)
    return f"{leaf.text} = {text}" if named else text


def _range(values: "NDArray[Any]", unit: Unit) -> str:
    import numpy as np

    if unit == "truth":
        return f"true in {int(values.sum())} of {values.size} cases"
    missing, there = int(np.isnan(values).sum()), values[~np.isnan(values)]
    if not there.size:
        return "never"
    low, high = (_format(float(v), unit) for v in (there.min(), there.max()))
    mean = (
        f", {_format(float(there.mean()), unit)} on average"
        if np.isfinite(there).all() and low != high
        else ""
    )
    never = f", never in {missing}" if missing else ""
    return f"{low if low == high else f'{low} to {high}'}{mean} over {values.size} cases{never}"


def _format(value: float, unit: Unit) -> str:
    from math import isnan

    from netsim.measure.summary import seconds

    if isnan(value):
        return "never" if unit == "ns" else "nothing to measure"
    if unit == "ns":
        return "not over when the run ended" if value == float("inf") else seconds(value)
    if unit == "truth":
        return "true" if value else "false"
    if unit == "share":
        return f"{100 * value:.3g}%"
    return f"{value:,.0f}" if unit == "count" else f"{value:.3g}"
