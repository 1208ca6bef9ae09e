"""The stop rule of an Experiment: `until: {metric: outage.p95, halfWidth: 5%, max: 200, min: 10}`.

Called by: `spec_experiment`, `rules_until`, `stopping`. `halfWidth` is a share of the metric's value (`5%`), or what
the metric is measured in: a duration (`200ms`), or a plain number for shares and indices (`0.01`).
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from netsim.experiment.spec_fields import SpecModel, read_duration
from netsim.experiment.spec_names import did_you_mean
from netsim.measure.metrics import METRICS

if TYPE_CHECKING:
    from netsim.measure.precision import StopRule


def _metric(value: str) -> str:
    if value not in METRICS:
        known = did_you_mean(value, METRICS) or f" (there are {', '.join(METRICS)})"
        raise ValueError(f'unknown metric "{value}"{known}')
    return value


MetricName = Annotated[str, AfterValidator(_metric), WithJsonSchema({"enum": list(METRICS)})]


def half_width(text: str) -> tuple[float, float, str]:
    """Relative half width, absolute one, and the unit of the latter (`ns`, `plain`, or "" for a relative one)."""
    if text.endswith("%"):
        return float(text[:-1]) / 100, 0.0, ""
    number = _number(text)
    if number is not None:
        return 0.0, number, "plain"
    return 0.0, float(read_duration(text) or 0), "ns"


def _number(text: str) -> float | None:
    return float(text) if text.replace(".", "", 1).isdigit() else None


def _half_width(value: Any) -> str:
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    share = _number(text.removesuffix("%").strip()) if text.endswith("%") else None
    good = share if share is not None else _number(text) if _number(text) is not None else read_duration(text)
    if good is None:
        raise ValueError(f'"{value}" is no half width (write 5%, or for a duration 200ms)')
    if good == 0:
        raise ValueError("must be more than 0: no number of replications makes chance go away")
    return f"{share:.12g}%" if share is not None else text


_HALF_WIDTH_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "examples": ["5%", "200ms"]},
            {"type": "number", "exclusiveMinimum": 0},
        ],
        "description": "half the width of the 95% interval: a share of the value, a duration, or a plain number",
    }
)


class Until(SpecModel):
    """Replications go on, `min` at least and `max` at most, until the 95% interval of the metric is narrow enough."""

    metric: MetricName
    halfWidth: Annotated[str, BeforeValidator(_half_width), _HALF_WIDTH_SCHEMA]
    min: Annotated[int, Field(strict=True, ge=2, le=10_000)] = 10
    max: Annotated[int, Field(strict=True, ge=2, le=10_000)] = 1000
    service: str = ""

    def rule(self) -> "StopRule":
        """The same for the arithmetic."""
        from netsim.measure.precision import StopRule

        relative, absolute, _ = half_width(self.halfWidth)
        service = self.service if "/" in self.service or not self.service else f"default/{self.service}"
        return StopRule(self.metric, relative, absolute, self.min, self.max, service)
