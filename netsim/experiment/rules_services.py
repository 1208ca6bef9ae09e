"""Services: what the API server would refuse, clashes between Services, and selectors that find no pod.

Called by: `loader`, once all objects are known. Sources: pkg/apis/core/validation (ValidateService), the allocators in
pkg/registry/core/service, Kubernetes 1.34.

Stricter than upstream on purpose: a selector that matches no pod of the topology is an error, because nobody will ever
come and create those pods; `netsim/allow-empty: "true"` on the Service says that it is meant.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from netsim.cluster.families import Family, cluster_ips, family_of
from netsim.cluster.objects import Service, ServicePort
from netsim.experiment.rules_families import check_service_families
from netsim.experiment.rules_objects import ALLOW_EMPTY
from netsim.experiment.rules_place import Loaded, Path, Place, Template, Templates
from netsim.experiment.spec_names import did_you_mean

NODE_PORTS = range(30000, 32768)  # kube-apiserver --service-node-port-range


@dataclass(slots=True)
class _Claims:
    """Who has a cluster address or node port already."""

    addresses: dict[str, str] = field(default_factory=dict)
    node_ports: dict[tuple[int, str], tuple[str, int]] = field(default_factory=dict)


def check_services(services: Sequence[Loaded], templates: Templates, service_subnet: str) -> None:
    """Record what is wrong with the Services, alone and together. `service_subnet` is one per family, separated by a
    comma."""
    subnets = {family_of(text): ipaddress.ip_network(text) for text in service_subnet.split(",")}
    subnet = next(iter(subnets.values()))
    claims = _Claims()
    for name, offset in (("Service/kubernetes", 1), ("Service/kube-dns in kube-system", 10)):
        if offset < subnet.num_addresses:
            claims.addresses[str(subnet[offset])] = name
    for loaded in services:
        service = loaded.object
        if isinstance(service, Service):
            _check_shape(service, loaded.place)
            _check_ports(service, loaded.place)
            if check_service_families(service, loaded.place, tuple(subnets)):
                _check_addresses(service, loaded.place, subnets, claims)
            _check_node_ports(service, loaded.place, claims)
            _check_pods(service, loaded.place, templates)


def _owner(service: Service) -> str:
    namespace, name = service.key
    return f"Service/{name}" if namespace == "default" else f"Service/{name} in {namespace}"


def _check_shape(service: Service, place: Place) -> None:
    spec = service.spec
    if spec.type == "ExternalName":
        if not spec.externalName:
            place.error(("spec",), 'a Service of type ExternalName needs the field "externalName"', key=True)
        if spec.is_headless or spec.clusterIP:
            place.error(
                ("spec", "clusterIP"), "a Service of type ExternalName has no clusterIP: remove it", key=True
            )
        return
    if spec.externalName:
        message = "externalName is only for type: ExternalName"
        place.error(("spec", "externalName"), message, key=True)
    if spec.is_headless and spec.type != "ClusterIP":
        place.error(("spec", "clusterIP"), f"a {spec.type} Service cannot be headless")
    if not spec.ports and not spec.is_headless:
        place.error(("spec",), 'missing field "ports": only a headless Service may have none', key=True)
    if spec.externalTrafficPolicy == "Local" and spec.type == "ClusterIP" and not spec.externalIPs:
        message = "Local is for the types NodePort and LoadBalancer"
        place.error(("spec", "externalTrafficPolicy"), message)
    for name in ("externalIPs", "loadBalancerSourceRanges"):
        for index, text in enumerate(getattr(spec, name)):
            _check_network(text, place, ("spec", name, index), single=name == "externalIPs")


def _check_network(text: str, place: Place, path: Path, *, single: bool) -> None:
    try:
        ipaddress.ip_address(text) if single else ipaddress.ip_network(text)
    except ValueError:
        place.error(path, f'"{text}" is no {"IP address" if single else "subnet"}')


def _check_ports(service: Service, place: Place) -> None:
    ports = service.spec.ports
    names: dict[str, None] = {}
    numbers: dict[tuple[int, str], None] = {}
    for index, port in enumerate(ports):
        path: Path = ("spec", "ports", index)
        if len(ports) > 1 and not port.name:
            place.error(path, f"port {port.port} needs a name: a Service with several ports must name each")
        if port.name and port.name in names:
            place.error((*path, "name"), f'two ports are called "{port.name}"')
        if (port.port, port.protocol) in numbers:
            place.error((*path, "port"), f"port {port.port}/{port.protocol} is listed twice")
        names[port.name] = None
        numbers[port.port, port.protocol] = None
        if isinstance(port.target, int) and not 1 <= port.target <= 65535:
            place.error((*path, "targetPort"), f"{port.target} is no port: 1 to 65535")


def _check_addresses(
    service: Service, place: Place, subnets: Mapping[Family, "_Network"], claims: _Claims
) -> None:
    listed = service.spec.clusterIPs
    for index, address in enumerate(cluster_ips(service.spec)):
        path: Path = ("spec", "clusterIPs", index) if listed else ("spec", "clusterIP")
        if address != "None" and service.spec.type != "ExternalName":
            _check_address(service, address, place, path, subnets, claims)


def _check_address(
    service: Service,
    address: str,
    place: Place,
    path: Path,
    subnets: Mapping[Family, "_Network"],
    claims: _Claims,
) -> None:
    me = _owner(service)
    subnet = subnets.get(family_of(address), next(iter(subnets.values())))
    try:
        value = ipaddress.ip_address(address)
    except ValueError:
        place.error(path, f'"{address}" is no IP address (write None for a headless Service)')
        return
    if value not in subnet:
        place.error(path, f"{address} is not in the serviceSubnet {subnet}")
    owner = claims.addresses.setdefault(str(value), me)
    if owner != me:
        place.error(path, f"{address} already belongs to {owner}: choose another or leave it out")


def _check_node_ports(service: Service, place: Place, claims: _Claims) -> None:
    spec = service.spec
    me = _owner(service)
    for index, port in enumerate(spec.ports):
        if not port.nodePort:
            continue
        path: Path = ("spec", "ports", index, "nodePort")
        if spec.type not in ("NodePort", "LoadBalancer"):
            place.error(
                path, f"a {spec.type} Service has no nodePort: write type: NodePort, or remove it", key=True
            )
            continue
        if port.nodePort not in NODE_PORTS:
            place.error(path, f"{port.nodePort} is no node port: {NODE_PORTS.start} to {NODE_PORTS.stop - 1}")
        first = claims.node_ports.setdefault((port.nodePort, port.protocol), (me, index))
        if first != (me, index):
            message = f"{port.nodePort}/{port.protocol} already belongs to {first[0]}: choose another port"
            place.error(path, message)


def _check_pods(service: Service, place: Place, templates: Templates) -> None:
    spec = service.spec
    if not spec.selector or spec.type == "ExternalName":
        return
    pods = templates.matching(spec.selector, service.metadata.namespace)
    if pods:
        for index, port in enumerate(spec.ports):
            _check_target(service, index, port, pods, place)
    elif service.metadata.annotations.get(ALLOW_EMPTY) != "true":
        wanted = ",".join(f"{key}={value}" for key, value in spec.selector.items())
        hint = _other_place(service, templates) or did_you_mean(wanted, templates.label_pairs())
        message = f'no pod has the labels {wanted}{hint}; if that is meant, annotate {ALLOW_EMPTY}: "true"'
        place.error(("spec", "selector"), message, key=True)


def _other_place(service: Service, templates: Templates) -> str:
    elsewhere = templates.matching(service.spec.selector)
    return (
        f" in namespace {service.metadata.namespace} ({elsewhere[0].owner} is in {elsewhere[0].namespace})"
        if elsewhere
        else ""
    )


def _check_target(
    service: Service, index: int, port: ServicePort, pods: list[Template], place: Place
) -> None:
    """A named target port must exist in some pod; a number that no container declares is worth a note."""
    declared = [
        entry for pod in pods if pod.spec for container in pod.spec.containers for entry in container.ports
    ]
    if isinstance(port.target, str):
        names = {entry.name for entry in declared if entry.protocol == port.protocol and entry.name}
        if port.target.isdigit():
            place.error(("spec", "ports", index, "targetPort"), f'"{port.target}" is text: remove the quotes')
        elif port.target not in names:
            known = did_you_mean(port.target, names)
            message = f'no selected pod has a {port.protocol} port called "{port.target}"{known}'
            place.error(("spec", "ports", index, "targetPort"), message)
    elif declared and all(
        (entry.containerPort, entry.protocol) != (port.target, port.protocol) for entry in declared
    ):
        listed = ", ".join(dict.fromkeys(f"{entry.containerPort}/{entry.protocol}" for entry in declared))
        place.problems.note(
            f"{place.line()}: {_owner(service)}: no selected pod declares port {port.target}/{port.protocol} "
            f"(declared: {listed}): connections to port {port.port} will be refused"
        )


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
