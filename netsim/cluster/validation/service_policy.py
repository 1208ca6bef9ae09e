"""Which fields of a Service go with which type: traffic policies, affinity, load balancer fields, external addresses.

Called by `service.py`. Source: pkg/apis/core/validation/validation.go (ValidateService,
validateServiceExternalTrafficPolicy, validateClientIPAffinityConfig, validateLoadBalancerClassField). The values that a
field can have are the models' business.
"""

from collections.abc import Iterator
from typing import Final

from netsim.cluster.objects import Service
from netsim.cluster.validation import names
from netsim.cluster.validation.field import FieldError, Path, forbidden, invalid, required

SPEC: Path = ("spec",)
MOST_AFFINITY_SECONDS: Final = 86400  # MaxClientIPServiceAffinitySeconds
_ONLY_LOAD_BALANCER: Final = "may only be used when `type` is 'LoadBalancer'"
_LOAD_BALANCER_HINT: Final = "write type: LoadBalancer, or remove it"


def check_policies(service: Service) -> Iterator[FieldError]:
    """Everything about policies and what belongs to a type."""
    yield from _affinity(service)
    yield from _external_ips(service)
    yield from _load_balancer(service)
    yield from _external_traffic(service)


def is_externally_accessible(service: Service) -> bool:
    """pkg/api/service ExternallyAccessible."""
    spec = service.spec
    return spec.type in ("NodePort", "LoadBalancer") or (spec.type == "ClusterIP" and bool(spec.externalIPs))


def needs_health_check(service: Service) -> bool:
    """pkg/api/service NeedsHealthCheck."""
    return service.spec.type == "LoadBalancer" and service.spec.externalTrafficPolicy == "Local"


def _affinity(service: Service) -> Iterator[FieldError]:
    spec = service.spec
    path = (*SPEC, "sessionAffinityConfig")
    if spec.sessionAffinityConfig is None:
        return
    if spec.sessionAffinity == "None":
        hint = "write sessionAffinity: ClientIP, or remove it"
        yield forbidden(path, "must not be set when session affinity is None", hint)
        return
    seconds = spec.sessionAffinityConfig.clientIP.timeoutSeconds
    if not 0 < seconds <= MOST_AFFINITY_SECONDS:
        detail = f"must be greater than 0 and less than {MOST_AFFINITY_SECONDS}"
        hint = f"1 to {MOST_AFFINITY_SECONDS} are possible"
        yield invalid((*path, "clientIP", "timeoutSeconds"), seconds, detail, hint)


def _external_ips(service: Service) -> Iterator[FieldError]:
    for index, text in enumerate(service.spec.externalIPs):
        path = (*SPEC, "externalIPs", index)
        problems = list(names.address(text)) or names.non_special(text)
        yield from (invalid(path, text, problem) for problem in problems)


def _load_balancer(service: Service) -> Iterator[FieldError]:
    spec = service.spec
    balanced = spec.type == "LoadBalancer"
    if spec.loadBalancerSourceRanges:
        path = (*SPEC, "loadBalancerSourceRanges")
        if not balanced:
            yield forbidden(path, _ONLY_LOAD_BALANCER, _LOAD_BALANCER_HINT)
        for index, text in enumerate(spec.loadBalancerSourceRanges):
            for problem in names.cidr(text.strip()):
                yield invalid((*path, index), text, problem)
    if spec.allocateLoadBalancerNodePorts is not None and not balanced:
        yield forbidden((*SPEC, "allocateLoadBalancerNodePorts"), _ONLY_LOAD_BALANCER, _LOAD_BALANCER_HINT)
    if spec.loadBalancerClass is not None:
        path = (*SPEC, "loadBalancerClass")
        if not balanced:
            yield forbidden(path, _ONLY_LOAD_BALANCER, _LOAD_BALANCER_HINT)
        for problem in names.qualified_name(spec.loadBalancerClass):
            yield invalid(path, spec.loadBalancerClass, problem)


def _external_traffic(service: Service) -> Iterator[FieldError]:
    spec = service.spec
    if spec.externalTrafficPolicy and not is_externally_accessible(service):
        path = (*SPEC, "externalTrafficPolicy")
        hint = "write type: NodePort or LoadBalancer, or remove it"
        yield invalid(
            path, spec.externalTrafficPolicy, "may only be set for externally-accessible services", hint
        )
    path = (*SPEC, "healthCheckNodePort")
    number = spec.healthCheckNodePort
    if number and not needs_health_check(service):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid(path, number, detail, "remove it")
    elif number:
        yield from (invalid(path, number, problem) for problem in names.port_number(number))


def check_class_update(old: Service, new: Service) -> Iterator[FieldError]:
    """validateLoadBalancerClassField on update: set at creation, or when the type becomes LoadBalancer."""
    if old.spec.type != "LoadBalancer" or new.spec.type != "LoadBalancer":
        return
    path = (*SPEC, "loadBalancerClass")
    if old.spec.loadBalancerClass != new.spec.loadBalancerClass:
        yield invalid(path, new.spec.loadBalancerClass, "may not change once set", "make the Service anew")


def check_external_name(service: Service) -> Iterator[FieldError]:
    """Type ExternalName: what it needs and what it cannot have."""
    spec = service.spec
    for name, given in (
        ("clusterIP" if spec.clusterIP else "clusterIPs", bool(spec.clusterIP or spec.clusterIPs)),
        ("ipFamilies", bool(spec.ipFamilies)),
        ("ipFamilyPolicy", spec.ipFamilyPolicy is not None),
    ):
        if given:
            yield forbidden((*SPEC, name), "may not be set for ExternalName services", "remove it")
    name = spec.externalName.removesuffix(".")
    if not name:
        yield required(
            (*SPEC, "externalName"), hint="write the name that clients are sent to, such as db.example.com"
        )
    for problem in names.dns1123_subdomain(name) if name else ():
        yield invalid((*SPEC, "externalName"), name, problem)
