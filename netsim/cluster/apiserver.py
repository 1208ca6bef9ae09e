"""The API server: a versioned store in memory with list, watch, admission and optimistic concurrency.

Called by: every controller, kubelet and kube-proxy, as a rule through an `ApiClient` (`client.py`), which adds the
time that a request takes; the methods here commit at once. Watches are late (`watch.py`).

Semantics (k8s.io/apiserver, API concepts page): one `resourceVersion` counter for all kinds; `update` fails with a
conflict when the object has changed since it was read; `generation` counts changes of the spec; deleting a pod that is
bound to a node only sets `deletionTimestamp`, and its kubelet removes it when it has ended.
Simplified: no finalizers, no field managers, no authentication, no etcd: a commit cannot fail half-way.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast, overload

from netsim.cluster.admission import Admission, check_change
from netsim.cluster.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from netsim.cluster.ipam import NodePorts
from netsim.cluster.objects import ApiObject, LabelSelector, Pod, evolve, matches_labels
from netsim.cluster.timing import Timing
from netsim.cluster.watch import ChangeLog, Frame, Watch, WatchEvent
from netsim.engine import Engine, S

T = TypeVar("T", bound=ApiObject)
Key = tuple[str, str]
Selector = LabelSelector | Mapping[str, str]

_FINISHED = ("Succeeded", "Failed")


class ApiServer:
    """The store. Kinds are named by their model class or by text: `api.get(Pod, "default", "web-0")`.

    The text form ("Pod") also reaches kinds that have no model of their own.
    """

    def __init__(
        self,
        engine: Engine,
        timing: Timing,
        service_subnet: str = "10.96.0.0/16",  # kubeadm: 10.96.0.0/12; kind: 10.96.0.0/16
        node_ports: NodePorts | None = None,
    ) -> None:
        self._engine = engine
        self._timing = timing
        self._objects: dict[str, dict[Key, ApiObject]] = {}
        self._logs: dict[str, ChangeLog] = {}
        self._pods_of_node: dict[str, ChangeLog] = {}
        self._taps: dict[str, list[Callable[[WatchEvent[Any]], None]]] = {}
        self._version = 0
        toleration = timing.node_failure.toleration_seconds
        self.admission = Admission(engine, service_subnet, toleration, node_ports or NodePorts())

    # ------------------------------------------------------------------------------------------------ reading
    @overload
    def get(self, kind: type[T], namespace: str, name: str) -> T | None: ...
    @overload
    def get(self, kind: str, namespace: str, name: str) -> ApiObject | None: ...
    def get(self, kind: type[ApiObject] | str, namespace: str, name: str) -> ApiObject | None:
        """The object as it is now, or None. `namespace` is "" for cluster-scoped kinds."""
        return self._objects.get(kind_name(kind), {}).get((namespace, name))

    @overload
    def list(
        self, kind: type[T], namespace: str | None = None, selector: Selector | None = None
    ) -> "list[T]": ...
    @overload
    def list(
        self, kind: str, namespace: str | None = None, selector: Selector | None = None
    ) -> "list[ApiObject]": ...
    def list(self, kind: Any, namespace: str | None = None, selector: Selector | None = None) -> Any:
        """All objects of a kind in the order of their creation, of one namespace and with these labels if given."""
        found = self._objects.get(kind_name(kind), {}).values()
        return [item for item in found if _wanted(item, namespace, selector)]

    def keys(self, kind: type[ApiObject] | str) -> Iterable[Key]:
        """The identities of all objects of a kind."""
        return self._objects.get(kind_name(kind), {}).keys()

    def __iter__(self) -> Iterator[ApiObject]:
        """Every object of every kind."""
        for store in self._objects.values():
            yield from store.values()

    # ------------------------------------------------------------------------------------------------ writing
    def create(self, new: T) -> T:
        """Store a new object and return it completed. Raises AlreadyExistsError, InvalidError."""
        store = self._objects.setdefault(new.kind, {})
        namespace = new.metadata.namespace or ("default" if new.NAMESPACED else "")
        if (namespace, new.metadata.name) in store:  # before anything is allocated
            raise AlreadyExistsError(f"{_path(store[namespace, new.metadata.name])} already exists")
        completed = cast("T", self.admission.complete(new, self._version + 1))
        if not completed.metadata.name:
            raise InvalidError(f"{new.kind} needs a metadata.name or metadata.generateName")
        if completed.key in store:
            raise AlreadyExistsError(f"{_path(completed)} already exists")
        self._version += 1
        store[completed.key] = completed
        self._commit("ADDED", completed, None)
        return completed

    def update(self, changed: T) -> T:
        """Replace an object. Raises NotFoundError, InvalidError, and ConflictError when `changed` was made from an old
        version.

        A `resourceVersion` of 0 means: whatever is stored.
        """
        current = cast("T", self._current(changed.kind, changed.metadata.namespace, changed.metadata.name))
        read = changed.metadata.resourceVersion
        if read not in (0, current.metadata.resourceVersion):
            raise ConflictError(f"{_path(changed)} has been modified; read it again and repeat the change")
        return self._replace(current, changed)

    def patch(self, kind: type[T], namespace: str, name: str, change: Callable[[T], T], uid: str = "") -> T:
        """Change whatever is stored: `patch(Pod, ns, name, lambda pod: evolve(pod, ...))`.

        Raises NotFoundError, also when `uid` is given and belongs to an earlier object of that name. A change that
        returns its argument commits nothing.
        """
        current = cast("T", self._current(kind, namespace, name, uid))
        changed = change(current)
        return current if changed is current else self._replace(current, changed)

    def delete(
        self,
        kind: type[ApiObject] | str,
        namespace: str,
        name: str,
        grace_seconds: int | None = None,
        uid: str = "",
    ) -> ApiObject | None:
        """Delete an object, or begin to. Returns the object when it still exists (a pod that terminates), else None.

        `grace_seconds` None means the pod's own `terminationGracePeriodSeconds`; 0 removes it at once. A repeated
        delete can only shorten the period (pkg/registry/core/pod/strategy.go CheckGracefulDelete).
        """
        current = self._current(kind, namespace, name, uid)
        grace = _grace_period(current, grace_seconds) if isinstance(current, Pod) else 0
        if grace == 0:
            self._remove(current)
            return None
        before = current.metadata.deletionGracePeriodSeconds
        if before is not None and grace >= before:
            return current
        changes = {"deletionTimestamp": self._engine.now + grace * S, "deletionGracePeriodSeconds": grace}
        return self._replace(current, evolve(current, metadata=current.metadata.model_copy(update=changes)))

    # ------------------------------------------------------------------------------------------------ watching
    def watch(self, kind: type[T] | str, handler: Callable[[WatchEvent[T]], None], watcher: str) -> Watch:
        """List and watch: `handler` is called with an ADDED event for everything there is, now, and then with each
        change, late and in order. `watcher` names the random stream of the delays."""
        self._replay(cast("Iterable[T]", self.list(kind)), handler)
        return self.watch_frames(kind, _one_by_one(handler), watcher)

    def watch_pods_of(self, node: str, handler: Callable[[WatchEvent[Pod]], None], watcher: str) -> Watch:
        """The kubelet's watch: only pods whose `spec.nodeName` is this node (a field selector)."""
        log = self._pods_of_node.setdefault(node, ChangeLog())
        self._replay([pod for pod in self.list(Pod) if pod.spec.nodeName == node], handler)
        return self._open(log, _one_by_one(handler), watcher)

    def watch_frames(
        self, kind: type[ApiObject] | str, deliver: Callable[[Frame], None], watcher: str
    ) -> Watch:
        """A watch from now on that hands over whole frames."""
        return self._open(self.log(kind), deliver, watcher)

    def tap(self, kind: type[T], listener: Callable[[WatchEvent[T]], None]) -> None:
        """Call `listener` at each commit, without delay: for observers and shared indexes, not for components."""
        self._taps.setdefault(kind.__name__, []).append(listener)

    def log(self, kind: type[ApiObject] | str) -> ChangeLog:
        """The change log of a kind."""
        return self._logs.setdefault(kind_name(kind), ChangeLog())

    # ------------------------------------------------------------------------------------------------ inside
    def _open(self, log: ChangeLog, deliver: Callable[[Frame], None], watcher: str) -> Watch:
        stream = self._engine.stream(f"watch/{watcher}")
        return Watch(log, deliver, self._timing.api.watch, stream, self._engine.timers)

    def _replay(self, found: Iterable[T], handler: Callable[[WatchEvent[T]], None]) -> None:
        for item in found:
            handler(WatchEvent("ADDED", item, None, self._engine.now))

    def _current(self, kind: type[ApiObject] | str, namespace: str, name: str, uid: str = "") -> ApiObject:
        current = self._objects.get(kind_name(kind), {}).get((namespace, name))
        if current is None:
            raise NotFoundError(f"{kind_name(kind)} {namespace + '/' if namespace else ''}{name} not found")
        if uid and current.metadata.uid != uid:
            raise NotFoundError(f"{_path(current)} is another object by now (uid {current.metadata.uid})")
        return current

    def _replace(self, current: T, changed: T) -> T:
        check_change(current, changed)
        self._version += 1
        meta: dict[str, Any] = {"resourceVersion": self._version}
        if getattr(changed, "spec", None) != getattr(current, "spec", None):
            meta["generation"] = current.metadata.generation + 1
        stored = changed.model_copy(update={"metadata": changed.metadata.model_copy(update=meta)})
        self._objects[current.kind][current.key] = stored
        self._commit("MODIFIED", stored, current)
        return stored

    def _remove(self, current: ApiObject) -> None:
        self._version += 1
        del self._objects[current.kind][current.key]
        self.admission.released(current)
        last = current.metadata.model_copy(
            update={"resourceVersion": self._version, "deletionGracePeriodSeconds": 0}
        )
        self._commit("DELETED", current.model_copy(update={"metadata": last}), current)

    def _commit(self, change: Any, stored: ApiObject, old: ApiObject | None) -> None:
        event = WatchEvent(change, stored, old, self._engine.now)
        self.log(stored.kind).append(event)
        if isinstance(stored, Pod) and stored.spec.nodeName:
            self._to_node(stored, old, event)
        for listener in self._taps.get(stored.kind, ()):
            listener(event)

    def _to_node(self, pod: Pod, old: ApiObject | None, event: WatchEvent[Any]) -> None:
        log = self._pods_of_node.get(pod.spec.nodeName)
        if log is None:
            return
        bound_now = isinstance(old, Pod) and not old.spec.nodeName and event.type == "MODIFIED"
        log.append(WatchEvent("ADDED", pod, None, event.at_ns) if bound_now else event)


def kind_name(kind: type[ApiObject] | str) -> str:
    """ "Pod" for the model class or for the text."""
    return kind if isinstance(kind, str) else kind.__name__


def _one_by_one(handler: Callable[[WatchEvent[T]], None]) -> Callable[[Frame], None]:
    def deliver(frame: Frame) -> None:
        for event in frame:
            handler(event)

    return deliver


def _wanted(item: ApiObject, namespace: str | None, selector: Selector | None) -> bool:
    if namespace is not None and item.metadata.namespace != namespace:
        return False
    if selector is None:
        return True
    labels = item.metadata.labels
    return (
        selector.matches(labels) if isinstance(selector, LabelSelector) else matches_labels(selector, labels)
    )


def _grace_period(pod: Pod, asked: int | None) -> int:
    if not pod.spec.nodeName or pod.status.phase in _FINISHED:
        return 0
    return pod.spec.terminationGracePeriodSeconds if asked is None else asked


def _path(item: ApiObject) -> str:
    namespace = f"{item.metadata.namespace}/" if item.metadata.namespace else ""
    return f"{item.kind} {namespace}{item.metadata.name}"
