"""When did who learn of a fault: the marks that the control plane leaves, from the fault to each node's rules.

    fault -> detected (PodUnready, NodeNotReady, PodTerminating) -> status written (PodStatusWritten ready=False)
          -> endpoints updated (EndpointSliceUpdated without the victims) -> per node: seen -> sync started -> synced

The victims are the pods that the fault names, as far as they were endpoints of the Service; a fault without victims
(kube-proxy stopped, a Service elsewhere) leaves only the first mark. With several victims each mark is the last one's.
A fault that hits only Services nobody sends requests to, such as DNS, concerns every Service: its marks are then those
of the Service that it hits. Called by `failover`.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from netsim.measure.endpoints import EndpointHistory, pods_by_address
from netsim.measure.events import Event, address_of

REASONS: Final = (
    "FaultInjected",
    "PodUnready",
    "NodeNotReady",
    "PodTerminating",
    "PodDeleted",
    "PodStatusWritten",
    "PodReady",
    "EndpointSliceUpdated",
    "EndpointSliceSeen",
    "RulesSynced",
    "BackendUnhealthy",
)


@dataclass(frozen=True, slots=True)
class NodeMarks:
    """One client node: when its kube-proxy saw the change, began the sync that holds it, and had finished."""

    node: str
    seen_ns: int | None
    started_ns: int | None
    synced_ns: int | None


@dataclass(frozen=True, slots=True)
class Marks:
    """Absolute times (ns from the experiment's zero) of one fault and Service; None for what did not happen."""

    fault_ns: int
    detected_ns: int | None = None
    status_ns: int | None = None
    endpoints_ns: int | None = None
    nodes: tuple[NodeMarks, ...] = ()

    @property
    def slowest(self) -> NodeMarks | None:
        """The client node that was last, or one that never got there; None without client nodes."""
        late = [n for n in self.nodes if n.synced_ns is None]
        return late[0] if late else max(self.nodes, key=lambda n: n.synced_ns or 0, default=None)

    @property
    def rules_ns(self) -> int | None:
        """When the rules of every client node had changed."""
        return self.slowest.synced_ns if self.slowest else None

    def chain(self) -> tuple[int | None, ...]:
        """detected, status, endpoints, seen, sync started, synced; the last three of the slowest client node."""
        s = self.slowest
        return (
            self.detected_ns,
            self.status_ns,
            self.endpoints_ns,
            s.seen_ns if s else None,
            s.started_ns if s else None,
            s.synced_ns if s else None,
        )


def concerns(fault: Event, service: str, asked: Collection[str]) -> bool:
    """Whether a fault can have hurt requests to `service`; `asked` are all Services that got requests."""
    hit = [name for name in fault.services() if name in asked]
    return not hit or service in hit


def _marked_service(fault: Event, service: str) -> str:
    hit = fault.services()
    return service if service in hit or not hit else hit[0]


def find_marks(
    events: Sequence[Event],
    fault: Event,
    service: str,
    client_nodes: Iterable[str],
    end_ns: int,
    local: bool = False,
) -> Marks:
    """The marks of a fault between its time and `end_ns`; `events` are one replication's, in order of time. `local`:
    clients come from outside under externalTrafficPolicy Local."""
    service = _marked_service(fault, service)
    victims = _victims(events, fault, service)
    if not victims:
        return Marks(fault.t_ns)
    later = [e for e in events if fault.t_ns <= e.t_ns < end_ns]
    pods = {pod for pod in victims.values() if pod} or set(fault.listed("pods"))
    nodes = set(fault.listed("nodes"))
    turned_away = _balancer_noticed(later, service, nodes) if local else None
    if turned_away is not None:
        at, balancer = turned_away.t_ns, turned_away.name
        return Marks(fault.t_ns, at, at, at, (NodeMarks(balancer, at, at, at),))
    updates = [e for e in later if e.reason == "EndpointSliceUpdated" and service in e.services()]
    endpoints_ns = _last_of_first(updates, victims, _removed)
    watched = [n for n in sorted(set(client_nodes) - nodes) if n] or _proxies(later, service)
    return Marks(
        fault.t_ns,
        _detected(later, pods, nodes),
        _last_of_first([e for e in later if _says_unready(e)], pods, _subject),
        endpoints_ns,
        tuple(_node_marks(later, service, node, endpoints_ns) for node in watched)
        if _has_rules(events, service)
        else tuple(NodeMarks(node, endpoints_ns, endpoints_ns, endpoints_ns) for node in watched),
    )


def _has_rules(events: Sequence[Event], service: str) -> bool:
    """Whether kube-proxy has to do with a Service; a headless one is done when its endpoints are."""
    return any(e.reason in {"EndpointSliceSeen", "RulesSynced"} and service in e.services() for e in events)


def _victims(events: Sequence[Event], fault: Event, service: str) -> dict[str, str]:
    """Address -> pod of the Service's endpoints that the fault hits."""
    before = [e for e in events if e.t_ns <= fault.t_ns]
    pods, addresses = set(fault.listed("pods")), set(fault.listed("addresses"))
    owners = {address: pod for address, (pod, _) in pods_by_address(before).items()}
    held = EndpointHistory(before, service).committed()
    return {a: owners.get(a, "") for a in held if a in addresses or owners.get(a) in pods}


def _last_of_first(
    events: Iterable[Event], wanted: Collection[str], keys: Callable[[Event], Collection[str]]
) -> int | None:
    """The first event of each wanted key, and of those the last; None when no key has one."""
    first: dict[str, int] = {}
    for event in events:
        for key in keys(event):
            if key in wanted:
                first.setdefault(key, event.t_ns)
    return max(first.values(), default=None)


def _balancer_noticed(events: Sequence[Event], service: str, nodes: Collection[str]) -> Event | None:
    """The event by which a load balancer has turned away from all dead nodes: with policy Local that alone ends the
    outage of clients outside, so it stands for all marks."""
    noticed = [
        e for e in events if e.reason == "BackendUnhealthy" and service in e.services() and e.node in nodes
    ]
    return noticed[-1] if nodes and {e.node for e in noticed} == set(nodes) else None


def _detected(events: Sequence[Event], pods: Collection[str], nodes: Collection[str]) -> int | None:
    if nodes:
        return _last_of_first([e for e in events if e.reason == "NodeNotReady"], nodes, lambda e: (e.name,))
    noticed = [e for e in events if e.reason in {"PodUnready", "PodTerminating", "PodDeleted"}]
    return _last_of_first(noticed, pods, _subject)


def _subject(event: Event) -> tuple[str]:
    return (f"{event.namespace}/{event.name}",)


def _removed(event: Event) -> list[str]:
    return [address_of(a) for a in event.listed("removed")]


def _says_unready(event: Event) -> bool:
    # A deletion is itself the write that takes the endpoint away (KEP-1669: ready is false as soon as it terminates).
    gone = event.reason in {"PodTerminating", "PodDeleted"}
    return gone or (event.reason == "PodStatusWritten" and event.detail.get("ready", "").lower() == "false")


def _proxies(events: Sequence[Event], service: str) -> list[str]:
    return sorted(
        {e.node for e in events if e.reason == "RulesSynced" and e.node and service in e.services()}
    )


def _node_marks(events: Sequence[Event], service: str, node: str, endpoints_ns: int | None) -> NodeMarks:
    if endpoints_ns is None:
        return NodeMarks(node, None, None, None)
    here = [e for e in events if e.node == node and e.t_ns >= endpoints_ns and service in e.services()]
    seen_ns = next((e.t_ns for e in here if e.reason == "EndpointSliceSeen"), None)
    watched = any(e.reason == "EndpointSliceSeen" for e in events)
    for sync in (e for e in here if e.reason == "RulesSynced"):
        started = sync.t_ns - sync.number("cost_ns")
        # A full sync comes from a list, which sees everything without a watch.
        listed = sync.detail.get("full") == "True" or not watched
        since = endpoints_ns if listed else seen_ns
        if since is not None and started >= since:
            seen = seen_ns if seen_ns is not None and seen_ns <= started else None
            return NodeMarks(node, seen, started, sync.t_ns)
    return NodeMarks(node, seen_ns, None, None)
