"""The iptables rules of the ipvs mode: a few dozen, whatever the number of Services; the members are in IP sets.

A pure function of what the rules depend on; called by `ipvs.py`, which keeps the result. Rules of most sets are there
only while the set has members.

Source: pkg/proxy/ipvs/proxier.go (`iptablesJumpChain`, `ipsetWithIptablesChain`, `writeIptablesRules`) of Kubernetes
v1.33.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from netsim.dataplane import ipvs_sets as sets
from netsim.dataplane.ipvs_config import IpvsConfig
from netsim.dataplane.node_view import LocalDetector, NodeView
from netsim.kernel.matches import AddrType, Comment, CtState, InInterface, IpProtocol, Mark, Match, Source
from netsim.kernel.matches_set import IpvsMatch, PhysdevIsIn, SetMatch
from netsim.kernel.targets import ACCEPT, DROP, RETURN, Jump, Masquerade, Reject, SetMark, Target
from netsim.kernel.xtables import Xtables
from netsim.kernel.xtables_chain import Chain, Rule, Table
from netsim.wire.addr import Address, Prefix
from netsim.wire.packet import SCTP, TCP, UDP

_MARK_MASQ: Final = Jump("KUBE-MARK-MASQ")
_TO_LOCAL: Final = AddrType("dst")
_BOTH: Final = ("dst", "dst")
_THREE: Final = ("dst", "dst", "src")

_ACCESS: Final = "kubernetes ipvs access filter"
# Table, built-in chain, chain to jump to, comment; each is inserted at the top, so the last of a chain stands first.
_JUMPS: Final = (
    ("nat", "OUTPUT", "KUBE-SERVICES", "kubernetes service portals"),
    ("nat", "PREROUTING", "KUBE-SERVICES", "kubernetes service portals"),
    ("nat", "POSTROUTING", "KUBE-POSTROUTING", "kubernetes postrouting rules"),
    ("filter", "FORWARD", "KUBE-FORWARD", "kubernetes forwarding rules"),
    ("filter", "INPUT", "KUBE-NODE-PORT", "kubernetes health check rules"),
    ("filter", "INPUT", "KUBE-PROXY-FIREWALL", "kube-proxy firewall rules"),
    ("filter", "FORWARD", "KUBE-PROXY-FIREWALL", "kube-proxy firewall rules"),
    ("filter", "INPUT", "KUBE-IPVS-FILTER", _ACCESS),
    ("filter", "OUTPUT", "KUBE-IPVS-OUT-FILTER", _ACCESS),
)
_NAT_CHAINS: Final = (
    "KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-NODE-PORT", "KUBE-LOAD-BALANCER", "KUBE-MARK-MASQ",
)  # fmt: skip
_FILTER_CHAINS: Final = (
    "KUBE-FORWARD", "KUBE-NODE-PORT", "KUBE-PROXY-FIREWALL", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
)  # fmt: skip

# ipsetWithIptablesChain: set, table, chain, target, what is compared, protocol.
_BY_SET: Final[tuple[tuple[str, str, str, Target, tuple[str, ...], int], ...]] = (
    (sets.LOOP_BACK, "nat", "KUBE-POSTROUTING", Masquerade(), _THREE, 0),
    (sets.LOAD_BALANCER, "nat", "KUBE-SERVICES", Jump("KUBE-LOAD-BALANCER"), _BOTH, 0),
    (sets.LOAD_BALANCER_LOCAL, "nat", "KUBE-LOAD-BALANCER", RETURN, _BOTH, 0),
    (sets.NODE_PORT_LOCAL["TCP"], "nat", "KUBE-NODE-PORT", RETURN, ("dst",), TCP),
    (sets.NODE_PORT["TCP"], "nat", "KUBE-NODE-PORT", _MARK_MASQ, ("dst",), TCP),
    (sets.NODE_PORT_LOCAL["UDP"], "nat", "KUBE-NODE-PORT", RETURN, ("dst",), UDP),
    (sets.NODE_PORT["UDP"], "nat", "KUBE-NODE-PORT", _MARK_MASQ, ("dst",), UDP),
    (sets.NODE_PORT_LOCAL["SCTP"], "nat", "KUBE-NODE-PORT", RETURN, _BOTH, SCTP),
    (sets.NODE_PORT["SCTP"], "nat", "KUBE-NODE-PORT", _MARK_MASQ, _BOTH, SCTP),
    (sets.LOAD_BALANCER_FW, "filter", "KUBE-PROXY-FIREWALL", Jump("KUBE-SOURCE-RANGES-FIREWALL"), _BOTH, 0),
    (sets.LOAD_BALANCER_SOURCE_CIDR, "filter", "KUBE-SOURCE-RANGES-FIREWALL", RETURN, _THREE, 0),
    (sets.LOAD_BALANCER_SOURCE_IP, "filter", "KUBE-SOURCE-RANGES-FIREWALL", RETURN, _THREE, 0),
)


class Blocked(NamedTuple):
    """A load-balancer address and port that processes on the node must not reach (issue 119656)."""

    address: Address
    protocol: int
    port: int


@dataclass(frozen=True, slots=True)
class Situation:
    """What the rules depend on: the sets that have members, and the blocked addresses."""

    filled: frozenset[str]
    blocked: tuple[Blocked, ...] = ()


def ensure_jumps(xtables: Xtables, config: IpvsConfig) -> None:
    """Make the jumps from the built-in chains, where missing."""
    unwanted = _unwanted(config)
    for table, source, target, comment in _JUMPS:
        if target not in unwanted:
            xtables.ensure_rule(table, source, Rule((Comment(comment),), Jump(target)))


def _unwanted(config: IpvsConfig) -> tuple[str, ...]:
    """Chains that the version of kube-proxy does not know."""
    found = () if config.access_filter else ("KUBE-IPVS-FILTER",)
    return found if config.node_access_filter else (*found, "KUBE-IPVS-OUT-FILTER")


def tables(config: IpvsConfig, node: NodeView, situation: Situation) -> tuple[Table, Table]:
    """The filter and nat tables as they are given to `iptables-restore`."""
    return _Writer(config, node, situation).tables()


class _Writer:
    """Writes all rules of a node."""

    def __init__(self, config: IpvsConfig, node: NodeView, situation: Situation) -> None:
        self.config, self.node, self.situation = config, node, situation
        self.rules: dict[tuple[str, str], list[Rule]] = {("nat", name): [] for name in _NAT_CHAINS}
        self.rules |= {("filter", name): [] for name in _FILTER_CHAINS if name not in _unwanted(config)}

    def tables(self) -> tuple[Table, Table]:
        self._sets()
        self._services()
        self._filter()
        self._masquerading()
        made: dict[str, dict[str, Chain]] = {"filter": {}, "nat": {}}
        for (table, name), rules in self.rules.items():
            made[table][name] = Chain(name, tuple(rules))
        return Table("filter", made["filter"]), Table("nat", made["nat"])

    def _add(self, table: str, chain: str, target: Target, *matches: Match) -> None:
        found = self.rules.get((table, chain))
        if found is not None:
            found.append(Rule(matches, target))

    def _in(self, name: str, *sides: str) -> SetMatch:
        return SetMatch(sets.set_name(name, self.node.is_ipv6), sides)

    def _commented(self, name: str, *sides: str) -> tuple[Match, Match]:
        return Comment(sets.COMMENTS[name]), self._in(name, *sides)

    def _sets(self) -> None:
        self._add("nat", "KUBE-SERVICES", RETURN, Source(self.node.loopback, full=True))
        for name, table, chain, target, sides, protocol in _BY_SET:
            if name in self.situation.filled:
                head = (IpProtocol(protocol),) if protocol else ()
                self._add(table, chain, target, *head, *self._commented(name, *sides))

    def _services(self) -> None:
        filled, services = self.situation.filled, "KUBE-SERVICES"
        if sets.CLUSTER_IP in filled:
            self._add("nat", services, _MARK_MASQ, *self._masqueraded_cluster_ips())
        for name in (sets.EXTERNAL_IP, sets.EXTERNAL_IP_LOCAL):
            if name in filled:
                head = self._commented(name, *_BOTH)
                if name == sets.EXTERNAL_IP:
                    self._add("nat", services, _MARK_MASQ, *head)
                from_outside = (PhysdevIsIn(negated=True), AddrType("src", negated=True))
                self._add("nat", services, ACCEPT, *head, *from_outside)
                self._add("nat", services, ACCEPT, *head, _TO_LOCAL)
        self._add("nat", services, Jump("KUBE-NODE-PORT"), _TO_LOCAL)
        for name in (sets.CLUSTER_IP, sets.LOAD_BALANCER):
            if name in filled:
                self._add("nat", services, ACCEPT, self._in(name, *_BOTH))
        self._add("nat", "KUBE-LOAD-BALANCER", _MARK_MASQ)

    def _masqueraded_cluster_ips(self) -> Iterator[Match]:
        """Which connections to a clusterIP get the node's address. Without a local detector it is those that the node
        makes itself, since routing chose the virtual address as their source."""
        detector = self.node.local_detector
        by_source = not self.node.masquerade_all and detector is None
        yield from self._commented(sets.CLUSTER_IP, "src" if by_source else "dst", "dst")
        if detector is not None and not self.node.masquerade_all:
            yield _not_from_pods(detector)

    def _filter(self) -> None:
        self._add("filter", "KUBE-SOURCE-RANGES-FIREWALL", DROP)
        for blocked in self.situation.blocked:
            match = IpvsMatch(blocked.address, blocked.protocol, blocked.port)
            self._add("filter", "KUBE-IPVS-OUT-FILTER", DROP, Source(Prefix.host(blocked.address)), match)
        mark = self.config.masquerade_mark
        self._add("filter", "KUBE-FORWARD", ACCEPT, Comment("kubernetes forwarding rules"), Mark(mark, mark))
        related = CtState(("RELATED", "ESTABLISHED"))
        self._add("filter", "KUBE-FORWARD", ACCEPT, Comment("kubernetes forwarding conntrack rule"), related)
        self._add("filter", "KUBE-NODE-PORT", ACCEPT, *self._commented(sets.HEALTH_CHECK, "dst"))
        for name in (sets.LOAD_BALANCER, sets.CLUSTER_IP, sets.EXTERNAL_IP, sets.EXTERNAL_IP_LOCAL):
            self._add("filter", "KUBE-IPVS-FILTER", RETURN, self._in(name, *_BOTH))
        self._add("filter", "KUBE-IPVS-FILTER", RETURN, self._in(sets.HEALTH_CHECK, "dst"))
        self._add("filter", "KUBE-IPVS-FILTER", Reject(), CtState(("NEW",)), self._in(sets.IPVS_IPS, "dst"))

    def _masquerading(self) -> None:
        mark = self.config.masquerade_mark
        self._add("nat", "KUBE-POSTROUTING", RETURN, Mark(mark, mark, negated=True))
        self._add("nat", "KUBE-POSTROUTING", SetMark.spelled("--xor-mark", mark))
        comment = Comment("kubernetes service traffic requiring SNAT")
        self._add("nat", "KUBE-POSTROUTING", Masquerade(self.config.masquerade_random_fully), comment)
        self._add("nat", "KUBE-MARK-MASQ", SetMark.spelled("--or-mark", mark))


def _not_from_pods(detector: LocalDetector) -> Match:
    if detector.prefix is not None:
        return Source(detector.prefix, negated=True)
    plus = "+" if detector.mode.value == "InterfaceNamePrefix" else ""
    return InInterface(f"{detector.interface}{plus}", negated=True)
