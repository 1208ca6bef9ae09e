"""The portmap plug-in: `hostPort` by iptables rules on the node, for any pod network.

Called by the container runtime after the network's own plug-in (a CNI chain), and before it at the end of a pod. ::

    PREROUTING, OUTPUT -- for the node itself --> CNI-HOSTPORT-DNAT -- its ports --> CNI-DN-... --> DNAT to the pod
                                                                  (from the pod or from localhost: CNI-HOSTPORT-SETMARK)
    POSTROUTING --> CNI-HOSTPORT-MASQ: masquerade what is marked

Source: containernetworking/plugins, plugins/meta/portmap (portmap.go, chain.go; chain names by
pkg/utils/iptables.go). 127.0.0.1 works because the kernel here lets 127/8 cross devices, as the plug-in sets
route_localnet=1. Simplified: no markMasqBit, conditions, masqAll or nftables backend of the plug-in.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from netsim.kernel.matches import (
    AddrType,
    Comment,
    Destination,
    DestinationPort,
    IpProtocol,
    Mark,
    Match,
    Module,
    MultiPort,
    Source,
)
from netsim.kernel.targets import Dnat, Jump, Masquerade, SetMark, Target
from netsim.kernel.xtables_chain import Chain, Rule
from netsim.wire.addr import Address, Prefix
from netsim.wire.packet import SCTP, TCP, UDP

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace
    from netsim.kernel.xtables import Xtables

_DNAT: Final = "CNI-HOSTPORT-DNAT"
_SETMARK: Final = "CNI-HOSTPORT-SETMARK"
_MASQ: Final = "CNI-HOSTPORT-MASQ"
_MARK: Final = 1 << 13  # DefaultMarkBit
_MAX_CHAIN_LENGTH: Final = 28
_MULTIPORT_MAX: Final = 15
_NUMBERS: Final = {"sctp": SCTP, "tcp": TCP, "udp": UDP}
_LOCALHOST: Final = Prefix(bytes((127, 0, 0, 1)), 32)


class PortMapping(NamedTuple):
    """`runtimeConfig.portMappings`: a port of the node (on one address, or None: on all) and the pod's port behind."""

    host_port: int
    container_port: int
    protocol: str
    host_ip: Address | None = None


class PodNetwork(NamedTuple):
    """A pod as the plug-in is told of it: the network's name, the sandbox's, the pod's address, and the range that it
    shares a link with."""

    network: str
    container_id: str
    address: Address
    on_link: Prefix


def add(ns: "Namespace", pod: PodNetwork, mappings: Sequence[PortMapping], now: int) -> None:
    """CNI ADD in a node's namespace."""
    xtables = ns.xtables
    assert xtables is not None
    usable = [m for m in mappings if m.host_ip is None or len(m.host_ip) == len(pod.address)]
    _ensure_shared(xtables)
    chain = chain_name(pod.network, pod.container_id)
    rules = tuple(rule for mapping in usable for rule in _mapping_rules(mapping, pod))
    xtables.commit("nat", [Chain(chain, rules)])
    comment = Comment(f'dnat name: "{pod.network}" id: "{pod.container_id}"')
    for matches in _entry_matches(mappings):
        xtables.ensure_rule("nat", _DNAT, Rule((comment, *matches), Jump(chain)), append=True)
    _forget_stale_udp(ns, mappings, now)


def remove(ns: "Namespace", network: str, container_id: str) -> None:
    """CNI DEL; harmless when there is nothing."""
    xtables = ns.xtables
    assert xtables is not None
    chain, nat = chain_name(network, container_id), xtables.tables["nat"]
    if chain not in nat:
        return
    for rule in nat[_DNAT].rules:
        if rule.target == Jump(chain):
            xtables.delete_rule("nat", _DNAT, rule)
    xtables.commit("nat", [], [chain])


def chain_name(network: str, container_id: str) -> str:
    """`CNI-DN-` and as much of a hash as fits into 28 characters (FormatChainName)."""
    digest = hashlib.sha512(f"{network}{container_id}".encode()).hexdigest()
    return f"CNI-DN-{digest}"[:_MAX_CHAIN_LENGTH]


def _ensure_shared(xtables: "Xtables") -> None:
    """The chains that all pods of a node share. Masquerading goes first, before the networks' own rules for it."""
    nat = xtables.tables["nat"]
    if _SETMARK not in nat:
        marking = Rule(
            (Comment("CNI portfwd masquerade mark"),), SetMark.spelled("--set-xmark", _MARK, _MARK)
        )
        masquerade = Rule((Mark(_MARK, _MARK),), Masquerade())
        xtables.commit("nat", [Chain(_SETMARK, (marking,)), Chain(_MASQ, (masquerade,)), Chain(_DNAT)])
    requiring = Comment("CNI portfwd requiring masquerade")
    xtables.ensure_rule("nat", "POSTROUTING", Rule((requiring,), Jump(_MASQ)))
    for hook in ("PREROUTING", "OUTPUT"):
        xtables.ensure_rule("nat", hook, Rule((AddrType("dst"),), Jump(_DNAT)), append=True)


def _entry_matches(mappings: Sequence[PortMapping]) -> Iterator[tuple[Match, ...]]:
    """One rule per protocol and fifteen ports."""
    for protocol in sorted({mapping.protocol for mapping in mappings}):
        ports = [mapping.host_port for mapping in mappings if mapping.protocol == protocol]
        for start in range(0, len(ports), _MULTIPORT_MAX):
            some = tuple(ports[start : start + _MULTIPORT_MAX])
            yield MultiPort(some), IpProtocol(_NUMBERS[protocol])


def _mapping_rules(mapping: PortMapping, pod: PodNetwork) -> Iterator[Rule]:
    """Mark what would not find its way back without masquerading, then DNAT."""
    base: tuple[Match, ...] = (
        IpProtocol(_NUMBERS[mapping.protocol]),
        Module(mapping.protocol),  # which iptables loads by itself for --dport
        DestinationPort(mapping.host_port, mapping.host_port),
    )
    if mapping.host_ip is not None and any(mapping.host_ip):
        base = (*base, Destination(Prefix.host(mapping.host_ip)))
    mark: Target = Jump(_SETMARK)
    yield Rule((*base, Source(pod.on_link, full=True)), mark)
    if len(pod.address) == 4:
        yield Rule((*base, Source(_LOCALHOST)), mark)
    yield Rule(base, Dnat(pod.address, mapping.container_port))


def _forget_stale_udp(ns: "Namespace", mappings: Sequence[PortMapping], now: int) -> None:
    """A client that goes on sending would be led past the new rules (deletePortmapStaleConnections)."""
    ports = {mapping.host_port for mapping in mappings if mapping.protocol == "udp"}
    if ports and ns.conntrack is not None:
        ns.conntrack.delete(lambda entry: entry.proto == UDP and entry.original.flow.dport in ports, now)
