"""Pieces that several descriptions share: labels, containers, events.

Called by: the other `describe_*` files. Source: k8s.io/kubectl/pkg/describe/describe.go, Kubernetes 1.34. Texts have
tabs; `align` makes columns of them. What netsim does not act on (volumes, resources, QoS) is left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from netsim.cluster.objects import (
    ApiObject,
    Container,
    ContainerState,
    ContainerStatus,
    EnvVar,
    PodTemplateSpec,
    Probe,
    Toleration,
)
from netsim.experiment.kubectl.columns import NONE
from netsim.experiment.kubectl.columns_core import source_text
from netsim.experiment.kubectl.context import Context
from netsim.experiment.kubectl.human import human_duration, rfc1123

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def multiline(title: str, pairs: Iterable[str], indent: str = "") -> str:
    """A field with one value per line."""
    values = list(pairs) or [NONE]
    return f"{indent}{title}:\t{values[0]}\n" + "".join(f"{indent}\t{value}\n" for value in values[1:])


def labels(title: str, found: Mapping[str, str], indent: str = "") -> str:
    """printLabelsMultiline"""
    return multiline(title, (f"{key}={value}" for key, value in sorted(found.items())), indent)


def annotations(found: Mapping[str, str], indent: str = "") -> str:
    """printAnnotationsMultiline"""
    pairs = (
        f"{key}: {value.splitlines()[0] if value else ''}"
        for key, value in sorted(found.items())
        if key != LAST_APPLIED
    )
    return multiline("Annotations", pairs, indent)


def head(item: ApiObject, *, namespace: bool = True, created: bool = False) -> str:
    """Name, Namespace, CreationTimestamp, Labels, Annotations."""
    meta = item.metadata
    text = f"Name:\t{meta.name}\n"
    text += f"Namespace:\t{meta.namespace}\n" if namespace else ""
    if created and meta.creationTimestamp is not None:
        text += f"CreationTimestamp:\t{rfc1123(meta.creationTimestamp)}\n"
    return text + labels("Labels", meta.labels) + annotations(meta.annotations)


def owner_text(item: ApiObject) -> str:
    """Controlled By"""
    owner = item.metadata.controller()
    return f"Controlled By:\t{owner.kind}/{owner.name}\n" if owner is not None else ""


def tolerations_text(found: Iterable[Toleration], indent: str = "") -> str:
    """printTolerationsMultiline"""
    return multiline("Tolerations", map(_toleration, sorted(found, key=lambda item: item.key)), indent)


def _toleration(item: Toleration) -> str:
    text = item.key + (f"={item.value}" if item.value else "") + (f":{item.effect}" if item.effect else "")
    if item.operator == "Exists" and not item.value:
        text += " op=Exists" if text else "op=Exists"
    return text + (f" for {item.tolerationSeconds}s" if item.tolerationSeconds is not None else "")


# ---------------------------------------------------------------------- containers
def containers_text(
    title: str, found: Iterable[Container], statuses: Iterable[ContainerStatus] = (), indent: str = ""
) -> str:
    """describeContainers: of a pod (with statuses), or of a template (indented)."""
    known = {status.name: status for status in statuses}
    text = f"{indent}{title}:\n"
    for container in found:
        text += f"  {' ' if indent else ''}{container.name}:\n"
        text += _container(container, known.get(container.name))
    return text


def _container(container: Container, status: ContainerStatus | None) -> str:
    text = ""
    if status is not None:
        text += f"    Container ID:\t{status.containerID}\n"
    text += f"    Image:\t{container.image}\n"
    if status is not None:
        text += f"    Image ID:\t{status.imageID}\n"
    text += _ports(container)
    for name in ("command", "args"):
        words = getattr(container, name)
        if words:
            text += f"    {name.capitalize()}:\n" + "".join(f"      {word}\n" for word in words)
    if status is not None:
        text += _state("State", status.state)
        if status.lastState.terminated is not None:
            text += _state("Last State", status.lastState)
        text += f"    Ready:\t{status.ready}\n    Restart Count:\t{status.restartCount}\n"
    for title in ("Liveness", "Readiness", "Startup"):
        probe: Probe | None = getattr(container, f"{title.lower()}Probe")
        text += f"    {title}:\t{_probe(probe)}\n" if probe is not None else ""
    return text + _environment(container)


def _ports(container: Container) -> str:
    ports = container.ports
    plural = "s" if len(ports) > 1 else ""
    inside = ", ".join(
        f"{port.containerPort}/{port.protocol}" + (f" ({port.name})" if port.name else "") for port in ports
    )
    outside = ", ".join(
        f"{port.hostPort}/{port.protocol}" + (f" ({port.name})" if port.name else "") for port in ports
    )
    return f"    Port{plural}:\t{inside or NONE}\n    Host Port{plural}:\t{outside or NONE}\n"


def _state(title: str, state: ContainerState) -> str:
    if state.running is not None:
        text = f"    {title}:\tRunning\n"
        started = state.running.startedAt
        return text + (f"      Started:\t{rfc1123(started)}\n" if started is not None else "")
    if state.terminated is not None:
        ended = state.terminated
        text = f"    {title}:\tTerminated\n"
        text += f"      Reason:\t{ended.reason}\n" if ended.reason else ""
        text += f"      Exit Code:\t{ended.exitCode}\n"
        text += f"      Started:\t{rfc1123(ended.startedAt or 0)}\n"
        return text + f"      Finished:\t{rfc1123(ended.finishedAt or 0)}\n"
    text = f"    {title}:\tWaiting\n"
    reason = state.waiting.reason if state.waiting is not None else ""
    return text + (f"      Reason:\t{reason}\n" if reason else "")


def _probe(probe: Probe) -> str:
    """DescribeProbe"""
    attributes = (
        f"delay={probe.initialDelaySeconds}s timeout={probe.timeoutSeconds}s period={probe.periodSeconds}s "
        f"#success={probe.successThreshold} #failure={probe.failureThreshold}"
    )
    if probe.httpGet is not None:
        action = probe.httpGet
        path = action.path if action.path.startswith("/") else f"/{action.path}"
        return f"http-get {action.scheme.lower()}://{action.host}:{action.port}{path} {attributes}"
    if probe.tcpSocket is not None:
        return f"tcp-socket {probe.tcpSocket.host}:{probe.tcpSocket.port} {attributes}"
    if probe.grpc is not None:
        return f"grpc <pod>:{probe.grpc.port} {probe.grpc.service} {attributes}"
    if probe.exec is not None:
        return f"exec [{' '.join(probe.exec.command)}] {attributes}"
    return f"unknown {attributes}"


def _environment(container: Container) -> str:
    if not container.env:
        return f"    Environment:\t{NONE}\n"
    return "    Environment:\n" + "".join(f"      {_variable(entry)}\n" for entry in container.env)


def _variable(entry: EnvVar) -> str:
    source = entry.valueFrom
    if source is None:
        return f"{entry.name}:\t{entry.value}"
    if source.fieldRef is not None:
        return f"{entry.name}:\t ({source.fieldRef.apiVersion}:{source.fieldRef.fieldPath})"
    for key, words in ((source.configMapKeyRef, "of config map"), (source.secretKeyRef, "in secret")):
        if key is not None:
            optional = str(key.optional).lower()
            return f"{entry.name}:\t<set to the key '{key.key}' {words} '{key.name}'>\tOptional: {optional}"
    return f"{entry.name}:\t"


def template_text(template: PodTemplateSpec) -> str:
    """DescribePodTemplate"""
    spec = template.spec
    text = "Pod Template:\n" + labels("Labels", template.metadata.labels, "  ")
    if template.metadata.annotations:
        text += annotations(template.metadata.annotations, "  ")
    if spec.initContainers:
        text += containers_text("Init Containers", spec.initContainers, (), "  ")
    text += containers_text("Containers", spec.containers, (), "  ")
    text += labels("Node-Selectors", spec.nodeSelector, "  ")
    return text + tolerations_text(spec.tolerations, "  ")


# ---------------------------------------------------------------------- events
def events_text(context: Context, item: ApiObject) -> str:
    """DescribeEvents"""
    namespace = item.metadata.namespace
    found: list[Any] = list(context.events.about(item.kind, namespace, item.metadata.name))
    if not found:
        return f"Events:\t{NONE}\n"
    text = "Events:\n  Type\tReason\tAge\tFrom\tMessage\n  ----\t------\t----\t----\t-------\n"
    for event in found:
        ago = human_duration(context.now - event.lastTimestamp)
        if event.count > 1:
            ago = f"{ago} (x{event.count} over {human_duration(context.now - event.firstTimestamp)})"
        text += (
            f"  {event.type}\t{event.reason}\t{ago}\t{source_text(event).split(',')[0]}\t{event.message}\n"
        )
    return text
