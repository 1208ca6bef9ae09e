"""The nftables chains, sets and elements of one Service port, as kube-proxy writes them.

A pure function of the port, the endpoints that a node reaches and the node's settings; called by the store of
`nftables.py`, which shares the result between nodes. Layout::

    services: vmap @service-ips -> service or local (clusterIP), external (external IP, load balancer)
              vmap @service-nodeports -> external;   external -> service or local
    service, local -> endpoint (by lot);   endpoint -> dnat
    filter: vmap @no-endpoint-services, @no-endpoint-nodeports -> reject-chain or drop; @firewall-ips -> firewall

Source: pkg/proxy/nftables/proxier.go (`syncProxyRules`, `writeServiceToEndpointRules`) of Kubernetes v1.34.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netsim.dataplane import nftables_names as names
from netsim.dataplane.endpoints import Reach
from netsim.dataplane.node_view import LocalDetector
from netsim.dataplane.service_table import PROTOCOL_NUMBERS, Endpoint, ServicePort
from netsim.kernel.nft_key import Key
from netsim.kernel.nft_match import (
    Address,
    Expression,
    InSet,
    InterfaceName,
    L4Protocol,
    LocalAddress,
    Update,
)
from netsim.kernel.nft_table import Chain, Element, Rule, SetSpec
from netsim.kernel.nft_transaction import AddSet, Command, Write
from netsim.kernel.nft_verdict import DROP, RandomMap, Verdict, final, goto, jump
from netsim.kernel.targets import Dnat
from netsim.wire.addr import Address as IpAddress
from netsim.wire.addr import Prefix

_MARK: Final = jump(names.MARK_MASQ)
_REJECT: Final = goto(names.REJECT)
_FROM_LOCAL: Final = LocalAddress("saddr")
_SOURCES: Final = {v6: Key(("saddr",), v6) for v6 in (False, True)}
_PROTOCOLS: Final = {name: L4Protocol(number) for name, number in PROTOCOL_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What the rules of all Services on a node depend on."""

    local_detector: LocalDetector | None
    masquerade_all: bool


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """What one Service port adds: commands that write its sets and chains, and its elements of the common maps.

    `rules` counts the rules, `lines` the lines of the commands."""

    commands: tuple[Command, ...]
    elements: tuple[Element, ...]
    chains: frozenset[str]
    affinity_sets: frozenset[str]
    rules: int
    lines: int


def build(port: ServicePort, reach: Reach, from_node: bool, context: RuleContext) -> Fragment:
    """The fragment of a port. `from_node` says that the source ranges hold the node's own address."""
    maker = _Maker(port, reach, context)
    chains = tuple(maker.own_chains(from_node))
    sets = tuple(maker.affinity_sets())
    rules = sum(len(chain.rules) for chain in chains)
    return Fragment(
        (*map(AddSet, sets), *map(Write, chains)),
        tuple(maker.elements()),
        frozenset(chain.name for chain in chains),
        frozenset(spec.name for spec in sets),
        rules,
        len(sets) + 2 * len(chains) + rules,
    )


