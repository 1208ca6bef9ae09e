"""Faults: when, whom, and which fields go with which action.

Called by: `rules_experiment`, and `play` for `percentage`. What kubectl's actions name is `rules_kubectl`'s.
"""

from typing import Final

from netsim.experiment.rules_kubectl import check_manifest, check_named
from netsim.experiment.rules_names import Directory
from netsim.experiment.rules_parts import Item, Parts
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.rules_select import check_selected, check_words
from netsim.experiment.spec_fault import REQUIRED, Fault
from netsim.experiment.spec_select import Selector

_PODS = ("labels", "pod")
_NODES = ("node", *_PODS)
_MACHINES = ("node", "external", *_PODS)
_WHO: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("pod-kill", "pod-delete", "pod-hang"), _PODS),
    **dict.fromkeys(("node-crash", "kube-proxy-stop", "api-cut", "cordon", "uncordon", "drain"), _NODES),
    **dict.fromkeys(("link-down", "link-netem"), ("link", *_MACHINES)),
    "partition": _MACHINES,
}
# Actions that nothing undoes after a while.
_FOR_GOOD: Final = {
    "pod-kill": "happens at one moment",
    "pod-delete": "happens at one moment",
    "node-crash": "is for good (a crashed node does not boot again here)",
    "rollout": "happens at one moment",
    "uncordon": "happens at one moment",
    "drain": "is over when the pods are gone (timeout ends it before); uncordon takes it back",
    "apply": "happens at one moment",
    "delete": "happens at one moment",
}
_NETEM: Final = {
    "delay": "delay_ns", "jitter": "jitter_ns", "rate": "rate_bps", "loss": "loss",
    "duplicate": "duplicate", "reorder": "reorder", "corrupt": "corrupt",
}  # fmt: skip
# Field in the file -> (field of the model, the actions that it is for).
_OF_ACTIONS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    **{name: (field, ("link-netem",)) for name, field in _NETEM.items()},
    "direction": ("direction", ("link-netem", "partition")),
    "gracePeriod": ("grace_period_ns", ("pod-delete", "drain", "delete")),
    "target": ("target", ("partition",)),
    "object": ("object", ("scale", "rollout", "delete")),
    "namespace": ("namespace", ("scale", "rollout", "delete")),
    "replicas": ("replicas", ("scale",)),
    "image": ("image", ("rollout",)),
    "manifest": ("manifest", ("apply",)),
    "timeout": ("timeout_ns", ("drain",)),
}


def check_fault(
    item: Item[Fault], parts: Parts, directory: Directory | None, place: Place, path: Path
) -> None:
    """Record what is wrong with one fault."""
    fault = item.value
    if parts.ends_by(fault.at_ns):
        place.error((*path, "at"), f"the fault comes after the end: the experiment takes {parts.length()}")
    if fault.for_ns is not None and fault.action in _FOR_GOOD:
        place.error((*path, "for"), f"{fault.action} {_FOR_GOOD[fault.action]}: remove for", key=True)
    _check_fields(item, place, path)
    if item.whole:
        _check_netem(fault, place, path)
        _check_value(fault, place, path)
    _check_who(item, directory, place, path)
    check_named(fault, directory, place, path)
    check_manifest(fault, directory, place, path)
    if fault.action == "drain" and directory:
        _note_evicted(parts, directory, place)


def _check_fields(item: Item[Fault], place: Place, path: Path) -> None:
    """Fields of other actions, and those that are missing."""
    fault = item.value
    for name, (field, actions) in _OF_ACTIONS.items():
        if field in fault.model_fields_set and fault.action not in actions:
            place.error((*path, name), f"{name} is for action: {_either(actions)}", key=True)
    if "selector" in fault.model_fields_set and fault.action not in _WHO:
        needed = REQUIRED[fault.action]
        hint = f"write {needed[0]}" if needed else "it concerns everybody: remove it"
        place.error((*path, "selector"), f"{fault.action} takes no selector: {hint}", key=True)
    for name in REQUIRED[fault.action] if item.whole else ():
        if name != "selector" and name not in fault.model_fields_set:
            place.error(path, f'{fault.action} needs the field "{name}"')


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(word for word in (", ".join(words[:-1]), words[-1]) if word)


def _check_who(item: Item[Fault], directory: Directory | None, place: Place, path: Path) -> None:
    fault = item.value
    if fault.action not in _WHO:
        return
    sides: list[tuple[str, Selector]] = [("selector", fault.selector)]
    if fault.action == "partition" and fault.target is not None:
        sides.append(("target", fault.target))
    for name, selector in sides:
        who: Path = (*path, name)
        what = f"what {fault.action} hits"
        if check_words(selector, _WHO[fault.action], what, place, who) and directory:
            check_selected(selector, directory, place, who)


def _note_evicted(parts: Parts, directory: Directory, place: Place) -> None:
    """A drain evicts pods that nothing makes again too, as `kubectl drain --force` does: perhaps clients."""
    for item in parts.load:
        load = item.value
        alone = [
            t.names[0] for t in directory.templates.matching(load.from_.labels) if t.owner.startswith("Pod/")
        ]
        if alone:
            place.problems.note(
                f'a drain of its node ends load "{load.name}": nothing makes pod {alone[0]} again once it is evicted'
            )


def _check_netem(fault: Fault, place: Place, path: Path) -> None:
    given = any(getattr(fault, field) is not None for field in _NETEM.values())
    if fault.action == "link-netem" and not given:
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
