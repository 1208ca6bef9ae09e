"""The service controller of a cloud-controller-manager: gives Services of type LoadBalancer an address and a balancer.

Called by: `controlplane.py`, one per load balancer of the topology. The balancer itself (`fabric/balancer.py`) knows
packets and nothing of Services; this controller knows Services and no packets.

Theory of operation (staging/src/k8s.io/cloud-provider/controllers/service/controller.go). A Service is wanted when its
type is LoadBalancer and its `loadBalancerClass` is this controller's (the cloud's own controller takes those without a
class). A sync chooses the address (`spec.loadBalancerIP`, or the next free one of the range), asks the cloud for the
balancer, which takes a while, and writes `status.loadBalancer`. A change of the nodes repeats it for all Services.

Which nodes: not those labelled `node.kubernetes.io/exclude-from-external-load-balancers` (kubeadm labels control-plane
nodes so), not those that the autoscaler is about to remove. Whether a node is Ready counted until 1.26; since 1.27
(KEP-3458, StableLoadBalancerNodeSet) it is for the health checks to find out.

What is asked of the nodes: with externalTrafficPolicy Local the health check node port; with Cluster kube-proxy's
`/healthz` on 10256 (KEP-3836) or a connection to the node port, as the provider does.
"""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from netsim.cluster import versions
from netsim.cluster.apiserver import Key
from netsim.cluster.controllers.context import ControllerContext
from netsim.cluster.objects import Node, Service, evolve
from netsim.cluster.objects.node import EXCLUDE_LABEL, TO_BE_DELETED
from netsim.cluster.objects.service import LoadBalancerIngress, LoadBalancerStatus
from netsim.cluster.proxy_health import HEALTHZ_PORT
from netsim.cluster.watch import WatchEvent
from netsim.dataplane.service_table import PROTOCOL_NUMBERS
from netsim.fabric.balancer import Balancer, HealthChanged
from netsim.fabric.balancer_health import Target
from netsim.fabric.balancer_spec import Frontend, Listener
from netsim.wire.addr import Prefix, ip, ip_text

_PATH: Final = "/healthz"  # cloud-provider/service/helpers GetServiceHealthCheckPathPort
_WORKERS: Final = 1  # --concurrent-service-syncs


@dataclass(frozen=True, slots=True)
class CloudBalancer:
    """A balancer as the controller is given it: the addresses that it may hand out, and the `loadBalancerClass` that
    it serves ("": Services without one)."""

    balancer: Balancer
    addresses: Prefix
    class_name: str = ""


class Addresses:
    """The addresses that a balancer has to give away, in order."""

    def __init__(self, prefix: Prefix) -> None:
        self.prefix = prefix
        self._owners: dict[bytes, Key] = {}

    def of(self, key: Key, wanted: str) -> str:
        """The Service's address: the one it has, the one that it wants, or the first free one; "" when there is
        none."""
        mine = [address for address, owner in self._owners.items() if owner == key]
        if wanted:
            address = ip(wanted)
            if not self.prefix.contains(address) or self._owners.get(address, key) != key:
                return ""
        elif mine:
            return ip_text(mine[0])
        else:
            free = (
                self.prefix.nth(i) for i in range(1 << (len(self.prefix.address) * 8 - self.prefix.length))
            )
            address = next((candidate for candidate in free if candidate not in self._owners), b"")
        self.release(key)
        if not address:
            return ""
        self._owners[address] = key
        return ip_text(address)

    def holds(self, key: Key) -> bool:
        """Whether a Service has an address."""
        return key in self._owners.values()

    def release(self, key: Key) -> None:
        """The Service needs none any more."""
        for address in [address for address, owner in self._owners.items() if owner == key]:
            del self._owners[address]


