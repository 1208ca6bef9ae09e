"""The iptables rules of one Service port, as kube-proxy writes them.

A pure function of the port, the endpoints that a node reaches and the node's settings; called by the store of
`iptables.py`, which shares the result between nodes. Layout::

    nat KUBE-SERVICES -> SVC or SVL (clusterIP), EXT (external IP, load balancer), FW -> EXT (source ranges)
    nat KUBE-NODEPORTS -> EXT;   EXT -> SVC or SVL;   SVC, SVL -> SEP;   SEP -> DNAT
    filter: REJECT or DROP for what has no endpoint, ACCEPT for the health check port, DROP outside the source ranges

Source: pkg/proxy/iptables/proxier.go (`syncProxyRules`, `writeServiceToEndpointRules`) of Kubernetes v1.33.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import Final

from netsim.dataplane.endpoints import Reach
from netsim.dataplane.iptables_names import MARK_MASQ, ChainNames, chain_names, endpoint_chain
from netsim.dataplane.node_view import LocalDetector
from netsim.dataplane.service_table import PROTOCOL_NUMBERS, Endpoint, ServicePort
from netsim.kernel.matches import (
    AddrType,
    Comment,
    Destination,
    DestinationPort,
    InInterface,
    IpProtocol,
    Match,
    Module,
    Source,
)
from netsim.kernel.matches_stateful import Nfacct, RecentCheck, RecentSet, Statistic
from netsim.kernel.targets import ACCEPT, DROP, Dnat, Jump, Reject, Target
from netsim.kernel.xtables_chain import Chain, Rule
from netsim.wire.addr import Address, Prefix, ip

_LOOPBACK: Final = Destination(Prefix(ip("127.0.0.0"), 8))
_LOCALHOST_COUNTER: Final = "localhost_nps_accepted_pkts"
_MARK: Final = Jump(MARK_MASQ)
_TO_LOCAL: Final = AddrType("dst")
_FROM_LOCAL: Final = AddrType("src")
_TCP: Final = (Module("tcp"), IpProtocol(PROTOCOL_NUMBERS["TCP"]))


class Entry(IntEnum):
    """The chains to which every Service may add rules."""

    NAT_SERVICES = 0
    NAT_NODE_PORTS = 1
    FILTER_SERVICES = 2
    FILTER_EXTERNAL = 3
    FILTER_NODE_PORTS = 4
    FILTER_FIREWALL = 5


Entries = tuple[tuple[Rule, ...], ...]  # one tuple of rules per `Entry`


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What the rules of all Services on a node depend on. `comments` is false in large clusters; `count_localhost` says
    that the nfacct counter of localhost nodePorts is in use."""

    local_detector: LocalDetector | None
    masquerade_all: bool
    count_localhost: bool
    comments: bool


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """The rules of one Service port: its part of the common chains, and its own chains.

    `digests` stand for the content of `entries`, one number per common chain, 0 for none; `rules` counts those in its
    own chains."""

    entries: Entries
    chains: tuple[Chain, ...]
    digests: tuple[int, ...]
    rules: int


def build(port: ServicePort, reach: Reach, from_node: bool, context: RuleContext) -> Fragment:
    """The rules of a port. `from_node` says that the source ranges hold the node's own address."""
    maker = _Maker(port, reach, context)
    maker.entry_rules()
    chains = maker.own_chains(from_node)
    entries = tuple(map(tuple, maker.entries))
    return Fragment(entries, chains, tuple(map(_digest, entries)), sum(len(chain.rules) for chain in chains))


def _digest(rules: tuple[Rule, ...]) -> int:
    if not rules:
        return 0
    text = "\n".join(map(str, rules))
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest())


