"""What the API server would refuse, object by object: names, labels, selectors, containers, probes, annotations.

Called by: `loader`, for every object that the models accepted. Sources: pkg/apis/{core,apps}/validation,
apimachinery/pkg/util/validation, Kubernetes 1.34.
Simplified: only what matters to packets; volumes, security and the like are not checked.
"""

import re
from collections.abc import Iterator, Mapping

from netsim.cluster.controllers.readiness_gates import READINESS_GATES
from netsim.cluster.objects import (
    Container,
    DaemonSet,
    Deployment,
    Lifecycle,
    ObjectMeta,
    Pod,
    PodDisruptionBudget,
    PodSpec,
    Probe,
    ReplicaSet,
    StatefulSet,
)
from netsim.experiment.rules_annotations import check_annotation
from netsim.experiment.rules_disruption import check_budget
from netsim.experiment.rules_environment import check_environment
from netsim.experiment.rules_hostports import check_host_ports
from netsim.experiment.rules_place import TEMPLATE, Loaded, Path, Place
from netsim.experiment.rules_timers import check_probe_timers, check_stop_timers, check_workload_timers
from netsim.experiment.spec_names import did_you_mean

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


def check_object(loaded: Loaded) -> None:
    """Record what is wrong with one object."""
    thing, place = loaded.object, loaded.place
    _check_name(loaded)
    _check_metadata(thing.metadata, place, ("metadata",))
    if isinstance(thing, Pod):
        _check_pod(thing.spec, place, ("spec",))
        _note_gates(thing.metadata, thing.spec, place, ("spec",))
    elif isinstance(thing, Deployment | ReplicaSet | StatefulSet | DaemonSet):
        _check_workload(thing, place)
    elif isinstance(thing, PodDisruptionBudget):
        check_budget(thing, place)


def _check_name(loaded: Loaded) -> None:
    thing, place = loaded.object, loaded.place
    name = thing.metadata.name
    if not name:
        place.error(("metadata",), 'missing field "name"', key=True)
        return
    pattern, most, words = _SUBDOMAIN, 253, "lower-case letters, digits, hyphens and dots"
    if thing.kind == "Service":
        pattern, most, words = (
            _SERVICE_NAME,
            63,
            "lower-case letters, digits and hyphens, beginning with a letter",
        )
    elif thing.kind == "Namespace":
        pattern, most, words = _LABEL, 63, "lower-case letters, digits and hyphens"
    if thing.apiVersion.startswith("rbac.") or (len(name) <= most and pattern.fullmatch(name)):
        return
    place.error(("metadata", "name"), f'"{name}" is no name for a {thing.kind}: at most {most} {words}')


def _check_metadata(meta: ObjectMeta, place: Place, path: Path) -> None:
    if meta.namespace and not _LABEL.fullmatch(meta.namespace):
        place.error((*path, "namespace"), f'"{meta.namespace}" is no name for a namespace')
    check_labels(meta.labels, place, (*path, "labels"))
    for key, value in meta.annotations.items():
        if key.startswith("netsim/"):
            check_annotation(key, value, place, (*path, "annotations", key))


def check_labels(labels: Mapping[str, str], place: Place, path: Path) -> None:
    """Record labels that Kubernetes would refuse."""
    for key, value in labels.items():
        if not _QUALIFIED.fullmatch(key):
            place.error((*path, key), f'"{key}" is no label key', key=True)
        if len(value) > 63 or not _LABEL_VALUE.fullmatch(value):
            words = "at most 63 letters, digits, hyphens, underscores and dots"
            place.error((*path, key), f'"{value}" is no label value: {words}')


def _check_workload(thing: Deployment | ReplicaSet | StatefulSet | DaemonSet, place: Place) -> None:
    selector, template = thing.spec.selector, thing.spec.template
    path: Path = ("spec", "selector")
    if not selector.matchLabels and not selector.matchExpressions:
        place.error(path, "the selector is empty: repeat the template's labels under matchLabels", key=True)
    elif not selector.matches(template.metadata.labels):
        wanted = (
            ", ".join(f"{key}={value}" for key, value in selector.matchLabels.items()) or "its expressions"
        )
        message = f"the template's labels do not match the selector: add {wanted}"
        place.error((*TEMPLATE, "metadata", "labels"), message, key=True)
    _check_metadata(template.metadata, place, (*TEMPLATE, "metadata"))
    if template.spec.restartPolicy != "Always":
        message = f"a {thing.kind} needs Always, not {template.spec.restartPolicy}"
        place.error((*TEMPLATE, "spec", "restartPolicy"), message)
    check_workload_timers(thing, place)
    _check_pod(template.spec, place, (*TEMPLATE, "spec"))
    _note_gates(template.metadata, template.spec, place, (*TEMPLATE, "spec"))


