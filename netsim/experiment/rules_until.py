"""The stop rule of an experiment: bounds that fit each other, a half width in the metric's unit, a Service there is.

Called by: `rules_experiment`.
"""

from netsim.experiment.rules_names import Directory
from netsim.experiment.rules_parts import Parts
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.spec_names import did_you_mean
from netsim.experiment.spec_until import Until, half_width

_PATH: Path = ("until",)


def check_until(parts: Parts, directory: Directory | None, place: Place) -> None:
    """Record what is wrong with it, if there is one."""
    until = parts.until
    if until is None:
        return
    if parts.replications_given:
        place.error(
            ("replications",),
            "until says how many replications there are: write until.min and until.max",
            key=True,
        )
    if until.min > until.max:
        place.error((*_PATH, "min"), f"min is above max ({until.max})")
    _check_metric(until, parts, place)
    _, _, unit = half_width(until.halfWidth)
    from netsim.measure.metrics import METRICS

    metric = METRICS[until.metric]
    if unit and (unit == "ns") != (metric.unit == "ns"):
        example = "200ms" if metric.unit == "ns" else "0.01"
        place.error(
            (*_PATH, "halfWidth"), f"{until.metric} needs a share such as 5%, or one such as {example}"
        )
    if directory and until.service:
        namespace, _, name = until.service.rpartition("/")
        if (namespace or "default", name) not in directory.services:
            known = did_you_mean(name, [key[1] for key in directory.services])
            place.error((*_PATH, "service"), f'no Service of the topology is called "{until.service}"{known}')


def _check_metric(until: Until, parts: Parts, place: Place) -> None:
    from netsim.measure.budget import STAGES
    from netsim.measure.confidence import values_needed
    from netsim.measure.metrics import METRICS

    metric = METRICS[until.metric]
    if metric.q and until.min <= until.max < values_needed(metric.q):
        message = f"{metric.name} has an interval from {values_needed(metric.q)} replications on: write at least that"
        place.error((*_PATH, "max"), message)
    if metric.name.partition(".")[0] in ("outage", *STAGES) and not parts.faults and parts.sound_faults:
        place.error((*_PATH, "metric"), f"{metric.name} is about faults, and the experiment has none")
