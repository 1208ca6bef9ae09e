"""Services: what the API server would refuse, clashes between Services, and selectors that find no pod.

Called by: `loader`, once all objects are known. What is wrong with one Service alone is said by
`netsim.cluster.validation`, clashes by `rules_service_claims`.

Stricter than upstream on purpose: a selector that matches no pod of the topology is an error, because nobody will ever
come and create those pods; `netsim/allow-empty: "true"` on the Service says that it is meant.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from netsim.cluster.objects import ApiObject, Service, ServicePort
from netsim.cluster.validation.names import port_name
from netsim.cluster.validation.service import check_cluster_families, validate_service
from netsim.experiment.rules_annotations import ALLOW_EMPTY
from netsim.experiment.rules_api import tell
from netsim.experiment.rules_families import check_service_families, cluster_families
from netsim.experiment.rules_place import Loaded, Place, Template, Templates
from netsim.experiment.rules_service_claims import Claims, owner_of
from netsim.experiment.spec_cluster import ClusterSpec
from netsim.experiment.spec_names import did_you_mean

_FAMILIES: Final = {"ipv4": ("IPv4",), "ipv6": ("IPv6",), "dual": ("IPv4", "IPv6")}


def check_services(services: Sequence[Loaded], templates: Templates, spec: ClusterSpec) -> Claims:
    """Record what is wrong with the Services, alone and together. Returns what is taken."""
    families = cluster_families(spec)
    subnets = map(ipaddress.ip_network, spec.networking.service_subnets)
    claims = Claims(dict(zip(families, subnets, strict=True)))
    claims.take_system_addresses()
    for loaded in services:
        service = loaded.object
        if isinstance(service, Service):
            problems = [*validate_service(service), *check_cluster_families(service, families)]
            tell(problems, loaded.place)
            if not problems:
                check_service_families(service, loaded.place, families)
            tell(claims.problems(service), loaded.place)
            _check_without_effect(service, loaded.place)
            _check_pods(service, loaded.place, templates)
    return claims


def check_addons(addons: Iterable[ApiObject], claims: Claims, place: Place) -> None:
    """Record node ports of `spec.ingress` that its Service cannot have; `place` is that of the Cluster's spec."""
    for item in addons:
        if isinstance(item, Service):
            for error in claims.problems(item):
                port = item.spec.ports[int(error.path[2])]
                place.error(("ingress", "nodePorts", port.name), error.message)


def _check_without_effect(service: Service, place: Place) -> None:
    """What the API server accepts and ignores."""
    spec = service.spec
    if spec.externalName and spec.type != "ExternalName":
        message = "externalName is only for type: ExternalName, and ignored otherwise: remove it"
        place.error(("spec", "externalName"), message, key=True)
    if spec.loadBalancerIP and spec.type != "LoadBalancer":
        place.problems.note(
            f"{place.line()}: {owner_of(service)}: loadBalancerIP is ignored: the type is {spec.type}, not LoadBalancer"
        )


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
        if port.target not in names and not list(port_name(port.target)):
            known = did_you_mean(port.target, names)
            message = f'no selected pod has a {port.protocol} port called "{port.target}"{known}'
            place.error(("spec", "ports", index, "targetPort"), message)
    elif declared and all(
        (entry.containerPort, entry.protocol) != (port.target, port.protocol) for entry in declared
    ):
        listed = ", ".join(dict.fromkeys(f"{entry.containerPort}/{entry.protocol}" for entry in declared))
        place.problems.note(
            f"{place.line()}: {owner_of(service)}: no selected pod declares port {port.target}/{port.protocol} "
            f"(declared: {listed}): connections to port {port.port} will be refused"
        )
