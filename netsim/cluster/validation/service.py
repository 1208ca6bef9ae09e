"""Services: ValidateService and ValidateServiceUpdate, in parts.

Called by admission and by the loader's rules. Source: pkg/apis/core/validation/validation.go (ValidateService,
ValidateServiceClusterIPsRelatedFields, ValidateServiceUpdate), pkg/registry/core/service/storage/alloc.go (families
that the cluster does not have).
"""

import ipaddress
from collections.abc import Iterator, Sequence

from netsim.cluster.objects import Service
from netsim.cluster.validation import names
from netsim.cluster.validation.field import FieldError, Path, duplicate, forbidden, invalid, required
from netsim.cluster.validation.service_policy import (
    check_class_update,
    check_external_name,
    check_policies,
    needs_health_check,
)
from netsim.cluster.validation.service_ports import check_ports

SPEC: Path = ("spec",)
NONE = "None"


def validate_service(service: Service) -> list[FieldError]:
    """What the API server says about a Service by itself; node ports and addresses that are taken come later."""
    return list(_all(service))


def _all(service: Service) -> Iterator[FieldError]:
    spec = service.spec
    if spec.type == "ExternalName":
        yield from check_external_name(service)
    else:
        yield from _addresses(service)
        if spec.is_headless and spec.type != "ClusterIP":
            detail = f"may not be set to 'None' for {spec.type} services"
            yield invalid((*SPEC, "clusterIP"), NONE, detail, "write type: ClusterIP, or remove it")
    yield from check_ports(service)
    yield from check_policies(service)


def _addresses(service: Service) -> Iterator[FieldError]:
    spec = service.spec
    path = (*SPEC, "clusterIPs")
    yield from _families(service)
    if spec.clusterIPs and spec.clusterIP and spec.clusterIPs[0] != spec.clusterIP:
        yield invalid(path, spec.clusterIPs, "first value must match `clusterIP`")
    if len(spec.clusterIPs) > 2:
        yield invalid(path, spec.clusterIPs, "may only hold up to 2 values")
    if NONE in spec.clusterIPs[1:] or (NONE in spec.clusterIPs and len(spec.clusterIPs) > 1):
        yield invalid(path, spec.clusterIPs, "may only hold up to 1 value when set to 'None'")
        return
    given: list[tuple[Path, str]] = [((*path, index), text) for index, text in enumerate(spec.clusterIPs)]
    if spec.clusterIP:
        given[:1] = [((*SPEC, "clusterIP"), spec.clusterIP)]
    versions = []
    for where, text in given:
        if text == NONE:
            continue
        problems = list(names.address(text))
        hint = "write None for a headless Service" if text.lower() == "none" else ""
        yield from (invalid(where, text, problem, hint) for problem in problems)
        if not problems:
            versions.append((where, text, ipaddress.ip_address(text).version))
    if len(versions) == 2 and versions[0][2] == versions[1][2]:
        yield invalid(path, spec.clusterIPs, "may specify no more than one IP for each IP family")
    for number, ((where, text, version), family) in enumerate(zip(versions, spec.ipFamilies, strict=False)):
        if f"IPv{version}" != family:
            detail = f"expected an {family} value as indicated by `ipFamilies[{number}]`"
            yield invalid(where, text, detail)


def _families(service: Service) -> Iterator[FieldError]:
    spec = service.spec
    path = (*SPEC, "ipFamilies")
    if len(spec.ipFamilies) > 2:
        yield invalid(path, spec.ipFamilies, "may only hold up to 2 values")
    seen: dict[str, None] = {}
    for index, family in enumerate(spec.ipFamilies):
        if family in seen:
            yield duplicate((*path, index), family)
        seen[family] = None
    if spec.ipFamilyPolicy == "SingleStack":
        allowed = "must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified"
        for what, found in (("IP families", spec.ipFamilies), ("cluster IPs", spec.clusterIPs)):
            if len(found) > 1:
                yield invalid((*SPEC, "ipFamilyPolicy"), spec.ipFamilyPolicy, allowed.format(what))


def check_cluster_families(service: Service, families: Sequence[str]) -> Iterator[FieldError]:
    """A Service's families against those that the cluster has (alloc.go)."""
    spec = service.spec
    if spec.type == "ExternalName":
        return
    if spec.ipFamilyPolicy == "RequireDualStack" and len(families) < 2:
        detail = "this cluster is not configured for dual-stack services"
        yield invalid(
            (*SPEC, "ipFamilyPolicy"), spec.ipFamilyPolicy, detail, "write SingleStack or PreferDualStack"
        )
    for index, family in enumerate(spec.ipFamilies):
        if family not in families and not (spec.is_headless and not spec.selector):
            yield invalid((*SPEC, "ipFamilies", index), family, "not configured on this cluster")


def validate_service_update(old: Service, new: Service) -> list[FieldError]:
    """A Service as it was and as it is to be."""
    return [*_changes(old, new), *validate_service(new)]


def _changes(old: Service, new: Service) -> Iterator[FieldError]:
    """The first address is for good, unless the Service comes from or becomes an ExternalName."""
    if "ExternalName" not in (old.spec.type, new.spec.type) and old.spec.clusterIP:
        path = (*SPEC, "clusterIPs", 0)
        if not new.spec.clusterIP:
            yield required(path, "primary clusterIP can not be unset")
        elif new.spec.clusterIP != old.spec.clusterIP:
            yield invalid(path, (new.spec.clusterIP,), "may not change once set", "delete the Service first")
    yield from check_class_update(old, new)
    if needs_health_check(old) and needs_health_check(new):
        was, now = old.spec.healthCheckNodePort, new.spec.healthCheckNodePort
        if was and was != now:
            yield forbidden((*SPEC, "healthCheckNodePort"), "field is immutable")
