"""A cluster as it is drawn: what its API server says of nodes, pods and Services now, and what is outside.

Called by `Cluster.plot` and the cluster's rich display. Before the cluster has booted there are nodes and no pods.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

from netsim.cluster.objects import EndpointSlice, Node, Pod, Service
from netsim.measure.figures_topology import NodeBox, PodBox, ServiceLine, View

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.measure.style import Plot


def drawing(cluster: "Cluster") -> "Plot":
    """The figure."""
    from netsim.measure.figures_topology import topology_plot

    return topology_plot(view_of(cluster))


def view_of(cluster: "Cluster") -> View:
    """The moment's view."""
    addresses, services = _endpoints(cluster)
    return View(
        cluster.topology.name,
        _note(cluster),
        tuple(_nodes(cluster, addresses)),
        services,
        tuple(_outside(cluster)),
        f"underlay {cluster.spec.networking.nodeSubnet}",
    )


def _note(cluster: "Cluster") -> str:
    spec, net = cluster.spec, cluster.spec.networking
    when = f"{cluster.now_ns / 1e9:g} s" if cluster.epoch_ns else "not booted"
    return (
        f"Kubernetes {spec.kubernetesVersion}, kube-proxy {net.kubeProxyMode}, pod network {net.cni}; {when}"
    )


def _endpoints(cluster: "Cluster") -> tuple[dict[str, list[str]], tuple[ServiceLine, ...]]:
    """Which Services an address serves; the Services, those of kube-system last."""
    serving: dict[str, list[str]] = defaultdict(list)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for entry in cluster.api.list(EndpointSlice):
        owner = (entry.metadata.namespace, entry.service_name)
        for endpoint in entry.endpoints:
            if endpoint.conditions.ready is not False:
                counts[owner] += 1
                for address in endpoint.addresses:
                    serving[address].append(_name(owner))
    found = [s for s in cluster.api.list(Service) if s.key != ("default", "kubernetes")]
    found.sort(key=lambda s: (s.metadata.namespace == "kube-system", s.key))
    return serving, tuple(ServiceLine(_name(s.key), _reached(s), counts[s.key]) for s in found)


def _name(key: tuple[str, str]) -> str:
    return key[1] if key[0] == "default" else "/".join(key)


def _reached(service: Service) -> str:
    """Address and ports, and by what else it is reached."""
    spec = service.spec
    if spec.type == "ExternalName":
        return f"is {spec.externalName}"
    ports = ",".join(dict.fromkeys(str(port.port) for port in spec.ports))
    parts = ["headless" if spec.is_headless else f"{spec.clusterIP}:{ports}"]
    node_ports = [str(port.nodePort) for port in spec.ports if port.nodePort]
    parts += [f"NodePort {','.join(node_ports)}"] if node_ports else []
    parts += [f"LoadBalancer {entry.ip}" for entry in service.status.loadBalancer.ingress if entry.ip]
    return ", ".join(parts)


def _nodes(cluster: "Cluster", serving: dict[str, list[str]]) -> list[NodeBox]:
    pods: dict[str, list[PodBox]] = defaultdict(list)
    for pod in sorted(cluster.api.list(Pod), key=lambda pod: (pod.metadata.namespace, pod.key)):
        serves = tuple(dict.fromkeys(serving.get(pod.status.podIP, [])))
        box = PodBox(pod.metadata.name, pod.status.podIP, pod.status.is_ready, serves)
        pods[pod.spec.nodeName].append(box)
    ready = {node.metadata.name: _is_ready(node) for node in cluster.api.list(Node)}
    return [
        NodeBox(entry.name, entry.address, ready.get(entry.name, True), tuple(pods[entry.name]))
        for entry in cluster.spec.node_entries()
    ]


def _is_ready(node: Node) -> bool:
    found = [condition.status for condition in node.status.conditions if condition.type == "Ready"]
    return not found or found[0] == "True"


def _outside(cluster: "Cluster") -> list[tuple[str, str]]:
    from netsim.wire.addr import ip_text

    return [(name, ip_text(host.address)) for name, host in sorted(cluster.fabric.outside.items())]
