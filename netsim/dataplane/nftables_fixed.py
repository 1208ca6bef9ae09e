"""What is in kube-proxy's nftables table whatever the Services: base chains, checks, masquerading, sets and maps.

Source: pkg/proxy/nftables/proxier.go (`setupNFTables`, `nftablesBaseChains`, `nftablesJumpChains`) of Kubernetes v1.34,
also used for older versions. Base chains are not deleted and made anew by a new kube-proxy; what differs is replaced.
"""

from collections.abc import Iterator
from typing import Final

from netsim.dataplane import nftables_names as names
from netsim.dataplane.nftables_config import NftablesConfig
from netsim.dataplane.node_view import NodeView
from netsim.kernel.hooks import Hook
from netsim.kernel.nft_key import Key
from netsim.kernel.nft_match import Address, CtState, Expression, InSet, LocalAddress, Mark, SetMark
from netsim.kernel.nft_table import Base, Chain, Element, Rule, SetSpec, TableId
from netsim.kernel.nft_transaction import AddElement, AddSet, Command, DeleteSet, FlushSet, Write
from netsim.kernel.nft_verdict import DROP, REJECT, RETURN, VerdictMap, final, jump
from netsim.kernel.targets import Masquerade
from netsim.wire.addr import Address as IpAddress

COMMENT: Final = "rules for kube-proxy"
_NEW: Final = CtState(("NEW",))
_BASES: Final = {
    "filter-prerouting-pre-dnat": Base("filter", Hook.PREROUTING, -110),
    "filter-output-pre-dnat": Base("filter", Hook.OUTPUT, -110),
    "filter-input": Base("filter", Hook.INPUT, 0),
    "filter-forward": Base("filter", Hook.FORWARD, 0),
    "filter-output": Base("filter", Hook.OUTPUT, 0),
    "nat-prerouting": Base("nat", Hook.PREROUTING, -100),
    "nat-output": Base("nat", Hook.OUTPUT, -100),
    "nat-postrouting": Base("nat", Hook.POSTROUTING, 100),
}
# Base chain, chain to jump to, whether only for new connections.
_JUMPS: Final = (
    ("filter-input", names.NODE_PORT_ENDPOINTS_CHECK, True),
    ("filter-input", names.SERVICE_ENDPOINTS_CHECK, True),
    ("filter-forward", names.SERVICE_ENDPOINTS_CHECK, True),
    ("filter-output", names.SERVICE_ENDPOINTS_CHECK, True),
    ("filter-prerouting-pre-dnat", names.FIREWALL_CHECK, True),
    ("filter-output-pre-dnat", names.FIREWALL_CHECK, True),
    ("nat-output", names.SERVICES, False),
    ("nat-prerouting", names.SERVICES, False),
    ("nat-postrouting", names.MASQUERADING, False),
    ("filter-forward", names.CLUSTER_IPS_CHECK, True),
    ("filter-output", names.CLUSTER_IPS_CHECK, True),
)
_ENDPOINT_MAPS: Final = (
    (names.FIREWALL_IPS, True, "destinations that are subject to LoadBalancerSourceRanges"),
    (names.NO_ENDPOINT_NODE_PORTS, False, "vmap to drop or reject packets to service nodeports with no endpoints"),
    (names.NO_ENDPOINT_SERVICES, True, "vmap to drop or reject packets to services with no endpoints"),
    (names.SERVICE_IPS, True, "ClusterIP, ExternalIP and LoadBalancer IP traffic"),
    (names.SERVICE_NODE_PORTS, False, "NodePort traffic"),
)  # fmt: skip
_REJECT_COMMENT: Final = "helper for @no-endpoint-services / @no-endpoint-nodeports"


def table(node: NodeView) -> TableId:
    """kube-proxy's table of the node's family."""
    return TableId("ip6" if node.is_ipv6 else "ip", names.TABLE)


def address_key(v6: bool) -> Key:
    """`ip daddr`."""
    return Key(("daddr",), v6)


def service_key(v6: bool) -> Key:
    """`ip daddr . meta l4proto . th dport`."""
    return Key(("daddr", "l4proto", "dport"), v6)


PORT_KEY: Final = Key(("l4proto", "dport"))


def setup(config: NftablesConfig, node: NodeView, node_port_set: bool) -> tuple[Command, ...]:
    """The commands that begin a full sync; sets and maps are empty afterwards. `node_port_set`: there is a set of
    nodePort addresses from before."""
    return tuple(_setup(config, node, node_port_set))


