"""What the API server fills in when an object is created: metadata, tolerations, Service addresses and ports.

Called by: `apiserver.py`. Static field defaults are the models' own.
Sources: pkg/registry/core/service/storage/alloc.go, plugin/pkg/admission/defaulttolerationseconds,
apiserver/pkg/storage/names (suffixes of generated names), pkg/apis/core/v1/defaults.go.
"""

import hashlib
from collections.abc import Iterable
from random import Random
from typing import Any, Final

from netsim.cluster.errors import InvalidError
from netsim.cluster.families import LENGTHS, Family, cluster_ips, family_of, parse_subnets, service_families
from netsim.cluster.ipam import NodePorts, ServiceAddresses
from netsim.cluster.objects import ApiObject, Pod, Service, ServicePort, Toleration, evolve
from netsim.engine import Engine

NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"

# k8s.io/apimachinery/pkg/util/rand: no vowels and no digits that make words.
_SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


def name_suffix(random: Random) -> str:
    """Five letters as `kubectl get pods` shows them."""
    return "".join(random.choice(_SUFFIX_LETTERS) for _ in range(5))


class Admission:
    """Completes new objects. `service_subnet` (one per family, separated by a comma) and the node-port range belong
    to the cluster."""

    def __init__(
        self, engine: Engine, service_subnet: str, toleration_seconds: int, node_ports: NodePorts
    ) -> None:
        self._engine = engine
        self._toleration_seconds = toleration_seconds
        ranges = {
            len(subnet.address): ServiceAddresses(str(subnet)) for subnet in parse_subnets(service_subnet)
        }
        names: dict[int, Family] = {length: name for name, length in LENGTHS.items()}
        self.addresses = {names[length]: ranges[length] for length in ranges}
        self.node_ports = node_ports

    def complete(self, new: ApiObject, version: int) -> ApiObject:
        """A new object with everything that the server fills in. Raises InvalidError."""
        new = self._metadata(new, version)
        if isinstance(new, Pod):
            return self._tolerations(new)
        if isinstance(new, Service):
            return self._service(new)
        return new

    def _metadata(self, new: ApiObject, version: int) -> ApiObject:
        meta = new.metadata
        changes: dict[str, Any] = {"resourceVersion": version, "generation": 1}
        changes["creationTimestamp"] = self._engine.now
        if new.NAMESPACED and not meta.namespace:
            changes["namespace"] = "default"
        if not meta.name and meta.generateName:
            stream = self._engine.stream(f"names/{new.kind}/{meta.namespace}/{meta.generateName}")
            changes["name"] = meta.generateName + name_suffix(stream)
        identity = f"{new.kind}/{meta.namespace}/{changes.get('name', meta.name)}/{version}"
        changes["uid"] = _uid(identity)
        return new.model_copy(update={"metadata": meta.model_copy(update=changes)})

    def _tolerations(self, pod: Pod) -> Pod:
        """DefaultTolerationSeconds: every pod may stay on a dead node for five minutes."""
        missing = [
            Toleration(
                key=key, operator="Exists", effect="NoExecute", tolerationSeconds=self._toleration_seconds
            )
            for key in (NOT_READY, UNREACHABLE)
            if not any(_covers(toleration, key) for toleration in pod.spec.tolerations)
        ]
        return evolve(pod, spec__tolerations=(*pod.spec.tolerations, *missing)) if missing else pod

    def _service(self, service: Service) -> Service:
        spec = service.spec
        if spec.type == "ExternalName":
            return service
        owner = f"Service {service.metadata.namespace}/{service.metadata.name}"
        changes: dict[str, Any] = {}
        policy, families = service_families(spec, tuple(self.addresses))
        changes["ipFamilyPolicy"], changes["ipFamilies"] = policy, families
        addresses = self._cluster_ips(cluster_ips(spec), families, owner)
        changes["clusterIP"], changes["clusterIPs"] = addresses[0], addresses
        if spec.type in ("NodePort", "LoadBalancer"):
            changes["externalTrafficPolicy"] = spec.externalTrafficPolicy or "Cluster"
            changes["ports"] = self._node_ports(service, owner)
        if changes.get("externalTrafficPolicy") == "Local" and spec.type == "LoadBalancer":
            changes["healthCheckNodePort"] = self._health_port(spec.healthCheckNodePort, owner)
        return service.model_copy(update={"spec": spec.model_copy(update=changes)})

    def _cluster_ips(
        self, asked: tuple[str, ...], families: tuple[Family, ...], owner: str
    ) -> tuple[str, ...]:
        """One address per family: the one that is asked for, or a free one. All or none are taken."""
        if asked[:1] == ("None",):
            return ("None",)
        found: list[str] = []
        try:
            for index, family in enumerate(families):
                wanted = asked[index] if index < len(asked) else ""
                if wanted:
                    self.addresses[family].claim(wanted, owner)
                    found.append(wanted)
                else:
                    stream = self._engine.stream(f"clusterip/{owner}")
                    found.append(self.addresses[family].allocate(owner, stream))
        except InvalidError:
            self._release(found)
            raise
        return tuple(found)

    def _release(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            self.addresses[family_of(address)].release(address)

    def _node_ports(self, service: Service, owner: str) -> tuple[ServicePort, ...]:
        spec = service.spec
        if spec.type == "LoadBalancer" and spec.allocateLoadBalancerNodePorts is False:
            return spec.ports
        ports = []
        for port in spec.ports:
            if port.nodePort:
                self.node_ports.claim(port.nodePort, port.protocol, owner)
                ports.append(port)
                continue
            random = self._engine.stream(f"nodeport/{owner}")
            number = self.node_ports.allocate(port.protocol, owner, random)
            ports.append(evolve(port, nodePort=number))
        return tuple(ports)

    def _health_port(self, wanted: int, owner: str) -> int:
        if wanted:
            self.node_ports.claim(wanted, "TCP", owner)
            return wanted
        return self.node_ports.allocate("TCP", owner, self._engine.stream(f"nodeport/{owner}"))

    def released(self, old: ApiObject) -> None:
        """An object is gone: give back what it held."""
        if not isinstance(old, Service):
            return
        if old.spec.clusterIP not in ("", "None"):
            self._release(cluster_ips(old.spec))
        for port in old.spec.ports:
            if port.nodePort:
                self.node_ports.release(port.nodePort, port.protocol)
        if old.spec.healthCheckNodePort:
            self.node_ports.release(old.spec.healthCheckNodePort, "TCP")


def _covers(toleration: Toleration, key: str) -> bool:
    return toleration.key in ("", key) and toleration.effect in ("", "NoExecute")


def _uid(identity: str) -> str:
    """A UUID-shaped text that depends on nothing but the object's identity and its place in the history."""
    digits = hashlib.sha256(identity.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