class _Maker:
    """Writes the rules of one port."""

    def __init__(self, port: ServicePort, reach: Reach, context: RuleContext) -> None:
        self.port = port
        self.reach = reach
        self.context = context
        self.text = str(port.name)
        self.ipv6 = len(port.cluster_ip) == 16
        self.names: ChainNames = chain_names(port.name)
        self.protocol = (Module(port.protocol.lower()), IpProtocol(PROTOCOL_NUMBERS[port.protocol]))
        self.dport = DestinationPort(port.port, port.port)
        self.entries: tuple[list[Rule], ...] = tuple([] for _ in Entry)
        # Endpoints at all; for clusterIP traffic; for external traffic that is not short-circuited.
        self.usable = reach.any_usable
        self.internal = self.usable and not (port.internal_local and not reach.local)
        self.external = self.usable and not (port.external_local and not reach.local)
        self.firewalled = self.usable and bool(port.vips) and bool(port.load_balancer_source_ranges)
        self.internal_chain = self.names.local if port.internal_local else self.names.cluster

    # ------------------------------------------------------------------ common chains
    def entry_rules(self) -> None:
        """This port's part of KUBE-SERVICES and the other chains of the first call."""
        self._cluster_ip()
        for address in self.port.external_ips:
            self._external_address(address, "external IP", self.names.external)
        target = self.names.firewall if self.firewalled else self.names.external
        for address in self.port.vips:
            self._external_address(address, "loadbalancer IP", target)
            if self.firewalled:
                comment = f"{self.text} traffic not accepted by {self.names.firewall}"
                self._add(Entry.FILTER_FIREWALL, self._to(comment, address), DROP)
        self._node_port()
        if self.port.health_check_node_port:
            number = self.port.health_check_node_port
            head = (Comment(f"{self.text} health check node port"), *_TCP)
            self._add(Entry.FILTER_NODE_PORTS, (*head, DestinationPort(number, number)), ACCEPT)

    def _cluster_ip(self) -> None:
        address = self.port.cluster_ip
        if self.internal:
            head = self._to(f"{self.text} cluster IP", address)
            self._add(Entry.NAT_SERVICES, head, Jump(self.internal_chain))
        else:
            self._add(Entry.FILTER_SERVICES, self._to(self._why_not(), address), self._refusal())

    def _external_address(self, address: Address, what: str, chain: str) -> None:
        if self.usable:
            self._add(Entry.NAT_SERVICES, self._to(f"{self.text} {what}", address), Jump(chain))
        if not self.external:
            self._add(Entry.FILTER_EXTERNAL, self._to(self._why_not(), address), self._refusal())

    def _node_port(self) -> None:
        number = self.port.node_port
        if not number:
            return
        dport = DestinationPort(number, number)
        if self.usable:
            head = (Comment(self.text), *self.protocol)
            target = Jump(self.names.external)
            if self.context.count_localhost:
                counted = (*head, _LOOPBACK, dport, Nfacct(_LOCALHOST_COUNTER))
                self._add(Entry.NAT_NODE_PORTS, counted, target)
            self._add(Entry.NAT_NODE_PORTS, (*head, dport), target)
        if not self.external:
            matches = (Comment(self._why_not()), _TO_LOCAL, *self.protocol, dport)
            self._add(Entry.FILTER_EXTERNAL, matches, self._refusal())

    def _to(self, comment: str, address: Address) -> tuple[Match, ...]:
        return (Comment(comment), *self.protocol, Destination(Prefix.host(address)), self.dport)

    def _why_not(self) -> str:
        return f"{self.text} has no {'local ' if self.usable else ''}endpoints"

    def _refusal(self) -> Target:
        return DROP if self.usable else Reject(ipv6=self.ipv6)

    def _add(self, entry: Entry, matches: tuple[Match, ...], target: Target) -> None:
        self.entries[entry].append(Rule(matches, target))

    # ------------------------------------------------------------------ own chains
    def own_chains(self, from_node: bool) -> tuple[Chain, ...]:
        """The chains that only this port uses, in nat."""
        chains = []
        if self.usable and self.port.externally_accessible:
            chains.append(Chain(self.names.external, tuple(self._external_rules())))
        if self.firewalled:
            chains.append(Chain(self.names.firewall, tuple(self._firewall_rules(from_node))))
        if self.reach.cluster and self.port.uses_cluster_endpoints:
            chains.append(self._policy_chain(self.names.cluster, self.reach.cluster))
        if self.reach.local and self.port.uses_local_endpoints:
            chains.append(self._policy_chain(self.names.local, self.reach.local))
        chains += [self._endpoint_chain(endpoint) for endpoint in self.reach.all]
        return tuple(chains)

    def _external_rules(self) -> Iterable[Rule]:
        """EXT: what is done to traffic for external addresses before it meets a policy."""
        where = f"{self.text} external destinations"
        if not self.port.external_local:
            yield Rule((Comment(f"masquerade traffic for {where}"),), _MARK)
        else:
            to_cluster = Jump(self.names.cluster)
            if self.context.local_detector is not None:
                head = (
                    Comment(f"pod traffic for {where}"),
                    self._from_pods(self.context.local_detector, False),
                )
                yield Rule(head, to_cluster)
            yield Rule((Comment(f"masquerade LOCAL traffic for {where}"), _FROM_LOCAL), _MARK)
            yield Rule((Comment(f"route LOCAL traffic for {where}"), _FROM_LOCAL), to_cluster)
        if self.external:
            yield Rule((), Jump(self.names.local if self.port.external_local else self.names.cluster))

    def _firewall_rules(self, from_node: bool) -> Iterable[Rule]:
        """FW: let the source ranges through; the rest meets KUBE-PROXY-FIREWALL."""
        comment = Comment(f"{self.text} loadbalancer IP")
        target = Jump(self.names.external)
        for prefix in self.port.load_balancer_source_ranges:
            yield Rule((comment, Source(prefix, full=True)), target)
        if from_node:
            for address in self.port.vips:
                yield Rule((comment, Source(Prefix.host(address))), target)
        yield Rule((Comment(f"other traffic to {self.text} will be dropped by KUBE-PROXY-FIREWALL"),))

    def _policy_chain(self, name: str, endpoints: tuple[Endpoint, ...]) -> Chain:
        """SVC or SVL: masquerade, affinity, then a fair draw."""
        rules: list[Rule] = []
        if name == self.internal_chain and self.internal:
            rules += self._masquerade_rule()
        names = [endpoint_chain(self.port.name, endpoint) for endpoint in endpoints]
        comments = [self._comment(f"{self.text} -> {endpoint}") for endpoint in endpoints]
        if self.port.affinity_timeout_s:
            for comment, chain in zip(comments, names, strict=True):
                known = RecentCheck(chain, self.port.affinity_timeout_s, ipv6=self.ipv6)
                rules.append(Rule((*comment, known), Jump(chain)))
        for left, comment, chain in zip(range(len(names), 0, -1), comments, names, strict=True):
            draw = (Statistic(1 / left),) if left > 1 else ()
            rules.append(Rule((*comment, *draw), Jump(chain)))
        return Chain(name, tuple(rules))

    def _masquerade_rule(self) -> list[Rule]:
        head = self._to(f"{self.text} cluster IP", self.port.cluster_ip)
        if self.context.masquerade_all:
            return [Rule(head, _MARK)]
        if self.context.local_detector is None:
            return []
        return [Rule((*head, self._from_pods(self.context.local_detector, True)), _MARK)]

    def _endpoint_chain(self, endpoint: Endpoint) -> Chain:
        """SEP: masquerade a pod that meets itself, remember the client, send the traffic there."""
        name = endpoint_chain(self.port.name, endpoint)
        comment = self._comment(self.text)
        affinity = (RecentSet(name, self.ipv6),) if self.port.affinity_timeout_s else ()
        hairpin = Rule((*comment, Source(Prefix.host(endpoint.address))), _MARK)
        dnat = Rule((*comment, *affinity, *self.protocol), Dnat(endpoint.address, endpoint.port))
        return Chain(name, (hairpin, dnat))

    def _comment(self, text: str) -> tuple[Comment, ...]:
        return (Comment(text),) if self.context.comments else ()

    @staticmethod
    def _from_pods(detector: LocalDetector, negated: bool) -> Match:
        if detector.prefix is not None:
            return Source(detector.prefix, negated)
        plus = "+" if detector.mode.value == "InterfaceNamePrefix" else ""
        return InInterface(f"{detector.interface}{plus}", negated)
