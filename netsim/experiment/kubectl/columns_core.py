"""Columns of pods, nodes, namespaces, config maps and events (printPod, printNode... of printers.go)."""

from collections.abc import Mapping
from typing import Any, Final

from netsim.cluster.objects import ContainerStatus, Node, Pod
from netsim.experiment.kubectl.columns import AGE, NAME, NONE, Column, View
from netsim.experiment.kubectl.human import age, human_duration

_ROLE: Final = "node-role.kubernetes.io/"
_NODE_LOST: Final = "NodeLost"  # pkg/util/node (NodeUnreachablePodReason)


def pod_ready(pod: Pod, _view: View) -> str:
    """READY: `1/1`"""
    ready = sum(1 for status in pod.status.containerStatuses if status.ready and status.state.running)
    return f"{ready}/{len(pod.spec.containers)}"


def pod_reason(pod: Pod, _view: View) -> str:
    """STATUS: the phase, or what keeps a container from running, or Terminating."""
    reason = pod.status.reason or pod.status.phase
    running = any(status.ready and status.state.running for status in pod.status.containerStatuses)
    for status in reversed(pod.status.containerStatuses):
        reason = _container_reason(status) or reason
    if reason == "Completed" and running:
        reason = "Running" if pod.status.is_ready else "NotReady"
    if pod.metadata.deletionTimestamp is not None:
        if pod.status.reason == _NODE_LOST:
            return "Unknown"
        if pod.status.phase not in ("Succeeded", "Failed"):
            return "Terminating"
    return reason


def _container_reason(status: ContainerStatus) -> str:
    waiting, ended = status.state.waiting, status.state.terminated
    if waiting is not None and waiting.reason:
        return waiting.reason
    if ended is None:
        return ""
    return ended.reason or (f"Signal:{ended.signal}" if ended.signal else f"ExitCode:{ended.exitCode}")


def pod_restarts(pod: Pod, view: View) -> str:
    """RESTARTS: `0`, `2 (15s ago)`"""
    count = sum(status.restartCount for status in pod.status.containerStatuses)
    ends = [
        status.lastState.terminated.finishedAt or 0
        for status in pod.status.containerStatuses
        if status.lastState.terminated is not None
    ]
    return f"{count} ({age(view.now, max(ends))} ago)" if count and ends else str(count)


def _pod_ip(pod: Pod, _view: View) -> str:
    return pod.status.podIPs[0].ip if pod.status.podIPs else NONE


def _gates(pod: Pod, _view: View) -> str:
    gates = [gate.conditionType for gate in pod.spec.readinessGates]
    true = sum(1 for gate in gates if getattr(pod.status.condition(gate), "status", "") == "True")
    return f"{true}/{len(gates)}" if gates else NONE


POD: Final = (
    NAME,
    Column("READY", pod_ready),
    Column("STATUS", pod_reason),
    Column("RESTARTS", pod_restarts),
    AGE,
    Column("IP", _pod_ip, wide=True),
    Column("NODE", lambda pod, _view: pod.spec.nodeName or NONE, wide=True),
    Column("NOMINATED NODE", lambda pod, _view: pod.status.nominatedNodeName or NONE, wide=True),
    Column("READINESS GATES", _gates, wide=True),
)


# ---------------------------------------------------------------------- nodes
def node_status(node: Node, _view: View) -> str:
    """STATUS: `Ready`, `NotReady,SchedulingDisabled`"""
    ready = node.status.condition("Ready")
    words = ["Unknown" if ready is None else "Ready" if ready.status == "True" else "NotReady"]
    return ",".join([*words, *(["SchedulingDisabled"] if node.spec.unschedulable else [])])


def node_roles(node: Node, _view: View) -> str:
    """ROLES"""
    roles = {key.removeprefix(_ROLE) for key in node.metadata.labels if key.startswith(_ROLE)}
    return ",".join(sorted(role for role in roles if role)) or NONE


def _address(kind: str) -> Column:
    def cell(node: Node, _view: View) -> str:
        return next((entry.address for entry in node.status.addresses if entry.type == kind), NONE)

    return Column("INTERNAL-IP" if kind == "InternalIP" else "EXTERNAL-IP", cell, wide=True)


NODE: Final = (
    NAME,
    Column("STATUS", node_status),
    Column("ROLES", node_roles),
    AGE,
    Column("VERSION", lambda _node, view: view.release),
    _address("InternalIP"),
    _address("ExternalIP"),
    Column("OS-IMAGE", lambda _node, _view: "<unknown>", wide=True),
    Column("KERNEL-VERSION", lambda _node, view: view.kernel or "<unknown>", wide=True),
    Column("CONTAINER-RUNTIME", lambda _node, _view: "<unknown>", wide=True),
)
NAMESPACE: Final = (NAME, Column("STATUS", lambda item, _view: item.status.phase), AGE)
CONFIG_MAP: Final = (
    NAME,
    Column("DATA", lambda item, _view: str(len(item.data) + len(item.binaryData or {}))),
    AGE,
)
SECRET: Final = (
    NAME,
    Column("TYPE", lambda item, _view: item.type),
    Column("DATA", lambda item, _view: str(len({**item.data, **item.stringData}))),
    AGE,
)
LEASE: Final = (NAME, Column("HOLDER", lambda item, _view: item.spec.holderIdentity or ""), AGE)


# ---------------------------------------------------------------------- events
def _last_seen(event: Any, view: View) -> str:
    last = human_duration(view.now - event.lastTimestamp)
    if event.count > 1:
        return f"{last} (x{event.count} over {human_duration(view.now - event.firstTimestamp)})"
    return last


def _object(event: Any, _view: View) -> str:
    about: Mapping[str, str] = event.involvedObject
    return f"{about['kind'].lower()}/{about['name']}"


EVENT: Final = (
    Column("LAST SEEN", _last_seen),
    Column("TYPE", lambda event, _view: event.type),
    Column("REASON", lambda event, _view: event.reason),
    Column("OBJECT", _object),
    Column("SUBOBJECT", lambda event, _view: event.involvedObject.get("fieldPath", ""), wide=True),
    Column("SOURCE", lambda event, _view: source_text(event), wide=True),
    Column("MESSAGE", lambda event, _view: event.message),
    Column("FIRST SEEN", lambda event, view: human_duration(view.now - event.firstTimestamp), wide=True),
    Column("COUNT", lambda event, _view: str(event.count), wide=True),
    Column("NAME", lambda event, _view: event.metadata.name, wide=True),
)


def source_text(event: Any) -> str:
    """`kubelet, worker-1` (formatEventSource)."""
    source: Mapping[str, str] = event.source
    return ", ".join(text for text in (source.get("component", ""), source.get("host", "")) if text)
