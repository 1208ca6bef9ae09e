"""Faults: when, whom, and which fields go with which action.

Called by: `rules_experiment`, and `play` for `percentage`.
"""

from netsim.experiment.rules_names import Directory
from netsim.experiment.rules_parts import Item, Parts
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.rules_select import check_selected, check_words
from netsim.experiment.spec_experiment import Fault

_PODS = ("labels", "pod")
_WHO: dict[str, tuple[str, ...]] = {
    "pod-kill": _PODS,
    "pod-delete": _PODS,
    "pod-hang": _PODS,
    "node-crash": ("node", *_PODS),
    "kube-proxy-stop": ("node", *_PODS),
    "link-down": ("link", "node", "external", *_PODS),
    "link-netem": ("link", "node", "external", *_PODS),
}
# Actions that nothing undoes after a while.
_FOR_GOOD = {
    "pod-kill": "happens at one moment",
    "pod-delete": "happens at one moment",
    "node-crash": "is for good (a crashed node does not boot again here)",
}
_NETEM = {
    "delay": "delay_ns", "jitter": "jitter_ns", "rate": "rate_bps", "loss": "loss",
    "duplicate": "duplicate", "reorder": "reorder", "corrupt": "corrupt",
}  # fmt: skip


def check_fault(
    item: Item[Fault], parts: Parts, directory: Directory | None, place: Place, path: Path
) -> None:
    """Record what is wrong with one fault."""
    fault = item.value
    if parts.ends_by(fault.at_ns):
        place.error((*path, "at"), f"the fault comes after the end: the experiment takes {parts.length()}")
    if fault.for_ns is not None and fault.action in _FOR_GOOD:
        place.error((*path, "for"), f"{fault.action} {_FOR_GOOD[fault.action]}: remove for", key=True)
    if fault.grace_period_ns is not None and fault.action != "pod-delete":
        place.error((*path, "gracePeriod"), "gracePeriod is for action: pod-delete", key=True)
    if item.whole:
        _check_netem(fault, place, path)
        _check_value(fault, place, path)
    who: Path = (*path, "selector")
    if check_words(fault.selector, _WHO[fault.action], f"what {fault.action} hits", place, who) and directory:
        check_selected(fault.selector, directory, place, who)


def _check_netem(fault: Fault, place: Place, path: Path) -> None:
    given = [name for name, field in _NETEM.items() if getattr(fault, field) is not None]
    if fault.action != "link-netem":
        for name in [*given, *(["direction"] if "direction" in fault.model_fields_set else [])]:
            place.error((*path, name), f"{name} is for action: link-netem", key=True)
    elif not given:
        place.error(path, f"link-netem needs at least one of {', '.join(_NETEM)}")
    if fault.jitter_ns and not fault.delay_ns:
        place.error((*path, "jitter"), "jitter varies a delay: write a delay too")
    if fault.reorder and not fault.delay_ns:
        place.error(
            (*path, "reorder"), "reordering needs a delay: the chosen packets overtake the delayed ones"
        )


def _check_value(fault: Fault, place: Place, path: Path) -> None:
    where: Path = (*path, "value")
    if fault.mode in ("one", "all"):
        if fault.value is not None:
            place.error(where, "value is for the modes fixed and fixed-percent", key=True)
    elif fault.value is None:
        example = "2" if fault.mode == "fixed" else "50%"
        place.error((*path, "mode"), f"{fault.mode} needs a value, such as value: {example}")
    elif fault.mode == "fixed":
        if not isinstance(fault.value, int) or fault.value < 1:
            place.error(where, f"{fault.value} is no number of things to hit: write 1 or more")
    elif percentage(fault.value) is None:
        place.error(where, f"{fault.value} is no percentage: write 1% to 100%")


def percentage(value: int | str) -> float | None:
    """The number in a `fixed-percent` fault's value ("50%" -> 50.0), None if it is none."""
    digits = value.removesuffix("%").strip() if isinstance(value, str) and value.endswith("%") else ""
    if not digits.replace(".", "", 1).isdigit() or not 0 < float(digits) <= 100:
        return None
    return float(digits)