class _Maker:
    """Writes what one port needs."""

    def __init__(self, port: ServicePort, reach: Reach, context: RuleContext) -> None:
        self.port = port
        self.reach = reach
        self.context = context
        self.v6 = len(port.cluster_ip) == 16
        self.proto = PROTOCOL_NUMBERS[port.protocol]
        self.names = names.chain_names(port.name)
        self.endpoints = {e: names.endpoint_name(port.name, e) for e in reach.all}
        # Endpoints at all; for clusterIP traffic; for external traffic that is not short-circuited.
        self.usable = reach.any_usable
        self.internal = self.usable and not (port.internal_local and not reach.local)
        self.external = self.usable and not (port.external_local and not reach.local)
        self.firewalled = bool(port.vips) and bool(port.load_balancer_source_ranges)
        self.internal_chain = self.names.local if port.internal_local else self.names.cluster

    # ------------------------------------------------------------------ elements of the common sets and maps
    def elements(self) -> Iterator[Element]:
        """This port's part of the common sets and maps."""
        port, to_external = self.port, goto(self.names.external)
        yield Element(names.CLUSTER_IPS, port.cluster_ip)
        if self.internal:
            yield self._to(names.SERVICE_IPS, port.cluster_ip, goto(self.internal_chain))
        else:
            yield self._to(names.NO_ENDPOINT_SERVICES, port.cluster_ip, self._refusal(), self._comment)
        for address in (*port.external_ips, *port.vips):
            if self.usable:
                yield self._to(names.SERVICE_IPS, address, to_external)
            if not self.external:
                yield self._to(names.NO_ENDPOINT_SERVICES, address, self._refusal(), self._comment)
        if self.firewalled:
            for address in port.vips:
                yield self._to(names.FIREWALL_IPS, address, goto(self.names.firewall))
        if port.node_port:
            key = self.proto, port.node_port
            if self.usable:
                yield Element(names.SERVICE_NODE_PORTS, key, to_external)
            if not self.external:
                yield Element(names.NO_ENDPOINT_NODE_PORTS, key, self._refusal(), self._comment)

    def _to(self, where: str, address: IpAddress, verdict: Verdict, comment: str = "") -> Element:
        return Element(where, (address, self.proto, self.port.port), verdict, comment)

    @property
    def _comment(self) -> str:
        return str(self.port.name)

    def _refusal(self) -> Verdict:
        return DROP if self.usable else _REJECT

    # ------------------------------------------------------------------ own sets and chains
    def affinity_sets(self) -> Iterator[SetSpec]:
        """One set of clients per endpoint, if clients are to stay with theirs."""
        timeout_s = self.port.affinity_timeout_s
        if timeout_s:
            for name in self.endpoints.values():
                yield SetSpec(f"affinity-{name}", _SOURCES[self.v6], dynamic=True, timeout_s=timeout_s)

    def own_chains(self, from_node: bool) -> Iterator[Chain]:
        """The chains that only this port uses."""
        port, reach = self.port, self.reach
        yield from (self._endpoint_chain(endpoint, name) for endpoint, name in self.endpoints.items())
        if reach.cluster and port.uses_cluster_endpoints:
            yield self._policy_chain(self.names.cluster, reach.cluster)
        if reach.local and port.uses_local_endpoints:
            yield self._policy_chain(self.names.local, reach.local)
        if self.usable and port.externally_accessible:
            yield Chain(self.names.external, tuple(self._external_rules()))
        if self.firewalled:
            yield Chain(self.names.firewall, (self._firewall_rule(from_node),))

    def _policy_chain(self, name: str, endpoints: tuple[Endpoint, ...]) -> Chain:
        """`service-` or `local-`: masquerade, affinity, then a fair draw."""
        rules: list[Rule] = []
        if name == self.internal_chain and self.internal:
            rules += self._masquerade_rule()
        found = [self.endpoints[endpoint] for endpoint in endpoints]
        if self.port.affinity_timeout_s:
            source = _SOURCES[self.v6]
            rules += [Rule((InSet(source, f"affinity-{one}"),), goto(f"endpoint-{one}")) for one in found]
        rules.append(Rule((), RandomMap(tuple(goto(f"endpoint-{one}") for one in found))))
        return Chain(name, tuple(rules))

    def _masquerade_rule(self) -> list[Rule]:
        to_service = Address("daddr", (Prefix.host(self.port.cluster_ip),))
        if self.context.masquerade_all:
            return [Rule((to_service,), _MARK)]
        if self.context.local_detector is None:
            return []
        return [Rule((to_service, _from_pods(self.context.local_detector, True)), _MARK)]

    def _external_rules(self) -> Iterator[Rule]:
        """`external-`: what is done to traffic for external addresses before it meets a policy."""
        if not self.port.external_local:
            yield Rule((), _MARK)
        else:
            to_cluster = goto(self.names.cluster)
            if self.context.local_detector is not None:
                pods = _from_pods(self.context.local_detector, False)
                yield Rule((pods,), to_cluster, "short-circuit pod traffic")
            yield Rule((_FROM_LOCAL,), _MARK, "masquerade local traffic")
            yield Rule((_FROM_LOCAL,), to_cluster, "short-circuit local traffic")
        if self.external:
            yield Rule((), goto(self.names.local if self.port.external_local else self.names.cluster))

    def _firewall_rule(self, from_node: bool) -> Rule:
        """Only the source ranges, and where they hold the node also what comes from the addresses themselves."""
        sources = self.port.load_balancer_source_ranges
        if from_node:
            sources = (*sources, *map(Prefix.host, self.port.vips))
        return Rule((Address("saddr", sources, negated=True, braces=True),), DROP)

    def _endpoint_chain(self, endpoint: Endpoint, name: str) -> Chain:
        """Masquerade a pod that meets itself, remember the client, send the traffic there."""
        rules = [Rule((Address("saddr", (Prefix.host(endpoint.address),)),), _MARK)]
        if self.port.affinity_timeout_s:
            rules.append(Rule((Update(_SOURCES[self.v6], f"affinity-{name}"),)))
        dnat = final(Dnat(endpoint.address, endpoint.port))
        rules.append(Rule((_PROTOCOLS[self.port.protocol],), dnat))
        return Chain(f"endpoint-{name}", tuple(rules))


def _from_pods(detector: LocalDetector, negated: bool) -> Expression:
    if detector.prefix is not None:
        return Address("saddr", (detector.prefix,), negated)
    star = "*" if detector.mode.value == "InterfaceNamePrefix" else ""
    return InterfaceName(f"{detector.interface}{star}", negated)
