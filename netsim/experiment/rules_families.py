"""IP families of a topology: do the subnets fit `ipFamily`, do the Services and loads fit the cluster?

Called by: `rules_cluster`, `rules_services`, `rules_experiment`. Sources: kind's validation (pkg/internal/apis/config),
kubeadm's of dual-stack subnets, `netsim.cluster.families` for Services.
"""

from collections.abc import Mapping
from typing import Final

from netsim.cluster.families import Family, FamilyError, family_of, service_families
from netsim.cluster.objects import Service
from netsim.experiment.rules_place import Path, Place
from netsim.experiment.spec_cluster import ClusterSpec, Networking

FAMILIES_OF: Final[Mapping[str, tuple[Family, ...]]] = {
    "ipv4": ("IPv4",),
    "ipv6": ("IPv6",),
    "dual": ("IPv4", "IPv6"),
}
_SUBNETS: Final = ("podSubnet", "serviceSubnet", "nodeSubnet")
_EXAMPLE: Final = {
    "ipv4": "an IPv4 subnet",
    "ipv6": "an IPv6 subnet",
    "dual": "an IPv4 and an IPv6 subnet, separated by a comma",
}


def check_families(spec: ClusterSpec, place: Place) -> bool:
    """Record subnets that do not fit `ipFamily` or each other; whether all do."""
    networking = spec.networking
    wanted = FAMILIES_OF.get(networking.ipFamily)
    if wanted is None:
        return False
    found = {name: _families(getattr(networking, name)) for name in _SUBNETS}
    wrong = [name for name in _SUBNETS if set(found[name]) != set(wanted)]
    for name in wrong:
        place.error(("networking", name), _mismatch(networking, name, found[name]))
    if not wrong and len(set(found.values())) > 1:
        other = next(name for name in _SUBNETS[1:] if found[name] != found["podSubnet"])
        begins = f"podSubnet begins with {found['podSubnet'][0]}, {other} with {found[other][0]}"
        message = f"{begins}: write both in the same order (the first family is the primary one)"
        given = other if other in place.source.node.below(("networking",)).parts else "podSubnet"
        place.error(("networking", given), message)
        return False
    return not wrong


def _families(subnets: str) -> tuple[Family, ...]:
    return tuple(map(family_of, subnets.split(",")))


def _mismatch(networking: Networking, name: str, found: tuple[Family, ...]) -> str:
    subnets, wanted = getattr(networking, name), networking.ipFamily
    fitting = next(family for family, kinds in FAMILIES_OF.items() if set(kinds) == set(found))
    kinds = " and ".join(found)
    return f"{subnets} is {kinds}, but ipFamily is {wanted}: write {_EXAMPLE[wanted]}, or ipFamily: {fitting}"


def cluster_families(spec: ClusterSpec) -> tuple[Family, ...]:
    """The families of the cluster's Services, the primary one first."""
    return _families(spec.networking.serviceSubnet)


def check_service_families(service: Service, place: Place, configured: tuple[Family, ...]) -> bool:
    """Record what the API server would say about a Service's families; whether it would say nothing."""
    if service.spec.type == "ExternalName":
        return True
    try:
        service_families(service.spec, configured)
    except FamilyError as error:
        hint = "" if len(configured) > 1 else f" (networking.ipFamily has {configured[0]} only)"
        path: Path = error.path
        if path[1] == "clusterIPs" and not service.spec.clusterIPs:
            path = ("spec", "clusterIP")
        place.error(path, f"{error.reason}{hint}", key=service.spec.ipFamilyPolicy is None)
        return False
    return True


def load_family_problem(family: str | None, spec: ClusterSpec) -> str:
    """Why a load cannot use a family; "" if it can."""
    has = spec.networking.ipFamily
    if family in (None, "any", has) or has == "dual":
        return ""
    return f"the cluster has no {family} addresses: its ipFamily is {has}"
