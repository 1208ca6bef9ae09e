"""From a name to what stands behind it: the data half of the kubernetes plugin.

Called by `kubernetes`, `k8s_external` and `autopath`. Source: CoreDNS plugin/kubernetes/kubernetes.go (Records,
findPods, findServices, findMultiClusterServices), reverse.go, ns.go.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from netsim.cluster.dns.names import (
    POD,
    SVC,
    ParsedName,
    endpoint_name,
    is_reverse,
    parse_name,
    pod_address,
    reverse_address,
)
from netsim.cluster.dns.views import NO_PORT, EndpointView, PortView, ServiceView, SliceView
from netsim.cluster.dns.world import World
from netsim.wire.addr import ip
from netsim.wire.dns import AAAA, CNAME, A

# Where the name server itself lives in the schema (CoreDNS plugin/kubernetes/ns.go defaultNSName).
NS_LABELS: Final = "ns.dns."


@dataclass(frozen=True, slots=True)
class KubernetesOptions:
    """The kubernetes block of a Corefile. Zones are in lower case with a final dot.

    `namespaces` empty: all are exposed. `fallthrough`: the zones whose missing names go to the next plugin.
    """

    zones: tuple[str, ...]
    pods: str = "disabled"  # disabled | insecure | verified
    ttl: int = 5
    namespaces: frozenset[str] = frozenset()
    fallthrough: tuple[str, ...] = ()
    ignore_empty_service: bool = False
    endpoint_pod_names: bool = False
    ptr_hostname_only: bool = False
    zonal: bool = False
    multicluster: tuple[str, ...] = ()

    @property
    def primary_zone(self) -> str:
        """The first zone that is not a reverse zone: what PTR targets end in."""
        return next((zone for zone in self.zones if not is_reverse("." + zone)), self.zones[0])


class Entry(NamedTuple):
    """One thing behind a name: an address (`type` A or AAAA) or another name (CNAME), and its SRV port and target."""

    type: int
    host: str
    port: int
    target: str


class Finder:
    """Looks names up in a world under the options of one kubernetes block. None as a result means: no such name."""

    def __init__(self, world: World, options: KubernetesOptions, local_addresses: Iterable[str] = ()) -> None:
        self.world = world
        self.options = options
        self.local_addresses = tuple(local_addresses)

    def find(self, name: str, zone: str) -> list[Entry] | None:
        """What is behind a name (in lower case) of `zone`, spelled as in the query; [] when it is an inner node."""
        multicluster = zone.lower() in self.options.multicluster
        parsed = parse_name(name, zone.lower(), multicluster=multicluster, zonal=self.options.zonal)
        if parsed is None:
            return None
        if not parsed.branch:
            return []
        if is_reverse(name) or not self.exposed(parsed.namespace):
            return None
        if parsed.branch == POD:
            return self._pods(parsed, zone)
        if not parsed.service:
            return []
        return self._imports(parsed, zone) if multicluster else self._services(parsed, zone)

    def exposed(self, namespace: str) -> bool:
        """Whether a namespace exists (its node does, too) and the options show it."""
        if not namespace:
            return True
        shown = not self.options.namespaces or namespace in self.options.namespaces
        return shown and namespace in self.world.namespaces

    # -- pods ----------------------------------------------------------------------------------------------------------

    def _pods(self, parsed: ParsedName, zone: str) -> list[Entry] | None:
        if self.options.pods == "disabled":
            return None
        if not parsed.service:
            return []
        address = pod_address(parsed.service)
        family = address_type(address)
        if family == CNAME:
            return None
        if self.options.pods == "verified" and not any(
            pod.namespace == parsed.namespace for pod in self.world.pods_at(address)
        ):
            return None
        return [Entry(family, address, 0, f"{parsed.service}.{parsed.namespace}.{POD}.{zone}")]

    # -- Services ------------------------------------------------------------------------------------------------------

    def _services(self, parsed: ParsedName, zone: str) -> list[Entry] | None:
        service = self.world.local.service(parsed.namespace, parsed.service)
        if service is None:
            return None
        base = f"{service.name}.{service.namespace}.{SVC}.{zone}"
        if service.external_name:
            return self._external_name(service, parsed, base)
        slices = self.world.local.slices(service.namespace, service.name)
        empty = not any(part.endpoints for part in slices)
        if empty and self.options.ignore_empty_service and not service.headless:
            return None
        if service.headless or parsed.endpoint:
            return self._endpoints(slices, parsed, base)
        if parsed.zone:  # zone-scoped names exist for headless Services only
            return None
        return _cluster_ips(service, parsed, base)

    def _external_name(self, service: ServiceView, parsed: ParsedName, base: str) -> list[Entry] | None:
        if parsed.endpoint or parsed.port or parsed.protocol or parsed.zone:
            return None
        if address_type(service.external_name) != CNAME:
            return None
        return [Entry(CNAME, service.external_name.rstrip(".") + ".", 0, base)]

    def _endpoints(self, slices: list[SliceView], parsed: ParsedName, base: str) -> list[Entry] | None:
        found = list(self._matching(slices, parsed))
        if not parsed.zone or not found:
            return [_endpoint_entry(*match, base) for match in found] or None
        local = [match for match in found if match[0].zone.lower() == parsed.zone]
        chosen = local or (found if parsed.prefer else [])
        return [_endpoint_entry(*match, base) for match in chosen]

    def _matching(
        self, slices: list[SliceView], parsed: ParsedName
    ) -> Iterator[tuple[EndpointView, PortView, str]]:
        """Every endpoint x port that the name means, with the endpoint's label."""
        for part in slices:
            ports = [port for port in part.ports if port.matches(parsed.port, parsed.protocol)]
            for endpoint in part.endpoints if ports else ():
                label = endpoint_name(endpoint, pod_names=self.options.endpoint_pod_names)
                if parsed.endpoint and label.lower() != parsed.endpoint:
                    continue
                for port in ports:
                    yield endpoint, port, label

    def _imports(self, parsed: ParsedName, zone: str) -> list[Entry] | None:
        service = self.world.imported.service(parsed.namespace, parsed.service)
        if service is None:
            return None
        base = f"{service.name}.{service.namespace}.{SVC}.{zone}"
        if not service.headless and not parsed.endpoint:
            return _cluster_ips(service, parsed, base)
        found: list[Entry] = []
        for part in self.world.imported.slices(service.namespace, service.name):
            if not parsed.cluster or part.cluster.lower() == parsed.cluster:
                matches = self._matching([part], parsed)
                found += [_endpoint_entry(*match, f"{part.cluster}.{base}") for match in matches]
        return found or None

    # -- addresses -----------------------------------------------------------------------------------------------------

    def names_of(self, address: str) -> list[str]:
        """The PTR targets of an address: the Service with that cluster IP, else the endpoint's name in each Service."""
        zone = self.options.primary_zone
        for service in self.world.local.with_cluster_ip(address):
            if not self._hidden(service.namespace):
                return [f"{service.name}.{service.namespace}.{SVC}.{zone}"]
        found = []
        for part in self.world.local.with_endpoint(address):
            for endpoint in part.endpoints:
                if endpoint.address != address or self._hidden(part.namespace):
                    continue
                if self.options.ptr_hostname_only and not endpoint.hostname:
                    continue
                label = endpoint_name(endpoint, pod_names=self.options.endpoint_pod_names)
                found.append(f"{label}.{part.service}.{part.namespace}.{SVC}.{zone}")
        return list(dict.fromkeys(found))

    def _hidden(self, namespace: str) -> bool:
        return bool(self.options.namespaces) and not self.exposed(namespace)

    def reverse(self, name: str) -> list[str]:
        """The PTR targets of a reverse name in lower case."""
        address = reverse_address(name)
        return self.names_of(address) if address else []

    def name_servers(self, zone: str) -> list[tuple[str, str]]:
        """(name, address) of the zone's name servers: the Services with this server's own address among their
        endpoints, else ns.dns.<zone> with the server's addresses."""
        found = []
        for local in self.local_addresses:
            for part in self.world.local.with_endpoint(local):
                service = self.world.local.service(part.namespace, part.service)
                if service is None:
                    continue
                base = f"{service.name}.{service.namespace}.{SVC}.{zone}"
                if not service.headless:
                    found += [(base, address) for address in service.cluster_ips]
                    continue
                for endpoint in part.endpoints:
                    label = endpoint_name(endpoint, pod_names=self.options.endpoint_pod_names)
                    found.append((f"{label}.{base}", endpoint.address))
        return found or [(NS_LABELS + zone, address) for address in self.local_addresses]

    def external_addresses(self, *, headless: bool) -> list[str]:
        """The external addresses of the Services that lead to this server (k8s_external's name servers)."""
        found = []
        for local in self.local_addresses:
            for part in self.world.local.with_endpoint(local):
                service = self.world.local.service(part.namespace, part.service)
                if service is None:
                    continue
                if service.headless and headless and not service.external:
                    found += [endpoint.address for endpoint in part.endpoints]
                else:
                    found += service.external
        return found


def _cluster_ips(service: ServiceView, parsed: ParsedName, base: str) -> list[Entry] | None:
    matching = [port for port in service.ports if port.matches(parsed.port, parsed.protocol)]
    if not matching:
        return None
    return [
        Entry(address_type(address), address, port.number, base)
        for port in matching
        for address in service.cluster_ips
    ]


def _endpoint_entry(endpoint: EndpointView, port: PortView, label: str, base: str) -> Entry:
    return Entry(address_type(endpoint.address), endpoint.address, port.number, f"{label}.{base}")


def address_type(host: str) -> int:
    """A, AAAA, or CNAME for anything that is not an address."""
    try:
        return A if len(ip(host)) == 4 else AAAA
    except ValueError:
        return CNAME


__all__ = ["NO_PORT", "NS_LABELS", "Entry", "Finder", "KubernetesOptions", "address_type"]
