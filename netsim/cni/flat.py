"""The flat pod network: every node has a host route to every other node's pod range (flannel host-gw, kindnet).

Pods get a /32 and a default route to 169.254.1.1 (IPv6: a /128 and fe80::ecee:eeff:feee:eeee), which no device
carries: the neighbour entry is permanent and names the node's end of the veth (as Calico does by proxy ARP). The node
has a route per pod address. All that is so for each family that the cluster has. What leaves the cluster is
masqueraded (kindnet's ip-masq, `--ip-masq` of flannel). Packets for a pod that is gone meet the node's blackhole route
for its own range (as Calico's `blackhole` block route): silence, no ICMP error.
"""

from typing import TYPE_CHECKING

from netsim.cni.masquerade import masquerade_outside
from netsim.fabric.fabric import DEFAULTS, GATEWAYS
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
        for address, cidr in zip(node.addresses, node.pod_cidrs, strict=True):
            fabric.pod_routes.add(Route(cidr, gateway=address))
            node.ns.add_route(Route(cidr, kind=RouteKind.BLACKHOLE))
        for other in fabric.nodes.values():
            other.ns.routes.forget_cached()
            other.ns.changed()
        for subnet in fabric.config.pod_subnets:
            masquerade_outside(node.ns, subnet)

    def add_pod(self, fabric: "Fabric", pod: "PodHost", veth: "Device", eth0: "Device") -> None:
        """A /32 or /128 on either side."""
        node = pod.node.ns
        for address in pod.addresses:
            gateway = GATEWAYS[len(address)]
            pod.ns.neighbours.permanent(eth0, gateway, veth.mac)
            pod.ns.add_route(Route(Prefix.host(gateway), eth0, source=address))
            pod.ns.add_route(Route(DEFAULTS[len(address)], eth0, gateway, address))
            node.neighbours.permanent(veth, address, eth0.mac)
            source = pod.node.address_of(len(address))
            node.add_route(Route(Prefix.host(address), veth, source=source))

    def remove_pod(self, fabric: "Fabric", pod: "PodHost") -> None:
        """Withdraw the pod's routes."""
        for address in pod.addresses:
            pod.node.ns.remove_route(Prefix.host(address))
