"""The little network in which a case's flows are replayed, as a value: the real and the simulated node are both made
from it.

::

    pods (the node's own pods) ---pod0-- node --eth0--- outside (clients, other nodes with their pods, all the world)

Every address that is neither the node's nor one of its pods' is outside, so whatever the rules leave alone arrives
there with the destination that it had, or at the node itself. Each place answers on every port that matters.
"""

from dataclasses import dataclass
from typing import Any

from caselab import node_view, service_table

from netsim.dataplane.node_view import NodeView
from netsim.wire.addr import ip, ip_text

NODE, PODS, OUTSIDE = "node", "pods", "outside"


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the node. It has an address of its own, which no flow of any case uses, so that what is masqueraded
    shows, also when the node itself is the source; the node's addresses are on `lo`."""

    name: str
    v4: str
    v6: str

    def address(self, family: int) -> str:
        """The address of a family."""
        return self.v4 if family == 4 else self.v6


# Addresses for benchmarks: RFC 2544, RFC 5180.
DEVICES = {
    PODS: Device("pod0", "198.18.0.1", "2001:2::1"),
    OUTSIDE: Device("eth0", "198.18.0.2", "2001:2::2"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """The first packet of a connection that is tried: `protocol` TCP, UDP or SCTP; addresses as text. `ttl` and
    `payload` count for UDP."""

    source: str
    protocol: str
    destination: str
    port: int
    ttl: int = 64
    payload: bytes = b"hello"

    @classmethod
    def of(cls, flow: dict[str, Any]) -> "Request":
        """From a flow of a case."""
        return cls(flow["sourceIP"], flow["protocol"], flow["destIP"], flow["destPort"])


@dataclass(frozen=True, slots=True)
class Plan:
    """`node`: its addresses in order; `pods`: addresses behind `pod0`; `ports`: (protocol, port) that are answered.
    `localnet`: whether kube-proxy sets route_localnet, so that 127.0.0.1 may be translated."""

    node: tuple[str, ...]
    pods: frozenset[str]
    ports: frozenset[tuple[str, int]]
    localnet: bool = True

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.node[0] else 4

    def place(self, address: str) -> str:
        """Where an address is."""
        if address in self.node or address == "::1" or address.startswith("127."):
            return NODE
        return PODS if address in self.pods else OUTSIDE


def plan(case: dict[str, Any]) -> Plan:
    """The network of a case."""
    view = node_view(case["proxier"], case["objects"])
    own = [address for address in view.addresses if address != view.primary_ip]
    node = tuple(ip_text(address) for address in (view.primary_ip, *own))
    table = service_table(case["objects"], 6 if view.is_ipv6 else 4)
    endpoints = [(port, endpoint) for port in table.values() for endpoint in port.endpoints]
    pods = {ip_text(e.address) for _, e in endpoints if e.node == view.name}
    pods |= {flow["sourceIP"] for flow in case["flows"] if _is_pod(view, flow["sourceIP"])}
    ports = {(port.name.protocol, e.port) for port, e in endpoints}
    ports |= {(flow["protocol"], flow["destPort"]) for flow in case["flows"]}
    return Plan(node, frozenset(pods - set(node)), frozenset(ports), view.localhost_node_ports)


def _is_pod(view: NodeView, address: str) -> bool:
    detector = view.local_detector
    return detector is not None and detector.prefix is not None and detector.prefix.contains(ip(address))
