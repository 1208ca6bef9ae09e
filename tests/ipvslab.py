"""A bench for IPVS: nodes of a `Lab` or a `Bench` whose Services the ipvs dataplane has written into the kernel."""

from collections.abc import Iterable
from typing import Any

from netlab import Lab

from netsim.dataplane.ipvs import IpvsDataplane, IpvsProxier
from netsim.dataplane.ipvs_config import IpvsConfig
from netsim.dataplane.node_view import DetectLocal, LocalDetector, NodeView
from netsim.dataplane.service_table import Endpoint, ServicePort, ServicePortName, ServiceTable
from netsim.fabric.host import NodeHost
from netsim.kernel.ipvs import Ipvs
from netsim.wire.addr import Prefix, ip
from netsim.wire.packet import endpoint_text

PODS = LocalDetector(DetectLocal.CLUSTER_CIDR, Prefix.parse("10.244.0.0/16"))


def service(
    address: str, port: int, backends: Iterable[tuple[str, int]], protocol: str = "TCP", **fields: Any
) -> ServicePort:
    """A Service port; a backend's node is the third part of its address in the lab's numbering."""
    endpoints = tuple(Endpoint(ip(a), p, f"n{a.split('.')[2]}") for a, p in backends)
    return ServicePort(
        ServicePortName("default", f"s-{address}-{port}", "", protocol),
        ip(address),
        port,
        endpoints=endpoints,
        **fields,
    )


def node_view(node: NodeHost, **fields: Any) -> NodeView:
    """A node of the lab as its kube-proxy sees it."""
    values: dict[str, Any] = {"local_detector": PODS} | fields
    return NodeView(node.name, node.address, (node.address,), **values)


class IpvsLab:
    """kube-proxies of mode ipvs on the nodes of a lab."""

    def __init__(self, lab: Lab, config: IpvsConfig | None = None, **view: Any) -> None:
        self.lab = lab
        self.dataplane = IpvsDataplane(config)
        self.proxiers: dict[str, IpvsProxier] = {
            node.name: self.dataplane.on_node(node_view(node, **view)) for node in lab.nodes
        }
        self.table: ServiceTable | None = None

    def serve(self, *ports: ServicePort) -> None:
        """Let these be all Services there are, on every node; incremental after the first time."""
        new = ServiceTable(ports)
        for node in self.lab.nodes:
            self.proxiers[node.name].sync(node.ns, self.table, new)
        self.table = new

    def ipvs(self, index: int = 0) -> Ipvs:
        """A node's IPVS."""
        found = self.lab.nodes[index].ns.ipvs
        assert found is not None
        return found


def reals(ipvs: Ipvs, address: str, port: int, proto: int = 6) -> dict[str, tuple[int, int, int]]:
    """Weight, active and inactive connections of a virtual server's real servers."""

    found = ipvs.services[proto, ip(address), port]  # type: ignore[index]
    return {endpoint_text(*d.key): (d.weight, d.active, d.inactive) for d in found.dests}
