"""The flat pod network: every node has a host route to every other node's pod range (flannel host-gw, kindnet).

Pods get a /32 and a default route to 169.254.1.1, which no device carries: the neighbour entry is permanent and names
the node's end of the veth (as Calico does by proxy ARP). The node has a /32 route per pod. What leaves the cluster is
masqueraded (kindnet's ip-masq, `--ip-masq` of flannel). Packets for a pod that is gone meet the node's blackhole route
for its own range (as Calico's `blackhole` block route): silence, no ICMP error.
"""

from typing import TYPE_CHECKING

from netsim.cni.masquerade import masquerade_outside
from netsim.fabric.fabric import DEFAULT_V4, GATEWAY
from netsim.kernel.routing import Route, RouteKind
from netsim.wire.addr import Prefix

if TYPE_CHECKING:
    from netsim.fabric.fabric import Fabric
    from netsim.fabric.host import NodeHost, PodHost
    from netsim.kernel.netns import Device


class FlatCni:
    """Host routes, no encapsulation."""

    name = "flat"
    mtu = 1500
    pods_on_link = False

    def setup_node(self, fabric: "Fabric", node: "NodeHost") -> None:
        """Routes to and from the other nodes, and masquerade towards the outside."""
        fabric.pod_routes.add(Route(node.pod_cidr, gateway=node.address))
        node.ns.add_route(Route(node.pod_cidr, kind=RouteKind.BLACKHOLE))
        for other in fabric.nodes.values():
            other.ns.routes.forget_cached()
            other.ns.changed()
        masquerade_outside(node.ns, fabric.config.pod_subnet)

    def add_pod(self, fabric: "Fabric", pod: "PodHost", veth: "Device", eth0: "Device") -> None:
        """A /32 on either side."""
        pod.ns.neighbours.permanent(eth0, GATEWAY, veth.mac)
        pod.ns.add_route(Route(Prefix.host(GATEWAY), eth0, source=pod.address))
        pod.ns.add_route(Route(DEFAULT_V4, eth0, GATEWAY, pod.address))
        node = pod.node.ns
        node.neighbours.permanent(veth, pod.address, eth0.mac)
        node.add_route(Route(Prefix.host(pod.address), veth, source=pod.node.address))

    def remove_pod(self, fabric: "Fabric", pod: "PodHost") -> None:
        """Withdraw the pod's route."""
        pod.node.ns.remove_route(Prefix.host(pod.address))
