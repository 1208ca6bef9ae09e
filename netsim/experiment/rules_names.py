"""What a load's URL can mean in a topology: names that the cluster's DNS knows, and addresses that somebody has.

Called by: `rules_experiment`. Source: Kubernetes DNS-Based Service Discovery specification 1.1.0.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
        first = self._labels(name)[0][0]
        for namespace, service in self.services:
            if service == first:
                return f'no Service "{name}" from here: write {service}.{namespace}'
        names = [service for _, service in self.services]
        return f'no Service or pod of the topology is called "{name}"{did_you_mean(first, names)}'

    def problem_with_address(self, host: str) -> str:
        """Why nobody has this address; "" if somebody has it or may get it."""
        if self.unsure & {"networking", "nodes", "external"}:
            return ""
        address = ipaddress.ip_address(host)
        networking = self.spec.networking
        if address in ipaddress.ip_network(networking.podSubnet):
            return ""
        subnet = ipaddress.ip_network(networking.serviceSubnet)
        if address in subnet:
            taken = [service.spec.clusterIP for service in self.services.values() if service is not None]
            if host in taken or int(address) - int(subnet.network_address) in (1, 10):
                return ""
            return f"no Service has the clusterIP {host}: write the Service's name, or give it this clusterIP"
        hosts = {entry.address: entry.name for entry in self.spec.node_entries()}
        hosts.update({external.address: external.name for external in self.spec.external})
        hosts.update(
            {ip: "" for service in self.services.values() if service for ip in service.spec.externalIPs}
        )
        if host in hosts:
            return ""
        return f"no host of the topology has the address {host}"


def is_address(host: str) -> bool:
    """Is this an IP address and not a name?"""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
