"""Which addresses an Ingress's status shows: those of the published Service, else of the controllers' nodes.

Called by the leading controller's process every 60 s. Source: ingress-nginx internal/ingress/status/status.go
(runningAddresses, statusAddressFromService). Simplified: what it needs is read from the API server at that moment.
"""

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.ingress.configuration import Key, Options, is_ours
from netsim.cluster.objects import Ingress, IngressClass, Node, Pod, Service
from netsim.cluster.objects.service import LoadBalancerIngress


def addresses(api: ApiServer, options: Options, pod: Key) -> tuple[LoadBalancerIngress, ...]:
    """Where the controllers can be reached; `pod` is one of them, and its labels tell the others."""
    if options.publish_service is not None:
        service = api.get(Service, *options.publish_service)
        return _of_service(service) if service is not None else ()
    me = api.get(Pod, *pod)
    if me is None:
        return ()
    labels = {key: value for key, value in me.metadata.labels.items() if key not in _CHANGING}
    found: dict[str, None] = {}
    for other in api.list(Pod, pod[0], labels):
        if other.status.is_ready:
            found[_node_address(api, other.spec.nodeName)] = None
    return tuple(LoadBalancerIngress(ip=address) for address in sorted(found) if address)


_CHANGING = ("controller-revision-hash", "pod-template-generation", "pod-template-hash")


def _of_service(service: Service) -> tuple[LoadBalancerIngress, ...]:
    spec = service.spec
    external = tuple(LoadBalancerIngress(ip=address) for address in spec.externalIPs)
    if spec.type == "LoadBalancer":
        given = service.status.loadBalancer.ingress
        return (*(LoadBalancerIngress(ip=entry.ip, hostname=entry.hostname) for entry in given), *external)
    if spec.type == "ExternalName":
        return (LoadBalancerIngress(hostname=spec.externalName),)
    return external or (LoadBalancerIngress(ip=spec.clusterIP),)


def _node_address(api: ApiServer, name: str) -> str:
    node = api.get(Node, "", name)
    kinds = {entry.type: entry.address for entry in node.status.addresses} if node is not None else {}
    return kinds.get("ExternalIP") or kinds.get("InternalIP") or ""


def outdated(api: ApiServer, options: Options, wanted: tuple[LoadBalancerIngress, ...]) -> list[Ingress]:
    """The Ingresses of this controller whose status says something else."""
    classes = api.list(IngressClass)
    return [
        item
        for item in api.list(Ingress)
        if is_ours(item, classes, options) and item.status.loadBalancer.ingress != wanted
    ]
