"""What the ipvs mode does for one Service port: virtual servers with their real servers, members of IP sets, addresses
of the dummy device.

Pure functions; called by `ipvs.py`. `SharedPlan` is what nodes can have in common (it is kept once for all of them),
`Plan` adds what is a node's own: nodePorts on its addresses, hairpins of its pods.

Source: pkg/proxy/ipvs/proxier.go (`syncProxyRules`, `syncEndpoint`) of Kubernetes v1.33.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from netsim.dataplane import ipvs_sets as sets
from netsim.dataplane.endpoints import Reach
from netsim.dataplane.ipvs_rules import Blocked
from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import PROTOCOL_NUMBERS, Endpoint, ServicePort
from netsim.kernel.ipset import Member
from netsim.kernel.ipvs_service import HASH_PORT, DestKey, ServiceKey, VirtualServer
from netsim.wire.addr import Address, Prefix
from netsim.wire.packet import SCTP

SetMember = tuple[str, Member]


class Server(NamedTuple):
    """A virtual server and the real servers that it is to have."""

    virtual: VirtualServer
    real: tuple[DestKey, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SharedPlan:
    """`binds` are the addresses for kube-ipvs0, `hairpins` the members of KUBE-LOOP-BACK by node."""

    servers: tuple[Server, ...]
    members: tuple[SetMember, ...]
    binds: tuple[Address, ...]
    blocked: tuple[Blocked, ...]
    hairpins: dict[str, tuple[SetMember, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a port on one node. Plans of the same shared part and the same extras are equal."""

    shared: SharedPlan
    node_servers: tuple[Server, ...] = ()
    node_members: tuple[SetMember, ...] = ()

    @property
    def servers(self) -> tuple[Server, ...]:
        """Virtual servers, the node's own last."""
        return self.shared.servers + self.node_servers

    @property
    def members(self) -> tuple[SetMember, ...]:
        """Members of sets."""
        return self.shared.members + self.node_members

    @property
    def lines(self) -> int:
        """Virtual servers, real servers and members: what has to be written for it."""
        real = sum(len(server.real) for server in self.servers)
        return len(self.servers) + real + len(self.members)


def shared_plan(
    port: ServicePort, reach: Reach, scheduler: str, from_node: bool, own: frozenset[Address]
) -> SharedPlan:
    """`from_node` says that the source ranges hold the node's address; `own` are those of the port's addresses that
    other devices of the node have: they are not put on the dummy device."""
    return _Planner(port, reach, scheduler).shared(from_node, own)


def plan(
    port: ServicePort,
    reach: Reach,
    scheduler: str,
    shared: SharedPlan,
    node: NodeView,
    ips: tuple[Address, ...],
) -> Plan:
    """The port on a node; `ips` are the addresses on which nodePorts answer."""
    hairpins = shared.hairpins.get(node.name, ())
    if not port.node_port or not ips:
        return Plan(shared, (), hairpins)
    planner = _Planner(port, reach, scheduler)
    servers = tuple(planner.server(address, port.node_port, port.external_local) for address in ips)
    return Plan(shared, servers, (*hairpins, *planner.node_port_members(ips)))


class _Planner:
    def __init__(self, port: ServicePort, reach: Reach, scheduler: str) -> None:
        self.port = port
        self.protocol = PROTOCOL_NUMBERS[port.protocol]
        self.scheduler = scheduler
        self.flags = HASH_PORT if scheduler == "mh" else 0
        # Without local endpoints policy Local falls back to all: pods on the node may use them, outsiders get answers
        # from a pod's address that they do not expect (pull request 97081).
        self.cluster = _keys(reach.cluster)
        self.local = _keys(reach.local) or self.cluster

    def server(self, address: Address, port: int, local: bool) -> Server:
        key = ServiceKey(self.protocol, address, port)
        virtual = VirtualServer(key, self.scheduler, self.port.affinity_timeout_s, self.flags)
        return Server(virtual, self.local if local else self.cluster)

    def shared(self, from_node: bool, own: frozenset[Address]) -> SharedPlan:
        port = self.port
        external = (*port.external_ips, *port.vips)
        servers = [self.server(port.cluster_ip, port.port, port.internal_local)]
        servers += [self.server(address, port.port, port.external_local) for address in external]
        binds = dict.fromkeys((port.cluster_ip, *(address for address in external if address not in own)))
        blocked: tuple[Blocked, ...] = ()
        if port.load_balancer_source_ranges and not from_node:
            blocked = tuple(Blocked(address, self.protocol, port.port) for address in port.vips)
        members = tuple(self._members(from_node))
        return SharedPlan(tuple(servers), members, tuple(binds), blocked, self._hairpins())

    def _members(self, from_node: bool) -> Iterator[SetMember]:
        port = self.port
        yield sets.CLUSTER_IP, self._at(port.cluster_ip)
        for address in port.external_ips:
            yield sets.EXTERNAL_IP_LOCAL if port.external_local else sets.EXTERNAL_IP, self._at(address)
        for address in port.vips:
            yield sets.LOAD_BALANCER, self._at(address)
            if port.external_local:
                yield sets.LOAD_BALANCER_LOCAL, self._at(address)
            if port.load_balancer_source_ranges:
                yield from self._ranges(address, from_node)
        if port.health_check_node_port:
            yield sets.HEALTH_CHECK, Member(port=port.health_check_node_port)

    def _ranges(self, address: Address, from_node: bool) -> Iterator[SetMember]:
        yield sets.LOAD_BALANCER_FW, self._at(address)
        for prefix in self.port.load_balancer_source_ranges:
            yield sets.LOAD_BALANCER_SOURCE_CIDR, self._at(address, prefix)
        if from_node:
            yield sets.LOAD_BALANCER_SOURCE_IP, self._at(address, Prefix.host(address))

    def _at(self, address: Address, net: Prefix | None = None) -> Member:
        return Member(address, self.protocol, self.port.port, net)

    def _hairpins(self) -> dict[str, tuple[SetMember, ...]]:
        found: dict[str, dict[SetMember, None]] = {}
        for endpoint in self.port.endpoints:
            if endpoint.node:
                address = endpoint.address
                member = Member(address, self.protocol, endpoint.port, Prefix.host(address))
                found.setdefault(endpoint.node, {})[sets.LOOP_BACK, member] = None
        return {node: tuple(members) for node, members in found.items()}

    def node_port_members(self, ips: tuple[Address, ...]) -> Iterator[SetMember]:
        port = self.port
        names = [sets.NODE_PORT[port.protocol]]
        if port.external_local:
            names.append(sets.NODE_PORT_LOCAL[port.protocol])
        for name in names:
            if self.protocol == SCTP:
                for address in ips:
                    yield name, Member(address, SCTP, port.node_port)
            else:
                yield name, Member(port=port.node_port)


def _keys(endpoints: Iterable[Endpoint]) -> tuple[DestKey, ...]:
    return tuple(dict.fromkeys(DestKey(e.address, e.port) for e in endpoints))
