"""The names of the Kubernetes DNS schema (kubernetes/dns docs/specification.md 1.1.0), taken apart and put together.

Called by the plugins kubernetes, k8s_external and autopath. Source: CoreDNS plugin/kubernetes/parse.go, kubernetes.go
(endpointHostname), plugin/pkg/dnsutil/reverse.go.
"""

import re
from dataclasses import dataclass
from typing import Final

from netsim.cluster.dns.views import EndpointView
from netsim.wire.addr import ip, ip_text

SVC: Final = "svc"
POD: Final = "pod"

_LABEL: Final = re.compile(r"(?:[^.\\]|\\.)+")  # a dot after a backslash belongs to the label
_IPV4_SUFFIX: Final = ".in-addr.arpa."
_IPV6_SUFFIX: Final = ".ip6.arpa."
_ZONE_LABEL: Final = "_zone"


@dataclass(frozen=True, slots=True)
class ParsedName:
    """What a name below the zone asks for; "" is a part that the name does not have. `branch` is svc, pod or "".

    `zone` is a topology zone (the zonal option); with `prefer` other zones stand in for an empty one.
    """

    branch: str = ""
    namespace: str = ""
    service: str = ""
    endpoint: str = ""
    cluster: str = ""
    port: str = ""
    protocol: str = ""
    zone: str = ""
    prefer: bool = False


def parse_name(name: str, zone: str, *, multicluster: bool = False, zonal: bool = False) -> ParsedName | None:
    """Take a name of the zone (both in lower case) apart; None for a shape that cannot exist. The shapes are

    1. _port._protocol.service.namespace.svc.zone
    2. endpoint.service.namespace.svc.zone
    3. service.namespace.svc.zone, pod.namespace.pod.zone
    4. endpoint.cluster.service.namespace.svc.zone (multi-cluster zones)
    5. topozone.pin|prefer._zone.service.namespace.svc.zone (zonal option)

    and what remains when labels are taken off 3 from the left, down to the zone itself.
    """
    below = name[: -len(zone)] if zone != "." else name
    labels = _LABEL.findall(below)[::-1]
    if not labels or labels in ([SVC], [POD]):
        return ParsedName()
    if labels[0] not in (SVC, POD):
        return None
    branch, namespace, service = (*labels[:3], "", "")[:3]
    rest = labels[3:]
    if len(rest) <= 1:
        return ParsedName(branch, namespace, service, endpoint=rest[0] if rest else "")
    if len(rest) == 2:
        if multicluster and not rest[0].startswith("_") and not rest[1].startswith("_"):
            return ParsedName(branch, namespace, service, endpoint=rest[1], cluster=rest[0])
        protocol, port = (label.removeprefix("_") for label in rest)
        return ParsedName(branch, namespace, service, port=port, protocol=protocol)
    if (
        zonal
        and not multicluster
        and branch == SVC
        and rest[0] == _ZONE_LABEL
        and rest[1] in ("pin", "prefer")
    ):
        topology_zone = ".".join(reversed(rest[2:]))
        return ParsedName(branch, namespace, service, zone=topology_zone, prefer=rest[1] == "prefer")
    return None


def endpoint_name(endpoint: EndpointView, *, pod_names: bool) -> str:
    """The label of an endpoint: its hostname, else (endpoint_pod_names) its pod, else its dashed address."""
    if endpoint.hostname:
        return endpoint.hostname
    if pod_names and endpoint.pod:
        return endpoint.pod
    dashed = endpoint.address.replace(".", "-").replace(":", "-")
    return dashed + "0" if dashed.endswith("--") else dashed


def pod_address(label: str) -> str:
    """The address in a pod's name: `10-244-1-5` or `fd00-10-244--5`; not necessarily a valid one."""
    if label.count("-") == 3 and "--" not in label:
        return label.replace("-", ".")
    return label.replace("-", ":")


def is_reverse(name: str) -> bool:
    """Whether a name in lower case belongs to the reverse trees."""
    return name.endswith((_IPV4_SUFFIX, _IPV6_SUFFIX))


def reverse_address(name: str) -> str:
    """The address that a name in lower case is the reverse name of, or ""."""
    if name.endswith(_IPV4_SUFFIX):
        text = ".".join(name.removesuffix(_IPV4_SUFFIX).split(".")[::-1])
    elif name.endswith(_IPV6_SUFFIX):
        nibbles = name.removesuffix(_IPV6_SUFFIX).split(".")[::-1]
        if len(nibbles) != 32 or any(len(nibble) != 1 for nibble in nibbles):
            return ""
        joined = "".join(nibbles)
        text = ":".join(joined[at : at + 4] for at in range(0, 32, 4))
    else:
        return ""
    try:
        return ip_text(ip(text))
    except ValueError:
        return ""
