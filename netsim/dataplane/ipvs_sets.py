"""The IP sets of the ipvs mode: their names, types and comments.

Source: pkg/proxy/ipvs/ipset.go, proxier.go (`ipsetInfo`) of Kubernetes v1.33. IPv6 has sets of its own, with the prefix
KUBE-6-.
"""

from typing import Final, NamedTuple

from netsim.kernel.ipset import (
    BITMAP_PORT,
    HASH_IP,
    HASH_IP_PORT,
    HASH_IP_PORT_IP,
    HASH_IP_PORT_NET,
    IpSet,
    Member,
    SetType,
)
from netsim.wire.addr import Address

LOOP_BACK: Final = "KUBE-LOOP-BACK"
CLUSTER_IP: Final = "KUBE-CLUSTER-IP"
EXTERNAL_IP: Final = "KUBE-EXTERNAL-IP"
EXTERNAL_IP_LOCAL: Final = "KUBE-EXTERNAL-IP-LOCAL"
LOAD_BALANCER: Final = "KUBE-LOAD-BALANCER"
LOAD_BALANCER_FW: Final = "KUBE-LOAD-BALANCER-FW"
LOAD_BALANCER_LOCAL: Final = "KUBE-LOAD-BALANCER-LOCAL"
LOAD_BALANCER_SOURCE_IP: Final = "KUBE-LOAD-BALANCER-SOURCE-IP"
LOAD_BALANCER_SOURCE_CIDR: Final = "KUBE-LOAD-BALANCER-SOURCE-CIDR"
NODE_PORT: Final = {
    "TCP": "KUBE-NODE-PORT-TCP",
    "UDP": "KUBE-NODE-PORT-UDP",
    "SCTP": "KUBE-NODE-PORT-SCTP-HASH",
}
NODE_PORT_LOCAL: Final = {
    "TCP": "KUBE-NODE-PORT-LOCAL-TCP",
    "UDP": "KUBE-NODE-PORT-LOCAL-UDP",
    "SCTP": "KUBE-NODE-PORT-LOCAL-SCTP-HASH",
}
HEALTH_CHECK: Final = "KUBE-HEALTH-CHECK-NODE-PORT"
IPVS_IPS: Final = "KUBE-IPVS-IPS"


class SetInfo(NamedTuple):
    """One set of `ipsetInfo`."""

    name: str
    kind: str
    comment: str


INFO: Final = (
    SetInfo(
        LOOP_BACK, HASH_IP_PORT_IP, "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"
    ),
    SetInfo(CLUSTER_IP, HASH_IP_PORT, "Kubernetes service cluster ip + port for masquerade purpose"),
    SetInfo(
        EXTERNAL_IP, HASH_IP_PORT, "Kubernetes service external ip + port for masquerade and filter purpose"
    ),
    SetInfo(
        EXTERNAL_IP_LOCAL,
        HASH_IP_PORT,
        "Kubernetes service external ip + port with externalTrafficPolicy=local",
    ),
    SetInfo(LOAD_BALANCER, HASH_IP_PORT, "Kubernetes service lb portal"),
    SetInfo(
        LOAD_BALANCER_FW,
        HASH_IP_PORT,
        "Kubernetes service load balancer ip + port for load balancer with sourceRange",
    ),
    SetInfo(
        LOAD_BALANCER_LOCAL,
        HASH_IP_PORT,
        "Kubernetes service load balancer ip + port with externalTrafficPolicy=local",
    ),
    SetInfo(
        LOAD_BALANCER_SOURCE_IP,
        HASH_IP_PORT_IP,
        "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
    ),
    SetInfo(
        LOAD_BALANCER_SOURCE_CIDR,
        HASH_IP_PORT_NET,
        "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
    ),
    SetInfo(NODE_PORT["TCP"], BITMAP_PORT, "Kubernetes nodeport TCP port for masquerade purpose"),
    SetInfo(
        NODE_PORT_LOCAL["TCP"], BITMAP_PORT, "Kubernetes nodeport TCP port with externalTrafficPolicy=local"
    ),
    SetInfo(NODE_PORT["UDP"], BITMAP_PORT, "Kubernetes nodeport UDP port for masquerade purpose"),
    SetInfo(
        NODE_PORT_LOCAL["UDP"], BITMAP_PORT, "Kubernetes nodeport UDP port with externalTrafficPolicy=local"
    ),
    SetInfo(
        NODE_PORT["SCTP"],
        HASH_IP_PORT,
        "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'",
    ),
    SetInfo(
        NODE_PORT_LOCAL["SCTP"],
        HASH_IP_PORT,
        "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'",
    ),
    SetInfo(HEALTH_CHECK, BITMAP_PORT, "Kubernetes health check node port"),
    SetInfo(IPVS_IPS, HASH_IP, "Addresses on the ipvs interface"),
)
COMMENTS: Final = {info.name: info.comment for info in INFO}


def set_name(name: str, ipv6: bool) -> str:
    """The set's name in the family (`NewIPSet`)."""
    return f"KUBE-6-{name.removeprefix('KUBE-')}" if ipv6 else name


def bound(address: Address) -> Member:
    """An address of kube-ipvs0 as a member of KUBE-IPVS-IPS."""
    return Member(address)


def create(info: SetInfo, ipv6: bool) -> IpSet:
    """`ipset create -exist`."""
    return IpSet(SetType(set_name(info.name, ipv6), info.kind, "inet6" if ipv6 else "inet"))
