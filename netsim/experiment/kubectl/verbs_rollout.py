"""`kubectl rollout`: status, restart, undo, history, pause, resume.

Called by: `command`. Sources: k8s.io/kubectl/pkg/cmd/rollout, pkg/polymorphichelpers/{rollout_status,history}.go.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from netsim.cluster.controllers.revisions import CHANGE_CAUSE
from netsim.cluster.objects import ApiObject, DaemonSet, Deployment, StatefulSet, evolve
from netsim.cluster.operations import ROLLED, change, restart, revisions, undo
from netsim.engine import S
from netsim.experiment.kubectl.arguments import Flag, Given, boolean
from netsim.experiment.kubectl.columns import NONE
from netsim.experiment.kubectl.context import Context, KubectlError, seconds
from netsim.experiment.kubectl.describe_parts import template_text
from netsim.experiment.kubectl.human import rfc3339
from netsim.experiment.kubectl.resources import Resource
from netsim.experiment.kubectl.tabwriter import DESCRIBE, align, table
from netsim.experiment.kubectl.verbs_change import SELECTING, selected

FLAGS: Final = (
    Flag("to-revision", help="undo: which one"),
    Flag("revision", help="history, status: which one"),
    Flag("timeout", help="status: how long to wait"),
    boolean("watch", "w", "status: wait (default true)"),
    *SELECTING,
)
_LIMIT_NS: Final = 3600 * S


def rollout(context: Context, given: Given) -> int:
    """kubectl rollout"""
    action = _ACTIONS.get(given.args[0] if given.args else "")
    if action is None:
        known = ", ".join(_ACTIONS)
        raise KubectlError(
            f"error: kubectl rollout needs one of {known}\nSee 'kubectl rollout --help' for usage."
        )
    if len(given.args) < 2:
        raise KubectlError("error: required resource not specified")
    for resource, item in selected(context, given, given.args[1:]):
        if item.kind not in ROLLED:
            raise KubectlError(
                f'error: {resource.plural} "{item.metadata.name}" is not a kind that is rolled out'
            )
        action(context, given, resource, item)
    return 0


def _restart(context: Context, _given: Given, resource: Resource, item: ApiObject) -> None:
    if isinstance(item, Deployment) and item.spec.paused:
        raise KubectlError(
            f'error: {resource.plural} "{item.metadata.name}" can\'t restart paused deployment (run rollout resume '
            "first)"
        )
    restart(context.api, item, rfc3339(context.now))
    context.out(f"{resource.named(item.metadata.name)} restarted\n")


def _undo(context: Context, given: Given, resource: Resource, item: ApiObject) -> None:
    if not isinstance(item, Deployment):
        raise KubectlError(f"error: rollout undo is simulated for deployments, not for {resource.plural}")
    revision = given.get("to-revision", "0")
    try:
        changed = undo(context.api, item, int(revision) if revision.isdigit() else 0)
    except LookupError as error:
        raise KubectlError(f"error: {error.args[0]}") from None
    done = "rolled back" if changed else "skipped rollback (current template already matches revision)"
    context.out(f"{resource.named(item.metadata.name)} {done}\n")


def _history(context: Context, given: Given, resource: Resource, item: ApiObject) -> None:
    if not isinstance(item, Deployment):
        raise KubectlError(f"error: rollout history is simulated for deployments, not for {resource.plural}")
    known = revisions(context.api, item)
    wanted = given.get("revision")
    if wanted:
        chosen = next((entry for number, entry in known if str(number) == wanted), None)
        if chosen is None:
            raise KubectlError("error: unable to find the specified revision")
        context.out(f"{resource.named(item.metadata.name)} with revision #{wanted}\n")
        context.out(align(template_text(chosen.spec.template), DESCRIBE))
        return
    lines = [("REVISION", "CHANGE-CAUSE")]
    lines += [(str(number), entry.metadata.annotations.get(CHANGE_CAUSE, NONE)) for number, entry in known]
    context.out(f"{resource.named(item.metadata.name)} \n{table(lines, DESCRIBE)}\n")


def _paused(value: bool) -> Callable[[Context, Given, Resource, ApiObject], None]:
    def act(context: Context, _given: Given, resource: Resource, item: ApiObject) -> None:
        word = "paused" if value else "resumed"
        if not isinstance(item, Deployment):
            raise KubectlError(f'error: {resource.plural} "{item.metadata.name}" pausing is not supported')
        if item.spec.paused == value:
            problem = "is already paused" if value else "is not paused"
            raise KubectlError(f'error: {resource.full} "{item.metadata.name}" {problem}')
        change(context.api, item, lambda stored: evolve(stored, spec__paused=value))
        context.out(f"{resource.named(item.metadata.name)} {word}\n")

    return act


# ---------------------------------------------------------------------- status
def _status(context: Context, given: Given, resource: Resource, item: ApiObject) -> None:
    """Print each new message until the rollout is complete."""
    last = [""]

    def done() -> bool:
        stored = context.api.get(item.kind, *item.key)
        if stored is None:
            raise KubectlError("error: object has been deleted")
        message, complete = _STATUS[stored.kind](stored)
        if message != last[0]:
            context.out(f"{message}\n")
            last[0] = message
        return complete or given.get("watch", "true") == "false"

    text = given.get("timeout", "0s")
    limit_ns = _LIMIT_NS if text in ("0", "0s") else seconds(text, "timeout")
    if not context.wait(done, limit_ns):
        raise KubectlError("error: timed out waiting for the condition")


def _deployment_status(item: Deployment) -> tuple[str, bool]:
    spec, status, name = item.spec, item.status, item.metadata.name
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if item.metadata.generation > status.observedGeneration:
        return "Waiting for deployment spec update to be observed...", False
    if status.updatedReplicas < spec.replicas:
        done = f"{status.updatedReplicas} out of {spec.replicas} new replicas have been updated..."
        return waiting + done, False
    if status.replicas > status.updatedReplicas:
        old = status.replicas - status.updatedReplicas
        return waiting + f"{old} old replicas are pending termination...", False
    if status.availableReplicas < status.updatedReplicas:
        ready = f"{status.availableReplicas} of {status.updatedReplicas} updated replicas are available..."
        return waiting + ready, False
    return f'deployment "{name}" successfully rolled out', True


def _stateful_set_status(item: StatefulSet) -> tuple[str, bool]:
    spec, status = item.spec, item.status
    if spec.updateStrategy.type != "RollingUpdate":
        raise KubectlError("error: rollout status is only available for RollingUpdate strategy type")
    if item.metadata.generation > status.observedGeneration:
        return "Waiting for statefulset spec update to be observed...", False
    if status.readyReplicas < spec.replicas:
        return f"Waiting for {spec.replicas - status.readyReplicas} pods to be ready...", False
    if status.updateRevision != status.currentRevision:
        done = (
            f"waiting for statefulset rolling update to complete {status.updatedReplicas} pods at revision "
        )
        return f"{done}{status.updateRevision}...", False
    return f"statefulset rolling update complete {status.currentReplicas} pods at revision " + (
        f"{status.currentRevision}..."
    ), True


def _daemon_set_status(item: DaemonSet) -> tuple[str, bool]:
    status, name = item.status, item.metadata.name
    waiting = f'Waiting for daemon set "{name}" rollout to finish: '
    if item.metadata.generation > status.observedGeneration:
        return "Waiting for daemon set spec update to be observed...", False
    wanted = status.desiredNumberScheduled
    if status.updatedNumberScheduled < wanted:
        return (
            waiting + f"{status.updatedNumberScheduled} out of {wanted} new pods have been updated...",
            False,
        )
    if status.numberAvailable < wanted:
        return waiting + f"{status.numberAvailable} of {wanted} updated pods are available...", False
    return f'daemon set "{name}" successfully rolled out', True


_STATUS: Final[Mapping[str, Callable[[Any], tuple[str, bool]]]] = {
    "Deployment": _deployment_status,
    "StatefulSet": _stateful_set_status,
    "DaemonSet": _daemon_set_status,
}
_ACTIONS: Final[Mapping[str, Callable[[Context, Given, Resource, ApiObject], None]]] = {
    "history": _history,
    "pause": _paused(True),
    "restart": _restart,
    "resume": _paused(False),
    "status": _status,
    "undo": _undo,
}
