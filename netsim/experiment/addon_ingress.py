"""Whether a topology gets an ingress controller, and which: what `spec.ingress` says, or what its Ingresses need.

Called by `loader`, before the objects are checked against each other, so that the add-on's Service and pods count.

- `ingress: {controller: nginx}` makes one; `{controller: none}` makes none.
- Without `ingress`, a topology with an Ingress and without a controller of its own (a container whose image is called
  ingress-nginx/controller) gets one too, with a note. A class that the Ingresses name and nobody defines (the
  tutorial's `alb`) is served by it: ingress-nginx stands in for that cloud's controller.

Outside hosts know the names of Ingresses (`publish_hosts`), pods do not: Ingresses are not in the cluster's DNS.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from netsim.cluster.ingress.configuration import CLASS_ANNOTATION
from netsim.cluster.ingress.manifests import NAME, NAMESPACE, Addon, ingress_objects
from netsim.cluster.objects import ApiObject, Ingress, IngressClass, Service
from netsim.experiment.rules_place import Loaded, template_of
from netsim.experiment.spec_cluster import ClusterSpec, IngressSettings
from netsim.wire.addr import ip
from netsim.workload.ingress.controllers import is_controller

if TYPE_CHECKING:
    from netsim.cluster.apiserver import ApiServer
    from netsim.fabric.fabric import Fabric
    from netsim.wire.addr import Address

_HTTP_NODE_PORTS: Final = range(30080, 32768, 1000)  # easy to remember; the first that is free
_HTTPS_NODE_PORTS: Final = range(30443, 32768, 1000)


def ingress_addon(spec: ClusterSpec, loaded: Sequence[Loaded]) -> tuple[list[ApiObject], str]:
    """The add-on's objects, and a note if nobody asked for them; ([], "") for none."""
    settings = spec.ingress
    ingresses = [entry.object for entry in loaded if isinstance(entry.object, Ingress)]
    if settings is None:
        if not ingresses or has_controller(loaded):
            return [], ""
    elif settings.controller == "none":
        return [], ""
    chosen = settings or IngressSettings()
    addon = _addon(chosen, ingresses, loaded)
    given = {(entry.object.kind, *entry.object.key) for entry in loaded}
    objects = [item for item in ingress_objects(addon) if (item.kind, *item.key) not in given]
    return objects, _note(addon, ingresses) if settings is None else ""


def has_controller(loaded: Iterable[Loaded]) -> bool:
    """Whether the manifests bring an ingress controller of their own."""
    return any(
        is_controller(container.image)
        for entry in loaded
        if (template := template_of(entry, 1)) is not None and template.spec is not None
        for container in template.spec.containers
    )


def _addon(chosen: IngressSettings, ingresses: Sequence[Ingress], loaded: Sequence[Loaded]) -> Addon:
    annotated = list(dict.fromkeys(_annotated(ingresses)))
    defined = {entry.object.metadata.name for entry in loaded if isinstance(entry.object, IngressClass)}
    named = [item.spec.ingressClassName for item in ingresses if item.spec.ingressClassName]
    wanted = dict.fromkeys(["nginx", *named])
    automatic = chosen.nodePorts.http is None and chosen.service == "NodePort"
    taken = set(_node_ports(loaded))
    return Addon(
        chosen.service,
        chosen.replicas,
        _free(_HTTP_NODE_PORTS, taken) if automatic else chosen.nodePorts.http or 0,
        chosen.nodePorts.https or (_free(_HTTPS_NODE_PORTS, taken) if automatic else 0),
        tuple(name for name in wanted if name not in defined),
        chosen.ingressClass or (annotated[0] if annotated and "nginx" not in annotated else "nginx"),
    )


def _annotated(ingresses: Iterable[Ingress]) -> Iterator[str]:
    for item in ingresses:
        name = item.metadata.annotations.get(CLASS_ANNOTATION)
        if name is not None:
            yield name


def _node_ports(loaded: Iterable[Loaded]) -> Iterator[int]:
    for entry in loaded:
        if isinstance(entry.object, Service):
            yield entry.object.spec.healthCheckNodePort
            yield from (port.nodePort for port in entry.object.spec.ports)


def _free(ports: range, taken: set[int]) -> int:
    return next((port for port in ports if port not in taken), 0)


def _note(addon: Addon, ingresses: Sequence[Ingress]) -> str:
    names = dict.fromkeys((addon.annotated, *(item.spec.ingressClassName or "nginx" for item in ingresses)))
    others = [name for name in names if name != "nginx"]
    stands_in = f", and stands in for class {', '.join(others)}" if others else ""
    return (
        f"Ingress without a controller: ingress-nginx is added (Service {NAME} in namespace {NAMESPACE}, "
        f"node port {addon.http_node_port}){stands_in}; choose with spec.ingress of the Cluster, "
        "{controller: none} for none"
    )


def publish_hosts(api: "ApiServer", fabric: "Fabric") -> None:
    """Keep the names of all Ingresses, at the address that their status shows, in the outside hosts' /etc/hosts, as an
    administrator or external-dns (source=ingress) would. Wildcards have no place there."""

    def changed(_event: object) -> None:
        names: dict[str, tuple[Address, ...]] = {}
        for item in api.list(Ingress):
            known = tuple(ip(entry.ip) for entry in item.status.loadBalancer.ingress if entry.ip)
            names.update({rule.host: known for rule in item.spec.rules if known and rule.host})
        for host in fabric.outside.values():
            host.etc_hosts = {name: found for name, found in names.items() if "*" not in name}

    api.tap(Ingress, changed)
