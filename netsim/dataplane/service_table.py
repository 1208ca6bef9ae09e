"""What kube-proxy hands to a dataplane: every Service port with its endpoints, as frozen values.

Called by the node's kube-proxy, which derives a new table from the old one after each change it sees; read by every
dataplane. The kernel never sees these values and they never see an API object, so that whatever lies between the API
server and the rules (stale endpoints, a stopped kube-proxy, a slow sync) is a difference between two tables.

Sources: pkg/proxy/serviceport.go and pkg/proxy/endpoint.go of Kubernetes v1.33/v1.34 (`BaseServicePortInfo`,
`BaseEndpointInfo`); KEP-1669 (terminating endpoints), KEP-2433 (topology hints), KEP-2086 (internalTrafficPolicy).
Simplified: one address family per table, as one kube-proxy backend handles; a dual-stack cluster has two tables.
"""

import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from netsim.wire.addr import Address, Prefix
from netsim.wire.packet import SCTP, TCP, UDP, endpoint_text

PROTOCOL_NUMBERS: Final[Mapping[str, int]] = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}

# A table remembers how it came about for this many steps, so that `diff` costs what changed and not what is there.
_HISTORY_STEPS: Final = 64


class TrafficPolicy(Enum):
    """`internalTrafficPolicy` and `externalTrafficPolicy`."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


class IpMode(Enum):
    """`status.loadBalancer.ingress[].ipMode`: VIP traffic is handled on the node, Proxy traffic goes out (KEP-1860)."""

    VIP = "VIP"
    PROXY = "Proxy"


class ServicePortName(NamedTuple):
    """Identity of one port of one Service; `port` is the port's name, "" when it has none; `protocol` is TCP, UDP or
    SCTP. The text is upstream's: `ns/name:port`, without the colon when unnamed."""

    namespace: str
    name: str
    port: str
    protocol: str = "TCP"

    @property
    def service(self) -> "ServiceName":
        """The Service that the port belongs to."""
        return ServiceName(self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port}" if self.port else f"{self.namespace}/{self.name}"


class ServiceName(NamedTuple):
    """Namespace and name of a Service."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and port behind a Service port, with its conditions and hints as the EndpointSlice has them.

    `node` is "" when the slice names none (then it is local nowhere)."""

    address: Address
    port: int
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()

    @property
    def usable_when_nothing_is_ready(self) -> bool:
        """Serving while terminating: the fallback of KEP-1669."""
        return self.serving and self.terminating

    def __str__(self) -> str:
        return endpoint_text(self.address, self.port)


class LoadBalancerIp(NamedTuple):
    """One load-balancer address of the status."""

    address: Address
    mode: IpMode = IpMode.VIP


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of one Service, as a dataplane needs it.

    `endpoints` are ordered by their text `ip:port` (use `order_endpoints`). `affinity_timeout_s` is 0 for
    `sessionAffinity: None`. Addresses are all of the family of `cluster_ip`. What upstream drops on the way in is taken
    as dropped: `external_policy` LOCAL of a Service that is not NodePort or LoadBalancer and has no external IPs, and
    `health_check_node_port` of one that is not a LoadBalancer with that policy."""

    name: ServicePortName
    cluster_ip: Address
    port: int
    node_port: int = 0
    external_ips: tuple[Address, ...] = ()
    load_balancer_ips: tuple[LoadBalancerIp, ...] = ()
    load_balancer_source_ranges: tuple[Prefix, ...] = ()
    internal_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    external_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    affinity_timeout_s: int = 0
    health_check_node_port: int = 0
    endpoints: tuple[Endpoint, ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)
    _by_node: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        content = (
            self.name, self.cluster_ip, self.port, self.node_port, self.external_ips, self.load_balancer_ips,
            self.load_balancer_source_ranges, self.internal_policy.value, self.external_policy.value,
            self.affinity_timeout_s, self.health_check_node_port, self.endpoints,
        )  # fmt: skip
        object.__setattr__(self, "_hash", hash(content))
        hinted = any(e.zone_hints or e.node_hints for e in self.endpoints)
        object.__setattr__(self, "_by_node", hinted or self.has_duplicates)

    def __hash__(self) -> int:
        return self._hash

    @property
    def protocol(self) -> str:
        """TCP, UDP or SCTP."""
        return self.name.protocol

    @property
    def vips(self) -> tuple[Address, ...]:
        """The load-balancer addresses that the node itself handles (ipMode VIP)."""
        return tuple(lb.address for lb in self.load_balancer_ips if lb.mode is IpMode.VIP)

    @property
    def internal_local(self) -> bool:
        """Whether clusterIP traffic stays on the node."""
        return self.internal_policy is TrafficPolicy.LOCAL

    @property
    def external_local(self) -> bool:
        """Whether traffic to external addresses stays on the node."""
        return self.external_policy is TrafficPolicy.LOCAL

    @property
    def externally_accessible(self) -> bool:
        """Whether anything but the clusterIP leads to it (upstream `ExternallyAccessible`)."""
        return self.node_port != 0 or bool(self.vips) or bool(self.external_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        """Whether some traffic may go to endpoints anywhere: also under Local policies, for the short-circuit."""
        return not self.internal_local or self.externally_accessible

    @property
    def uses_local_endpoints(self) -> bool:
        """Whether some traffic is kept on the node."""
        return self.internal_local or (self.external_local and self.externally_accessible)

    @property
    def same_on_every_node(self) -> bool:
        """Whether the choice of endpoints is the same whichever node asks."""
        return not self._by_node and not self.uses_local_endpoints

    @property
    def has_duplicates(self) -> bool:
        """Whether several endpoints have the same address and port (slices that overlap for a moment)."""
        return len({(e.address, e.port) for e in self.endpoints}) < len(self.endpoints)


def order_endpoints(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Endpoints in kube-proxy's order: by the text `ip:port`, as strings.

    Of equal ones the first stays. Several with the same address and port that differ otherwise all stay, in their
    order: which of them counts depends on the node (`endpoints.reach`)."""
    return tuple(sorted(dict.fromkeys(endpoints), key=str))


