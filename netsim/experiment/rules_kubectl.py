"""What kubectl's actions name: is the object there, can it be scaled or rolled out, is the manifest sound?

Called by: `rules_faults`.
"""

from netsim.cluster.operations import ROLLED, SCALABLE
from netsim.experiment.errors import Problems
from netsim.experiment.kubectl.resources import object_name
from netsim.experiment.loader_manifests import ManifestReader
from netsim.experiment.rules_names import Directory
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.spec_fault import Fault
from netsim.experiment.spec_names import did_you_mean
from netsim.workload.fault_targets import ObjectName

_OWNERS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod")


def check_named(fault: Fault, directory: Directory | None, place: Place, path: Path) -> None:
    """Record an `object` that is not there or not of a kind that the action can work on."""
    if fault.object is None or fault.action not in ("scale", "rollout", "delete"):
        return
    named = object_name(fault.object, fault.namespace or "default")
    where: Path = (*path, "object")
    kinds = {"scale": SCALABLE, "rollout": ROLLED}.get(fault.action)
    if kinds is not None and named.kind not in kinds:
        known = ", ".join(kinds)
        place.error(where, f"{fault.action} works on {known}, not on a {named.kind}")
    elif directory is not None:
        _check_there(named, directory, place, where)


def _check_there(named: ObjectName, directory: Directory, place: Place, where: Path) -> None:
    """Workloads and Services of the topology are known; anything else may come into being in between."""
    if named.kind in _OWNERS:
        owners = {(t.namespace, t.owner) for t in directory.templates.items}
        wanted = (named.namespace, f"{named.kind}/{named.name}")
        names = [owner.partition("/")[2] for _, owner in owners if owner.startswith(f"{named.kind}/")]
        elsewhere = [namespace for namespace, owner in owners if owner == wanted[1]]
        there = wanted in owners
    elif named.kind == "Service":
        names = [name for _, name in directory.services]
        elsewhere = [namespace for namespace, name in directory.services if name == named.name]
        there = (named.namespace, named.name) in directory.services
    else:
        return
    if there:
        return
    hint = did_you_mean(named.name, names)
    if elsewhere:
        hint = f": it is in namespace {elsewhere[0]}, so write namespace: {elsewhere[0]}"
    place.error(where, f'the topology has no {named.kind} "{named.name}" in {named.namespace}{hint}')


def check_manifest(fault: Fault, directory: Directory | None, place: Place, path: Path) -> None:
    """Record what the API server would say of the manifest of an `apply`."""
    if fault.manifest is None or fault.action != "apply":
        return
    inner = Problems()
    node = place.source.node.below((*path, "manifest"))
    reader = ManifestReader(inner, directory.spec.minor if directory else 34)
    reader.read_one(fault.manifest, node, place.source.file)
    place.problems.errors += inner.errors
    for note in inner.notes:
        place.problems.note(note)
