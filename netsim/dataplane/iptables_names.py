"""Names of kube-proxy's iptables chains.

Fixed ones, and those of a Service port: a prefix and the first 16 characters of base32(sha256(name and protocol)),
because chain names are at most 28 characters long. Source: `portProtoHash` in pkg/proxy/iptables/proxier.go of
Kubernetes v1.33.
"""

from base64 import b32encode
from hashlib import sha256
from typing import Final, NamedTuple

from netsim.dataplane.service_table import Endpoint, ServicePortName

SERVICES: Final = "KUBE-SERVICES"
EXTERNAL_SERVICES: Final = "KUBE-EXTERNAL-SERVICES"
NODE_PORTS: Final = "KUBE-NODEPORTS"
POSTROUTING: Final = "KUBE-POSTROUTING"
MARK_MASQ: Final = "KUBE-MARK-MASQ"
FORWARD: Final = "KUBE-FORWARD"
PROXY_FIREWALL: Final = "KUBE-PROXY-FIREWALL"
KUBELET_FIREWALL: Final = "KUBE-FIREWALL"

_PREFIXES: Final = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-FW-", "KUBE-EXT-", "KUBE-SEP-")


class ChainNames(NamedTuple):
    """The chains of one Service port: endpoints of policy Cluster and Local, external traffic, source ranges."""

    cluster: str
    local: str
    external: str
    firewall: str


def chain_names(port: ServicePortName) -> ChainNames:
    """The names for a Service port, whether or not it needs all of them."""
    digest = _hash(f"{port}{port.protocol.lower()}")
    return ChainNames(f"KUBE-SVC-{digest}", f"KUBE-SVL-{digest}", f"KUBE-EXT-{digest}", f"KUBE-FW-{digest}")


def endpoint_chain(port: ServicePortName, endpoint: Endpoint) -> str:
    """The chain that sends traffic of a Service port to one endpoint."""
    return f"KUBE-SEP-{_hash(f'{port}{port.protocol.lower()}{endpoint}')}"


def is_service_chain(name: str) -> bool:
    """Whether a chain is one that kube-proxy makes per Service or endpoint, and may therefore delete."""
    return name.startswith(_PREFIXES)


def _hash(text: str) -> str:
    return b32encode(sha256(text.encode()).digest())[:16].decode()
