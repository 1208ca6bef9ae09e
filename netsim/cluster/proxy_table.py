"""From API objects to kube-proxy's table of Service ports.

Called by `proxy_catalog.py`. Sources: pkg/proxy/serviceport.go (`newBaseServiceInfo`), endpointslicecache.go,
servicechangetracker.go of Kubernetes 1.34. Kept from kube-proxy: Services without a ClusterIP and ExternalName Services
are ignored; endpoints join a Service port by the port's name and protocol; addresses of another family are ignored.

All kube-proxies of a cluster share one `Translator`: the same objects give the same values, and the same changes to the
same table give the same table, so a thousand nodes in step hold one table between them.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import TypeVar

from netsim.cluster.families import cluster_ips
from netsim.cluster.objects import EndpointSlice, Service
from netsim.cluster.objects import ServicePort as ApiServicePort
from netsim.dataplane.service_table import (
    Endpoint,
    IpMode,
    LoadBalancerIp,
    ServicePort,
    ServicePortName,
    ServiceTable,
    TrafficPolicy,
    order_endpoints,
)
from netsim.wire.addr import Address, Prefix, ip

Changes = Mapping[ServicePortName, ServicePort | None]
K = TypeVar("K")
V = TypeVar("V")

_REMEMBERED_TABLES = 64
_REMEMBERED_SERVICES = 200_000


def is_ignored(service: Service) -> bool:
    """Headless and ExternalName Services have no rules (pkg/proxy/util: ShouldSkipService)."""
    return service.spec.clusterIP in ("", "None") or service.spec.type == "ExternalName"


class Translator:
    """Remembers what it made, because every node asks for the same. `terminating` False is kube-proxy before 1.26,
    which never falls back on terminating endpoints (KEP-1669)."""

    def __init__(self, family: int = 4, terminating: bool = True) -> None:
        self._family = 4 if family == 4 else 16
        self._terminating = terminating
        self._ports: dict[tuple[object, ...], tuple[ServicePort, ...]] = {}
        self._tables: dict[tuple[int, tuple[object, ...]], tuple[ServiceTable, ServiceTable]] = {}

    def ports(self, service: Service, slices: Iterable[EndpointSlice]) -> tuple[ServicePort, ...]:
        """The ports of a Service with the endpoints of its slices."""
        cluster_ip = None if is_ignored(service) else self._cluster_ip(service)
        if cluster_ip is None:
            return ()
        ordered = sorted(slices, key=lambda item: item.metadata.name)
        key = (
            service.key,
            service.metadata.resourceVersion,
            *((item.metadata.name, item.metadata.resourceVersion) for item in ordered),
        )
        found = self._ports.get(key)
        if found is None:
            found = tuple(self._port(service, port, ordered, cluster_ip) for port in service.spec.ports)
            _remember(self._ports, key, found, _REMEMBERED_SERVICES)
        return found

    def table(self, old: ServiceTable, changes: Changes) -> ServiceTable:
        """`old` with changes."""
        key = (id(old), tuple(changes.items()))
        found = self._tables.get(key)
        if found is None:
            found = (old, old.with_changes(changes))  # the old one is kept, so its id stays its own
            _remember(self._tables, key, found, _REMEMBERED_TABLES)
        return found[1]

    def _cluster_ip(self, service: Service) -> Address | None:
        """The Service's address in this family (pkg/proxy/util: GetClusterIPByFamily)."""
        return next(iter(self._addresses(cluster_ips(service.spec))), None)

    def _port(
        self, service: Service, port: ApiServicePort, slices: list[EndpointSlice], cluster_ip: Address
    ) -> ServicePort:
        spec, meta = service.spec, service.metadata
        local = spec.externalTrafficPolicy == "Local" and _external(service)
        return ServicePort(
            name=ServicePortName(meta.namespace, meta.name, port.name, port.protocol),
            cluster_ip=cluster_ip,
            port=port.port,
            node_port=port.nodePort,
            external_ips=self._addresses(spec.externalIPs),
            load_balancer_ips=self._load_balancer_ips(service),
            load_balancer_source_ranges=self._ranges(spec.loadBalancerSourceRanges),
            internal_policy=TrafficPolicy(spec.internalTrafficPolicy),
            external_policy=TrafficPolicy.LOCAL if local else TrafficPolicy.CLUSTER,
            affinity_timeout_s=spec.affinity_seconds,
            health_check_node_port=spec.healthCheckNodePort if local and spec.type == "LoadBalancer" else 0,
            endpoints=self._endpoints(port, slices),
        )

    def _addresses(self, texts: Iterable[str]) -> tuple[Address, ...]:
        return tuple(address for address in map(ip, texts) if len(address) == self._family)

    def _ranges(self, texts: Iterable[str]) -> tuple[Prefix, ...]:
        """Host bits are masked, as Go's ParseCIDR does; ranges of another family are left out."""
        networks = (ipaddress.ip_network(text.strip(), strict=False) for text in texts)
        found = (Prefix(network.network_address.packed, network.prefixlen) for network in networks)
        return tuple(prefix for prefix in found if len(prefix.address) == self._family)

    def _load_balancer_ips(self, service: Service) -> tuple[LoadBalancerIp, ...]:
        return tuple(
            LoadBalancerIp(ip(entry.ip), IpMode(entry.ipMode or "VIP"))
            for entry in service.status.loadBalancer.ingress
            if entry.ip and len(ip(entry.ip)) == self._family
        )

    def _endpoints(self, port: ApiServicePort, slices: list[EndpointSlice]) -> tuple[Endpoint, ...]:
        found: list[Endpoint] = []
        for item in slices:
            for offered in item.ports:
                if offered.name == port.name and offered.protocol == port.protocol and offered.port:
                    found += self._of_slice(item, offered.port)
        return order_endpoints(found)

    def _of_slice(self, item: EndpointSlice, number: int) -> Iterable[Endpoint]:
        for entry in item.endpoints:
            address = ip(entry.addresses[0]) if item.addressType != "FQDN" else b""
            if len(address) != self._family:
                continue
            ready = entry.conditions.ready is not False
            serving = entry.conditions.serving is not False
            if entry.conditions.terminating and not self._terminating:
                serving = False
            hints = entry.hints
            yield Endpoint(
                address,
                number,
                entry.nodeName or "",
                ready,
                serving,
                bool(entry.conditions.terminating),
                tuple(zone.name for zone in hints.forZones) if hints else (),
                tuple(node.name for node in hints.forNodes) if hints else (),
            )


def _external(service: Service) -> bool:
    return service.spec.type in ("NodePort", "LoadBalancer") or bool(service.spec.externalIPs)


def _remember(memory: dict[K, V], key: K, value: V, limit: int) -> None:
    memory[key] = value
    if len(memory) > limit:
        del memory[next(iter(memory))]
