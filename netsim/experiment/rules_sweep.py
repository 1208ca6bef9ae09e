"""A sweep by itself: fields that exist, parameters that are told apart, draws that can be drawn, cells that are not
too many.

Called by: `loader_sweep`. `place` is that of the document's `spec`.
"""

from collections.abc import Mapping
from typing import Any, Final

from netsim.experiment.field_paths import unknown_field
from netsim.experiment.loader_variants import FIXED
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.spec_names import did_you_mean
from netsim.experiment.spec_sweep import Draw, SweepSpec
from netsim.experiment.sweep_plan import MOST_CELLS, parameters, scale, size

# Columns of the results that no parameter may be called.
_OWN: Final = ("cell", "key", "seed")
# A sweep says these itself, for all cells.
_SWEEPS_OWN: Final = ("seed", "replications")


def check_sweep(spec: SweepSpec, place: Place) -> None:
    """Record what is wrong."""
    _check_fields(spec, place)
    _check_names(spec, place)
    _check_rows(spec, place)
    for name, draw in (spec.random.parameters if spec.random else {}).items():
        _check_draw(draw, place, ("random", "parameters", name))
    if not spec.grid and not spec.list_ and spec.random is None:
        place.error((), "a sweep needs something to vary: write grid, list or random")
    elif size(spec) > MOST_CELLS:
        place.error(
            (),
            f"{size(spec):,} cells are more than {MOST_CELLS:,}: give fewer values, or draw them at random",
        )


def _check_fields(spec: SweepSpec, place: Place) -> None:
    for path in spec.set:
        _check_field(path, place, ("set", path))
    for name, paths in spec.parameters.items():
        for index, path in enumerate(paths):
            alone = isinstance(place.source.node.find(("parameters", name)), tuple) and len(paths) == 1
            _check_field(
                path, place, ("parameters", name) if alone else ("parameters", name, index), key=False
            )
    for parameter in parameters(spec):
        if parameter.name not in spec.parameters:
            where: Path = ("list", 0, parameter.name) if parameter.place == ("list",) else parameter.place
            _check_field(parameter.name, place, where, short=spec.parameters)


def _check_field(
    path: str, place: Place, where: Path, short: Mapping[str, Any] | None = None, key: bool = True
) -> None:
    first = path.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
    if path in _SWEEPS_OWN:
        place.error(where, f"{path} is the same for all cells: write it beside experiment", key=key)
    elif first in FIXED:
        place.error(where, f"a sweep cannot set {path}", key=key)
    else:
        near = did_you_mean(path, short or ())
        problem = unknown_field(path)
        if problem:
            place.error(where, f'there is no field or parameter "{path}"{near}' if near else problem, key=key)


def _check_names(spec: SweepSpec, place: Place) -> None:
    """Each field is set once, and columns do not collide."""
    from netsim.measure.observations import OBSERVATION_TYPES

    varied = parameters(spec)
    seen: dict[str, Path] = {}
    for parameter in varied:
        where: Path = ("list", 0, parameter.name) if parameter.place == ("list",) else parameter.place
        for path in parameter.paths:
            if path in seen:
                place.error(where, f"{path} is set twice: also by {'.'.join(map(str, seen[path]))}", key=True)
            seen[path] = where
    for name in spec.parameters:
        if name in (*_OWN, *OBSERVATION_TYPES):
            place.error(
                ("parameters", name), f'"{name}" is a column of the results: choose another name', key=True
            )
        elif name not in {parameter.name for parameter in varied}:
            place.error(
                ("parameters", name), f"{name} has no values: give some in grid, list or random", key=True
            )


def _check_rows(spec: SweepSpec, place: Place) -> None:
    for index, row in enumerate(spec.list_):
        if not row:
            place.error(("list", index), "this row sets nothing")
        for name in spec.list_[0]:
            if name not in row:
                place.error(
                    ("list", index), f"{name} is missing: each row has the same parameters as the first"
                )
        for name in row:
            if name not in spec.list_[0]:
                place.error(
                    ("list", index, name), f"{name} is not in the first row: each has the same", key=True
                )


def _check_draw(draw: Draw, place: Place, where: Path) -> None:
    given = [name for name in ("uniform", "loguniform", "choice") if getattr(draw, name) is not None]
    if len(given) != 1:
        place.error(where, "write one of uniform: [from, to], loguniform: [from, to], choice: [...]")
        return
    bounds = draw.uniform or draw.loguniform
    if bounds is None:
        return
    try:
        low, _, _ = scale(bounds)
    except ValueError as error:
        place.error((*where, given[0]), str(error))
        return
    if draw.loguniform and low <= 0:
        place.error((*where, given[0], 0), "a logarithmic scale begins above 0")
