"""Cluster addresses and node ports that Services ask for: outside the range, or taken by another Service.

Called by `rules_services`. The words are those of the allocators (`netsim.cluster.validation.allocation`), and who has
it already.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Final

from netsim.cluster.families import Family, cluster_ips, family_of
from netsim.cluster.objects import Service
from netsim.cluster.validation import allocation
from netsim.cluster.validation.field import FieldError, Path, invalid

NODE_PORTS: Final = range(30000, 32768)  # kube-apiserver --service-node-port-range

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def owner_of(service: Service) -> str:
    """`Service/web`, or `Service/web in shop`."""
    namespace, name = service.key
    return f"Service/{name}" if namespace == "default" else f"Service/{name} in {namespace}"


@dataclass(slots=True)
class Claims:
    """Who has a cluster address or node port already. A node port's holders are by protocol; a healthCheckNodePort has
    none and shares with nobody."""

    subnets: dict[Family, Network]
    addresses: dict[str, str] = field(default_factory=dict)
    node_ports: dict[int, dict[str, str]] = field(default_factory=dict)

    def take_system_addresses(self) -> None:
        """The first address is the API server's Service, the tenth the DNS servers'."""
        for name, offset in (("Service/kubernetes", 1), ("Service/kube-dns in kube-system", 10)):
            primary = next(iter(self.subnets.values()))
            if offset < primary.num_addresses:
                self.addresses[str(primary[offset])] = name

    def problems(self, service: Service) -> list[FieldError]:
        """Take what a Service asks for; what it cannot have is said."""
        return [*self._addresses(service), *self._ports(service), *self._health_port(service)]

    def _addresses(self, service: Service) -> list[FieldError]:
        spec = service.spec
        if spec.type == "ExternalName":
            return []
        found = []
        for index, text in enumerate(cluster_ips(spec)):
            path: Path = (
                ("spec", "clusterIP") if spec.clusterIP and not index else ("spec", "clusterIPs", index)
            )
            found += self._address(service, text, path)
        return found

    def _address(self, service: Service, text: str, path: Path) -> list[FieldError]:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:  # none, None, or said already
            return []
        subnet = self.subnets.get(family_of(text), next(iter(self.subnets.values())))
        if address not in subnet:
            why = allocation.address_not_in_range(text, str(subnet))
            return [invalid(path, text, allocation.failed_address(text, why))]
        owner = self.addresses.setdefault(str(address), owner_of(service))
        if owner == owner_of(service):
            return []
        detail = allocation.failed_address(text, allocation.ADDRESS_ALLOCATED)
        return [invalid(path, text, detail, f"it belongs to {owner}, choose another or leave it out")]

    def _ports(self, service: Service) -> list[FieldError]:
        found = []
        if service.spec.type not in ("NodePort", "LoadBalancer"):
            return []
        for index, port in enumerate(service.spec.ports):
            if port.nodePort:
                path: Path = ("spec", "ports", index, "nodePort")
                found += self._port(service, port.nodePort, port.protocol, path)
        return found

    def _health_port(self, service: Service) -> list[FieldError]:
        number = service.spec.healthCheckNodePort
        if not number or service.spec.externalTrafficPolicy != "Local" or service.spec.type != "LoadBalancer":
            return []
        return self._port(service, number, "", ("spec", "healthCheckNodePort"))

    def _port(self, service: Service, number: int, protocol: str, path: Path) -> list[FieldError]:
        if number not in NODE_PORTS:
            why, hint = allocation.port_not_in_range(NODE_PORTS.start, NODE_PORTS.stop - 1), ""
        else:
            me = owner_of(service)
            holders = self.node_ports.setdefault(number, {})
            others = [owner for owner in holders.values() if owner != me]
            shared = bool(holders) and ("" in (protocol, *holders))
            if not others and not shared:
                holders.setdefault(protocol, me)
                return []
            owner = others[0] if others else "a port of this Service"
            why, hint = allocation.PORT_ALLOCATED, f"it belongs to {owner}, choose another port"
        if not protocol:
            why = allocation.failed_health_port(number, why)
        return [invalid(path, number, why, hint)]
