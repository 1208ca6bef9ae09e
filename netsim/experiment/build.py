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
from netsim.dataplane.node_view import DetectLocal, LocalDetector, NodeView
from netsim.experiment.settings import fabric_config, link_spec, node_netem
from netsim.fabric.fabric import Cni, Fabric
from netsim.wire.addr import Prefix, ip

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


CNIS: Final[Mapping[str, Callable[[], Cni]]] = {"flat": FlatCni}
DATAPLANES: Final[Mapping[str, Callable[["ClusterSpec"], "Dataplane[Any]"]]] = {"iptables": _iptables}


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
    for external in spec.external:
        quality = spec.link(f"{external.name}:eth0")
        address, *others = map(ip, external.addresses)
        fabric.add_outside(external.name, address, link_spec(quality), tuple(others))
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
    ranges = tuple(prefix for prefix in map(Prefix.parse, proxy.nodePortAddresses))
    section = proxy.nftables if spec.networking.kubeProxyMode == "nftables" else proxy.iptables
    return NodeView(
        node.name,
        address,
        (address,),
        node.labels.get("topology.kubernetes.io/zone", ""),
        _detector(spec, node, position),
        section.masqueradeAll,
        proxy.iptables.localhostNodePorts,
        tuple(prefix for prefix in ranges if len(prefix.address) == len(address)) or None,
        node_hints=spec.minor >= 34,
    )


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
