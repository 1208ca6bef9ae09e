"""The objects that every cluster has from its first moment.

Called by: `controlplane.py`. Sources: pkg/controlplane (the four system namespaces, the Service `kubernetes` with the
API servers as its endpoints, EndpointSlice `kubernetes` written by the API server's own reconciler).
"""

from collections.abc import Iterable
from typing import Final

from netsim.cluster.families import family_of, parse_subnets
from netsim.cluster.objects import (
    ApiObject,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    Namespace,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from netsim.cluster.runtime import NodeConfig
from netsim.wire.addr import ip_text

SYSTEM_NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
_API_PORT: Final = 6443  # kubeadm: --secure-port


def system_objects(service_subnet: str, nodes: Iterable[NodeConfig]) -> list[ApiObject]:
    """Namespaces and the Service `kubernetes`, at the first address of the service subnet."""
    made: list[ApiObject] = [Namespace(metadata=ObjectMeta(name=name)) for name in SYSTEM_NAMESPACES]
    address = ip_text(parse_subnets(service_subnet)[0].nth(1))
    labels = {"component": "apiserver", "provider": "kubernetes"}
    port = ServicePort(name="https", port=443, targetPort=_API_PORT)
    made.append(
        Service(
            metadata=ObjectMeta(name="kubernetes", namespace="default", labels=labels),
            spec=ServiceSpec(clusterIP=address, ports=(port,)),
        )
    )
    servers = [node.address for node in nodes if node.is_control_plane]
    if servers:
        made.append(_slice(servers))
    return made


def _slice(addresses: list[str]) -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(
            name="kubernetes", namespace="default", labels={"kubernetes.io/service-name": "kubernetes"}
        ),
        addressType=family_of(addresses[0]),
        ports=(EndpointPort(name="https", port=_API_PORT),),
        endpoints=tuple(
            Endpoint(addresses=(address,), conditions=EndpointConditions(ready=True)) for address in addresses
        ),
    )