_Services = dict[ServiceName, dict[ServicePortName, ServicePort]]
_Step = tuple["weakref.ref[ServiceTable]", tuple[ServicePortName, ...]]


class ServiceTable(Mapping[ServicePortName, ServicePort]):
    """All Service ports that one kube-proxy knows: an immutable mapping, grouped by Service.

    `with_changes` copies one dictionary of Services; the values are shared. Tables may be shared between nodes."""

    __slots__ = ("__weakref__", "_history", "_length", "_services", "endpoint_count")

    def __init__(self, ports: Iterable[ServicePort] = ()) -> None:
        services: _Services = {}
        for port in ports:
            services.setdefault(port.name.service, {})[port.name] = port
        self._services = services
        self._length = sum(map(len, services.values()))
        self._history: tuple[_Step, ...] = ()
        self.endpoint_count = sum(
            len(port.endpoints) for group in services.values() for port in group.values()
        )

    def __getitem__(self, name: ServicePortName) -> ServicePort:
        return self._services[ServiceName(name.namespace, name.name)][name]

    def __iter__(self) -> Iterator[ServicePortName]:
        for group in self._services.values():
            yield from group

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"ServiceTable({self._length} ports, {self.endpoint_count} endpoints)"

    def ports_of(self, service: ServiceName) -> tuple[ServicePort, ...]:
        """The ports of one Service, in their order of arrival; empty when there is none."""
        return tuple(self._services.get(service, {}).values())

    def with_changes(self, changes: Mapping[ServicePortName, ServicePort | None]) -> "ServiceTable":
        """A new table with some ports set, or removed where the value is None. Copies at most once: the same table
        comes back when nothing differs."""
        real = {name: port for name, port in changes.items() if self.get(name) != port}
        if not real:
            return self
        new = ServiceTable()
        new._services = _replaced(self._services, real)
        before = [self[name] for name in real if name in self]
        after = [port for port in real.values() if port is not None]
        new._length = self._length + len(after) - len(before)
        new.endpoint_count = self.endpoint_count + _endpoints(after) - _endpoints(before)
        new._history = self._extended_history(tuple(real))
        return new

    def diff(self, old: "ServiceTable") -> tuple[ServicePortName, ...]:
        """Names whose port differs from `old`: added, removed or changed. Costs what changed when this table was
        derived from `old`, else one comparison per port."""
        if old is self:
            return ()
        names: dict[ServicePortName, None] = {}
        for ancestor, changed in self._history:
            names.update(dict.fromkeys(changed))
            if ancestor() is old:
                return tuple(name for name in names if self.get(name) != old.get(name))
        union = dict.fromkeys(old) | dict.fromkeys(self)
        return tuple(name for name in union if self.get(name) != old.get(name))

    def _extended_history(self, changed: tuple[ServicePortName, ...]) -> tuple[_Step, ...]:
        steps: list[_Step] = [(weakref.ref(self), changed)]
        known = len(changed)
        for step in self._history[: _HISTORY_STEPS - 1]:
            known += len(step[1])
            if known > self._length:  # a comparison of everything is then as cheap
                break
            steps.append(step)
        return tuple(steps)


def _replaced(services: _Services, changes: Mapping[ServicePortName, ServicePort | None]) -> _Services:
    services = dict(services)
    copied: set[ServiceName] = set()
    for name, port in changes.items():
        service = name.service
        if service not in copied:
            services[service] = dict(services.get(service, {}))
            copied.add(service)
        if port is None:
            services[service].pop(name, None)
            if not services[service]:
                del services[service]
                copied.discard(service)
        else:
            services[service][name] = port
    return services


def _endpoints(ports: Iterable[ServicePort]) -> int:
    return sum(len(port.endpoints) for port in ports)
