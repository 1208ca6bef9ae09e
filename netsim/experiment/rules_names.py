"""What a load's URL can mean in a topology: names that the cluster's DNS knows, and addresses that somebody has.

Called by: `rules_experiment`. Source: Kubernetes DNS-Based Service Discovery specification 1.1.0.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netsim.cluster.families import cluster_ips
from netsim.cluster.objects import Service
from netsim.experiment.rules_dns import outside_names
from netsim.experiment.rules_place import Templates
from netsim.experiment.spec_cluster import ClusterSpec
from netsim.experiment.spec_names import did_you_mean


@dataclass(frozen=True, slots=True)
class Directory:
    """The names and addresses of a topology."""

    spec: ClusterSpec
    services: dict[
        tuple[str, str], Service | None
    ]  # (namespace, name); None for those that the cluster makes itself
    templates: Templates
    unsure: frozenset[str] = frozenset()  # sections of the spec that could not be read
    ingress_hosts: frozenset[str] = frozenset()  # exact hosts of the Ingresses

    def service_of(self, host: str, namespace: str) -> tuple[str, str] | None:
        """(namespace, name) of the Service that a client in a namespace means by this host, or None."""
        for key in self._candidates(host, namespace):
            if key in self.services:
                return key
        return None

    def _candidates(self, host: str, namespace: str) -> Iterator[tuple[str, str]]:
        labels, qualified = self._labels(host)
        if len(labels) == 1 and not qualified:
            yield namespace, labels[0]
        if len(labels) == 2:
            yield labels[1], labels[0]  # service.namespace
            if not qualified:
                yield namespace, labels[1]  # pod.service
        if len(labels) == 3:
            yield labels[2], labels[1]  # pod.service.namespace

    def _labels(self, host: str) -> tuple[list[str], bool]:
        """The name without the cluster's own suffixes, and whether it had them."""
        name = host.rstrip(".")
        domain = self.spec.networking.dnsDomain
        for suffix in (f".svc.{domain}", ".svc"):
            if name.endswith(suffix):
                return name.removesuffix(suffix).split("."), True
        return name.split("."), False

    def problem_with_name(self, host: str, namespaces: Iterable[str]) -> str:
        """Why no client in these namespaces can resolve this name; "" if one can."""
        name = host.rstrip(".")
        if name.endswith(f".pod.{self.spec.networking.dnsDomain}"):
            return ""
        if any(self.service_of(name, namespace) for namespace in namespaces):
            return ""
        if name.lower() in outside_names(self.spec):
            return ""
        outside = {external.name: external.address for external in self.spec.external}
        if name in outside:
            return f"{name} has no name in the cluster's DNS: write its address {outside[name]}"
        if name in self.ingress_hosts:
            return (
                f"{name} is a host of an Ingress, not a name in the cluster's DNS: write "
                f"http://ingress-nginx-controller.ingress-nginx/ and headers: {{Host: {name}}}"
            )
        first = self._labels(name)[0][0]
        for namespace, service in self.services:
            if service == first:
                return f'no Service "{name}" from here: write {service}.{namespace}'
        names = [service for _, service in self.services]
        return f'no Service or pod of the topology is called "{name}"{did_you_mean(first, names)}'

    def outside_names(self) -> list[str]:
        """The names in /etc/hosts of nodes and outside hosts."""
        outside = [external.name for external in self.spec.external]
        return [*(entry.name for entry in self.spec.node_entries()), *outside]

    def _is_outside_range(self, address: "ipaddress.IPv4Address | ipaddress.IPv6Address") -> bool:
        """Is it one of a load balancer's, or of a route's?"""
        pools = [entry.spec.addresses for entry in self.spec.balancers(self.spec.networking.balanced_subnet)]
        ranges = (*pools, *(route.to for route in self.spec.routes))
        return any(address in ipaddress.ip_network(text) for text in ranges)

    def is_routed_outside(self, host: str) -> bool:
        """Does the router know the way to this address?"""
        address = ipaddress.ip_address(host)
        outside = [known for external in self.spec.external for known in external.addresses]
        nodes = [ipaddress.ip_network(subnet) for subnet in self.spec.networking.node_subnets]
        return (
            any(address in subnet for subnet in nodes) or host in outside or self._is_outside_range(address)
        )

    def problem_with_address(self, host: str) -> str:
        """Why nobody has this address; "" if somebody has it or may get it."""
        if self.unsure & {"networking", "nodes", "external", "routes", "loadBalancer", "loadBalancerClasses"}:
            return ""
        address = ipaddress.ip_address(host)
        if address.is_loopback or self._is_outside_range(address):
            return ""
        networking = self.spec.networking
        if any(address in ipaddress.ip_network(subnet) for subnet in networking.pod_subnets):
            return ""
        services = [service for service in self.services.values() if service is not None]
        for position, subnet in enumerate(map(ipaddress.ip_network, networking.service_subnets)):
            if address in subnet:
                taken = [ip for service in services for ip in cluster_ips(service.spec)]
                reserved = () if position else (subnet[1], subnet[10])
                if address in reserved or str(address) in taken:
                    return ""
                return f"no Service has the clusterIP {host}: write the Service's name, or give it this clusterIP"
        hosts = {known for entry in self.spec.node_entries() for known in entry.addresses}
        hosts |= {known for external in self.spec.external for known in external.addresses}
        hosts |= {ip for service in services for ip in service.spec.externalIPs}
        if str(address) in hosts:
            return ""
        return f"no host of the topology has the address {host}"


def is_address(host: str) -> bool:
    """Is this an IP address and not a name?"""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
