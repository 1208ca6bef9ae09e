"""The one place that wires a topology's choices together: pod network, service dataplane, nodes.

Called by `cluster.py`. A further dataplane or pod network is one file and one line here (`DATAPLANES`, `CNIS`), and its
name in `rules_cluster.py`, which cannot import what is simulated without loading it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster.ipam import NodeRanges
from netsim.cluster.runtime import NodeConfig
from netsim.cni.flat import FlatCni
from netsim.dataplane.iptables import IptablesDataplane
from netsim.dataplane.iptables_config import IptablesConfig
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
            service_cidrs=(Prefix.parse(spec.networking.serviceSubnet),),
            partial_sync=spec.minor >= PARTIAL_SYNC_MINOR,
            cost=NftablesSyncCost.for_minor(spec.minor),
        )
    )


CNIS: Final[Mapping[str, Callable[[], Cni]]] = {"flat": FlatCni}
DATAPLANES: Final[Mapping[str, Callable[["ClusterSpec"], "Dataplane[Any]"]]] = {
    "iptables": _iptables,
    "nftables": _nftables,
}


def build_fabric(engine: "Engine", spec: "ClusterSpec") -> Fabric:
    """Switch, router and the chosen pod network, without nodes."""
    return Fabric(engine, fabric_config(spec), CNIS[spec.networking.cni]())


def build_nodes(fabric: Fabric, spec: "ClusterSpec") -> list[NodeConfig]:
    """Every node and outside host of the topology joins the fabric; the nodes as the control plane knows them."""
    ranges = NodeRanges(spec.networking.podSubnet)
    made = []
    for entry in spec.node_entries():
        cidr = ranges.allocate()
        cable = f"{entry.name}:eth0"
        quality = spec.link(cable)
        fabric.add_node(entry.name, ip(entry.address), Prefix.parse(cidr), link_spec(quality))
        netem = node_netem(quality)
        if netem is not None:
            fabric.set_netem(fabric.cables[cable], netem)
        made.append(NodeConfig(entry.name, entry.address, cidr, entry.labels, entry.taints))
    for external in spec.external:
        quality = spec.link(f"{external.name}:eth0")
        fabric.add_outside(external.name, ip(external.address), link_spec(quality))
    return made


def build_dataplane(
    spec: "ClusterSpec", nodes: Iterable[NodeConfig]
) -> Callable[[str], "NodeDataplane[Any]"]:
    """What makes the dataplane of a node, anew for each kube-proxy process."""
    dataplane = DATAPLANES[spec.networking.kubeProxyMode](spec)
    views = {node.name: node_view(spec, node) for node in nodes}
    return lambda name: dataplane.on_node(views[name])


def node_view(spec: "ClusterSpec", node: NodeConfig) -> NodeView:
    """A node as its kube-proxy sees it, by KubeProxyConfiguration."""
    proxy = spec.kubeProxy
    address = ip(node.address)
    return NodeView(
        node.name,
        address,
        (address,),
        node.labels.get("topology.kubernetes.io/zone", ""),
        _detector(spec, node),
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


def _detector(spec: "ClusterSpec", node: NodeConfig) -> LocalDetector:
    """`detectLocalMode`; ClusterCIDR when nothing is said, as kubeadm writes it."""
    proxy = spec.kubeProxy
    mode = DetectLocal(proxy.detectLocalMode or "ClusterCIDR")
    if mode is DetectLocal.CLUSTER_CIDR:
        return LocalDetector(mode, Prefix.parse(proxy.clusterCIDR or spec.networking.podSubnet))
    if mode is DetectLocal.NODE_CIDR:
        return LocalDetector(mode, Prefix.parse(node.pod_cidr))
    local = proxy.detectLocal
    bridge = mode is DetectLocal.BRIDGE_INTERFACE
    return LocalDetector(mode, interface=local.bridgeInterface if bridge else local.interfaceNamePrefix)
