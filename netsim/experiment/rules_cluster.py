"""The Cluster document against itself: choices that exist, subnets, addresses, names, links.

Called by: `loader`. `place` is that of the `spec` of the document.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from itertools import combinations

from netsim.cluster.families import family_of
from netsim.experiment.rules_dns import check_dns
from netsim.experiment.rules_families import FAMILIES_OF, check_families
from netsim.experiment.rules_objects import check_labels
from netsim.experiment.rules_outside import check_outside
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.rules_proxy import check_proxy
from netsim.experiment.spec_cluster import ClusterSpec, LinkQuality, Networking, NodeEntry, cables_matching
from netsim.experiment.spec_names import did_you_mean

# What is simulated, and what else users may know: so that the message can say "not yet" instead of "unknown".
MODES = ("iptables", "nftables", "ipvs")
NETWORKS = ("flat", "vxlan", "bridge")
FAMILIES = ("ipv4", "ipv6", "dual")
# Of these, what handles IPv6.
NETWORKS_V6 = ("flat",)
_OTHER_MODES = ("none", "ebpf")
# F:kp.modeStatus: deprecated in 1.35, still served until the gate KubeProxyIPVS goes.
_IPVS_DEPRECATED_SINCE = 35
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Addresses kept for the Services that matter, and those of 198.18.0.0/15 (`fillers.py`).
_SERVICES_BESIDE_FILLERS = 1000
MAX_FILLER_ENDPOINTS = (1 << 17) - 2
RESERVED_NAMES = ("router", "switch")
MAX_NODES = 5000  # what Kubernetes itself supports
# kube-controller-manager --node-cidr-mask-size-ipv4, --node-cidr-mask-size-ipv6
_NODE_RANGE_LENGTH = {4: 24, 6: 64}


def check_cluster(spec: ClusterSpec, place: Place, unsure: frozenset[str] = frozenset()) -> None:
    """Record what is wrong with the cluster itself. `unsure`: sections that could not be read (they have defaults)."""
    _check_choices(spec, place)
    check_proxy(spec, place)
    if "networking" in unsure:
        return
    if not check_families(spec, place):
        return
    _check_subnets(spec, place)
    if sum(node.count for node in spec.nodes) > MAX_NODES:
        place.error(("nodes",), f"more than {MAX_NODES} nodes", key=True)
        return
    entries = spec.node_entries()
    _check_names(spec, entries, place)
    _check_node_addresses(spec, entries, place)
    _check_external(spec, place)
    check_outside(spec, entries, place)
    _check_links(spec, entries, place)
    _check_fillers(spec, place)
    check_dns(spec, place)
    if spec.dns.replicas == 0:
        place.problems.note("dns.replicas is 0: no name will resolve")


def _check_fillers(spec: ClusterSpec, place: Place) -> None:
    addresses = ipaddress.ip_network(spec.networking.service_subnets[0]).num_addresses
    services, endpoints = spec.fillers.services, spec.fillers.services * spec.fillers.endpoints
    if services and services > addresses - _SERVICES_BESIDE_FILLERS:
        message = (
            f"the serviceSubnet has {addresses} addresses: too few for {services} fillers and the Services"
        )
        place.error(("fillers", "services"), message)
    if endpoints > MAX_FILLER_ENDPOINTS:
        message = f"{endpoints} endpoints in all are more than the {MAX_FILLER_ENDPOINTS} that there are addresses for"
        place.error(("fillers", "endpoints"), message)


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
    _choice(networking.cni, NETWORKS, (), place, ("networking", "cni"))
    _choice(networking.ipFamily, FAMILIES, (), place, ("networking", "ipFamily"))
    if networking.cni == "flat" and not networking.bridgeNfCallIptables:
        place.error(
            ("networking", "bridgeNfCallIptables"),
            "cni flat has no bridge: remove this, or write cni: bridge or cni: vxlan",
        )
    check_families_of_parts(networking, place)
    mode = spec.kubeProxy.mode
    if mode and mode != networking.kubeProxyMode:
        message = (
            f"{mode} contradicts networking.kubeProxyMode {networking.kubeProxyMode}: write it in one place"
        )
        place.error(("kubeProxy", "mode"), message)
    _check_ipvs(spec, place)


def _check_ipvs(spec: ClusterSpec, place: Place) -> None:
    """The ipvs section, and whether the version still wants the mode (KEP-5495)."""
    section = spec.kubeProxy.ipvs
    path: Path = ("kubeProxy", "ipvs")
    for index, text in enumerate(section.excludeCIDRs):
        try:
            ipaddress.ip_network(text)
        except ValueError:
            message = f'"{text}" is no range of addresses: write for example 10.96.5.0/24'
            place.error((*path, "excludeCIDRs", index), message)
    if spec.networking.kubeProxyMode == "ipvs" and spec.minor >= _IPVS_DEPRECATED_SINCE:
        place.problems.note(
            f"kubeProxyMode ipvs is deprecated since Kubernetes 1.{_IPVS_DEPRECATED_SINCE} (KEP-5495): nftables is "
            "what upstream recommends"
        )


def check_families_of_parts(networking: Networking, place: Place) -> None:
    """Record which part of the cluster does not know IPv6 where the cluster has it."""
    if networking.ipFamily == "ipv4" or networking.ipFamily not in FAMILIES:
        return
    if networking.cni in NETWORKS and networking.cni not in NETWORKS_V6:
        message = f"{networking.cni} is simulated with ipFamily ipv4 only: write {' or '.join(NETWORKS_V6)}"
        place.error(("networking", "cni"), message)


def _check_subnets(spec: ClusterSpec, place: Place) -> None:
    networking = spec.networking
    subnets = [
        (name, ipaddress.ip_network(text))
        for name, texts in (
            ("podSubnet", networking.pod_subnets),
            ("serviceSubnet", networking.service_subnets),
            ("nodeSubnet", networking.node_subnets),
        )
        for text in texts
    ]
    for (one, first), (other, second) in combinations(subnets, 2):
        if first.version == second.version and first.overlaps(second):
            path: Path = ("networking", other if other in networking.model_fields_set else one)
            place.error(path, f"{one} {first} and {other} {second} overlap")
    nodes = sum(node.count for node in spec.nodes)
    for name, subnet in subnets:
        problem = _SIZES[name](subnet, nodes)
        if problem:
            place.error(("networking", name), problem)


def _service_size(subnet: Network, nodes: int) -> str:
    largest = subnet.max_prefixlen - 4
    if subnet.prefixlen <= largest:
        return ""
    return f"{subnet} is too small: kube-dns needs the tenth address, so at most /{largest}"


def _pod_size(subnet: Network, nodes: int) -> str:
    length = _NODE_RANGE_LENGTH[subnet.version]
    ranges = 1 << max(0, length - subnet.prefixlen)
    if nodes > ranges:
        return f"{subnet} has {ranges} range(s) of /{length}, one per node, for {nodes} nodes"
    if subnet.version == 6 and length - subnet.prefixlen > _MOST_BITS_V6:
        return (
            f"{subnet} is too large: from /{length - _MOST_BITS_V6} on it can be cut into /{length} per node"
        )
    return ""


def _node_size(subnet: Network, nodes: int) -> str:
    return f"{subnet} has too few addresses for {nodes} nodes" if nodes > subnet.num_addresses - 3 else ""


_SIZES = {"podSubnet": _pod_size, "serviceSubnet": _service_size, "nodeSubnet": _node_size}
# pkg/controller/nodeipam/ipam/cidrset: clusterSubnetMaxDiff
_MOST_BITS_V6 = 16


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
    for balancer in spec.balancers(spec.networking.balanced_subnet):
        if balancer.name in seen:
            message = f"two hosts are called {balancer.name} (the other is {seen[balancer.name]})"
            place.error((*balancer.path, "name") if balancer.spec.name else balancer.path, message)
        seen[balancer.name] = f"spec.{'.'.join(map(str, balancer.path))}"


def _check_node_addresses(spec: ClusterSpec, entries: Iterable[NodeEntry], place: Place) -> None:
    seen: dict[str, str] = {}
    for index, node in enumerate(spec.nodes):
        path: Path = ("nodes", index, "address")
        if node.address is not None and node.count > 1:
            place.error(path, f"one address cannot serve {node.count} nodes: remove count or address")
        for text in node.addresses:
            problem = _node_address_problem(spec, text)
            if problem:
                place.error(path, problem)
            if text in seen:
                place.error(path, f"{text} is also the address of {seen[text]}")
            seen[text] = f"spec.nodes[{index}]"


def _node_address_problem(spec: ClusterSpec, text: str) -> str:
    """What is wrong with a node's address in the node subnet of its family; "" if nothing is."""
    address = ipaddress.ip_address(text)
    networks = map(ipaddress.ip_network, spec.networking.node_subnets)
    subnet = next((network for network in networks if network.version == address.version), None)
    if subnet is None or address not in subnet:
        return f"{address} is not in the nodeSubnet {subnet or spec.networking.nodeSubnet}"
    router = subnet[1] if subnet.num_addresses > 1 else subnet[0]
    if address in (subnet.network_address, subnet.broadcast_address, router):
        return f"{address} is taken: the first two and the last address of {subnet} are reserved"
    return ""


