"""What a dataplane knows of the node that it works on.

Built by whoever starts kube-proxy (from the Node object and KubeProxyConfiguration); read by every dataplane.
Source: pkg/proxy/iptables/proxier.go, pkg/proxy/util/localdetector.go, pkg/proxy/util/nodeport_addresses.go.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from netsim.wire.addr import Address, Prefix, ip

_LOOPBACK: Final = {4: Prefix(ip("127.0.0.0"), 8), 16: Prefix(ip("::1"), 128)}


class DetectLocal(Enum):
    """How kube-proxy tells traffic of local pods (`detectLocalMode`)."""

    CLUSTER_CIDR = "ClusterCIDR"
    NODE_CIDR = "NodeCIDR"
    BRIDGE_INTERFACE = "BridgeInterface"
    INTERFACE_NAME_PREFIX = "InterfaceNamePrefix"


@dataclass(frozen=True, slots=True)
class LocalDetector:
    """Recognises packets from local pods: by source `prefix` (the two CIDR modes) or by `interface` name."""

    mode: DetectLocal = DetectLocal.CLUSTER_CIDR
    prefix: Prefix | None = None
    interface: str = ""

    def __post_init__(self) -> None:
        by_prefix = self.mode in (DetectLocal.CLUSTER_CIDR, DetectLocal.NODE_CIDR)
        if by_prefix != (self.prefix is not None) or by_prefix == bool(self.interface):
            needed = "a prefix" if by_prefix else "an interface name"
            raise ValueError(f"detectLocalMode {self.mode.value} needs {needed} and nothing else")


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node as its kube-proxy sees it.

    `primary_ip` is the node's InternalIP of the family that is handled; `addresses` are all its addresses of that
    family, loopback apart. `local_detector` None means that pods cannot be told from outsiders.
    `node_port_addresses` None means every local address (the iptables default).
    `localhost_node_ports` counts for IPv4 only (`iptables.localhostNodePorts`, default true). `node_hints` says whether
    kube-proxy heeds hints for single nodes (gate PreferSameTrafficDistribution, KEP-3015: on since 1.34)."""

    name: str
    primary_ip: Address
    addresses: tuple[Address, ...] = ()
    zone: str = ""
    local_detector: LocalDetector | None = None
    masquerade_all: bool = False
    localhost_node_ports: bool = True
    node_port_addresses: tuple[Prefix, ...] | None = None
    node_hints: bool = True

    @property
    def is_ipv6(self) -> bool:
        """Whether this view is of the IPv6 side of the node."""
        return len(self.primary_ip) == 16

    @property
    def loopback(self) -> Prefix:
        """The loopback range of the family."""
        return _LOOPBACK[len(self.primary_ip)]

    @property
    def node_port_ips(self) -> tuple[Address, ...] | None:
        """The addresses on which nodePorts answer, in the node's order, or None for every local address.

        Loopback is among them only where a CIDR asks for it and localhost nodePorts work (IPv4)."""
        if self.node_port_addresses is None:
            return None
        loopback = () if self.is_ipv6 or not self.localhost_node_ports else (ip("127.0.0.1"),)
        candidates = dict.fromkeys((*loopback, self.primary_ip, *self.addresses))
        ranges = self.node_port_addresses
        return tuple(a for a in candidates if any(prefix.contains(a) for prefix in ranges))
