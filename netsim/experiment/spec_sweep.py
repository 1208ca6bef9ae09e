"""The `Sweep` document (apiVersion netsim/v1): an experiment over many settings of its fields.

Called by: `loader_sweep`. Parameters are field paths as in an experiment's variants, or short names for them. What is
given together is crossed: every point of the grid with every row of the list and every random draw. All cells run with
the same seed, so that they differ by their settings and not by chance.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from netsim.experiment.spec_cluster import Metadata
from netsim.experiment.spec_fields import SpecModel
from netsim.experiment.spec_until import MetricName


def _short_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value, re.ASCII):
        raise ValueError(f'"{value}" is no name of a column: use letters, digits and underscores')
    return value


ShortName = Annotated[str, AfterValidator(_short_name)]
Values = Annotated[tuple[Any, ...], Field(min_length=1)]


def _paths(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_PATHS_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
)
FieldPaths = Annotated[tuple[str, ...], BeforeValidator(_paths), Field(min_length=1), _PATHS_SCHEMA]


class Draw(SpecModel):
    """Where random values come from: between two bounds, evenly (`uniform`) or evenly on a logarithmic scale
    (`loguniform`), or one of several (`choice`). Bounds are numbers, or texts with a unit such as 10ms or 50/s; between
    whole numbers only whole numbers are drawn."""

    uniform: tuple[Any, Any] | None = None
    loguniform: tuple[Any, Any] | None = None
    choice: Values | None = None


class Random(SpecModel):
    """`count` draws of all these parameters together."""

    count: Annotated[int, Field(strict=True, ge=1, le=100_000)]
    parameters: Annotated[dict[str, Draw], Field(min_length=1)]


class SweepSpec(SpecModel):
    """The `spec` of a Sweep. `set` holds for all cells; `parameters` gives short names to field paths (or to several
    that take the same value); `seed` and `replications` are those of each cell (default: the experiment's, which may
    have a stop rule). `metrics` are what the summary and the figures show."""

    experiment: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] | None = None
    replications: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[ShortName, FieldPaths] = Field(default_factory=dict)
    grid: dict[str, Values] = Field(default_factory=dict)
    list_: tuple[dict[str, Any], ...] = Field((), alias="list")
    random: Random | None = None
    metrics: tuple[MetricName, ...] = ()


class SweepDocument(SpecModel):
    """The whole document."""

    apiVersion: Literal["netsim/v1"]
    kind: Literal["Sweep"]
    metadata: Metadata
    spec: SweepSpec
