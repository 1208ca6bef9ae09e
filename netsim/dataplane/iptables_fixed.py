"""The iptables rules that do not depend on any Service: jumps from the built-in chains, marks, forwarding.

Source: pkg/proxy/iptables/proxier.go (`iptablesJumpChains`, `iptablesKubeletJumpChains`, `syncProxyRules`) of
Kubernetes v1.33. Each jump is inserted at the top of its chain in this order, so the last of a chain stands first.
"""

from typing import Final

from netsim.dataplane import iptables_names as names
from netsim.dataplane.iptables_config import IptablesConfig
from netsim.dataplane.node_view import NodeView
from netsim.kernel.matches import AddrType, Comment, CtState, Destination, Mark, Match, Source
from netsim.kernel.matches_stateful import Nfacct
from netsim.kernel.targets import ACCEPT, DROP, RETURN, Jump, Masquerade, SetMark
from netsim.kernel.xtables import Xtables
from netsim.kernel.xtables_chain import Chain, Rule
from netsim.wire.addr import Prefix, ip

_LAST: Final = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
_INVALID_COUNTER: Final = "ct_state_invalid_dropped_pkts"
_LOOPBACK_V4: Final = Prefix(ip("127.0.0.0"), 8)
_NEW: Final = CtState(("NEW",))

_EXTERNAL: Final = "kubernetes externally-visible service portals"
_PORTALS: Final = "kubernetes service portals"
_FIREWALL: Final = "kubernetes load balancer firewall"
# Table, built-in chain, chain to jump to, comment, whether only for new connections.
_JUMPS: Final = (
    ("filter", "INPUT", names.EXTERNAL_SERVICES, _EXTERNAL, True),
    ("filter", "FORWARD", names.EXTERNAL_SERVICES, _EXTERNAL, True),
    ("filter", "INPUT", names.NODE_PORTS, "kubernetes health check service ports", False),
    ("filter", "FORWARD", names.SERVICES, _PORTALS, True),
    ("filter", "OUTPUT", names.SERVICES, _PORTALS, True),
    ("filter", "FORWARD", names.FORWARD, "kubernetes forwarding rules", False),
    ("filter", "INPUT", names.PROXY_FIREWALL, _FIREWALL, True),
    ("filter", "OUTPUT", names.PROXY_FIREWALL, _FIREWALL, True),
    ("filter", "FORWARD", names.PROXY_FIREWALL, _FIREWALL, True),
    ("nat", "OUTPUT", names.SERVICES, _PORTALS, False),
    ("nat", "PREROUTING", names.SERVICES, _PORTALS, False),
    ("nat", "POSTROUTING", names.POSTROUTING, "kubernetes postrouting rules", False),
    ("filter", "INPUT", names.KUBELET_FIREWALL, "", False),
    ("filter", "OUTPUT", names.KUBELET_FIREWALL, "", False),
)


def ensure_jumps(xtables: Xtables) -> None:
    """Make the jumps from the built-in chains, where missing."""
    for table, source, target, comment, only_new in _JUMPS:
        if target not in xtables.tables[table]:
            xtables.commit(table, [Chain(target)])
        matches: tuple[Match, ...] = (_NEW,) if only_new else ()
        if comment:
            matches = (*matches, Comment(comment))
        xtables.ensure_rule(table, source, Rule(matches, Jump(target)))


def nat_chains(config: IptablesConfig) -> tuple[Chain, ...]:
    """KUBE-MARK-MASQ sets the mark, KUBE-POSTROUTING takes it away and masquerades."""
    mark = config.masquerade_mark
    comment = Comment("kubernetes service traffic requiring SNAT")
    postrouting = (
        Rule((Mark(mark, mark, negated=True),), RETURN),
        Rule((), SetMark.spelled("--xor-mark", mark)),
        Rule((comment,), Masquerade(config.masquerade_random_fully)),
    )
    marking = (Rule((), SetMark.spelled("--or-mark", mark)),)
    return Chain(names.MARK_MASQ, marking), Chain(names.POSTROUTING, postrouting)


def filter_chains(config: IptablesConfig, node: NodeView) -> tuple[Chain, ...]:
    """KUBE-FORWARD, and KUBE-FIREWALL where nodePorts answer on localhost."""
    mark = config.masquerade_mark
    rules = [
        Rule((Comment("kubernetes forwarding rules"), Mark(mark, mark)), ACCEPT),
        Rule((Comment("kubernetes forwarding conntrack rule"), CtState(("RELATED", "ESTABLISHED"))), ACCEPT),
    ]
    if not config.conntrack_tcp_be_liberal:
        counted = (Nfacct(_INVALID_COUNTER),) if config.nfacct else ()
        rules.insert(0, Rule((CtState(("INVALID",)), *counted), DROP))
    forward = Chain(names.FORWARD, tuple(rules))
    return (forward, _kubelet_firewall()) if localhost_node_ports(node) else (forward,)


def localhost_node_ports(node: NodeView) -> bool:
    """Whether nodePorts answer on 127.0.0.1: never for IPv6."""
    return node.localhost_node_ports and not node.is_ipv6


def _kubelet_firewall() -> Chain:
    """Without it `route_localnet` would let neighbours on the link reach services bound to localhost."""
    matches = (
        Comment("block incoming localnet connections"),
        Destination(_LOOPBACK_V4),
        Source(_LOOPBACK_V4, negated=True),
        CtState(("RELATED", "ESTABLISHED", "DNAT"), negated=True),
    )
    return Chain(names.KUBELET_FIREWALL, (Rule(matches, DROP),))


def last_service_rules(node: NodeView) -> tuple[Rule, ...]:
    """The end of nat KUBE-SERVICES: what is for the node itself may be for a nodePort."""
    target = Jump(names.NODE_PORTS)
    comment = Comment(_LAST)
    addresses = node.node_port_ips
    if addresses is not None:
        return tuple(Rule((comment, Destination(Prefix.host(a))), target) for a in addresses)
    matches: tuple[Match, ...] = (comment, AddrType("dst"))
    if not localhost_node_ports(node):
        matches = (*matches, Destination(node.loopback, negated=True, full=True))
    return (Rule(matches, target),)
