"""The objects of a topology together: duplicates, unknown nodes and namespaces, hand-written endpoints, room for pods.

Called by: `loader`, once all objects are known.
"""

import ipaddress
from collections.abc import Collection, Sequence

from netsim.cluster.objects import (
    ApiObject,
    Endpoints,
    EndpointSlice,
    Namespace,
    Node,
    ObjectMeta,
    OtherObject,
    matches_labels,
)
from netsim.experiment.rules_place import Loaded, Path, Place, Template, Templates, template_of
from netsim.experiment.spec_cluster import ClusterSpec, NodeEntry
from netsim.experiment.spec_names import did_you_mean

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_DEFAULT_MAX_PODS = 110  # KubeletConfiguration.maxPods


def collect_templates(objects: Sequence[Loaded], spec: ClusterSpec) -> Templates:
    """What makes pods in this topology, the cluster's own DNS servers included."""
    templates = Templates()
    dns = {"k8s-app": "kube-dns"}
    templates.add(Template("kube-system", f"Deployment/{spec.dns.deployment}", dns, None, spec.dns.pods))
    nodes = sum(node.count for node in spec.nodes)
    for loaded in objects:
        template = template_of(loaded, nodes)
        if template is not None:
            templates.add(template)
    return templates


def check_objects(objects: Sequence[Loaded], services: Collection[tuple[str, str]]) -> None:
    """Record what is wrong between the objects. `services`: (namespace, name) of every Service there is."""
    _check_duplicates(objects)
    for loaded in objects:
        if isinstance(loaded.object, EndpointSlice):
            _check_slice(loaded.object, loaded.place, services)
        elif isinstance(loaded.object, Endpoints):
            _check_endpoints(loaded.object, loaded.place, services)


def check_nodes(objects: Sequence[Loaded], templates: Templates, spec: ClusterSpec) -> None:
    """Record what asks for nodes that the cluster does not have."""
    entries = spec.node_entries()
    names = [entry.name for entry in entries]
    for loaded in objects:
        name = loaded.object.metadata.name
        if isinstance(loaded.object, Node) and name not in names:
            message = f'the cluster has no node "{name}"{did_you_mean(name, names)}'
            loaded.place.error(("metadata", "name"), message)
    _check_placement(templates, entries)
    _check_room(templates, entries, spec)


def missing_namespaces(objects: Sequence[Loaded]) -> tuple[ApiObject, ...]:
    """Namespaces that are used but not defined; the loader adds them, with a note, as students forget them."""
    defined = {loaded.object.metadata.name for loaded in objects if isinstance(loaded.object, Namespace)}
    used = dict.fromkeys(loaded.object.metadata.namespace for loaded in objects)
    return tuple(
        Namespace(metadata=ObjectMeta(name=name))
        for name in used
        if name and name not in defined and name not in SYSTEM_NAMESPACES
    )


def _check_duplicates(objects: Sequence[Loaded]) -> None:
    seen: dict[tuple[str, tuple[str, str]], Place] = {}
    for loaded in objects:
        thing = loaded.object
        if not thing.metadata.name or isinstance(thing, OtherObject):
            continue
        first = seen.setdefault((thing.kind, thing.key), loaded.place)
        if first is not loaded.place:
            where = f"namespace {thing.metadata.namespace} has" if thing.NAMESPACED else "there is"
            message = (
                f'{where} another {thing.kind} "{thing.metadata.name}" ({first.line()}): rename one of them'
            )
            loaded.place.error(("metadata", "name"), message)


def _check_placement(templates: Templates, entries: Sequence[NodeEntry]) -> None:
    names = [entry.name for entry in entries]
    for template in templates.items:
        if template.loaded is None or template.spec is None:
            continue
        place = template.loaded.place
        wanted, selector = template.spec.nodeName, template.spec.nodeSelector
        if wanted and wanted not in names:
            hint = did_you_mean(wanted, names)
            place.error((*template.path, "spec", "nodeName"), f'the cluster has no node "{wanted}"{hint}')
        if selector and not any(matches_labels(selector, entry.labels) for entry in entries):
            text = ",".join(f"{key}={value}" for key, value in selector.items())
            message = f"no node has the labels {text}: the pods would stay Pending"
            place.error((*template.path, "spec", "nodeSelector"), message, key=True)


def _check_room(templates: Templates, entries: Sequence[NodeEntry], spec: ClusterSpec) -> None:
    length = ipaddress.ip_network(spec.networking.podSubnet).prefixlen
    addresses = (
        1 << (32 - max(length, 24))
    ) - 3  # host-local: not the network, the gateway, the broadcast address
    per_node = min(spec.kubelet.maxPods or _DEFAULT_MAX_PODS, addresses)
    nodes = sum(
        1 for entry in entries if not any(taint.effect != "PreferNoSchedule" for taint in entry.taints)
    )
    wanted = sum(template.replicas for template in templates.items)
    if wanted <= nodes * per_node:
        return
    largest = max(templates.items, key=lambda template: template.replicas)
    if largest.loaded is not None:
        message = f"{wanted} pods do not fit on {nodes} node(s) with at most {per_node} pods each"
        path: Path = (
            ("spec", "replicas")
            if "replicas" in largest.loaded.place.source.node.below(("spec",)).parts
            else ()
        )
        largest.loaded.place.error(path, message)


def _check_slice(thing: EndpointSlice, place: Place, services: Collection[tuple[str, str]]) -> None:
    name = thing.service_name
    if not name:
        message = "an EndpointSlice needs the label kubernetes.io/service-name to belong to a Service"
        place.error(("metadata",), message, key=True)
    else:
        path: Path = ("metadata", "labels", "kubernetes.io/service-name")
        _check_service(name, thing, place, path, services)
    for index, endpoint in enumerate(thing.endpoints):
        for position, address in enumerate(endpoint.addresses):
            _check_ip(address, place, ("endpoints", index, "addresses", position))


def _check_endpoints(thing: Endpoints, place: Place, services: Collection[tuple[str, str]]) -> None:
    _check_service(thing.metadata.name, thing, place, ("metadata", "name"), services)
    for index, subset in enumerate(thing.subsets):
        for kind in ("addresses", "notReadyAddresses"):
            for position, address in enumerate(getattr(subset, kind)):
                _check_ip(address.ip, place, ("subsets", index, kind, position, "ip"))


def _check_service(
    name: str, thing: ApiObject, place: Place, path: Path, services: Collection[tuple[str, str]]
) -> None:
    namespace = thing.metadata.namespace
    if (namespace, name) not in services:
        here = [service for in_namespace, service in services if in_namespace == namespace]
        place.error(path, f'namespace {namespace} has no Service "{name}"{did_you_mean(name, here)}')


def _check_ip(text: str, place: Place, path: Path) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        place.error(path, f'"{text}" is no IP address')
        return
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        place.error(path, f"{text} cannot be an endpoint")