def _setup(config: NftablesConfig, node: NodeView, node_port_set: bool) -> Iterator[Command]:
    v6 = node.is_ipv6
    addresses = node_port_addresses(node)
    yield AddSet(SetSpec(names.CLUSTER_IPS, address_key(v6), comment="Active ClusterIPs"))
    if addresses is not None:
        comment = "IPs that accept NodePort traffic"
        yield AddSet(SetSpec(names.NODE_PORT_IPS, address_key(v6), comment=comment))
        yield FlushSet(names.NODE_PORT_IPS)
        yield from (AddElement(Element(names.NODE_PORT_IPS, address)) for address in addresses)
    for name, with_address, comment in _ENDPOINT_MAPS:
        yield AddSet(SetSpec(name, service_key(v6) if with_address else PORT_KEY, True, comment))
    yield FlushSet(names.CLUSTER_IPS)
    yield from (FlushSet(name, True) for name, _, _ in _ENDPOINT_MAPS)
    yield from map(Write, _chains(config, node, addresses is None))
    if addresses is None and node_port_set:
        yield DeleteSet(names.NODE_PORT_IPS)


def rule_count(config: NftablesConfig, node: NodeView) -> int:
    """How many rules there are without any Service."""
    return sum(len(chain.rules) for chain in _chains(config, node, node_port_addresses(node) is None))


def node_port_addresses(node: NodeView) -> tuple[IpAddress, ...] | None:
    """The addresses on which nodePorts answer, never loopback; None for all (`NodePortAddresses.MatchAll`)."""
    ranges = node.node_port_addresses
    if ranges is None or any(prefix.length == 0 for prefix in ranges):
        return None
    candidates = dict.fromkeys((node.primary_ip, *node.addresses))
    return tuple(
        a for a in candidates if not node.loopback.contains(a) and any(p.contains(a) for p in ranges)
    )


def _chains(config: NftablesConfig, node: NodeView, everywhere: bool) -> Iterator[Chain]:
    for name, base in _BASES.items():
        rules = (Rule((_NEW,) if new else (), jump(to)) for source, to, new in _JUMPS if source == name)
        yield Chain(name, tuple(rules), base)
    v6 = node.is_ipv6
    to_service, mark = service_key(v6), config.masquerade_mark
    local, checked = _node_port_matches(node, everywhere)
    yield Chain(
        names.NODE_PORT_ENDPOINTS_CHECK,
        (Rule(checked, VerdictMap(PORT_KEY, names.NO_ENDPOINT_NODE_PORTS)),),
    )
    yield Chain(
        names.SERVICE_ENDPOINTS_CHECK, (Rule((), VerdictMap(to_service, names.NO_ENDPOINT_SERVICES)),)
    )
    yield Chain(names.FIREWALL_CHECK, (Rule((), VerdictMap(to_service, names.FIREWALL_IPS)),))
    yield Chain(
        names.SERVICES,
        (
            Rule((), VerdictMap(to_service, names.SERVICE_IPS)),
            Rule(local, VerdictMap(PORT_KEY, names.SERVICE_NODE_PORTS)),
        ),
    )
    yield Chain(
        names.MASQUERADING,
        (
            Rule((Mark(0, mark),), RETURN),
            Rule((SetMark(mark, "xor"),)),
            Rule((), final(Masquerade(random_fully=True))),
        ),
    )
    yield Chain(names.CLUSTER_IPS_CHECK, tuple(_cluster_ips_check(config, v6)))
    yield Chain(names.MARK_MASQ, (Rule((SetMark(mark, "or"),)),))
    yield Chain(names.REJECT, (Rule((), REJECT),), comment=_REJECT_COMMENT)


def _node_port_matches(
    node: NodeView, everywhere: bool
) -> tuple[tuple[Expression, ...], tuple[Expression, ...]]:
    """What a packet for a nodePort meets before nat, and in the input hook, where its address is local anyway."""
    if not everywhere:
        inside: tuple[Expression, ...] = (InSet(address_key(node.is_ipv6), names.NODE_PORT_IPS),)
        return inside, inside
    not_loopback = Address("daddr", (node.loopback,), negated=True)
    return (LocalAddress("daddr"), not_loopback), (not_loopback,)


def _cluster_ips_check(config: NftablesConfig, v6: bool) -> Iterator[Rule]:
    active = InSet(address_key(v6), names.CLUSTER_IPS)
    yield Rule((active,), REJECT, "Reject traffic to invalid ports of ClusterIPs")
    cidrs = tuple(prefix for prefix in config.service_cidrs if (len(prefix.address) == 16) is v6)
    if cidrs:
        yield Rule((Address("daddr", cidrs, braces=True),), DROP, "Drop traffic to unallocated ClusterIPs")
