"""The addresses by which Services are reached, and which traffic policy counts where: for measurements.

Used by `backends.py`. The table is made anew when a Service has changed.
"""

from typing import TYPE_CHECKING

from netsim.cluster.objects import Service
from netsim.dataplane.service_table import PROTOCOL_NUMBERS
from netsim.wire.addr import Address, ip
from netsim.wire.packet import Flow

if TYPE_CHECKING:
    from netsim.cluster.apiserver import ApiServer
    from netsim.fabric.fabric import Fabric
    from netsim.fabric.host import NodeHost

Place = tuple[Address, int, int]
_LOOPBACK_FIRST_BYTE = 127  # 127.0.0.0/8


class Frontends:
    """Every address, port and protocol of every Service."""

    def __init__(self, api: "ApiServer", fabric: "Fabric") -> None:
        self._api = api
        self._fabric = fabric
        self._node_addresses = {node.address for node in fabric.nodes.values()}
        self._version = -1
        self._places: dict[Place, Service] = {}
        self._node_ports: dict[tuple[int, int], Service] = {}

    def service(self, flow: Flow) -> Service | None:
        """The Service that a client's flow asks for."""
        version = self._api.log(Service).end
        if version != self._version:
            self._version = version
            self._read()
        found = self._places.get((flow.dst, flow.dport, flow.proto))
        if found is not None or not self._node_ports:
            return found
        candidate = self._node_ports.get((flow.dport, flow.proto))
        return candidate if candidate is not None and self._is_node(flow.dst) else None

    def policy(self, service: Service, asked: Flow, via: "NodeHost") -> str:
        """`Local` when the node `via` may give the flow `asked` to its own endpoints only, else "". Traffic from pods
        and from the node itself to external addresses is not bound to them (chain KUBE-EXT, short-circuit)."""
        spec = service.spec
        if asked.dst == ip(spec.clusterIP):
            return "Local" if spec.internalTrafficPolicy == "Local" else ""
        inside = via.ns.is_local(asked.src) or self._fabric.config.pod_subnet.contains(asked.src)
        return "Local" if spec.externalTrafficPolicy == "Local" and not inside else ""

    def _is_node(self, address: Address) -> bool:
        return address[0] == _LOOPBACK_FIRST_BYTE or address in self._node_addresses

    def _read(self) -> None:
        self._places, self._node_ports = {}, {}
        for service in self._api.list(Service):
            spec = service.spec
            texts = [text for text in (spec.clusterIP, *spec.clusterIPs) if text not in ("", "None")]
            texts += spec.externalIPs
            texts += [entry.ip for entry in service.status.loadBalancer.ingress if entry.ip]
            for port in spec.ports:
                protocol = PROTOCOL_NUMBERS[port.protocol]
                for address in dict.fromkeys(map(ip, texts)):
                    self._places.setdefault((address, port.port, protocol), service)
                if port.nodePort:
                    self._node_ports.setdefault((port.nodePort, protocol), service)