class ServiceController:
    """Watches Services and Nodes; keeps one balancer in step."""

    def __init__(self, context: ControllerContext, cloud: CloudBalancer) -> None:
        balancer = cloud.balancer
        name = f"service-lb-controller/{balancer.name}"
        self._engine = context.engine
        self._times = context.timing
        self._client = context.client(name)
        self._record = context.recorder("service-lb-controller")
        self._balancer_record = context.recorder("load-balancer")
        self._random = context.engine.stream(name)
        self._balancer = balancer
        self._class = cloud.class_name
        self._addresses = Addresses(cloud.addresses)
        self._served: dict[Key, None] = {}
        self._queue = context.queue(name, self._sync, _WORKERS)
        self._services = context.informers.of(Service)
        self._nodes = context.informers.of(Node)
        balancer.changed.append(self._health_changed)
        self._services.subscribe(self._service_changed)
        self._nodes.subscribe(self._node_changed)

    # ------------------------------------------------------------------------------------------------ events
    def _wants(self, service: Service) -> bool:
        spec = service.spec
        return spec.type == "LoadBalancer" and (spec.loadBalancerClass or "") == self._class

    def _service_changed(self, event: WatchEvent[Service]) -> None:
        service, old = event.object, event.old
        if event.type == "MODIFIED" and old is not None and old.spec == service.spec:
            return  # the status, most likely our own
        if self._wants(service) or service.key in self._served:
            self._queue.add(service.key)

    def _node_changed(self, event: WatchEvent[Node]) -> None:
        before = event.type == "MODIFIED" and event.old is not None and self._is_usable(event.old)
        now = event.type != "DELETED" and self._is_usable(event.object)
        if before != now:
            for key in self._served:
                self._queue.add(key)

    def _is_usable(self, node: Node) -> bool:
        if EXCLUDE_LABEL in node.metadata.labels or any(t.key == TO_BE_DELETED for t in node.spec.taints):
            return False
        if versions.value("stable load balancer node set", self._times.version):
            return True
        ready = node.status.condition("Ready")
        return ready is not None and ready.status == "True"

    def _health_changed(self, change: HealthChanged) -> None:
        """Not the controller's doing, but it knows the Services' names: tell it in the balancer's name."""
        reason = "BackendHealthy" if change.healthy else "BackendUnhealthy"
        name = self._balancer.name
        services = ",".join(change.services)
        self._balancer_record.event(
            reason, "LoadBalancer", "", name, change.node, services=services, target=str(change.target)
        )

    # ------------------------------------------------------------------------------------------------ reconciliation
    def _sync(self, key: Key) -> Generator[Any, Any, None]:
        service = self._services.get(*key)
        if service is None or not self._wants(service):
            yield from self._remove(key, service)
            return
        self._served[key] = None
        address = self._addresses.of(key, service.spec.loadBalancerIP)
        if not address:
            self._record.about(
                service, "SyncLoadBalancerFailed", error=f"no address in {self._addresses.prefix}"
            )
            return
        self._record.about(service, "EnsuringLoadBalancer")
        yield self._engine.timeout(self._times.cloud.ensure.sample(self._random))
        self._balancer.ensure(self._frontend(service, address))
        yield from self._write(service, (self._ingress(address),))
        self._record.about(service, "EnsuredLoadBalancer", address=address)

    def _remove(self, key: Key, service: Service | None) -> Generator[Any, Any, None]:
        self._served.pop(key, None)
        self._addresses.release(key)
        yield self._engine.timeout(self._times.cloud.ensure.sample(self._random))
        self._balancer.delete("/".join(key))
        if service is not None and service.status.loadBalancer.ingress:
            yield from self._write(service, ())

    def _write(self, service: Service, ingress: tuple[LoadBalancerIngress, ...]) -> Generator[Any, Any, None]:
        def change(current: Service) -> Service:
            return evolve(current, {"status.loadBalancer": LoadBalancerStatus(ingress=ingress)})

        if service.status.loadBalancer.ingress != ingress:
            yield from self._client.call(partial(self._client.api.patch, Service, *service.key, change))

    def _ingress(self, address: str) -> LoadBalancerIngress:
        if not versions.value("loadBalancer ipMode", self._times.version):
            return LoadBalancerIngress(ip=address)
        proxy = self._balancer.spec.mode == "proxy"
        return LoadBalancerIngress(ip=address, ipMode="Proxy" if proxy else "VIP")

    def _frontend(self, service: Service, address: str) -> Frontend:
        spec = service.spec
        sources = (Prefix.parse(text.strip()) for text in spec.loadBalancerSourceRanges)
        return Frontend(
            "/".join(service.key),
            ip(address),
            tuple(Listener(port.port, PROTOCOL_NUMBERS[port.protocol], port.nodePort) for port in spec.ports),
            tuple(sorted(node.metadata.name for node in self._nodes if self._is_usable(node))),
            self._target(service),
            tuple(sources),
        )

    def _target(self, service: Service) -> Target:
        spec = service.spec
        if spec.externalTrafficPolicy == "Local":
            return Target(spec.healthCheckNodePort, _PATH)
        node_ports = [port.nodePort for port in spec.ports if port.protocol == "TCP" and port.nodePort]
        if self._balancer.spec.cluster_target == "nodePort" and node_ports:
            return Target(node_ports[0])
        return Target(HEALTHZ_PORT, _PATH)

    # ------------------------------------------------------------------------------------------------ state
    def waiting(self) -> list[str]:
        """What is still to be done before a cluster counts as up, in words."""
        names = [
            f"Service {'/'.join(service.key)} has no load balancer address yet"
            for service in self._services
            if self._wants(service)
            and not service.status.loadBalancer.ingress
            and not self._is_hopeless(service)
        ]
        return names + self._balancer.waiting()

    def _is_hopeless(self, service: Service) -> bool:
        """There is no address for it: it stays <pending>, as in a cluster without a cloud."""
        return service.key in self._served and not self._addresses.holds(service.key)
