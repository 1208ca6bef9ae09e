"""Names of what kube-proxy keeps in its nftables table.

Fixed ones, and those of a Service port: a prefix, the first 8 characters of base32(sha256(name)), and the name itself,
cut to the length that nftables allows. Source: pkg/proxy/nftables/proxier.go (`hashAndTruncate`,
`servicePortChainNameBase`, `servicePortEndpointChainNameBase`) of Kubernetes v1.34.
"""

from base64 import b32encode
from hashlib import sha256
from typing import Final, NamedTuple

from netsim.dataplane.service_table import Endpoint, ServicePortName
from netsim.wire.addr import ip_text

TABLE: Final = "kube-proxy"

SERVICES: Final = "services"
CLUSTER_IPS_CHECK: Final = "cluster-ips-check"
NODE_PORT_ENDPOINTS_CHECK: Final = "nodeport-endpoints-check"
SERVICE_ENDPOINTS_CHECK: Final = "service-endpoints-check"
FIREWALL_CHECK: Final = "firewall-check"
MARK_MASQ: Final = "mark-for-masquerade"
MASQUERADING: Final = "masquerading"
REJECT: Final = "reject-chain"

CLUSTER_IPS: Final = "cluster-ips"
NODE_PORT_IPS: Final = "nodeport-ips"
SERVICE_IPS: Final = "service-ips"
SERVICE_NODE_PORTS: Final = "service-nodeports"
FIREWALL_IPS: Final = "firewall-ips"
NO_ENDPOINT_SERVICES: Final = "no-endpoint-services"
NO_ENDPOINT_NODE_PORTS: Final = "no-endpoint-nodeports"

# knftables.NameLengthMax is 256; 16 are for the prefix (chainNamePrefixLengthMax).
_BASE_LENGTH_MAX: Final = 256 - 16


class ChainNames(NamedTuple):
    """The chains of one Service port: endpoints of policy Cluster and Local, external traffic, source ranges."""

    cluster: str
    local: str
    external: str
    firewall: str


def chain_names(port: ServicePortName) -> ChainNames:
    """The names for a Service port, whether or not it needs all of them."""
    base = _hashed(_port_text(port))
    return ChainNames(f"service-{base}", f"local-{base}", f"external-{base}", f"firewall-{base}")


def endpoint_name(port: ServicePortName, endpoint: Endpoint) -> str:
    """What the chain (`endpoint-...`) and the affinity set (`affinity-...`) of an endpoint have in common."""
    address = ip_text(endpoint.address).replace(":", ".")
    return _hashed(f"{_port_text(port)}__{address}/{endpoint.port}")


def is_service_chain(name: str) -> bool:
    """Whether a chain is one that kube-proxy makes per Service or endpoint: only their names hold a slash."""
    return "/" in name


def is_affinity_set(name: str) -> bool:
    """Whether a set remembers the clients of an endpoint."""
    return name.startswith("affinity-")


def _port_text(port: ServicePortName) -> str:
    return f"{port.namespace}/{port.name}/{port.protocol.lower()}/{port.port}"


def _hashed(name: str) -> str:
    name = f"{b32encode(sha256(name.encode()).digest()[:5]).decode()}-{name}"  # 5 bytes are 8 characters
    return name if len(name) <= _BASE_LENGTH_MAX else f"{name[: _BASE_LENGTH_MAX - 3]}..."
