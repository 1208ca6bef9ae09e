"""What kubectl asks of the API server beyond storing objects: scale, restart, set image, undo, cordon, drain.

Called by: `netsim.experiment.kubectl` and `netsim.workload.kubectl`. Functions on the API server; each commits at once
and returns what is stored.
Sources: k8s.io/kubectl/pkg/{scale,polymorphichelpers,drain}, Kubernetes 1.34.
An eviction is `eviction.py`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.controllers.deployment import HASH_LABEL
from netsim.cluster.controllers.revisions import revision_of
from netsim.cluster.controllers.rollout import template_hash
from netsim.cluster.errors import InvalidError, NotFoundError
from netsim.cluster.objects import (
    ApiObject,
    DaemonSet,
    Deployment,
    Node,
    Pod,
    ReplicaSet,
    Service,
    StatefulSet,
    evolve,
)

RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
SCALABLE: Final = ("Deployment", "ReplicaSet", "StatefulSet")
ROLLED: Final = ("Deployment", "StatefulSet", "DaemonSet")


def scale(api: ApiServer, item: ApiObject, replicas: int) -> ApiObject:
    """`kubectl scale`: another number of replicas."""
    return change(api, item, lambda stored: evolve(stored, spec__replicas=replicas))


def change(api: ApiServer, item: ApiObject, function: Callable[[Any], Any]) -> ApiObject:
    """Change whatever is stored of an object. Raises NotFoundError when it is gone."""
    stored = api.get(item.kind, *item.key)
    if stored is None:
        raise NotFoundError(f"{item.kind} {item.metadata.name} not found")
    changed = function(stored)
    return stored if changed == stored else api.update(changed)


def restart(api: ApiServer, item: ApiObject, moment: str) -> ApiObject:
    """`kubectl rollout restart`: the template gets an annotation with the time, so that all pods are replaced."""

    def stamped(stored: Deployment | StatefulSet | DaemonSet) -> ApiObject:
        annotations = {**stored.spec.template.metadata.annotations, RESTARTED_AT: moment}
        return evolve(stored, {"spec.template.metadata.annotations": annotations})

    return change(api, item, stamped)


def set_image(api: ApiServer, item: ApiObject, images: dict[str, str]) -> ApiObject:
    """`kubectl set image`: other images for some containers ("*": all). Raises LookupError for a container that is not
    there."""

    def changed(stored: Any) -> Any:
        path = "spec" if isinstance(stored, Pod) else "spec.template.spec"
        spec = stored.spec if isinstance(stored, Pod) else stored.spec.template.spec
        unknown = [name for name in images if name != "*" and name not in {c.name for c in spec.containers}]
        if unknown:
            raise LookupError(f'unable to find container named "{unknown[0]}"')
        containers = tuple(
            evolve(c, image=images.get(c.name, images.get("*", c.image))) for c in spec.containers
        )
        return evolve(stored, {f"{path}.containers": containers})

    return change(api, item, changed)


# ---------------------------------------------------------------------- revisions
def revisions(api: ApiServer, deployment: Deployment) -> list[tuple[int, ReplicaSet]]:
    """The rollouts that can be gone back to, oldest first."""
    found = [
        (revision_of(item), item)
        for item in api.list(ReplicaSet, deployment.metadata.namespace)
        if (owner := item.metadata.controller()) is not None and owner.uid == deployment.metadata.uid
    ]
    return sorted(found, key=lambda entry: entry[0])


def undo(api: ApiServer, deployment: Deployment, revision: int = 0) -> bool:
    """`kubectl rollout undo`: the template of an earlier rollout (0: the one before). Whether anything changes.

    Raises LookupError when there is no such rollout."""
    known = revisions(api, deployment)
    if revision:
        chosen = next((item for number, item in known if number == revision), None)
        if chosen is None:
            raise LookupError(f"unable to find specified revision {revision} in history")
    elif len(known) < 2:
        raise LookupError(f'no rollout history found for deployment "{deployment.metadata.name}"')
    else:
        chosen = known[-2][1]
    labels = {k: v for k, v in chosen.spec.template.metadata.labels.items() if k != HASH_LABEL}
    template = evolve(chosen.spec.template, metadata__labels=labels)
    if template_hash(template) == template_hash(deployment.spec.template):
        return False
    change(api, deployment, lambda stored: evolve(stored, spec__template=template))
    return True


# ---------------------------------------------------------------------- nodes
def cordon(api: ApiServer, node: str, unschedulable: bool = True) -> bool:
    """`kubectl cordon` and `uncordon`: whether new pods may come. Whether that was news. Raises NotFoundError."""
    stored = api.get(Node, "", node)
    if stored is None:
        raise NotFoundError(f'nodes "{node}" not found')
    if stored.spec.unschedulable == unschedulable:
        return False
    api.update(evolve(stored, spec__unschedulable=unschedulable))
    return True


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """The pods of a node by what a drain does with them (k8s.io/kubectl/pkg/drain/filters.go)."""

    evict: tuple[Pod, ...] = ()
    daemons: tuple[Pod, ...] = ()  # left alone, or a reason to refuse
    unmanaged: tuple[Pod, ...] = ()  # no controller brings them back


def drain_plan(api: ApiServer, node: str) -> DrainPlan:
    """Who is on the node."""
    evict: list[Pod] = []
    daemons: list[Pod] = []
    unmanaged: list[Pod] = []
    for pod in sorted(api.list(Pod), key=lambda item: item.key):
        if pod.spec.nodeName != node:
            continue
        owner = pod.metadata.controller()
        if owner is not None and owner.kind == "DaemonSet":
            daemons.append(pod)
        elif owner is None and pod.status.phase not in ("Succeeded", "Failed"):
            unmanaged.append(pod)
        else:
            evict.append(pod)
    return DrainPlan(tuple(evict), tuple(daemons), tuple(unmanaged))


# ---------------------------------------------------------------------- updates that are refused
def check_update(stored: ApiObject, changed: ApiObject) -> None:
    """What may not change in workloads. Raises InvalidError in the API server's words.

    Sources: pkg/apis/apps/validation (ValidateStatefulSetUpdate), pkg/registry/apps/*/strategy.go (immutable selector),
    pkg/apis/core/validation (ValidatePodUpdate)."""
    if isinstance(stored, Deployment | ReplicaSet | DaemonSet) and isinstance(changed, type(stored)):
        if stored.spec.selector != changed.spec.selector:
            shown = changed.spec.selector.model_dump_json(exclude_defaults=True)
            raise InvalidError(
                f'{stored.kind} "{stored.metadata.name}" is invalid: spec.selector: Invalid value: {shown}: '
                "field is immutable"
            )
    elif isinstance(stored, StatefulSet) and isinstance(changed, StatefulSet):
        free = ("replicas", "ordinals", "template", "updateStrategy", "minReadySeconds")
        kept = {f"spec.{name}": getattr(changed.spec, name) for name in free}
        if evolve(stored, kept).spec != changed.spec:
            raise InvalidError(
                f'StatefulSet "{stored.metadata.name}" is invalid: spec: Forbidden: updates to statefulset spec for '
                "fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
                "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
            )
    elif isinstance(stored, Pod) and isinstance(changed, Pod) and _fixed(stored) != _fixed(changed):
        raise InvalidError(
            f'Pod "{stored.metadata.name}" is invalid: spec: Forbidden: pod updates may not change fields other than '
            "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
            "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
            "(allow it to be set to 1 if it was previously negative)"
        )


def _fixed(pod: Pod) -> Any:
    """The part of a pod's spec that stays as it was created."""
    containers = tuple(evolve(container, image="") for container in pod.spec.containers)
    return pod.spec.model_copy(update={"containers": containers, "tolerations": (), "nodeName": ""})


def merged(stored: ApiObject, given: ApiObject, applied: ApiObject) -> ApiObject:
    """What a manifest does not say and others have set stays: the replicas after a scaling, a pod's node.

    `applied` is the stored object with the manifest's content."""
    if isinstance(stored, Deployment | ReplicaSet | StatefulSet) and isinstance(given, type(stored)):
        if "replicas" not in given.spec.model_fields_set:
            return evolve(applied, spec__replicas=stored.spec.replicas)
    elif isinstance(stored, Pod):
        return evolve(applied, spec__nodeName=stored.spec.nodeName, spec__tolerations=stored.spec.tolerations)
    elif isinstance(stored, Service) and isinstance(given, Service):
        return evolve(applied, status=stored.status)
    return applied
