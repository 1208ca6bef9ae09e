"""What the API server fills in when an object is created: metadata, tolerations, Service addresses and ports.

Called by: `apiserver.py`. Static field defaults are the models' own.
Sources: pkg/registry/core/service/storage/alloc.go, plugin/pkg/admission/defaulttolerationseconds,
apiserver/pkg/storage/names (suffixes of generated names), pkg/apis/core/v1/defaults.go.
"""

import hashlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from netsim.cluster.errors import InvalidError
from netsim.cluster.families import LENGTHS, Family, cluster_ips, family_of, parse_subnets, service_families
from netsim.cluster.ipam import HEALTH, NodePorts, ServiceAddresses
from netsim.cluster.objects import (
    ApiObject,
    Endpoints,
    EndpointSlice,
    Ingress,
    IngressClass,
    Pod,
    Service,
    ServicePort,
    Toleration,
    evolve,
)
from netsim.cluster.validation.allocation import failed_health_port
from netsim.cluster.validation.endpoints import validate_endpoints, validate_slice
from netsim.cluster.validation.field import FieldError, Path, invalid, refusal
from netsim.cluster.validation.ingress import validate_class, validate_ingress
from netsim.cluster.validation.service import validate_service, validate_service_update
from netsim.engine import Engine

NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"

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
        refuse(new, validate(new))
        if isinstance(new, Pod):
            return self._tolerations(new)
        if isinstance(new, Service):
            try:
                return self._service(new)
            except InvalidError:
                self._give_back(_owner(new))
                raise
        return new

    def _give_back(self, owner: str) -> None:
        """A Service is refused: so is what was allocated to it already."""
        for ranges in self.addresses.values():
            ranges.release_of(owner)
        self.node_ports.release_of(owner)

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
        owner = _owner(service)
        changes: dict[str, Any] = {}
        policy, families = service_families(spec, tuple(self.addresses))
        changes["ipFamilyPolicy"], changes["ipFamilies"] = policy, families
        addresses = self._cluster_ips(service, families, owner)
        changes["clusterIP"], changes["clusterIPs"] = addresses[0], addresses
        if spec.type in ("NodePort", "LoadBalancer"):
            changes["externalTrafficPolicy"] = spec.externalTrafficPolicy or "Cluster"
            changes["ports"] = self._node_ports(service, owner)
        if changes.get("externalTrafficPolicy") == "Local" and spec.type == "LoadBalancer":
            changes["healthCheckNodePort"] = self._health_port(service, owner)
        return service.model_copy(update={"spec": spec.model_copy(update=changes)})

    def _cluster_ips(self, service: Service, families: tuple[Family, ...], owner: str) -> tuple[str, ...]:
        """One address per family: the one that is asked for, or a free one."""
        asked = cluster_ips(service.spec)
        if asked[:1] == ("None",):
            return ("None",)
        found: list[str] = []
        for index, family in enumerate(families):
            wanted = asked[index] if index < len(asked) else ""
            if not wanted:
                stream = self._engine.stream(f"clusterip/{owner}")
                found.append(self.addresses[family].allocate(owner, stream))
                continue
            try:
                self.addresses[family].claim(wanted, owner)
            except InvalidError as error:
                refuse(service, [invalid(("spec", "clusterIPs"), asked, str(error))])
            found.append(wanted)
        return tuple(found)

    def _node_ports(self, service: Service, owner: str) -> tuple[ServicePort, ...]:
        spec = service.spec
        if spec.type == "LoadBalancer" and spec.allocateLoadBalancerNodePorts is False:
            return spec.ports
        ports: list[ServicePort] = []
        for port in spec.ports:
            if port.nodePort:
                self._claim(service, port, ("spec", "ports", len(ports), "nodePort"), owner)
                ports.append(port)
                continue
            random = self._engine.stream(f"nodeport/{owner}")
            number = self.node_ports.allocate(port.protocol, owner, random)
            ports.append(evolve(port, nodePort=number))
        return tuple(ports)

    def _claim(self, service: Service, port: ServicePort, path: Path, owner: str) -> None:
        try:
            self.node_ports.claim(port.nodePort, port.protocol, owner)
        except InvalidError as error:
            refuse(service, [invalid(path, port.nodePort, str(error))])

    def _health_port(self, service: Service, owner: str) -> int:
        wanted = service.spec.healthCheckNodePort
        if not wanted:
            return self.node_ports.allocate(HEALTH, owner, self._engine.stream(f"nodeport/{owner}"))
        try:
            self.node_ports.claim(wanted, HEALTH, owner)
        except InvalidError as error:
            detail = failed_health_port(wanted, str(error))
            refuse(service, [invalid(("spec", "healthCheckNodePort"), wanted, detail)])
        return wanted

    def released(self, old: ApiObject) -> None:
        """An object is gone: give back what it held."""
        if not isinstance(old, Service):
            return
        if old.spec.clusterIP not in ("", "None"):
            for address in cluster_ips(old.spec):
                self.addresses[family_of(address)].release(address)
        for port in old.spec.ports:
            if port.nodePort:
                self.node_ports.release(port.nodePort, port.protocol)
        if old.spec.healthCheckNodePort:
            self.node_ports.release(old.spec.healthCheckNodePort, HEALTH)


def _owner(service: Service) -> str:
    return f"Service {service.metadata.namespace}/{service.metadata.name}"


_Check = Callable[[Any], list[FieldError]]
_CHECKS: Final[Mapping[type[ApiObject], _Check]] = {
    Service: validate_service,
    EndpointSlice: validate_slice,
    Endpoints: validate_endpoints,
    Ingress: validate_ingress,
    IngressClass: validate_class,
}


def validate(new: ApiObject) -> list[FieldError]:
    """What is wrong with a new object by itself. Slices that a controller writes are as they should be."""
    check = _CHECKS.get(type(new))
    if check is None or MANAGED_BY in new.metadata.labels:
        return []
    return check(new)


def check_change(old: ApiObject, new: ApiObject) -> None:
    """A changed object against what it was. Raises InvalidError."""
    if isinstance(old, Service) and isinstance(new, Service) and old.spec != new.spec:
        refuse(new, validate_service_update(old, new))
    elif isinstance(new, Ingress) and isinstance(old, Ingress) and old.spec != new.spec:
        refuse(new, validate_ingress(new))


def refuse(item: ApiObject, errors: list[FieldError]) -> None:
    """Raises InvalidError, as the API server words it, if there are errors."""
    if errors:
        raise InvalidError(refusal(item.kind, item.metadata.name, errors))


def _covers(toleration: Toleration, key: str) -> bool:
    return toleration.key in ("", key) and toleration.effect in ("", "NoExecute")


def _uid(identity: str) -> str:
    """A UUID-shaped text that depends on nothing but the object's identity and its place in the history."""
    digits = hashlib.sha256(identity.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
