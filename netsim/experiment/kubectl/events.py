"""Events (`kubectl get events`, the end of `kubectl describe`), made from the records that components publish.

Called by: `context` holds one per cluster; it hears from the moment it is made. Messages are those of the components:
pkg/kubelet/events, pkg/controller/*, pkg/scheduler (Kubernetes 1.34). Like events about one thing are counted.
Simplified: they take no time to be written, and last for ever (upstream: --event-ttl, one hour).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster.objects import ObjectMeta, OtherObject, Pod
from netsim.cluster.records import ClusterEvent

if TYPE_CHECKING:
    from netsim.cluster.apiserver import ApiServer
    from netsim.engine import Engine


@dataclass(frozen=True, slots=True)
class Note:
    """One Event to be: about whom, from whom, what."""

    kind: str
    namespace: str
    name: str
    type: str
    reason: str
    message: str
    component: str
    host: str = ""
    container: str = ""


class EventLog:
    """Everything that was said since it was made, oldest first."""

    def __init__(self, engine: "Engine", api: "ApiServer") -> None:
        self._api = api
        self._sizes: dict[tuple[str, str], str] = {}
        self._found: dict[Note, list[int]] = {}  # first and last time, how often
        engine.bus.subscribe(ClusterEvent, self._hear)

    def _hear(self, record: ClusterEvent) -> None:
        for note in self._notes(record):
            seen = self._found.setdefault(note, [record.at_ns, record.at_ns, 0])
            seen[1], seen[2] = record.at_ns, seen[2] + 1

    def _notes(self, record: ClusterEvent) -> Iterator[Note]:
        if record.reason == "ScalingReplicaSet":
            yield self._scaled(record)
        make = _NOTES.get(record.reason)
        if make is not None:
            yield from make(record, self._api)

    def _scaled(self, record: ClusterEvent) -> Note:
        """`Scaled up replica set web-5d9f from 0 to 3` on its Deployment."""
        key = (record.namespace, record.name)
        before, size = self._sizes.get(key, "0"), record.detail["replicas"]
        self._sizes[key] = size
        way = "up" if int(size) > int(before) else "down"
        message = f"Scaled {way} replica set {record.name} from {before} to {size}"
        owner = record.name.rpartition("-")[0]
        return _note(record, message, kind="Deployment", name=owner)

    def items(self, namespace: str | None = None) -> list[OtherObject]:
        """The Events as objects, in the order of their last time."""
        ordered = sorted(enumerate(self._found.items()), key=lambda entry: (entry[1][1][1], entry[0]))
        return [
            self._object(number, note, seen)
            for number, (note, seen) in ordered
            if namespace in (None, note.namespace or "default")
        ]

    def about(self, kind: str, namespace: str, name: str) -> list[OtherObject]:
        """Those about one object."""
        wanted = (kind, namespace, name)
        return [item for item in self.items() if _key(item) == wanted]

    def _object(self, number: int, note: Note, seen: list[int]) -> OtherObject:
        first, last, count = seen
        about = {"kind": note.kind, "name": note.name}
        if note.namespace:
            about["namespace"] = note.namespace
        if note.container:
            about["fieldPath"] = f"spec.containers{{{note.container}}}"
        source = {"component": note.component, **({"host": note.host} if note.host else {})}
        meta = ObjectMeta(
            name=f"{note.name}.{first + number:016x}",
            namespace=note.namespace or "default",
            creationTimestamp=first,
        )
        content: dict[str, Any] = {
            "count": count,
            "firstTimestamp": first,
            "involvedObject": about,
            "lastTimestamp": last,
            "message": note.message,
            "reason": note.reason,
            "source": source,
            "type": note.type,
        }
        return OtherObject(apiVersion="v1", kind="Event", metadata=meta, **content)


def _key(item: Any) -> tuple[str, str, str]:
    about: Mapping[str, str] = item.involvedObject
    return about["kind"], about.get("namespace", ""), about["name"]


# ---------------------------------------------------------------------- what each record says
def _note(  # noqa: PLR0913 - what an Event says beside its record
    record: ClusterEvent,
    message: str,
    *,
    reason: str = "",
    type_: str = "Normal",
    kind: str = "",
    name: str = "",
    component: str = "",
    host: str = "",
    container: str = "",
) -> Note:
    return Note(
        kind or record.kind,
        record.namespace,
        name or record.name,
        type_,
        reason or record.reason,
        message,
        component or record.component,
        host,
        container,
    )


def _scheduled(record: ClusterEvent, _api: "ApiServer") -> Iterator[Note]:
    message = f"Successfully assigned {record.namespace}/{record.name} to {record.node}"
    yield _note(record, message, reason="Scheduled", component="default-scheduler")


def _not_scheduled(record: ClusterEvent, _api: "ApiServer") -> Iterator[Note]:
    yield _note(record, record.detail["message"], type_="Warning", component="default-scheduler")


_OWNERS: Final = {
    "replicaset-controller": ("ReplicaSet", "Created pod: {pod}"),
    "daemonset-controller": ("DaemonSet", "Created pod: {pod}"),
    "statefulset-controller": ("StatefulSet", "create Pod {pod} in StatefulSet {owner} successful"),
}


def _created(record: ClusterEvent, _api: "ApiServer") -> Iterator[Note]:
    kind, message = _OWNERS[record.component]
    owner = record.detail["owner"]
    text = message.format(pod=record.name, owner=owner)
    yield _note(record, text, reason="SuccessfulCreate", kind=kind, name=owner)


def _started(record: ClusterEvent, api: "ApiServer") -> Iterator[Note]:
    container = record.detail["container"]
    pod = api.get(Pod, record.namespace, record.name)
    image = next((spec.image for spec in pod.spec.containers if spec.name == container), "") if pod else ""
    for reason, message in (
        ("Pulled", f'Container image "{image}" already present on machine'),
        ("Created", f"Created container: {container}"),
        ("Started", f"Started container {container}"),
    ):
        yield _kubelet(record, reason, message, container)


def _kubelet(record: ClusterEvent, reason: str, message: str, container: str, type_: str = "Normal") -> Note:
    return _note(
        record,
        message,
        reason=reason,
        type_=type_,
        component="kubelet",
        host=record.node,
        container=container,
    )


def _back_off(record: ClusterEvent, api: "ApiServer") -> Iterator[Note]:
    container = record.detail["container"]
    pod = api.get(Pod, record.namespace, record.name)
    uid = pod.metadata.uid if pod else ""
    place = f"{record.name}_{record.namespace}({uid})"
    message = f"Back-off restarting failed container {container} in pod {place}"
    yield _kubelet(record, "BackOff", message, container, "Warning")


def _killing(record: ClusterEvent, _api: "ApiServer") -> Iterator[Note]:
    container = record.detail["container"]
    probe = record.detail["probe"]
    yield _kubelet(record, "Unhealthy", f"{probe.capitalize()} probe failed", container, "Warning")
    message = f"Container {container} failed {probe} probe, will be restarted"
    yield _kubelet(record, "Killing", message, container)


def _unready(record: ClusterEvent, _api: "ApiServer") -> Iterator[Note]:
    if record.detail.get("cause") == "probe":
        yield _kubelet(record, "Unhealthy", "Readiness probe failed", "", "Warning")
    elif record.detail.get("cause") == "node":
        yield _note(
            record, "Node is not ready", reason="NodeNotReady", type_="Warning", component="node-controller"
        )


def _terminating(record: ClusterEvent, api: "ApiServer") -> Iterator[Note]:
    pod = api.get(Pod, record.namespace, record.name)
    for spec in pod.spec.containers if pod is not None and pod.spec.nodeName else ():
        yield _kubelet(record, "Killing", f"Stopping container {spec.name}", spec.name)


def _evicted(record: ClusterEvent, _api: "ApiServer") -> Iterator[Note]:
    message = f"Marking for deletion Pod {record.namespace}/{record.name}"
    yield _note(record, message, reason="TaintManagerEviction", component="taint-eviction-controller")


def _node(record: ClusterEvent, _api: "ApiServer") -> Iterator[Note]:
    message = f"Node {record.name} status is now: {record.reason}"
    component = "node-controller" if record.reason == "NodeNotReady" else "kubelet"
    yield _note(record, message, component=component, host=record.name if component == "kubelet" else "")


def _balancer(record: ClusterEvent, _api: "ApiServer") -> Iterator[Note]:
    word = {"EnsuringLoadBalancer": "Ensuring", "EnsuredLoadBalancer": "Ensured"}[record.reason]
    yield _note(record, f"{word} load balancer", component="service-controller")


_NOTES: Final[Mapping[str, Callable[[ClusterEvent, Any], Iterator[Note]]]] = {
    "PodScheduled": _scheduled,
    "FailedScheduling": _not_scheduled,
    "PodCreated": _created,
    "ContainerStarted": _started,
    "BackOff": _back_off,
    "Unhealthy": _killing,
    "PodUnready": _unready,
    "PodTerminating": _terminating,
    "PodEvicted": _evicted,
    "NodeNotReady": _node,
    "NodeReady": _node,
    "EnsuringLoadBalancer": _balancer,
    "EnsuredLoadBalancer": _balancer,
}
