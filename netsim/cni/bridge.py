"""The bridge plug-in: a Linux bridge `cni0` per node, and host routes between the nodes (as in flat).

Pods have a /24 with their neighbours and the bridge's address, .1 of the node's range, as gateway: so pods of a node
find each other by ARP and talk through the bridge, not through routing. The ports are in hairpin mode, by which a pod
can reach itself through a Service. `NodeBridges` is also what `vxlan.py` puts its pods on.

Sources: containernetworking/plugins, plugins/main/bridge/bridge.go (isDefaultGateway, hairpinMode, gratuitous ARP by
arping.GratuitousArpOverIface); the delegate configuration of flannel's CNI plug-in
(`"hairpinMode": true, "isDefaultGateway": true`).
"""

from typing import TYPE_CHECKING, Final

from netsim.cni.masquerade import masquerade_outside
from netsim.fabric.fabric import DEFAULT_V4, mac_for
from netsim.kernel.arp import announce
from netsim.kernel.bridge import Bridge
from netsim.kernel.bridge_fastpath import port_receiver
from netsim.kernel.netns import Device
from netsim.kernel.routing import Route

if TYPE_CHECKING:
    from netsim.fabric.fabric import Fabric
    from netsim.fabric.host import NodeHost, PodHost

NAME: Final = "cni0"


class NodeBridges:
    """The bridges of all nodes, by the node's name."""

    def __init__(self, mtu: int, hairpin: bool = True) -> None:
        self.mtu = mtu
        self.hairpin = hairpin
        self.of: dict[str, Bridge] = {}

    def add(self, node: "NodeHost") -> None:
        """Make a node's bridge. Upstream the first pod's ADD does that."""
        ns, gateway = node.ns, node.pod_cidr.nth(1)
        device = Device(ns, NAME, mac_for(node.name, NAME), self.mtu)
        ns.add_device(device)
        ns.add_address(gateway, device)
        ns.add_route(Route(node.pod_cidr, device, source=gateway, protocol="kernel"))
        self.of[node.name] = Bridge(device)

    def plug(self, fabric: "Fabric", pod: "PodHost", veth: Device, eth0: Device) -> None:
        """The pod's veth becomes a port, the pod gets its routes and tells its neighbours about itself."""
        bridge = self.of[pod.node.name]
        port = bridge.add_port(veth, self.hairpin)
        fabric.cables[f"{pod.name}:eth0"].there.connect(port_receiver(bridge, port, fabric.engine.env))
        cidr = pod.node.pod_cidr
        pod.ns.add_route(Route(cidr, eth0, source=pod.address, protocol="kernel"))
        pod.ns.add_route(Route(DEFAULT_V4, eth0, cidr.nth(1), pod.address))
        announce(eth0, pod.address, fabric.engine.now)

    def unplug(self, pod: "PodHost") -> None:
        """The port goes with the pod."""
        self.of[pod.node.name].remove_port(pod.node.ns.devices[pod.veth])


class BridgeCni:
    """`cni0` on each node, host routes between them, no encapsulation."""

    name = "bridge"
    mtu = 1500
    pods_on_link = True

    def __init__(self) -> None:
        self.bridges = NodeBridges(self.mtu)

    def setup_node(self, fabric: "Fabric", node: "NodeHost") -> None:
        """The bridge, routes to and from the other nodes, and masquerade towards the outside."""
        self.bridges.add(node)
        fabric.pod_routes.add(Route(node.pod_cidr, gateway=node.address))
        for other in fabric.nodes.values():
            other.ns.routes.forget_cached()
            other.ns.changed()
        masquerade_outside(node.ns, fabric.config.pod_subnet)

    def add_pod(self, fabric: "Fabric", pod: "PodHost", veth: Device, eth0: Device) -> None:
        """A port of the bridge."""
        self.bridges.plug(fabric, pod, veth, eth0)

    def remove_pod(self, fabric: "Fabric", pod: "PodHost") -> None:
        """The port goes."""
        self.bridges.unplug(pod)
