"""The objects of a topology together: duplicates, unknown nodes and namespaces, hand-written endpoints, room for pods.

Called by: `loader`, once all objects are known.
"""

import ipaddress
from collections.abc import Collection, Iterable, Sequence

from netsim.cluster.objects import (
    ApiObject,
    Deployment,
    Namespace,
    Node,
    ObjectMeta,
    OtherObject,
    matches_labels,
)
from netsim.experiment.rules_endpoints import check_endpoints
from netsim.experiment.rules_place import Loaded, Path, Place, Template, Templates, template_of
from netsim.experiment.rules_sysctls import check_sysctls
from netsim.experiment.spec_cluster import ClusterSpec, NodeEntry
from netsim.experiment.spec_names import did_you_mean

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_DEFAULT_MAX_PODS = 110  # KubeletConfiguration.maxPods


def collect_templates(
    objects: Sequence[Loaded], spec: ClusterSpec, addons: Iterable[ApiObject] = ()
) -> Templates:
    """What makes pods in this topology, the cluster's own DNS servers and other add-ons included."""
    templates = Templates()
    dns = {"k8s-app": "kube-dns"}
    templates.add(Template("kube-system", f"Deployment/{spec.dns.deployment}", dns, None, spec.dns.pods))
    for item in addons:
        if isinstance(item, Deployment):
            pods = item.spec.template
            owner = f"Deployment/{item.metadata.name}"
            templates.add(
                Template(item.metadata.namespace, owner, pods.metadata.labels, pods.spec, item.spec.replicas)
            )
    nodes = sum(node.count for node in spec.nodes)
    for loaded in objects:
        template = template_of(loaded, nodes)
        if template is not None:
            templates.add(template)
    return templates


def check_objects(objects: Sequence[Loaded], services: Collection[tuple[str, str]]) -> None:
    """Record what is wrong between the objects. `services`: (namespace, name) of every Service there is."""
    _check_duplicates(objects)
    check_endpoints(objects, services)


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
    check_sysctls(templates, spec)


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
    ranges = [ipaddress.ip_network(subnet) for subnet in spec.networking.pod_subnets]
    bits = min(net.max_prefixlen - max(net.prefixlen, 24 if net.version == 4 else 64) for net in ranges)
    addresses = (1 << bits) - 3  # host-local: not the network, the gateway, the broadcast address
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
