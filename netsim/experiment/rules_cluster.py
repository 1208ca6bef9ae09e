"""The Cluster document against itself: choices that exist, subnets, addresses, names, links.

Called by: `loader`. `place` is that of the `spec` of the document.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from itertools import combinations

from netsim.experiment.rules_dns import check_dns
from netsim.experiment.rules_objects import check_labels
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.spec_cluster import ClusterSpec, LinkQuality, NodeEntry, cables_matching
from netsim.experiment.spec_names import did_you_mean

# What is simulated, and what else users may know: so that the message can say "not yet" instead of "unknown".
MODES = ("iptables",)
NETWORKS = ("flat",)
FAMILIES = ("ipv4",)
_OTHER_MODES = ("nftables", "ipvs", "none", "ebpf")
_OTHER_NETWORKS = ("vxlan", "bridge")
_OTHER_FAMILIES = ("ipv6", "dual")
RESERVED_NAMES = ("router", "switch")
MAX_NODES = 5000  # what Kubernetes itself supports
_NODE_RANGE_LENGTH = 24  # kube-controller-manager --node-cidr-mask-size-ipv4


def check_cluster(spec: ClusterSpec, place: Place, unsure: frozenset[str] = frozenset()) -> None:
    """Record what is wrong with the cluster itself. `unsure`: sections that could not be read (they have defaults)."""
    _check_choices(spec, place)
    if "networking" in unsure:
        return
    _check_subnets(spec, place)
    if sum(node.count for node in spec.nodes) > MAX_NODES:
        place.error(("nodes",), f"more than {MAX_NODES} nodes", key=True)
        return
    entries = spec.node_entries()
    _check_names(spec, entries, place)
    _check_node_addresses(spec, entries, place)
    _check_external(spec, place)
    _check_links(spec, entries, place)
    check_dns(spec, place)
    if spec.dns.replicas == 0:
        place.problems.note("dns.replicas is 0: no name will resolve")


def _choice(value: str, simulated: Sequence[str], others: Sequence[str], place: Place, path: Path) -> None:
    if value in simulated:
        return
    write = f"write {' or '.join(simulated)}"
    if value in others:
        place.error(path, f"{value} is not simulated: {write}")
    else:
        hint = did_you_mean(value, simulated)
        place.error(path, f'"{value}" is not known: {write}{hint}')


def _check_choices(spec: ClusterSpec, place: Place) -> None:
    networking = spec.networking
    _choice(networking.kubeProxyMode, MODES, _OTHER_MODES, place, ("networking", "kubeProxyMode"))
    _choice(networking.cni, NETWORKS, _OTHER_NETWORKS, place, ("networking", "cni"))
    _choice(networking.ipFamily, FAMILIES, _OTHER_FAMILIES, place, ("networking", "ipFamily"))
    mode = spec.kubeProxy.mode
    if mode and mode != networking.kubeProxyMode:
        message = (
            f"{mode} contradicts networking.kubeProxyMode {networking.kubeProxyMode}: write it in one place"
        )
        place.error(("kubeProxy", "mode"), message)


def _check_subnets(spec: ClusterSpec, place: Place) -> None:
    names = ("podSubnet", "serviceSubnet", "nodeSubnet")
    subnets = {name: ipaddress.ip_network(getattr(spec.networking, name)) for name in names}
    for one, other in combinations(names, 2):
        if subnets[one].overlaps(subnets[other]):
            path: Path = ("networking", other if other in spec.networking.model_fields_set else one)
            place.error(path, f"{one} {subnets[one]} and {other} {subnets[other]} overlap")
    if subnets["serviceSubnet"].prefixlen > 28:
        message = f"{subnets['serviceSubnet']} is too small: kube-dns needs the tenth address, so at most /28"
        place.error(("networking", "serviceSubnet"), message)
    nodes = sum(node.count for node in spec.nodes)
    ranges = 1 << max(0, _NODE_RANGE_LENGTH - subnets["podSubnet"].prefixlen)
    if nodes > ranges:
        subnet = subnets["podSubnet"]
        message = f"{subnet} has {ranges} range(s) of /{_NODE_RANGE_LENGTH}, one per node, for {nodes} nodes"
        place.error(("networking", "podSubnet"), message)
    if nodes > subnets["nodeSubnet"].num_addresses - 3:
        place.error(
            ("networking", "nodeSubnet"), f"{subnets['nodeSubnet']} has too few addresses for {nodes} nodes"
        )


def _check_names(spec: ClusterSpec, entries: Iterable[NodeEntry], place: Place) -> None:
    if not spec.nodes:
        place.error(("nodes",), "a cluster needs at least one node", key=True)
    seen: dict[str, str] = dict.fromkeys(RESERVED_NAMES, "the fabric")
    for entry in entries:
        path: Path = ("nodes", entry.index, "name")
        if len(entry.name) > 63:
            place.error(path, f"{entry.name} is longer than 63 characters")
        if entry.name in seen:
            place.error(path, f"two hosts are called {entry.name} (the other is {seen[entry.name]})")
        seen[entry.name] = f"spec.nodes[{entry.index}]"
    for index, node in enumerate(spec.nodes):
        check_labels(node.labels, place, ("nodes", index, "labels"))
    for index, host in enumerate(spec.external):
        if host.name in seen:
            message = f"two hosts are called {host.name} (the other is {seen[host.name]})"
            place.error(("external", index, "name"), message)
        seen[host.name] = f"spec.external[{index}]"


def _check_node_addresses(spec: ClusterSpec, entries: Iterable[NodeEntry], place: Place) -> None:
    subnet = ipaddress.ip_network(spec.networking.nodeSubnet)
    router = subnet[1] if subnet.num_addresses > 1 else subnet[0]
    seen: dict[str, str] = {}
    for index, node in enumerate(spec.nodes):
        if node.address is None:
            continue
        path: Path = ("nodes", index, "address")
        address = ipaddress.ip_address(node.address)
        if node.count > 1:
            place.error(path, f"one address cannot serve {node.count} nodes: remove count or address")
        if address not in subnet:
            place.error(path, f"{address} is not in the nodeSubnet {subnet}")
        elif address in (subnet.network_address, subnet.broadcast_address, router):
            place.error(
                path, f"{address} is taken: the first two and the last address of {subnet} are reserved"
            )
        if node.address in seen:
            place.error(path, f"{address} is also the address of {seen[node.address]}")
        seen[node.address] = f"spec.nodes[{index}]"


def _check_external(spec: ClusterSpec, place: Place) -> None:
    seen: dict[str, str] = {}
    for index, host in enumerate(spec.external):
        path: Path = ("external", index, "address")
        for name in ("podSubnet", "serviceSubnet", "nodeSubnet"):
            subnet = getattr(spec.networking, name)
            if ipaddress.ip_address(host.address) in ipaddress.ip_network(subnet):
                place.error(
                    path, f"{host.address} is inside the {name} {subnet}: an outside host needs another"
                )
        if host.address in seen:
            place.error(path, f"{host.address} is also the address of {seen[host.address]}")
        seen[host.address] = host.name


def cable_names(spec: ClusterSpec) -> list[str]:
    """The cables that a topology may name: those of nodes, outside hosts and the router, as `worker-1:eth0`."""
    hosts = [entry.name for entry in spec.node_entries()] + [host.name for host in spec.external] + ["router"]
    return [f"{host}:eth0" for host in hosts]


def _check_links(spec: ClusterSpec, entries: Iterable[NodeEntry], place: Place) -> None:
    check_quality(spec.links.default, None, place, ("links", "default"))
    cables = cable_names(spec)
    for index, override in enumerate(spec.links.overrides):
        path: Path = ("links", "overrides", index)
        if not override.endpoints:
            place.error(path, 'missing field "endpoints": name cables, for example [worker-1:eth0]')
        for position, endpoint in enumerate(override.endpoints):
            if endpoint != "switch" and not cables_matching(endpoint, cables):
                hint = did_you_mean(endpoint, [*cables, *(cable.split(":")[0] for cable in cables)])
                place.error((*path, "endpoints", position), f'no cable is called "{endpoint}"{hint}')
        check_quality(override, spec.links.default, place, path)


def check_quality(link: LinkQuality, base: LinkQuality | None, place: Place, path: Path) -> None:
    """netem's own conditions: jitter and reordering need a delay to vary."""
    delay = link.delay_ns if link.delay_ns is not None or base is None else base.delay_ns
    if link.jitter_ns and not delay:
        place.error((*path, "jitter"), "jitter varies a delay: write a delay too")
    if link.reorder and not delay:
        place.error(
            (*path, "reorder"), "reordering needs a delay: the chosen packets overtake the delayed ones"
        )
