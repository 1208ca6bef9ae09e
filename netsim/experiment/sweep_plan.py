"""Which cells a sweep has: its parameters, their values, and how they are crossed; pure arithmetic on the spec.

Called by: `loader_sweep`, `rules_sweep`. A random value depends on the sweep's seed, the parameter's name and the
number of the draw only: more draws, or another parameter beside it, leave the earlier ones as they are.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from netsim.engine import format_duration, parse_rate
from netsim.experiment.spec_fields import read_duration
from netsim.experiment.spec_sweep import Draw, SweepSpec

MOST_CELLS: Final = 100_000
_NUMBER: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(\D.*)")
_DIGITS: Final = 6
_PER: Final = {"/s": 1.0, "/m": 60.0, "/h": 3600.0}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A name, the fields that it stands for, and where in the sweep's spec its values are."""

    name: str
    paths: tuple[str, ...]
    place: tuple[str, ...]


Setting = tuple[str, Any, tuple[str | int, ...]]
"""A parameter's name, its value, and where in the sweep's spec that stands."""


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of all parameters. `places` says where in the sweep's spec each value stands."""

    values: Mapping[str, Any]
    places: Mapping[str, tuple[str | int, ...]]


def parameters(spec: SweepSpec) -> list[Parameter]:
    """In the order of the file; names that are given twice come twice."""
    found = [Parameter(name, _fields(spec, name), ("grid", name)) for name in spec.grid]
    found += [
        Parameter(name, _fields(spec, name), ("list",)) for name in (spec.list_[0] if spec.list_ else ())
    ]
    if spec.random is not None:
        found += [
            Parameter(name, _fields(spec, name), ("random", "parameters", name))
            for name in spec.random.parameters
        ]
    return found


def _fields(spec: SweepSpec, name: str) -> tuple[str, ...]:
    return spec.parameters.get(name, (name,))


def size(spec: SweepSpec) -> int:
    """How many cells there are."""
    draws = spec.random.count if spec.random else 1
    return math.prod(len(values) for values in spec.grid.values()) * max(1, len(spec.list_)) * draws


def points(spec: SweepSpec, seed: int) -> Iterator[Point]:
    """Every cell's settings: the grid with its last parameter changing fastest, then rows, then draws."""
    grid = [
        [(name, value, ("grid", name, at)) for at, value in enumerate(values)]
        for name, values in spec.grid.items()
    ]
    rows = [
        [(name, value, ("list", at, name)) for name, value in row.items()]
        for at, row in enumerate(spec.list_)
    ]
    drawn = _draws(spec, seed)
    for chosen in product(*grid):
        for row in rows or [[]]:
            for draw in drawn or [[]]:
                cell: list[Setting] = [*chosen, *row, *draw]
                yield Point(
                    {name: value for name, value, _ in cell}, {name: place for name, _, place in cell}
                )


def _draws(spec: SweepSpec, seed: int) -> list[list[Setting]]:
    if spec.random is None:
        return []
    columns = [
        [
            (name, value, ("random", "parameters", name))
            for value in draw(what, spec.random.count, f"{seed}/{name}")
        ]
        for name, what in spec.random.parameters.items()
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def draw(what: Draw, count: int, name: str) -> list[Any]:
    """`count` values, the n-th of which does not depend on `count`."""
    from netsim.measure.gof import named_generator

    uniform = named_generator(f"sweep/{name}").random(count).tolist()
    if what.choice is not None:
        return [what.choice[min(int(u * len(what.choice)), len(what.choice) - 1)] for u in uniform]
    bounds = what.uniform or what.loguniform
    assert bounds is not None, "rules_sweep refuses a draw without bounds"
    return [_between(bounds, u, what.loguniform is not None) for u in uniform]


def _between(bounds: Sequence[Any], u: float, logarithmic: bool) -> Any:
    low, high, unit = scale(bounds)
    if unit == "whole":
        high += 1
    value = low * (high / low) ** u if logarithmic else low + u * (high - low)
    if unit == "whole":
        return min(int(value), int(high) - 1)
    if unit == "ns":
        return format_duration(round(_rounded(value)))
    rounded = _rounded(value)
    return rounded if unit == "" else f"{rounded:.12g}{unit}"


def _rounded(value: float) -> float:
    """To six digits: what is written down in a table is what was run."""
    return float(f"{value:.{_DIGITS}g}")


def scale(bounds: Sequence[Any]) -> tuple[float, float, str]:
    """Two bounds as numbers, and their unit: `ns` for durations, `whole` for whole numbers, "" for plain ones, else the
    text that both end in. Raises ValueError saying what is wrong."""
    low, high, unit = _scale(bounds)
    if low >= high:
        raise ValueError(f"{bounds[0]} is not below {bounds[1]}")
    return low, high, unit


def _scale(bounds: Sequence[Any]) -> tuple[float, float, str]:
    if all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in bounds):
        whole = all(isinstance(bound, int) for bound in bounds)
        return float(bounds[0]), float(bounds[1]), "whole" if whole else ""
    times = [read_duration(bound) for bound in bounds if isinstance(bound, str)]
    if len(times) == 2 and times[0] is not None and times[1] is not None:
        return float(times[0]), float(times[1]), "ns"
    found = [_NUMBER.fullmatch(bound) if isinstance(bound, str) else None for bound in bounds]
    if found[0] is None or found[1] is None or found[0][2] != found[1][2]:
        raise ValueError(f"{bounds[0]} and {bounds[1]} are no two numbers with the same unit")
    return float(found[0][1]), float(found[1][1]), found[0][2]


def column(name: str, values: Sequence[Any]) -> tuple[str, list[Any]]:
    """The name of a parameter's column, with the unit where its values have one, and the values as numbers then."""
    for suffix, read in (
        ("_ns", read_text_duration),
        ("_per_s", _frequency),
        ("_share", _share),
        ("_bps", _rate),
    ):
        found = [read(value) for value in values]
        if None not in found:
            return f"{name}{suffix}", found
    plain = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    same = plain or all(isinstance(value, bool) for value in values)
    return name, list(values) if same else [_shown(value) for value in values]


def read_text_duration(value: Any) -> int | None:
    """Nanoseconds of a text such as 10s; a plain 0 may be anything."""
    return read_duration(value) if isinstance(value, str) and value != "0" else None


def _frequency(value: Any) -> float | None:
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) / _PER[found[2]] if found and found[2] in _PER else None


def _share(value: Any) -> float | None:
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) / 100 if found and found[2].strip() == "%" else None


def _rate(value: Any) -> int | None:
    try:
        return parse_rate(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _shown(value: Any) -> str:
    """A value as text, for columns in which there is not one type."""
    import json

    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
