"""Flannel with its vxlan backend: a bridge per node for its pods, and a tunnel device `flannel.1` to the other nodes.

flannel needs no multicast and no learning: for each other node flanneld writes a route to its range of pods by way of
the address of its tunnel device (X.Y.Z.0, `onlink`), a permanent neighbour entry with that device's MAC address, and an
entry of the forwarding database with the node's own address. So the first packet finds everything.

Sources: flannel, pkg/backend/vxlan/vxlan.go (VNI 1, device `flannel.VNI`, port 0: the kernel's default) and
vxlan_network.go (handleSubnetEvents); 8472 is vxlan's port in Linux before IANA gave it one
(drivers/net/vxlan/vxlan_core.c, vxlan_port). MTU: that of the uplink less 50 bytes (encapOverhead).
Simplified: flannel.1 and cni0 are there from the start; the FDB is one table that all nodes share, because flanneld
writes the same on each.
"""

from typing import TYPE_CHECKING, Final

from netsim.cni.bridge import NodeBridges
from netsim.cni.masquerade import flannel_rules
from netsim.fabric.fabric import mac_for
from netsim.kernel.netns import Device
from netsim.kernel.routing import Route
from netsim.kernel.vxlan import OVERHEAD, Vxlan
from netsim.wire.addr import Prefix

if TYPE_CHECKING:
    from netsim.fabric.fabric import Fabric
    from netsim.fabric.host import NodeHost, PodHost

VNI: Final = 1
PORT: Final = 8472
NAME: Final = f"flannel.{VNI}"
_UPLINK_MTU: Final = 1500


class VxlanCni:
    """`cni0` on each node, VXLAN between them."""

    name = "vxlan"
    mtu = _UPLINK_MTU - OVERHEAD
    pods_on_link = True

    def __init__(self) -> None:
        self.bridges = NodeBridges(self.mtu)
        self.tunnels: dict[str, Vxlan] = {}
        self._fdb: dict[bytes, bytes] = {}

    def setup_node(self, fabric: "Fabric", node: "NodeHost") -> None:
        """Bridge and tunnel device, what this node has to know of the others, and they of it."""
        self.bridges.add(node)
        self._add_tunnel(fabric, node)
        for other in fabric.nodes.values():
            if other is not node:
                self._introduce(node, other)
                self._introduce(other, node)
        flannel_rules(node.ns, node.pod_cidr, fabric.config.pod_subnet)

    def _add_tunnel(self, fabric: "Fabric", node: "NodeHost") -> None:
        ns, address = node.ns, node.pod_cidr.address
        device = Device(ns, NAME, mac_for(node.name, NAME), self.mtu)
        ns.add_device(device)
        ns.add_address(address, device)
        tunnel = self.tunnels[node.name] = Vxlan(device, VNI, node.address, PORT, fabric.engine.env)
        tunnel.fdb = self._fdb
        tunnel.fdb[device.mac] = node.address
        uplink = fabric.cables[f"{node.name}:eth0"]
        uplink.back.connect(tunnel.uplink_receiver(ns.devices["eth0"]))

    def _introduce(self, to: "NodeHost", node: "NodeHost") -> None:
        """One node learns of another (handleSubnetEvents)."""
        device, gateway = to.ns.devices[NAME], node.pod_cidr.address
        to.ns.neighbours.permanent(device, gateway, node.ns.devices[NAME].mac)
        to.ns.add_route(Route(Prefix(gateway, node.pod_cidr.length), device, gateway, onlink=True))

    def add_pod(self, fabric: "Fabric", pod: "PodHost", veth: Device, eth0: Device) -> None:
        """A port of the bridge, and a route to all pods (flannel's `"routes"` for the bridge plug-in)."""
        self.bridges.plug(fabric, pod, veth, eth0)
        gateway = pod.node.pod_cidr.nth(1)
        pod.ns.add_route(Route(fabric.config.pod_subnet, eth0, gateway, pod.address))

    def remove_pod(self, fabric: "Fabric", pod: "PodHost") -> None:
        """The port goes."""
        self.bridges.unplug(pod)
