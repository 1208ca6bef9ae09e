"""The one place that wires a topology's choices together: pod network, service dataplane, nodes.

Called by `cluster.py`. A further dataplane or pod network is one file and one line here (`DATAPLANES`, `CNIS`), and its
name in `rules_cluster.py`, which cannot import what is simulated without loading it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster.ipam import NodeRanges
from netsim.cluster.runtime import NodeConfig
from netsim.cni.bridge import BridgeCni
from netsim.cni.flat import FlatCni
from netsim.cni.vxlan import VxlanCni
from netsim.dataplane.iptables import IptablesDataplane
from netsim.dataplane.iptables_config import IptablesConfig
from netsim.dataplane.ipvs import IpvsDataplane
from netsim.dataplane.ipvs_config import IpvsConfig
from netsim.dataplane.nftables import NftablesDataplane
from netsim.dataplane.nftables_config import PARTIAL_SYNC_MINOR, NftablesConfig
from netsim.dataplane.nftables_config import SyncCost as NftablesSyncCost
from netsim.dataplane.node_view import DetectLocal, LocalDetector, NodeView
from netsim.experiment.settings import fabric_config, link_spec, node_netem
from netsim.fabric.fabric import Cni, Fabric
from netsim.wire.addr import Address, Prefix, ip

if TYPE_CHECKING:
    from netsim.dataplane.base import Dataplane, NodeDataplane
    from netsim.engine import Engine
    from netsim.experiment.spec_cluster import ClusterSpec


def _iptables(spec: "ClusterSpec") -> IptablesDataplane:
    proxy = spec.kubeProxy
    return IptablesDataplane(
        IptablesConfig(
            masquerade_mark=1 << proxy.iptables.masqueradeBit,
            conntrack_tcp_be_liberal=proxy.conntrack.tcpBeLiberal,
        )
    )


def _nftables(spec: "ClusterSpec") -> NftablesDataplane:
    return NftablesDataplane(
        NftablesConfig(
            masquerade_mark=1 << spec.kubeProxy.nftables.masqueradeBit,
            service_cidrs=tuple(map(Prefix.parse, spec.networking.service_subnets)),
            partial_sync=spec.minor >= PARTIAL_SYNC_MINOR,
            cost=NftablesSyncCost.for_minor(spec.minor),
        )
    )


def _ipvs(spec: "ClusterSpec") -> IpvsDataplane:
    proxy, section = spec.kubeProxy, spec.kubeProxy.ipvs
    return IpvsDataplane(
        IpvsConfig(
            scheduler=section.scheduler or "rr",
            strict_arp=section.strictARP,
            exclude_cidrs=tuple(map(Prefix.parse, section.excludeCIDRs)),
            tcp_timeout_ns=section.tcp_timeout_ns,
            tcp_fin_timeout_ns=section.tcp_fin_timeout_ns,
            udp_timeout_ns=section.udp_timeout_ns,
            masquerade_mark=1 << proxy.iptables.masqueradeBit,
            kernel=spec.kernel_release,
            access_filter=spec.minor >= 27,
            node_access_filter=spec.minor >= 29,
        )
    )


CNIS: Final[Mapping[str, Callable[[], Cni]]] = {"flat": FlatCni, "vxlan": VxlanCni, "bridge": BridgeCni}
DATAPLANES: Final[Mapping[str, Callable[["ClusterSpec"], "Dataplane[Any]"]]] = {
    "iptables": _iptables,
    "nftables": _nftables,
    "ipvs": _ipvs,
}


def build_fabric(engine: "Engine", spec: "ClusterSpec") -> Fabric:
    """Switch, router and the chosen pod network, without nodes."""
    return Fabric(engine, fabric_config(spec), CNIS[spec.networking.cni]())


def build_nodes(fabric: Fabric, spec: "ClusterSpec") -> list[NodeConfig]:
    """Every node and outside host of the topology joins the fabric; the nodes as the control plane knows them."""
    ranges = [NodeRanges(subnet) for subnet in spec.networking.pod_subnets]
    made = []
    for entry in spec.node_entries():
        cidr, *more_cidrs = (each.allocate() for each in ranges)
        cable = f"{entry.name}:eth0"
        quality = spec.link(cable)
        more = zip(map(ip, entry.more), map(Prefix.parse, more_cidrs), strict=True)
        fabric.add_node(entry.name, ip(entry.address), Prefix.parse(cidr), link_spec(quality), more)
        netem = node_netem(quality)
        if netem is not None:
            fabric.set_netem(fabric.cables[cable], netem)
        made.append(
            NodeConfig(
                entry.name, entry.address, cidr, entry.labels, entry.taints, entry.more, tuple(more_cidrs)
            )
        )
    gateways = {external.behind for external in spec.external if external.behind}
    for external in sorted(spec.external, key=lambda host: bool(host.behind)):
        address, *others = map(ip, external.addresses)
        fabric.add_outside(
            external.name,
            address,
            link_spec(spec.link(f"{external.name}:eth0")),
            tuple(others),
            behind=fabric.outside[external.behind] if external.behind else None,
            translates=external.name in gateways,
        )
    return made


def build_dataplane(
    spec: "ClusterSpec", nodes: Iterable[NodeConfig], position: int = 0
) -> Callable[[str], "NodeDataplane[Any]"]:
    """What makes the dataplane of a node, anew for each kube-proxy process: that of the primary family, or (`position`
    1) of the other one."""
    dataplane = DATAPLANES[spec.networking.kubeProxyMode](spec)
    views = {node.name: node_view(spec, node, position) for node in nodes}
    return lambda name: dataplane.on_node(views[name])


def node_view(spec: "ClusterSpec", node: NodeConfig, position: int = 0) -> NodeView:
    """A node as the proxier of one family sees it, by KubeProxyConfiguration."""
    proxy = spec.kubeProxy
    address = ip(node.addresses[position])
    return NodeView(
        node.name,
        address,
        (address,),
        node.labels.get("topology.kubernetes.io/zone", ""),
        _detector(spec, node, position),
        spec.proxy_section.masqueradeAll,
        proxy.iptables.localhostNodePorts,
        _node_port_addresses(spec, address),
        node_hints=spec.minor >= 34,
    )


def _node_port_addresses(spec: "ClusterSpec", primary: Address) -> tuple[Prefix, ...] | None:
    """Where nodePorts answer: None for all addresses, the default of iptables; that of nftables is the primary one
    (pkg/proxy/apis/config/v1alpha1/defaults.go)."""
    texts = spec.kubeProxy.nodePortAddresses
    if texts == ("primary",) or (not texts and spec.networking.kubeProxyMode == "nftables"):
        return (Prefix.host(primary),)
    ranges = (Prefix.parse(text) for text in texts)
    return tuple(prefix for prefix in ranges if len(prefix.address) == len(primary)) or None


def _detector(spec: "ClusterSpec", node: NodeConfig, position: int) -> LocalDetector:
    """`detectLocalMode`; ClusterCIDR when nothing is said, as kubeadm writes it."""
    proxy = spec.kubeProxy
    mode = DetectLocal(proxy.detectLocalMode or "ClusterCIDR")
    if mode is DetectLocal.CLUSTER_CIDR:
        family = ":" in node.addresses[position]
        given = [cidr for cidr in proxy.clusterCIDR.split(",") if cidr and (":" in cidr) == family]
        return LocalDetector(mode, Prefix.parse((given or spec.networking.pod_subnets[position:])[0]))
    if mode is DetectLocal.NODE_CIDR:
        return LocalDetector(mode, Prefix.parse(node.pod_cidrs[position]))
    local = proxy.detectLocal
    bridge = mode is DetectLocal.BRIDGE_INTERFACE
    return LocalDetector(mode, interface=local.bridgeInterface if bridge else local.interfaceNamePrefix)