def _note_gates(meta: ObjectMeta, spec: PodSpec, place: Place, path: Path) -> None:
    if spec.readinessGates and READINESS_GATES not in meta.annotations:
        place.note(
            (*path, "readinessGates"),
            f"nobody opens these gates, so the pods never become ready: annotate {READINESS_GATES}: 5s",
        )


def _check_pod(spec: PodSpec, place: Place, path: Path) -> None:
    if not spec.containers:
        place.error((*path, "containers"), "a pod needs at least one container", key=True)
    seen: dict[str, None] = {}
    for where, container in _containers(spec, path):
        if not _LABEL.fullmatch(container.name):
            place.error(
                (*where, "name"), f'"{container.name}" is no name for a container: use a to z, 0 to 9, "-"'
            )
        if container.name in seen:
            place.error((*where, "name"), f'two containers are called "{container.name}"')
        seen[container.name] = None
        _check_container(container, place, where)
        check_stop_timers(container, spec.terminationGracePeriodSeconds, place, where)
    check_host_ports(spec, _containers(spec, path), place)


def _containers(spec: PodSpec, path: Path) -> Iterator[tuple[Path, Container]]:
    for index, container in enumerate(spec.initContainers):
        yield (*path, "initContainers", index), container
    for index, container in enumerate(spec.containers):
        yield (*path, "containers", index), container


def _check_container(container: Container, place: Place, path: Path) -> None:
    names: dict[str, None] = {}
    numbers: dict[tuple[int, str], None] = {}
    for index, port in enumerate(container.ports):
        where: Path = (*path, "ports", index)
        if port.name and (len(port.name) > 15 or not _PORT_NAME.fullmatch(port.name)):
            words = "at most 15 lower-case letters, digits and hyphens, with a letter"
            place.error((*where, "name"), f'"{port.name}" is no name for a port: {words}')
        if port.name in names:
            place.error((*where, "name"), f'two ports are called "{port.name}"')
        if (port.containerPort, port.protocol) in numbers:
            place.error(
                (*where, "containerPort"), f"port {port.containerPort}/{port.protocol} is listed twice"
            )
        names.update({port.name: None} if port.name else {})
        numbers[port.containerPort, port.protocol] = None
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        probe: Probe | None = getattr(container, name)
        if probe is not None:
            _check_probe(probe, name, list(names), place, (*path, name))
    check_environment(container, place, path)
    if container.lifecycle is not None:
        _check_hooks(container.lifecycle, place, (*path, "lifecycle"))


def _check_probe(probe: Probe, name: str, ports: list[str], place: Place, path: Path) -> None:
    given = [kind for kind in ("httpGet", "tcpSocket", "grpc", "exec") if getattr(probe, kind) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        place.error(
            path, f"a probe needs exactly one of httpGet, tcpSocket, grpc, exec; found {found}", key=True
        )
    check_probe_timers(probe, name, place, path)
    if name != "readinessProbe" and probe.successThreshold != 1:
        place.error((*path, "successThreshold"), f"must be 1 for a {name}")
    for kind in ("httpGet", "tcpSocket"):
        action = getattr(probe, kind)
        if action is not None:
            _check_port(action.port, ports, place, (*path, kind, "port"))


def _check_port(port: int | str, ports: list[str], place: Place, path: Path) -> None:
    if isinstance(port, int):
        if not 1 <= port <= 65535:
            place.error(path, f"{port} is no port: 1 to 65535")
    elif port.isdigit():
        place.error(path, f'"{port}" is text: remove the quotes')
    elif port not in ports:
        place.error(path, f'the container has no port called "{port}"{did_you_mean(port, ports)}')


def _check_hooks(lifecycle: Lifecycle, place: Place, path: Path) -> None:
    for name in ("postStart", "preStop"):
        hook = getattr(lifecycle, name)
        if hook is None:
            continue
        given = [
            kind for kind in ("exec", "httpGet", "tcpSocket", "sleep") if getattr(hook, kind) is not None
        ]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            place.error(
                (*path, name), f"a hook needs exactly one of exec, httpGet, sleep; found {found}", key=True
            )