def _check_external(spec: ClusterSpec, place: Place) -> None:
    seen: dict[str, str] = {}
    networking = spec.networking
    for index, host in enumerate(spec.external):
        path: Path = ("external", index, "address")
        for text in host.addresses:
            for name in ("podSubnet", "serviceSubnet", "nodeSubnet"):
                for subnet in getattr(networking, name).split(","):
                    if ipaddress.ip_address(text) in ipaddress.ip_network(subnet):
                        message = f"{text} is inside the {name} {subnet}: an outside host needs another"
                        place.error(path, message)
            if family_of(text) not in FAMILIES_OF[networking.ipFamily]:
                message = f"{text} is {family_of(text)}, but ipFamily is {networking.ipFamily}"
                place.error(path, f"{message}: no node could reach it")
            if text in seen:
                place.error(path, f"{text} is also the address of {seen[text]}")
            seen[text] = host.name


def cable_names(spec: ClusterSpec) -> list[str]:
    """The cables that a topology may name: those of nodes, outside hosts, load balancers and the router, as
    `worker-1:eth0`."""
    balancers = [entry.name for entry in spec.balancers(spec.networking.balanced_subnet)]
    outside = [host.name for host in spec.external]
    hosts = [*(entry.name for entry in spec.node_entries()), *outside, *balancers, "router"]
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
