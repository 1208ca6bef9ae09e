"""IP families of a cluster and of its Services: what is asked for, what the cluster has, what a Service gets.

Called by the API server's admission. Source: `initIPFamilyFields` in pkg/registry/core/service/storage/alloc.go and
`ValidateServiceClusterIPsRelatedFields` in pkg/apis/core/validation (KEP-563), Kubernetes 1.34. Only creation: a
Service keeps its families for life here.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from netsim.cluster.errors import InvalidError
from netsim.cluster.objects import ServiceSpec
from netsim.wire.addr import Prefix

Family = Literal["IPv4", "IPv6"]
Policy = Literal["SingleStack", "PreferDualStack", "RequireDualStack"]

LENGTHS: Final[dict[Family, int]] = {"IPv4": 4, "IPv6": 16}  # bytes of an address
_POLICY: Final = ("spec", "ipFamilyPolicy")
_OTHER: Final[dict[Family, Family]] = {"IPv4": "IPv6", "IPv6": "IPv4"}


class FamilyError(InvalidError):
    """What is wrong with a Service's families: the field, and why in upstream's words."""

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        super().__init__(f"{text.removeprefix('.')}: {reason}")
        self.path = path
        self.reason = reason


class ServiceFamilies(NamedTuple):
    """A Service's `ipFamilyPolicy` and `ipFamilies` as they are stored."""

    policy: Policy
    families: tuple[Family, ...]


def family_of(address: str) -> Family:
    """The family of an address or subnet in text form."""
    return "IPv6" if ":" in address else "IPv4"


def parse_subnets(text: str) -> tuple[Prefix, ...]:
    """The subnets of `10.96.0.0/16` or `10.96.0.0/16,fd00:10:96::/112`: the first is of the primary family. Raises
    ValueError."""
    return tuple(Prefix.parse(part.strip()) for part in text.split(","))


def service_families(spec: ServiceSpec, configured: Sequence[Family]) -> ServiceFamilies:
    """The families that a new Service gets in a cluster that has `configured` (the first is the default). Raises
    FamilyError."""
    addresses = cluster_ips(spec)
    free = addresses[:1] == ("None",) and not spec.selector  # nobody allocates anything for it
    policy: Policy = spec.ipFamilyPolicy or ("RequireDualStack" if free else "SingleStack")
    families = _asked_for(spec, addresses, policy, configured)
    if free:
        families = families or tuple(configured[:1])
        return ServiceFamilies(policy, _both(families) if policy != "SingleStack" else families)
    if policy == "RequireDualStack" and len(configured) < 2:
        raise FamilyError(_POLICY, "this cluster is not configured for dual-stack services")
    for index, family in enumerate(families):
        if family not in configured:
            raise FamilyError(("spec", "ipFamilies", index), f"{family} is not configured on this cluster")
    families = families or tuple(configured[:1])
    dual = policy != "SingleStack" and len(configured) == 2
    return ServiceFamilies(policy, _both(families) if dual else families)


def cluster_ips(spec: ServiceSpec) -> tuple[str, ...]:
    """`clusterIPs`, or `clusterIP` where only that is given; empty when the server is to choose."""
    return spec.clusterIPs or ((spec.clusterIP,) if spec.clusterIP else ())


def _both(families: tuple[Family, ...]) -> tuple[Family, ...]:
    return families if len(families) == 2 else (families[0], _OTHER[families[0]])


def _asked_for(
    spec: ServiceSpec, addresses: tuple[str, ...], policy: Policy, configured: Sequence[Family]
) -> tuple[Family, ...]:
    """`ipFamilies`, completed from the addresses that are asked for."""
    families: tuple[Family, ...] = spec.ipFamilies
    if len(set(families)) < len(families):
        raise FamilyError(("spec", "ipFamilies"), "may only hold one value for each IP family")
    if policy == "SingleStack":
        for given, what in ((addresses, "cluster IPs"), (families, "IP families")):
            if len(given) == 2:
                must = "must be 'RequireDualStack' or 'PreferDualStack'"
                raise FamilyError(_POLICY, f"{must} when multiple {what} are specified")
    for index, address in enumerate(addresses):
        if address == "None":
            break
        family, path = family_of(address), ("spec", "clusterIPs", index)
        if index < len(families):
            if families[index] != family:
                wanted = f"expected an {families[index]} value as indicated by `ipFamilies[{index}]`"
                raise FamilyError(path, f"{address}: {wanted}")
        elif family not in configured:
            raise FamilyError(path, f"{address}: {family} is not configured on this cluster")
        else:
            families = (*families, family)
    return families
