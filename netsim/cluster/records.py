"""What the control plane tells the record bus.

Called by every component of `netsim.cluster`; read by `netsim.measure`, which puts the failover budget together
from the reasons below. Kubernetes' own Event objects use the same idea: who, what, about which object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from netsim.engine import Engine

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """Something that a component did or noticed about an object.

    `at_ns` is engine time. `node` is the node of the pod or of the component ("" when neither has one). `detail`
    holds texts only. Reasons that the failover budget reads:

    - ContainerDied (the truth, before anybody noticed; detail container, exit_code, cause);
    - PodUnready / PodReady (the kubelet, or for PodUnready the node lifecycle controller, decided; detail cause,
      pod_ip);
    - NodeNotReady / NodeReady (the node lifecycle controller decided);
    - PodStatusWritten (the Ready condition was committed; detail ready=True|False, pod_ip, writer);
    - EndpointSliceUpdated (committed; detail service, added, removed, ready: comma-separated addresses);
    - EndpointSliceSeen (the watch of kube-proxy on `node` delivered it; detail services);
    - RulesSynced (kube-proxy on `node` finished; detail services, cost_ns, started_ns, full, waited_ns);
    - BackendsSynced (a worker of an ingress controller took over endpoints; `node` is the worker; detail service,
      ready);
    - PodScheduled, PodCreated, ContainerStarted, PodTerminating, PodDeleted, PodEvicted, NodeTainted...
    """

    at_ns: int
    component: str
    reason: str
    kind: str
    namespace: str
    name: str
    node: str = ""
    detail: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


class Named(Protocol):
    """An API object, as far as a record needs it."""

    @property
    def kind(self) -> str: ...
    @property
    def metadata(self) -> "_Meta": ...


class _Meta(Protocol):
    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...


class Recorder:
    """Publishes the events of one component; costs one truth test when nobody listens."""

    __slots__ = ("_engine", "_subscribers", "component")

    def __init__(self, engine: "Engine", component: str) -> None:
        self._engine = engine
        self._subscribers = engine.bus.topic(ClusterEvent)
        self.component = component

    @property
    def wanted(self) -> bool:
        """Whether anybody listens: lets a caller skip the making of expensive details."""
        return bool(self._subscribers)

    def about(self, subject: Named, reason: str, node: str = "", **detail: str) -> None:
        """Publish an event about an API object."""
        if self._subscribers:
            meta = subject.metadata
            self.event(reason, subject.kind, meta.namespace, meta.name, node, **detail)

    def event(self, reason: str, kind: str, namespace: str, name: str, node: str = "", **detail: str) -> None:
        """Publish an event about anything that has a kind and a name."""
        if not self._subscribers:
            return
        record = ClusterEvent(
            self._engine.now, self.component, reason, kind, namespace, name, node, MappingProxyType(detail)
        )
        for subscriber in self._subscribers:
            subscriber(record)
