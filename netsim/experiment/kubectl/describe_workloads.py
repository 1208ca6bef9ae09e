"""`kubectl describe` of pods, Deployments, ReplicaSets, StatefulSets and DaemonSets.

Called by: `describe`. Source: k8s.io/kubectl/pkg/describe/describe.go, Kubernetes 1.34.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from netsim.cluster.controllers.revisions import REVISION, revision_of
from netsim.cluster.objects import DaemonSet, Deployment, Pod, ReplicaSet, StatefulSet
from netsim.cluster.operations import revisions
from netsim.experiment.kubectl.columns import NONE, labels_text, selector_text
from netsim.experiment.kubectl.columns_core import pod_reason
from netsim.experiment.kubectl.context import Context
from netsim.experiment.kubectl.describe_parts import (
    annotations,
    containers_text,
    events_text,
    labels,
    owner_text,
    template_text,
    tolerations_text,
)
from netsim.experiment.kubectl.human import human_duration, rfc1123
from netsim.experiment.kubectl.output import view_of

# Reasons of the Available condition (pkg/controller/deployment/util: MinimumReplicasAvailable...).
_AVAILABLE: Final = {"True": "MinimumReplicasAvailable", "False": "MinimumReplicasUnavailable"}


def pod_text(context: Context, pod: Pod) -> str:
    """A pod."""
    status, node = pod.status, pod.spec.nodeName
    text = f"Name:\t{pod.metadata.name}\nNamespace:\t{pod.metadata.namespace}\n"
    text += f"Node:\t{f'{node}/{status.hostIP}' if node else NONE}\n"
    text += f"Start Time:\t{rfc1123(status.startTime)}\n" if status.startTime is not None else ""
    text += labels("Labels", pod.metadata.labels) + annotations(pod.metadata.annotations)
    text += _pod_status(context, pod)
    text += f"IP:\t{status.podIP}\n"
    addresses = [f"  IP:\t{entry.ip}\n" for entry in status.podIPs]
    text += "IPs:\n" + "".join(addresses) if addresses else f"IPs:\t{NONE}\n"
    text += owner_text(pod)
    if pod.spec.initContainers:
        text += containers_text("Init Containers", pod.spec.initContainers, status.containerStatuses)
    text += containers_text("Containers", pod.spec.containers, status.containerStatuses)
    if status.conditions:
        text += "Conditions:\n  Type\tStatus\n"
        text += "".join(f"  {condition.type} \t{condition.status} \n" for condition in status.conditions)
    text += labels("Node-Selectors", pod.spec.nodeSelector) + tolerations_text(pod.spec.tolerations)
    return text + events_text(context, pod)


def _pod_status(context: Context, pod: Pod) -> str:
    if pod.metadata.deletionTimestamp is None:
        return f"Status:\t{pod.status.phase}\n"
    due = pod.metadata.deletionTimestamp
    lasts = human_duration(abs(context.now - due))
    text = f"Status:\t{pod_reason(pod, view_of(context))} (lasts {lasts})\n"
    return text + f"Termination Grace Period:\t{pod.metadata.deletionGracePeriodSeconds}s\n"


def _pods_status(pods: Iterable[Pod]) -> str:
    """Pods Status: `2 Running / 0 Waiting / 0 Succeeded / 0 Failed`"""
    phases = Counter(pod.status.phase for pod in pods if pod.metadata.deletionTimestamp is None)
    waiting = phases["Pending"]
    return (
        f"{phases['Running']} Running / {waiting} Waiting / {phases['Succeeded']} Succeeded / "
        f"{phases['Failed']} Failed"
    )


def _owned(context: Context, uid: str) -> list[Pod]:
    return [
        pod
        for pod in context.api.list(Pod)
        if (owner := pod.metadata.controller()) is not None and owner.uid == uid
    ]


# ---------------------------------------------------------------------- Deployments
def deployment_text(context: Context, item: Deployment) -> str:
    """A Deployment."""
    known = revisions(context.api, item)
    spec, status, meta = item.spec, item.status, item.metadata
    newest = {REVISION: str(known[-1][0])} if known else {}
    text = f"Name:\t{meta.name}\nNamespace:\t{meta.namespace}\n"
    text += f"CreationTimestamp:\t{rfc1123(meta.creationTimestamp or 0)}\n" + labels("Labels", meta.labels)
    text += annotations({**newest, **meta.annotations})
    text += f"Selector:\t{selector_text(spec.selector)}\n"
    text += (
        f"Replicas:\t{spec.replicas} desired | {status.updatedReplicas} updated | {status.replicas} total | "
        f"{status.availableReplicas} available | {status.unavailableReplicas} unavailable\n"
    )
    text += f"StrategyType:\t{spec.strategy.type}\nMinReadySeconds:\t{spec.minReadySeconds}\n"
    if spec.strategy.type == "RollingUpdate":
        update = spec.strategy.rollingUpdate
        surge, missing = (update.maxSurge, update.maxUnavailable) if update else ("25%", "25%")
        text += f"RollingUpdateStrategy:\t{missing} max unavailable, {surge} max surge\n"
    text += template_text(spec.template)
    if status.conditions:
        text += "Conditions:\n  Type\tStatus\tReason\n  ----\t------\t------\n"
        for condition in status.conditions:
            reason = condition.reason or _AVAILABLE.get(condition.status, "")
            text += f"  {condition.type} \t{condition.status}\t{reason}\n"
    sets = [entry for _, entry in known]
    text += f"OldReplicaSets:\t{_sets_text(sets[:-1])}\n"
    text += f"NewReplicaSet:\t{_sets_text(sets[-1:])}\n"
    return text + events_text(context, item)


def _sets_text(sets: Iterable[ReplicaSet]) -> str:
    parts = [
        f"{item.metadata.name} ({item.status.replicas}/{item.spec.replicas} replicas created)"
        for item in sorted(sets, key=revision_of)
    ]
    return ", ".join(parts) or NONE


def replica_set_text(context: Context, item: ReplicaSet) -> str:
    """A ReplicaSet."""
    meta = item.metadata
    text = f"Name:\t{meta.name}\nNamespace:\t{meta.namespace}\n"
    text += f"Selector:\t{selector_text(item.spec.selector)}\n" + labels("Labels", meta.labels)
    text += annotations(meta.annotations) + owner_text(item)
    text += f"Replicas:\t{item.status.replicas} current / {item.spec.replicas} desired\n"
    text += f"Pods Status:\t{_pods_status(_owned(context, meta.uid))}\n"
    return text + template_text(item.spec.template) + events_text(context, item)


def stateful_set_text(context: Context, item: StatefulSet) -> str:
    """A StatefulSet."""
    spec, meta = item.spec, item.metadata
    text = f"Name:\t{meta.name}\nNamespace:\t{meta.namespace}\n"
    text += f"CreationTimestamp:\t{rfc1123(meta.creationTimestamp or 0)}\n"
    text += f"Selector:\t{selector_text(spec.selector)}\n" + labels("Labels", meta.labels)
    text += annotations(meta.annotations)
    text += f"Replicas:\t{spec.replicas} desired | {item.status.replicas} total\n"
    text += f"Update Strategy:\t{spec.updateStrategy.type}\n"
    if spec.updateStrategy.rollingUpdate is not None:
        text += f"  Partition:\t{spec.updateStrategy.rollingUpdate.partition}\n"
    text += f"Pods Status:\t{_pods_status(_owned(context, meta.uid))}\n"
    return text + template_text(spec.template) + events_text(context, item)


def daemon_set_text(context: Context, item: DaemonSet) -> str:
    """A DaemonSet."""
    status = item.status
    text = f"Name:\t{item.metadata.name}\nNamespace:\t{item.metadata.namespace}\n"
    text += f"Selector:\t{selector_text(item.spec.selector)}\n"
    text += f"Node-Selector:\t{labels_text(item.spec.template.spec.nodeSelector)}\n"
    text += labels("Labels", item.metadata.labels) + annotations(item.metadata.annotations)
    text += f"Desired Number of Nodes Scheduled: {status.desiredNumberScheduled}\n"
    text += f"Current Number of Nodes Scheduled: {status.currentNumberScheduled}\n"
    text += f"Number of Nodes Scheduled with Up-to-date Pods: {status.updatedNumberScheduled}\n"
    text += f"Number of Nodes Scheduled with Available Pods: {status.numberAvailable}\n"
    text += f"Number of Nodes Misscheduled: {status.numberMisscheduled}\n"
    text += f"Pods Status:\t{_pods_status(_owned(context, item.metadata.uid))}\n"
    return text + template_text(item.spec.template) + events_text(context, item)
