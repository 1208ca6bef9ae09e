"""What is outside the cluster against the cluster: servers, routes, load balancers and the Services that want one.

Called by: `rules_cluster` (the Cluster document), `loader` (the Services). `place` is that of the Cluster's `spec`.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from netsim.cluster.objects import Service
from netsim.experiment.rules_place import Loaded, Path, Place
from netsim.experiment.spec_cluster import ClusterSpec, NodeEntry
from netsim.experiment.spec_names import did_you_mean
from netsim.experiment.spec_outside import BalancerEntry, LoadBalancer

_NETWORKING = ("podSubnet", "serviceSubnet", "nodeSubnet")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def check_outside(spec: ClusterSpec, entries: Sequence[NodeEntry], place: Place) -> None:
    """Record what is wrong with servers, routes and load balancers."""
    open_hosts = [host.name for host in spec.external if not host.behind]
    for index, host in enumerate(spec.external):
        if host.behind and host.behind not in open_hosts:
            message = f'"{host.behind}" is no outside host that could translate for others'
            place.error(("external", index, "behind"), message + did_you_mean(host.behind, open_hosts))
        seen: dict[tuple[int, str], int] = {}
        for number, serve in enumerate(host.serves):
            path: Path = ("external", index, "serves", number)
            if seen.setdefault((serve.port, serve.protocol), number) != number:
                place.error((*path, "port"), f"port {serve.port}/{serve.protocol} is listed twice")
            if serve.protocol == "UDP" and serve.app == "http":
                place.error((*path, "app"), "http needs TCP: write app: echo, or protocol: TCP")
    _check_routes(spec, entries, place)
    _check_balancers(spec, entries, place)


def _check_routes(spec: ClusterSpec, entries: Iterable[NodeEntry], place: Place) -> None:
    names = [entry.name for entry in entries]
    nodes = list(map(ipaddress.ip_network, spec.networking.node_subnets))
    seen: dict[str, int] = {}
    for index, route in enumerate(spec.routes):
        path: Path = ("routes", index)
        if route.via not in names:
            place.error(
                (*path, "via"), f'the cluster has no node "{route.via}"{did_you_mean(route.via, names)}'
            )
        inside = [known for known in nodes if ipaddress.ip_network(route.to).overlaps(known)]
        if inside:
            place.error(
                (*path, "to"), f"{route.to} and the nodeSubnet {inside[0]} overlap: nodes need no route"
            )
        if seen.setdefault(route.to, index) != index:
            place.error((*path, "to"), f"routes[{seen[route.to]}] is for {route.to} too")


def _check_balancers(spec: ClusterSpec, entries: Iterable[NodeEntry], place: Place) -> None:
    nodes = ipaddress.ip_network(spec.networking.balanced_subnet)
    if nodes.version == 6 and (spec.loadBalancer or spec.loadBalancerClasses):
        field = "loadBalancer" if spec.loadBalancer else "loadBalancerClasses"
        place.error((field,), "load balancers are simulated for IPv4: write ipFamily: ipv4 or dual", key=True)
        return
    hosts = {entry.address: entry.name for entry in entries if entry.address}
    classes: dict[str, str] = {}
    taken: dict[Network, str] = {
        ipaddress.ip_network(text): f"the {name}"
        for name in _NETWORKING
        for text in getattr(spec.networking, name).split(",")
    }
    taken |= {
        ipaddress.ip_network(address): f"the address of {host.name}"
        for host in spec.external
        for address in host.addresses
    }
    for entry in spec.balancers(spec.networking.balanced_subnet):
        _check_check(entry, place)
        pool = ipaddress.ip_network(entry.spec.addresses)
        for other, owner in taken.items():
            if pool.overlaps(other):
                place.error((*entry.path, "addresses"), f"{pool} overlaps with {owner}: choose another range")
        taken[pool] = f"the addresses of {entry.name}"
        path: Path = (*entry.path, "address") if entry.spec.address else entry.path
        if not entry.address or ipaddress.ip_address(entry.address) not in nodes:
            place.error(path, f"the load balancer needs an address in the nodeSubnet {nodes}")
        elif entry.address in hosts:
            place.error(path, f"{entry.address} is also the address of {hosts[entry.address]}")
        hosts[entry.address] = entry.name
        if entry.class_name and classes.setdefault(entry.class_name, entry.name) != entry.name:
            place.error((*entry.path, "class"), f"{classes[entry.class_name]} serves this class already")


def _check_check(entry: BalancerEntry, place: Place) -> None:
    check = entry.spec.healthCheck
    if check.interval_ns and check.timeout_ns and check.timeout_ns > check.interval_ns:
        path: Path = (*entry.path, "healthCheck", "timeout")
        place.error(path, "a check cannot take longer than the interval: the next one would begin before")


def check_balanced(loaded: Iterable[Loaded], spec: ClusterSpec, place: Place) -> None:
    """Services of type LoadBalancer against the balancers that there are."""
    balancers = {entry.class_name: entry for entry in spec.balancers(spec.networking.balanced_subnet)}
    wanted: dict[str, list[str]] = {}
    owners: dict[str, str] = {}
    for item in loaded:
        service = item.object
        if not isinstance(service, Service) or service.spec.type != "LoadBalancer":
            continue
        class_name = service.spec.loadBalancerClass or ""
        name = f"Service/{service.metadata.name}"
        if class_name not in balancers:
            where = (
                f"loadBalancerClass {class_name}" if class_name else "Services without a loadBalancerClass"
            )
            field = "loadBalancerClasses" if class_name else "loadBalancer"
            place.problems.note(f"{name}: no spec.{field} for {where}: its external address stays <pending>")
            continue
        wanted.setdefault(class_name, []).append(name)
        _check_address(service, item.place, balancers[class_name].spec, owners)
        _check_node_ports(service, item.place, balancers[class_name].spec)
    for class_name, names in wanted.items():
        entry = balancers[class_name]
        size = ipaddress.ip_network(entry.spec.addresses).num_addresses
        if len(names) > size:
            message = f"{entry.spec.addresses} has {size} address(es) for {len(names)} Services ({', '.join(names)})"
            place.error((*entry.path, "addresses"), message)


def _check_address(service: Service, place: Place, balancer: LoadBalancer, owners: dict[str, str]) -> None:
    text = service.spec.loadBalancerIP
    if not text:
        return
    path: Path = ("spec", "loadBalancerIP")
    try:
        inside = ipaddress.ip_address(text) in ipaddress.ip_network(balancer.addresses)
    except ValueError:
        place.error(path, f'"{text}" is no IP address')
        return
    me = "/".join(service.key)
    if not inside:
        place.error(path, f"{text} is not one of the load balancer's addresses {balancer.addresses}")
    elif owners.setdefault(text, me) != me:
        place.error(path, f"{text} already belongs to Service {owners[text]}: choose another or leave it out")


def _check_node_ports(service: Service, place: Place, balancer: LoadBalancer) -> None:
    """A proxy reaches nodes by their node ports only."""
    mode = balancer.mode or ("passthrough" if balancer.preset in ("gce", "azure") else "proxy")
    if mode == "proxy" and service.spec.allocateLoadBalancerNodePorts is False:
        message = "a load balancer in proxy mode sends to node ports: allocate them, or use mode: passthrough"
        place.error(("spec", "allocateLoadBalancerNodePorts"), message)
